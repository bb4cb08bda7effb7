/** The pieces of work that a server is killed in, and what each of them needs. */
import { createHash } from 'node:crypto';
import { CompleteSnapshotCommand, EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
import * as ec2 from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DisableKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import type { ClientConfig, Ingot } from './ingot.ts';

const REGION = 'eu-central-1';
const OTHER_REGION = 'us-east-1';
export const ZONE = `${REGION}a`;
const BLOCK_BYTES = 524_288;

/** What every piece of work begins with. */
export interface World {
  readonly ingot: Ingot;
  readonly killFile: string;
  readonly otherKey: string;
  readonly disabledKey: string;
  readonly snapshot: string;
  readonly image: string;
}

/** One piece of work: begun by a call, and over when nothing is left to do. */
export interface Work {
  readonly name: string;
  /** Makes what the work needs, and gives the call. */
  command(client: ec2.EC2Client, world: World): Promise<object> | object;
  /** Who sends the call, where it is not EC2 in the region of everything else. */
  sender?(config: ClientConfig): Sender;
  /** The client asks again after a death, because what it began is its own to end. */
  readonly again?: true;
}

export interface Sender {
  send(command: object): Promise<unknown>;
}

export const WORKS: readonly Work[] = [
  {
    name: 'CreateVolume under another key',
    command: (_, { snapshot, otherKey }) =>
      new ec2.CreateVolumeCommand({
        SnapshotId: snapshot,
        AvailabilityZone: ZONE,
        Encrypted: true,
        KmsKeyId: otherKey,
      }),
  },
  {
    name: 'CreateSnapshot',
    // A volume of its own, for one may be snapshotted only so often (L-26).
    command: async (client) => new ec2.CreateSnapshotCommand({ VolumeId: await spareVolume(client) }),
  },
  {
    name: 'CopySnapshot under another key',
    command: (_, { snapshot, otherKey }) =>
      new ec2.CopySnapshotCommand({
        SourceSnapshotId: snapshot,
        SourceRegion: REGION,
        Encrypted: true,
        KmsKeyId: otherKey,
      }),
  },
  {
    name: 'CopyImage under another key',
    command: (_, { image, otherKey }) =>
      new ec2.CopyImageCommand({
        Name: `copy ${Math.random()}`,
        SourceImageId: image,
        SourceRegion: REGION,
        Encrypted: true,
        KmsKeyId: otherKey,
      }),
  },
  {
    name: 'CopyImage from another region',
    command: (_, { image }) =>
      new ec2.CopyImageCommand({
        Name: `copy ${Math.random()}`,
        SourceImageId: image,
        SourceRegion: REGION,
        Encrypted: true,
      }),
    sender: (config) => new ec2.EC2Client({ ...config, region: OTHER_REGION }) as Sender,
  },
  {
    name: 'CreateImage of a running instance',
    command: async (client) =>
      new ec2.CreateImageCommand({ InstanceId: await running(client), Name: `image ${Math.random()}` }),
  },
  {
    name: 'CompleteSnapshot',
    command: async (_, { ingot, otherKey }) => {
      const ebs = new EBSClient(await ingot.client());
      const { SnapshotId } = await ebs.send(
        new StartSnapshotCommand({ VolumeSize: 1, Encrypted: true, KmsKeyArn: otherKey }),
      );
      const BlockData = new Uint8Array(BLOCK_BYTES).fill(7);
      await ebs.send(
        new PutSnapshotBlockCommand({
          SnapshotId,
          BlockIndex: 0,
          BlockData,
          DataLength: BLOCK_BYTES,
          Checksum: createHash('sha256').update(BlockData).digest('base64'),
          ChecksumAlgorithm: 'SHA256',
        }),
      );
      return new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: 1 });
    },
    sender: (config) => new EBSClient(config) as Sender,
    again: true,
  },
  {
    name: 'RunInstances with a volume under another key',
    command: (_, { image, otherKey }) =>
      new ec2.RunInstancesCommand({
        ImageId: image,
        InstanceType: 't3.micro',
        MinCount: 1,
        MaxCount: 1,
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { Encrypted: true, KmsKeyId: otherKey } }],
      }),
  },
  {
    name: 'RunInstances with a key that is disabled',
    command: (_, { image, disabledKey }) =>
      new ec2.RunInstancesCommand({
        ImageId: image,
        InstanceType: 't3.micro',
        MinCount: 1,
        MaxCount: 1,
        BlockDeviceMappings: [
          { DeviceName: '/dev/xvda', Ebs: {} },
          { DeviceName: '/dev/xvdb', Ebs: { VolumeSize: 1, Encrypted: true, KmsKeyId: disabledKey } },
        ],
      }),
  },
  {
    name: 'CreateVolume with a key that is disabled',
    command: (_, { disabledKey }) =>
      new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, Encrypted: true, KmsKeyId: disabledKey }),
  },
  {
    name: 'StopInstances',
    command: async (client) => new ec2.StopInstancesCommand({ InstanceIds: [await running(client)] }),
  },
  {
    name: 'StartInstances',
    command: async (client) => new ec2.StartInstancesCommand({ InstanceIds: [await stopped(client)] }),
  },
  {
    name: 'AttachVolume to a running instance',
    command: async (client) =>
      new ec2.AttachVolumeCommand({
        InstanceId: await running(client),
        VolumeId: await spareVolume(client),
        Device: freeDevice(),
      }),
  },
  {
    name: 'DetachVolume',
    command: async (client) => new ec2.DetachVolumeCommand({ VolumeId: await attachedVolume(client) }),
  },
  {
    name: 'AttachVolume to a stopped instance',
    command: async (client) =>
      new ec2.AttachVolumeCommand({
        InstanceId: await stopped(client),
        VolumeId: await spareVolume(client),
        Device: freeDevice(),
      }),
  },
  {
    name: 'TerminateInstances',
    command: async (client) => new ec2.TerminateInstancesCommand({ InstanceIds: [await running(client)] }),
  },
  {
    name: 'CreateReplaceRootVolumeTask to the launch state',
    command: async (client) =>
      new ec2.CreateReplaceRootVolumeTaskCommand({ InstanceId: await running(client), DeleteReplacedRootVolume: true }),
  },
  {
    name: 'CreateReplaceRootVolumeTask with a volume',
    command: async (client) =>
      new ec2.CreateReplaceRootVolumeTaskCommand({
        InstanceId: await running(client),
        VolumeId: await spareVolume(client),
      }),
  },
  {
    name: 'CreateReplaceRootVolumeTask with a volume whose key is disabled',
    command: async (client, { ingot }) => {
      const kms = new KMSClient(await ingot.client());
      const { KeyMetadata } = await kms.send(new CreateKeyCommand({}));
      const VolumeId = await spareVolume(client, KeyMetadata!.Arn!);
      await kms.send(new DisableKeyCommand({ KeyId: KeyMetadata!.KeyId! }));
      return new ec2.CreateReplaceRootVolumeTaskCommand({ InstanceId: await running(client), VolumeId });
    },
  },
  {
    name: 'DeleteVolume',
    command: async (client) => new ec2.DeleteVolumeCommand({ VolumeId: await spareVolume(client) }),
  },
];

async function instanceIn(client: ec2.EC2Client, state: string): Promise<string | undefined> {
  const { Reservations = [] } = await client.send(
    new ec2.DescribeInstancesCommand({ Filters: [{ Name: 'instance-state-name', Values: [state] }] }),
  );
  return Reservations[0]?.Instances?.[0]?.InstanceId;
}
export const waiter = (client: ec2.EC2Client) => ({ client, maxWaitTime: 60, minDelay: 1, maxDelay: 1 });

async function running(client: ec2.EC2Client): Promise<string> {
  const known = await instanceIn(client, 'running');
  if (known) return known;
  const { Images } = await client.send(new ec2.DescribeImagesCommand({ Owners: ['self'] }));
  const { Instances } = await client.send(
    new ec2.RunInstancesCommand({ ImageId: Images?.[0]?.ImageId, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
  );
  const id = Instances?.[0]?.InstanceId ?? '';
  await ec2.waitUntilInstanceRunning(waiter(client), { InstanceIds: [id] });
  return id;
}
async function stopped(client: ec2.EC2Client): Promise<string> {
  const known = await instanceIn(client, 'stopped');
  if (known) return known;
  const id = await running(client);
  await client.send(new ec2.StopInstancesCommand({ InstanceIds: [id] }));
  await ec2.waitUntilInstanceStopped(waiter(client), { InstanceIds: [id] });
  return id;
}
let devices = 0;
/** Another one every time. */
function freeDevice(): string {
  devices += 1;
  return `/dev/sd${String.fromCharCode(102 + (devices % 10))}${1 + Math.floor(devices / 10)}`;
}
async function attachedVolume(client: ec2.EC2Client): Promise<string> {
  const VolumeId = await spareVolume(client);
  await client.send(new ec2.AttachVolumeCommand({ InstanceId: await running(client), VolumeId, Device: freeDevice() }));
  return VolumeId;
}
async function spareVolume(client: ec2.EC2Client, KmsKeyId?: string): Promise<string> {
  const { VolumeId } = await client.send(
    new ec2.CreateVolumeCommand({ AvailabilityZone: ZONE, Size: 1, Encrypted: true, ...(KmsKeyId && { KmsKeyId }) }),
  );
  await ec2.waitUntilVolumeAvailable(waiter(client), { VolumeIds: [VolumeId!] });
  return VolumeId!;
}
