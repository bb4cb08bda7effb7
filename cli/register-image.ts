/** An AMI on top of a snapshot. */
import { DescribeImagesCommand, type EC2Client, RegisterImageCommand } from '@aws-sdk/client-ec2';
import type { ImageChoice } from './ebs/state.ts';
import { CliError, UsageError } from './error.ts';

/** The characters that EC2 takes in the name of an AMI. */
const NAME = /^[A-Za-z0-9()[\] ./'@_-]{3,128}$/;

export function requireImageName(name: string): void {
  if (NAME.test(name)) return;
  throw new UsageError("The name of an AMI has 3 to 128 letters, digits, spaces, and ( ) [ ] . / - ' @ _.");
}

/** Asked before any byte is moved: a name that is taken would fail the import at its end. */
export async function requireFreeName(ec2: EC2Client, name: string, signal: AbortSignal): Promise<void> {
  const command = new DescribeImagesCommand({ Owners: ['self'], Filters: [{ Name: 'name', Values: [escaped(name)] }] });
  const { Images } = await ec2.send(command, { abortSignal: signal });
  if (Images?.[0]) throw new CliError(`There is an AMI named ${name} already: ${Images[0].ImageId}.`);
}

/** Filters know wildcards. */
function escaped(name: string): string {
  return name.replace(/[\\*?]/g, '\\$&');
}

export async function registerImage(ec2: EC2Client, snapshotId: string, image: ImageChoice): Promise<string> {
  const { ImageId } = await ec2.send(
    new RegisterImageCommand({
      Name: image.name,
      ...(image.description === undefined ? {} : { Description: image.description }),
      Architecture: image.architecture as 'x86_64' | 'arm64',
      BootMode: image.bootMode as 'legacy-bios' | 'uefi' | 'uefi-preferred',
      VirtualizationType: 'hvm',
      EnaSupport: true,
      RootDeviceName: image.rootDevice,
      BlockDeviceMappings: [
        {
          DeviceName: image.rootDevice,
          Ebs: { SnapshotId: snapshotId, VolumeType: 'gp3', DeleteOnTermination: true },
        },
      ],
      ...(image.tags.length > 0 ? { TagSpecifications: [{ ResourceType: 'image', Tags: [...image.tags] }] } : {}),
    }),
  );
  if (!ImageId) throw new CliError('EC2 registered the image and does not say as which.');
  return ImageId;
}
