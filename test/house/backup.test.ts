/** A backup of a running server, restored elsewhere, opens everything that was acknowledged before it. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { copyFile, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import {
  CompleteSnapshotCommand,
  EBSClient,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import {
  CreateSnapshotCommand,
  CreateVolumeCommand,
  DeleteSnapshotCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  EC2Client,
  RegisterImageCommand,
  RunInstancesCommand,
  waitUntilInstanceRunning,
  waitUntilSnapshotCompleted,
  waitUntilVolumeAvailable,
} from '@aws-sdk/client-ec2';
import { CreateKeyCommand, DecryptCommand, EncryptCommand, KMSClient } from '@aws-sdk/client-kms';
import { type ClientConfig, runIngot, startIngot } from './ingot.ts';

const BLOCK = 512 * 1024;
const BLOCKS = 8;

function contentOf(seed: number, index: number): Buffer {
  return Buffer.alloc(BLOCK, createHash('sha256').update(`${seed}/${index}`).digest());
}

async function writeSnapshot(config: ClientConfig, key: string, seed: number): Promise<string> {
  const ebs = new EBSClient(config);
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1, Encrypted: true, KmsKeyArn: key }));
  for (let index = 0; index < BLOCKS; index += 1) {
    const BlockData = contentOf(seed, index);
    await ebs.send(
      new PutSnapshotBlockCommand({
        SnapshotId,
        BlockIndex: index,
        BlockData,
        DataLength: BLOCK,
        Checksum: createHash('sha256').update(BlockData).digest('base64'),
        ChecksumAlgorithm: 'SHA256',
      }),
    );
  }
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount: BLOCKS }));
  const waiter = { client: new EC2Client(config), maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
  await waitUntilSnapshotCompleted(waiter, { SnapshotIds: [SnapshotId!] });
  return SnapshotId!;
}

async function checkSnapshot(config: ClientConfig, SnapshotId: string, seed: number): Promise<void> {
  const ebs = new EBSClient(config);
  const { Blocks = [] } = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId }));
  assert.equal(Blocks.length, BLOCKS);
  for (const { BlockIndex, BlockToken } of Blocks) {
    const got = await ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
    assert.deepEqual(Buffer.from(await got.BlockData!.transformToByteArray()), contentOf(seed, BlockIndex!));
  }
}

it('a backup of a running server opens elsewhere, whole', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-backup-'));
  try {
    await using ingot = await startIngot();
    const config = await ingot.client();
    const kms = new KMSClient(config);
    const ec2 = new EC2Client(config);
    const key = (await kms.send(new CreateKeyCommand({}))).KeyMetadata!.Arn!;
    const Plaintext = Buffer.from('hello');
    const { CiphertextBlob } = await kms.send(new EncryptCommand({ KeyId: key, Plaintext }));
    const snapshot = await writeSnapshot(config, key, 1);
    const waiter = { client: ec2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
    const { ImageId } = await ec2.send(
      new RegisterImageCommand({
        Name: 'golden',
        Architecture: 'x86_64',
        VirtualizationType: 'hvm',
        RootDeviceName: '/dev/xvda',
        BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot } }],
      }),
    );
    const launched = await ec2.send(
      new RunInstancesCommand({ ImageId: ImageId!, InstanceType: 't3.micro', MinCount: 1, MaxCount: 1 }),
    );
    const instance = launched.Instances![0]!.InstanceId!;
    await waitUntilInstanceRunning(waiter, { InstanceIds: [instance] });

    // Writes and deletions go on while the copy is made.
    let busy = true;
    const load = (async () => {
      for (let seed = 100; busy; seed += 1) {
        const other = await writeSnapshot(config, key, seed);
        await ec2.send(new DeleteSnapshotCommand({ SnapshotId: other }));
      }
    })();
    const copy = join(folder, 'copy');
    const made = await runIngot(['backup', copy, '--data', ingot.dataDir]);
    busy = false;
    await load;
    assert.equal(made.code, 0, made.stderr);
    assert.match(made.stdout, /root\.key is not among it/);
    assert.equal((await stat(copy)).mode & 0o777, 0o700);
    assert.ok(!(await readdir(copy)).includes('root.key'));
    assert.ok(!(await readdir(ingot.dataDir)).some((name) => name.startsWith('backup-')), 'links were left behind');
    const again = await runIngot(['backup', copy, '--data', ingot.dataDir]);
    assert.match(again.stderr, /exists already/);

    // Without the root key nothing opens, and the server says so.
    const locked = await runIngot(['serve', '--data', copy, '--listen', '127.0.0.1:0', '--machines', 'none']);
    assert.match(locked.stderr, /root\.key is missing/);
    for (const name of ['root.key', 'credentials']) await copyFile(join(ingot.dataDir, name), join(copy, name));

    await ingot.kill();
    await using restored = await startIngot({ dataDir: copy });
    const there = await restored.client();
    const opened = await new KMSClient(there).send(new DecryptCommand({ CiphertextBlob: CiphertextBlob! }));
    assert.deepEqual(Buffer.from(opened.Plaintext!), Plaintext);
    await checkSnapshot(there, snapshot, 1);
    const again2 = new EC2Client(there);
    assert.equal((await again2.send(new DescribeImagesCommand({ Owners: ['self'] }))).Images?.[0]?.ImageId, ImageId);
    const { Reservations } = await again2.send(new DescribeInstancesCommand({ InstanceIds: [instance] }));
    assert.equal(Reservations?.length, 1);
    // It goes on working: a new volume from the old snapshot, and a snapshot of that.
    const onward = { client: again2, maxWaitTime: 60, minDelay: 1, maxDelay: 1 };
    const { VolumeId } = await again2.send(
      new CreateVolumeCommand({ AvailabilityZone: 'eu-central-1a', SnapshotId: snapshot }),
    );
    await waitUntilVolumeAvailable(onward, { VolumeIds: [VolumeId!] });
    const second = await again2.send(new CreateSnapshotCommand({ VolumeId: VolumeId! }));
    await waitUntilSnapshotCompleted(onward, { SnapshotIds: [second.SnapshotId!] });
    await checkSnapshot(there, second.SnapshotId!, 1);
    assert.ok((await readFile(join(copy, 'ingot.db'))).byteLength > 0);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
