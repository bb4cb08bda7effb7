/** One of everything, private to the account that makes it. */
import { AutoScalingClient, CreateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import {
  CreateLaunchTemplateCommand,
  CreateSnapshotCommand,
  CreateVolumeCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { CreateAliasCommand, CreateKeyCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import type { ClientConfig } from './ingot.ts';
import { KEY_ID, SAMPLE_IDS, SAMPLE_ROOT } from './operations.ts';

export interface Resources {
  /** From what sample inputs say to what exists. */
  readonly ids: Map<string, string>;
  readonly ciphertext: Uint8Array;
}

export async function makeResources(config: ClientConfig): Promise<Resources> {
  const kms = new KMSClient(config);
  const ec2 = new EC2Client(config);
  const waiter = { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
  const key = KeyMetadata!.Arn!;
  await kms.send(new CreateAliasCommand({ AliasName: 'alias/sample', TargetKeyId: key }));
  const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: key, Plaintext: new Uint8Array(16) }));
  const volume = await ec2.send(
    new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', Size: 1, Encrypted: true, KmsKeyId: key }),
  );
  await waitUntilVolumeAvailable(waiter, { VolumeIds: [volume.VolumeId!] });
  const snapshot = await ec2.send(new CreateSnapshotCommand({ VolumeId: volume.VolumeId! }));
  await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [snapshot.SnapshotId!] });
  const image = await ec2.send(
    new RegisterImageCommand({
      Name: 'golden',
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot.SnapshotId! } }],
    }),
  );
  const launched = await ec2.send(
    new RunInstancesCommand({ ImageId: image.ImageId!, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
  );
  const instance = launched.Instances?.[0]?.InstanceId ?? '';
  await waitUntilInstanceRunning(waiter, { InstanceIds: [instance] });
  await ec2.send(
    new CreateLaunchTemplateCommand({ LaunchTemplateName: 'sample', LaunchTemplateData: { ImageId: image.ImageId! } }),
  );
  await new AutoScalingClient(config).send(
    new CreateAutoScalingGroupCommand({
      AutoScalingGroupName: 'sample',
      LaunchTemplate: { LaunchTemplateName: 'sample' },
      AvailabilityZones: ['eu-central-1a'],
      MinSize: 0,
      MaxSize: 1,
    }),
  );
  const ids = new Map([
    [SAMPLE_ROOT, SAMPLE_ROOT.replace(/\d+/, KeyMetadata!.AWSAccountId!)],
    [KEY_ID, key],
    [SAMPLE_IDS.volume, volume.VolumeId!],
    [SAMPLE_IDS.snapshot, snapshot.SnapshotId!],
    [SAMPLE_IDS.image, image.ImageId!],
    [SAMPLE_IDS.instance, instance],
  ]);
  return { ids, ciphertext: CiphertextBlob! };
}
