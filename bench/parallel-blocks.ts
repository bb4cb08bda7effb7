/**
 * The published way of tools such as coldsnap, with the official SDK as it comes: 64 requests at a time, each block that is not
 * zeros hashed and put by PutSnapshotBlock, or got by GetSnapshotBlock and compared with its checksum.
 *
 *     node bench/parallel-blocks.ts put FILE GIB KEY     prints the snapshot's id
 *     node bench/parallel-blocks.ts get FILE SNAPSHOT
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import {
  CompleteSnapshotCommand,
  EBSClient,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';
import { inLanes } from './client.ts';

const BLOCK = 524_288;
const LANES = 64;
const ZEROS = Buffer.alloc(BLOCK);
const digestOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('base64');

const ebs = new EBSClient({});
const [direction = '', path = '', ...rest] = process.argv.slice(2);
if (direction === 'put') await put(path, Number(rest[0]), rest[1] ?? '');
else await get(path, rest[0] ?? '');

async function put(from: string, gib: number, key: string): Promise<void> {
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: gib, Encrypted: true, KmsKeyArn: key }));
  const file = await open(from, 'r');
  let ChangedBlocksCount = 0;
  await inLanes((gib * 2 ** 30) / BLOCK, LANES, async (BlockIndex) => {
    const BlockData = Buffer.allocUnsafe(BLOCK);
    await file.read(BlockData, 0, BLOCK, BlockIndex * BLOCK);
    if (BlockData.equals(ZEROS)) return;
    ChangedBlocksCount += 1;
    await ebs.send(
      new PutSnapshotBlockCommand({
        ...{ SnapshotId, BlockIndex, BlockData, DataLength: BLOCK },
        ...{ Checksum: digestOf(BlockData), ChecksumAlgorithm: 'SHA256' },
      }),
    );
  });
  await file.close();
  await ebs.send(new CompleteSnapshotCommand({ SnapshotId, ChangedBlocksCount }));
  process.stdout.write(`${SnapshotId}\n`);
}

async function get(to: string, SnapshotId: string): Promise<void> {
  const blocks: { readonly BlockIndex?: number; readonly BlockToken?: string }[] = [];
  let gib = 0;
  for (let NextToken: string | undefined; ; ) {
    const page = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId, NextToken, MaxResults: 10_000 }));
    blocks.push(...(page.Blocks ?? []));
    gib = page.VolumeSize ?? gib;
    NextToken = page.NextToken;
    if (!NextToken) break;
  }
  const file = await open(to, 'w');
  await file.truncate(gib * 2 ** 30);
  await inLanes(blocks.length, LANES, async (index) => {
    const { BlockIndex = 0, BlockToken } = blocks[index]!;
    const { BlockData, Checksum } = await ebs.send(new GetSnapshotBlockCommand({ SnapshotId, BlockIndex, BlockToken }));
    const bytes = await BlockData!.transformToByteArray();
    if (digestOf(bytes) !== Checksum) throw new Error(`block ${BlockIndex} is not what was sent`);
    await file.write(bytes, 0, BLOCK, BlockIndex * BLOCK);
  });
  await file.datasync();
  await file.close();
}
