/** A running Linux whose root volume is replaced: it boots from the new one, and its data disk stays (BI-13). */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  CreateReplaceRootVolumeTaskCommand,
  type CreateReplaceRootVolumeTaskCommandInput,
  CreateSnapshotCommand,
  DescribeInstancesCommand,
  DescribeReplaceRootVolumeTasksCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RebootInstancesCommand,
  RunInstancesCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { buildBootImage } from '../../demo/image/build.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { killMachinesOf, noQemu, until } from './support.ts';

const skip = noQemu() || (await whyNoLinuxImage()) || false;

test('BI-13: a running guest boots from its new root volume, and what it had attached stays', { skip }, async () => {
  const dir = join(tmpdir(), `ingot-roots-${process.pid}`);
  await using ingot = await Ingot.start({ machines: 'qemu' });
  try {
    const config = await ingot.client();
    let ec2 = new EC2Client(config);
    const { KeyMetadata } = await new KMSClient(config).send(new CreateKeyCommand({}));
    const imageOf = async (marker: string) =>
      importGolden(config, await buildBootImage({ dir, marker, kind: 'linux' }), KeyMetadata!.Arn!, marker);
    const ImageId = await imageOf('first-system');
    const other = await imageOf('second-system');
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId,
        InstanceType: 't3.nano',
        MinCount: 1,
        MaxCount: 1,
        BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1, Encrypted: true } }],
      }),
    );
    const id = Instances![0]!.InstanceId!;
    const see = async () =>
      (await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }))).Reservations![0]!.Instances![0]!;
    const volumes = async () =>
      Object.fromEntries((await see()).BlockDeviceMappings!.map((each) => [each.DeviceName!, each.Ebs!.VolumeId!]));
    let read = 0;
    /** What the guest says from here on, until it says `what`. */
    const says = (what: RegExp) =>
      until(`the guest says ${what}`, async () => {
        const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId: id }));
        const all = Buffer.from(Output ?? '', 'base64').toString('latin1');
        const fresh = all.slice(read);
        if (!what.test(fresh)) return false;
        read = all.length;
        return fresh;
      });
    const replace = async (
      request: Omit<CreateReplaceRootVolumeTaskCommandInput, 'InstanceId'>,
      meanwhile: (task: string) => Promise<void> = async () => {},
    ) => {
      const { ReplaceRootVolumeTask } = await ec2.send(
        new CreateReplaceRootVolumeTaskCommand({ InstanceId: id, ...request }),
      );
      const task = ReplaceRootVolumeTask!.ReplaceRootVolumeTaskId!;
      await meanwhile(task);
      const done = await until('the task is over', async () => {
        const found = await stateOf(task);
        return found !== 'pending' && found !== 'in-progress' && found;
      });
      assert.equal(done, 'succeeded');
    };
    const stateOf = async (task: string) => {
      const asked = new DescribeReplaceRootVolumeTasksCommand({ ReplaceRootVolumeTaskIds: [task] });
      return (await ec2.send(asked)).ReplaceRootVolumeTasks![0]!.TaskState!;
    };

    await says(/ingot-boots: 1[\s\S]*ingot-alive/);
    await ec2.send(new RebootInstancesCommand({ InstanceIds: [id] }));
    await says(/ingot-boots: 2[\s\S]*ingot-alive/);
    const before = await volumes();
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId: before['/dev/xvda'] }));
    await waitUntilSnapshotCompleted(
      { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { SnapshotIds: [SnapshotId!] },
    );

    await replace({});
    assert.match(await says(/ingot-boots: 1[\s\S]*ingot-alive/), /ingot-powering-off[\s\S]*ingot-marker: first-system/);
    const after = await volumes();
    assert.notEqual(after['/dev/xvda'], before['/dev/xvda']);
    assert.equal(after['/dev/sdf'], before['/dev/sdf']);

    await replace({ SnapshotId, DeleteReplacedRootVolume: true });
    await says(/ingot-boots: 3[\s\S]*ingot-alive/);

    // The server dies while the guest powers off, and finishes what it began.
    await replace({ ImageId: other, DeleteReplacedRootVolume: true }, async (task) => {
      await until('the volumes are about to change places', async () => (await stateOf(task)) === 'in-progress');
      await ingot.kill();
      await ingot.restart();
      ec2 = new EC2Client(await ingot.client());
    });
    const last = await says(/ingot-boots: 1[\s\S]*ingot-alive: \d+ vda=\S+ vdb=\S+/);
    assert.match(last, /ingot-marker: second-system/);
    const { BlockDeviceMappings, ImageId: shown, State } = await see();
    assert.deepEqual([BlockDeviceMappings!.length, shown, State!.Name], [2, other, 'running']);
  } finally {
    await killMachinesOf(ingot.dataDir);
    await rm(dir, { recursive: true, force: true });
  }
});
