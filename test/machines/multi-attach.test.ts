/** Multi-Attach over the API, on a whole server without guests (CV-13). */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import {
  AttachVolumeCommand,
  CopyVolumesCommand,
  CreateReplaceRootVolumeTaskCommand,
  CreateVolumeCommand,
  type CreateVolumeCommandInput,
  DeleteVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  ModifyInstanceAttributeCommand,
  ModifyVolumeCommand,
  RegisterImageCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Ingot } from '../house/ingot.ts';
import { importBlocks } from './plain-snapshot.ts';
import { until } from './support.ts';

describe('volumes with Multi-Attach', { concurrency: false }, () => {
  let ingot: Ingot;
  let ec2: EC2Client;
  let ImageId: string;

  before(async () => {
    ingot = await Ingot.start({ machines: 'none' });
    const config = await ingot.client();
    ec2 = new EC2Client(config);
    const image = await ec2.send(
      new RegisterImageCommand({
        Name: 'plain',
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: await importBlocks(config) } }],
      }),
    );
    ImageId = image.ImageId!;
  });
  after(() => ingot[Symbol.asyncDispose]());

  const create = async (input: Partial<CreateVolumeCommandInput> = {}) => {
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: 'eu-central-1a',
        Size: 4,
        VolumeType: 'io2',
        Iops: 100,
        MultiAttachEnabled: true,
        Encrypted: true,
        ...input,
      }),
    );
    await until('the volume is available', async () => (await see(VolumeId!)).State === 'available');
    return VolumeId!;
  };
  const see = async (id: string) => (await ec2.send(new DescribeVolumesCommand({ VolumeIds: [id] }))).Volumes![0]!;
  const stateOf = async (id: string) => {
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
    return Reservations![0]!.Instances![0]!.State!.Name;
  };
  const launch = async (InstanceType: 't3.nano' | 't2.micro' = 't3.nano') => {
    const { Instances } = await ec2.send(new RunInstancesCommand({ ImageId, InstanceType, MinCount: 1, MaxCount: 1 }));
    const id = Instances![0]!.InstanceId!;
    await until('it runs', async () => (await stateOf(id)) === 'running');
    return id;
  };
  const attach = (VolumeId: string, InstanceId: string, Device = '/dev/sdf') =>
    ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device }));
  const holders = async (id: string) =>
    (await see(id)).Attachments!.map(({ InstanceId, Device, State }) => `${InstanceId} ${Device} ${State}`).toSorted();

  test('CV-13: io1 and io2 only', async () => {
    for (const VolumeType of ['gp2', 'gp3', 'standard'] as const) {
      const refused = create({ VolumeType, Iops: undefined });
      await assert.rejects(refused, { name: 'InvalidParameterCombination' }, VolumeType);
    }
    const id = await create({ VolumeType: 'io1' });
    assert.equal((await see(id)).MultiAttachEnabled, true);
    const toGp3 = new ModifyVolumeCommand({ VolumeId: id, VolumeType: 'gp3' });
    await assert.rejects(ec2.send(toGp3), { name: 'InvalidParameterCombination' });
    const { VolumeModification } = await ec2.send(new ModifyVolumeCommand({ VolumeId: id, Size: 5 }));
    assert.deepEqual(
      [VolumeModification!.OriginalMultiAttachEnabled, VolumeModification!.TargetMultiAttachEnabled],
      [true, true],
    );
    const copy = { SourceVolumeId: id, MultiAttachEnabled: true };
    await assert.rejects(ec2.send(new CopyVolumesCommand(copy)), { name: 'InvalidParameterCombination' });
    const { Volumes } = await ec2.send(new CopyVolumesCommand({ ...copy, VolumeType: 'io2', Iops: 100 }));
    assert.equal(Volumes![0]!.MultiAttachEnabled, true);
  });

  test('CV-13: several instances hold it, each lets go of it by itself, and it is free after the last', async () => {
    const id = await create();
    const [first, second, third] = [await launch(), await launch(), await launch()];
    await attach(id, first);
    await attach(id, second, '/dev/sdg');
    await attach(id, third);
    await assert.rejects(attach(id, third, '/dev/sdh'), { name: 'VolumeInUse' });
    assert.deepEqual(
      await holders(id),
      [`${first} /dev/sdf attached`, `${second} /dev/sdg attached`, `${third} /dev/sdf attached`].toSorted(),
    );
    await assert.rejects(ec2.send(new DetachVolumeCommand({ VolumeId: id })), { name: 'MissingParameter' });
    const wrong = new DetachVolumeCommand({ VolumeId: id, InstanceId: second, Device: '/dev/sdf' });
    await assert.rejects(ec2.send(wrong), { name: 'InvalidAttachment.NotFound' });
    await assert.rejects(ec2.send(new DeleteVolumeCommand({ VolumeId: id })), { name: 'VolumeInUse' });

    await ec2.send(new DetachVolumeCommand({ VolumeId: id, InstanceId: second }));
    await ec2.send(new StopInstancesCommand({ InstanceIds: [first] }));
    await until('it is stopped', async () => (await stateOf(first)) === 'stopped');
    assert.deepEqual(await holders(id), [`${first} /dev/sdf attached`, `${third} /dev/sdf attached`].toSorted());
    // DeleteOnTermination of one instance does not take it from the other.
    await ec2.send(
      new ModifyInstanceAttributeCommand({
        InstanceId: first,
        BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { DeleteOnTermination: true } }],
      }),
    );
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [first] }));
    await until('it is terminated', async () => (await stateOf(first)) === 'terminated');
    assert.deepEqual(await holders(id), [`${third} /dev/sdf attached`]);
    await ingot.kill();
    await ingot.restart();
    ec2 = new EC2Client(await ingot.client());
    assert.deepEqual(await holders(id), [`${third} /dev/sdf attached`]);
    await ec2.send(new DetachVolumeCommand({ VolumeId: id }));
    assert.equal((await see(id)).State, 'available');
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [second, third] }));
  });

  test('CV-13: not for types without Nitro, not across zones, not as a root volume', async () => {
    const id = await create();
    const [old, nitro] = [await launch('t2.micro'), await launch()];
    await assert.rejects(attach(id, old), { name: 'UnsupportedOperation' });
    const elsewhere = await create({ AvailabilityZone: 'eu-central-1b' });
    await assert.rejects(attach(elsewhere, nitro), { name: 'InvalidVolume.ZoneMismatch' });
    const asRoot = new CreateReplaceRootVolumeTaskCommand({ InstanceId: nitro, VolumeId: id });
    await assert.rejects(ec2.send(asRoot), { name: 'InvalidParameterValue' });
    await ec2.send(new TerminateInstancesCommand({ InstanceIds: [old, nitro] }));
  });
});
