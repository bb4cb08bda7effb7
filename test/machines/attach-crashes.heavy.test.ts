/** kill -9 at every commit of AttachVolume and DetachVolume, with a Linux guest that has the disks or has them not. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
} from '@aws-sdk/client-ec2';
import { buildBootImage } from '../../demo/image/build.ts';
import { whyNoLinuxImage } from '../../demo/image/linux.ts';
import type { World } from '../house/commit-crash-works.ts';
import { complaints, dieAt, openWorld } from '../house/commit-crashes.ts';
import { importGolden } from './golden.ts';
import { killMachinesOf, noQemu, until } from './support.ts';

const skip = noQemu() || (await whyNoLinuxImage()) || false;

describe('deaths at the commits of a hot attach and detach', { skip, concurrency: false }, () => {
  const imageDir = join(tmpdir(), `ingot-attach-crashes-${process.pid}`);
  let world: World;
  let InstanceId: string;
  let VolumeId: string;

  const ec2 = async () => new EC2Client(await world.ingot.client());
  const consoleOf = async () => {
    const { Output } = await (await ec2()).send(new GetConsoleOutputCommand({ InstanceId }));
    return Buffer.from(Output ?? '', 'base64').toString('latin1');
  };
  /** Serial numbers of the disks the guest sees, from the newest line that is whole. */
  const seenByGuest = async (): Promise<string[]> => {
    const lines = (await consoleOf()).split(/\r?\n/).slice(0, -1);
    const alive = lines.findLast((line) => line.startsWith('ingot-alive:')) ?? '';
    return [...alive.matchAll(/vd[a-z]=(\S+)/g)].map(([, serial]) => serial!).toSorted();
  };
  const recorded = async (): Promise<string[]> => {
    const { Reservations } = await (await ec2()).send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
    const mappings = Reservations![0]!.Instances![0]!.BlockDeviceMappings!;
    return mappings.map(({ Ebs }) => Ebs!.VolumeId!.replace('-', '')).toSorted();
  };
  const isAttached = async () => (await recorded()).includes(VolumeId.replace('-', ''));
  const agreed = (what: string) =>
    until(`${what}: the guest has the disks that are recorded`, async () => {
      const [seen, known] = [await seenByGuest(), await recorded()];
      return seen.join() === known.join();
    });
  const attaching = () => new AttachVolumeCommand({ VolumeId, InstanceId, Device: '/dev/sdf' });
  const detaching = () => new DetachVolumeCommand({ VolumeId });

  before(async () => {
    world = await openWorld({ machines: 'qemu' });
    const config = await world.ingot.client();
    const image = await buildBootImage({ dir: imageDir, marker: 'attach-crashes', kind: 'linux' });
    const ImageId = await importGolden(config, image, undefined, 'linux');
    const client = new EC2Client(config);
    const launched = await client.send(
      new RunInstancesCommand({ ImageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1 }),
    );
    InstanceId = launched.Instances![0]!.InstanceId!;
    const made = await client.send(
      new CreateVolumeCommand({
        AvailabilityZone: 'eu-central-1a',
        Size: 1,
        Encrypted: true,
        KmsKeyId: world.otherKey,
      }),
    );
    VolumeId = made.VolumeId!;
    await until('the volume is available', async () => {
      const { Volumes } = await client.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
      return Volumes![0]!.State === 'available';
    });
    await agreed('at first');
  });
  after(async () => {
    await killMachinesOf(world.ingot.dataDir);
    await world.ingot[Symbol.asyncDispose]();
    await rm(imageDir, { recursive: true, force: true });
  });

  // Between a commit and the next, or the answer, the machine is told: before and after are not the same here.
  for (const [name, side, command, undo] of [
    ['AttachVolume', 'before', attaching, detaching],
    ['AttachVolume', 'after', attaching, detaching],
    ['DetachVolume', 'before', detaching, attaching],
    ['DetachVolume', 'after', detaching, attaching],
  ] as const) {
    test(`${name}: record and guest agree, whenever the server died ${side} a commit`, async (context) => {
      if ((await isAttached()) !== (name === 'DetachVolume')) await (await ec2()).send(undo() as AttachVolumeCommand);
      await agreed('to begin with');
      const before = await isAttached();
      let commits = 0;
      while (await dieAt(world, { name, command }, commits + 1, side)) {
        commits += 1;
        const what = `killed ${side} commit ${commits}`;
        assert.deepEqual(await complaints(world), [], what);
        await agreed(what);
        if ((await isAttached()) !== before) await (await ec2()).send(undo() as AttachVolumeCommand);
        await agreed(`${what}, and put back`);
      }
      assert.ok(commits > 1, 'it died at least twice');
      assert.notEqual(await isAttached(), before);
      await agreed('in the end');
      assert.equal((await consoleOf()).match(/ingot-boots/g)?.length, 1, 'the same guest all the while');
      context.diagnostic(`${commits} commits`);
    });
  }
});
