/** A guest that does not let go of a disk, and a server that takes it: on the whole server, over the API. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EBSClient, GetSnapshotBlockCommand, ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import {
  CreateSnapshotCommand,
  DescribeInstancesCommand,
  DescribeVolumesCommand,
  DetachVolumeCommand,
  EC2Client,
  GetConsoleOutputCommand,
  RunInstancesCommand,
  waitUntilSnapshotCompleted,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, KMSClient, ListGrantsCommand } from '@aws-sdk/client-kms';
import { Ingot } from '../house/ingot.ts';
import { importGolden } from './golden.ts';
import { stubbornGuest } from './stubborn-guest.ts';
import { killMachinesOf, noQemu, until, workplace } from './support.ts';

test('DetachVolume with Force: the guest loses the disk, the volume is whole and free, its grant is gone', {
  skip: noQemu(),
}, async () => {
  await using place = await workplace();
  await using ingot = await Ingot.start({ machines: 'qemu' });
  try {
    const config = await ingot.client();
    const ec2 = new EC2Client(config);
    const kms = new KMSClient(config);
    const ebs = new EBSClient(config);
    const KeyId = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
    const path = join(place.dir, 'stubborn.img');
    const image = stubbornGuest();
    await writeFile(path, image);
    const ImageId = await importGolden(config, { path, kind: 'boot-sector', sizeBytes: image.byteLength });
    const { Instances } = await ec2.send(
      new RunInstancesCommand({
        ImageId,
        InstanceType: 't3.nano',
        MinCount: 1,
        MaxCount: 1,
        BlockDeviceMappings: [{ DeviceName: '/dev/sdf', Ebs: { VolumeSize: 1, Encrypted: true, KmsKeyId: KeyId } }],
      }),
    );
    const InstanceId = Instances![0]!.InstanceId!;
    const says = (what: RegExp) =>
      until(`the guest says ${what}`, async () => {
        const { Output } = await ec2.send(new GetConsoleOutputCommand({ InstanceId }));
        const all = Buffer.from(Output ?? '', 'base64').toString('latin1');
        return what.test(all) && all;
      });
    await says(/\.{5}/);
    const { Reservations } = await ec2.send(new DescribeInstancesCommand({ InstanceIds: [InstanceId] }));
    const mappings = Reservations![0]!.Instances![0]!.BlockDeviceMappings!;
    const VolumeId = mappings.find(({ DeviceName }) => DeviceName === '/dev/sdf')!.Ebs!.VolumeId!;

    await ec2.send(new DetachVolumeCommand({ VolumeId, Force: true }));
    const said = await says(/E{3}/);
    const { Volumes } = await ec2.send(new DescribeVolumesCommand({ VolumeIds: [VolumeId] }));
    assert.deepEqual([Volumes![0]!.State, Volumes![0]!.Attachments], ['available', []]);
    const { Grants } = await kms.send(new ListGrantsCommand({ KeyId }));
    assert.deepEqual(
      Grants!.filter(({ GranteePrincipal }) => GranteePrincipal?.includes(InstanceId)),
      [],
      'K-9',
    );
    const { SnapshotId } = await ec2.send(new CreateSnapshotCommand({ VolumeId }));
    await waitUntilSnapshotCompleted(
      { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 },
      { SnapshotIds: [SnapshotId!] },
    );
    const { Blocks } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId }));
    const { BlockIndex, BlockToken } = Blocks![0]!;
    const { BlockData } = await ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
    const first = Buffer.from(await BlockData!.transformToByteArray());
    assert.equal(first.readUInt32LE(0), said.match(/\./g)!.length, 'what the guest wrote last');
  } finally {
    await killMachinesOf(ingot.dataDir);
  }
});
