/** Requests that no key and no policy can help (rows 16 to 18). */
import {
  CreateLaunchTemplateCommand,
  CreateLaunchTemplateVersionCommand,
  type EbsBlockDevice,
  ModifyLaunchTemplateCommand,
  RegisterImageCommand,
} from '@aws-sdk/client-ec2';
import type { Fault } from './fault.ts';
import { by } from './launches.ts';
import { isRefused, newImage, newKey, newSnapshot, type Party, ROOT_DEVICE, run, runs } from './world.ts';

const keyWithoutEncrypted: Fault = {
  id: 16,
  name: '16-template-gives-a-key-without-encrypted',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const ImageId = await newImage(admin);
    const data = (Ebs: EbsBlockDevice) => ({
      ImageId,
      InstanceType: 't3.micro' as const,
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs }],
    });
    const { LaunchTemplate } = await admin.ec2.send(
      new CreateLaunchTemplateCommand({
        LaunchTemplateName: 'keyed',
        LaunchTemplateData: data({ KmsKeyId: key }),
      }),
    );
    const LaunchTemplateId = LaunchTemplate!.LaunchTemplateId!;
    await isRefused(
      run(admin, { LaunchTemplate: { LaunchTemplateId } }),
      'InvalidParameterDependency',
      'The parameter KmsKeyId requires the parameter Encrypted to be set.',
    );
    return {
      ...by(admin, admin),
      subject: LaunchTemplateId,
      operation: 'RunInstances',
      cause: { key },
      async mend() {
        const LaunchTemplateData = data({ Encrypted: true, KmsKeyId: key });
        await admin.ec2.send(new CreateLaunchTemplateVersionCommand({ LaunchTemplateId, LaunchTemplateData }));
        await admin.ec2.send(new ModifyLaunchTemplateCommand({ LaunchTemplateId, DefaultVersion: '$Latest' }));
        return undefined;
      },
      // By the default version, whichever it is.
      retry: () => runs(admin, { LaunchTemplate: { LaunchTemplateId } }),
    };
  },
};

const register = (who: Party, Name: string, Ebs: EbsBlockDevice) =>
  who.ec2.send(
    new RegisterImageCommand({
      Name,
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: ROOT_DEVICE,
      BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs }],
    }),
  );

const keyInRegisterImage: Fault = {
  id: 17,
  name: '17-image-mapping-gives-a-key',
  async build(world) {
    const admin = await world.account();
    const key = await newKey(admin);
    const SnapshotId = await newSnapshot(admin);
    await isRefused(
      register(admin, 'keyed', { SnapshotId, KmsKeyId: key }),
      'UnknownParameter',
      'The parameter KmsKeyId is not recognized',
    );
    return {
      ...by(admin, admin),
      subject: SnapshotId,
      operation: 'RegisterImage',
      cause: { key },
      // The key belongs to a copy, or to the launch.
      mend: async () => undefined,
      async retry() {
        const { ImageId } = await register(admin, 'keyed', { SnapshotId });
        const Ebs = { Encrypted: true, KmsKeyId: key };
        await runs(admin, { ImageId, BlockDeviceMappings: [{ DeviceName: ROOT_DEVICE, Ebs }] });
      },
    };
  },
};

const encryptedInRegisterImage: Fault = {
  id: 18,
  name: '18-image-mapping-encrypts-a-snapshot',
  async build(world) {
    const admin = await world.account();
    const SnapshotId = await newSnapshot(admin);
    await isRefused(
      register(admin, 'encrypted', { SnapshotId, Encrypted: true }),
      'InvalidParameter',
      'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    );
    return {
      ...by(admin, admin),
      subject: SnapshotId,
      operation: 'RegisterImage',
      cause: {},
      mend: async () => undefined,
      retry: async (copy = SnapshotId) => void (await register(admin, 'encrypted', { SnapshotId: copy })),
    };
  },
};

export const REQUEST_FAULTS: readonly Fault[] = [keyWithoutEncrypted, keyInRegisterImage, encryptedInRegisterImage];
