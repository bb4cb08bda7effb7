/** Two guests on one volume: what one writes the other reads, and taking it from one leaves it to the other (CV-13). */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AttachVolumeCommand,
  CreateVolumeCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
  StartInstancesCommand,
  StopInstancesCommand,
} from '@aws-sdk/client-ec2';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { stubbornGuest, watchingGuest } from './stubborn-guest.ts';
import { killMachinesOf, noQemu, until, workplace } from './support.ts';

test('CV-13: two guests share a volume with Multi-Attach', { skip: noQemu() }, async () => {
  await using place = await workplace();
  await using ingot = await Ingot.start({ machines: 'qemu' });
  try {
    const config = await ingot.client();
    const ec2 = new EC2Client(config);
    const stateOf = async (id: string) => {
      const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [id] }));
      return Reservations![0]!.Instances![0]!.State!.Name;
    };
    const stopped = async (name: string, image: Uint8Array) => {
      const path = join(place.dir, `${name}.img`);
      await writeFile(path, image);
      const request = { path, kind: 'boot-sector', sizeBytes: image.byteLength } as const;
      const ImageId = await importGolden(config, request, undefined, name);
      const { Instances } = await ec2.send(
        new RunInstancesCommand({ ImageId, InstanceType: 't3.nano', MinCount: 1, MaxCount: 1 }),
      );
      const id = Instances![0]!.InstanceId!;
      await until('it runs', async () => (await stateOf(id)) === 'running');
      await ec2.send(new StopInstancesCommand({ InstanceIds: [id], Force: true }));
      await until('it is stopped', async () => (await stateOf(id)) === 'stopped');
      return id;
    };
    const consoleOf = async (InstanceId: string) => {
      const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId }));
      return Buffer.from(Output ?? '', 'base64').toString('latin1');
    };
    const writer = await stopped('writer', stubbornGuest());
    const reader = await stopped('reader', watchingGuest());
    const { VolumeId } = await ec2.send(
      new CreateVolumeCommand({
        AvailabilityZone: 'eu-central-1a',
        Size: 4,
        VolumeType: 'io2',
        Iops: 100,
        MultiAttachEnabled: true,
        Encrypted: true,
      }),
    );
    const see = async () => (await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId!] }))).Volumes![0]!;
    await until('the volume is available', async () => (await see()).State === 'available');
    for (const InstanceId of [writer, reader]) {
      await ec2.send(new AttachVolumeCommand({ VolumeId, InstanceId, Device: '/dev/sdf' }));
    }
    const before = (await consoleOf(reader)).length;
    await ec2.send(new StartInstancesCommand({ InstanceIds: [reader, writer] }));
    await until('the writer writes', async () => (await consoleOf(writer)).includes('...'));
    await until('the reader sees it', async () => (await consoleOf(reader)).slice(before).includes('SSS'));

    await ec2.send(new DetachVolumeCommand({ VolumeId, InstanceId: writer, Force: true }));
    await until('the writer has lost it', async () => (await consoleOf(writer)).includes('EEE'));
    assert.deepEqual(
      (await see()).Attachments!.map(({ InstanceId }) => InstanceId),
      [reader],
    );
    const then = (await consoleOf(reader)).length;
    await until('the reader reads on', async () => (await consoleOf(reader)).slice(then).includes('SSS'));
  } finally {
    await killMachinesOf(ingot.dataDir);
  }
});
