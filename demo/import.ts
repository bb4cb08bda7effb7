/** A disk file into an encrypted snapshot through the EBS direct APIs, and back out again. */
import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import {
  CompleteSnapshotCommand,
  type EBSClient,
  GetSnapshotBlockCommand,
  ListSnapshotBlocksCommand,
  PutSnapshotBlockCommand,
  StartSnapshotCommand,
} from '@aws-sdk/client-ebs';

export const BLOCK_BYTES = 524_288;
const PARALLEL = 8;

export interface Imported {
  readonly snapshotId: string;
  readonly volumeSizeGiB: number;
  readonly imageBytes: number;
  readonly blocksWritten: number;
  readonly seconds: number;
}

/** Runs `work` over `items` with a bounded number at once. */
async function parallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) {
      const item = items[next++] as Item;
      await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, lane));
}

async function readBlock(file: FileHandle, index: number): Promise<Buffer> {
  const block = Buffer.alloc(BLOCK_BYTES);
  await file.read(block, 0, BLOCK_BYTES, index * BLOCK_BYTES);
  return block;
}

const ZEROES = Buffer.alloc(BLOCK_BYTES);

/** Uploads every block that is not all zero, with its checksum, and completes with the LINEAR checksum over all of them. */
export async function importDisk(
  ebs: EBSClient,
  path: string,
  kmsKeyArn: string,
  description: string,
): Promise<Imported> {
  const started = performance.now();
  await using file = await open(path, 'r');
  const imageBytes = (await file.stat()).size;
  const volumeSizeGiB = Math.max(1, Math.ceil(imageBytes / 2 ** 30));
  const { SnapshotId } = await ebs.send(
    new StartSnapshotCommand({
      VolumeSize: volumeSizeGiB,
      Description: description,
      Encrypted: true,
      KmsKeyArn: kmsKeyArn,
    }),
  );
  const digests = new Map<number, Buffer>();
  const indexes = Array.from({ length: Math.ceil(imageBytes / BLOCK_BYTES) }, (_, index) => index);
  await parallel(indexes, async (index) => {
    const block = await readBlock(file, index);
    if (block.equals(ZEROES)) return;
    const digest = createHash('sha256').update(block).digest();
    await ebs.send(
      new PutSnapshotBlockCommand({
        SnapshotId,
        BlockIndex: index,
        BlockData: block,
        DataLength: BLOCK_BYTES,
        Checksum: digest.toString('base64'),
        ChecksumAlgorithm: 'SHA256',
      }),
    );
    digests.set(index, digest);
  });
  const linear = createHash('sha256');
  for (const index of [...digests.keys()].sort((a, b) => a - b)) linear.update(digests.get(index) as Buffer);
  await ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId,
      ChangedBlocksCount: digests.size,
      Checksum: linear.digest('base64'),
      ChecksumAlgorithm: 'SHA256',
      ChecksumAggregationMethod: 'LINEAR',
    }),
  );
  return {
    snapshotId: SnapshotId as string,
    volumeSizeGiB,
    imageBytes,
    blocksWritten: digests.size,
    seconds: (performance.now() - started) / 1000,
  };
}

/** Reads the whole snapshot back and compares it with the file, byte for byte; gives what differs. */
export async function compareWithFile(
  ebs: EBSClient,
  snapshotId: string,
  path: string,
): Promise<{ blocks: number; differing: number[]; seconds: number }> {
  const started = performance.now();
  await using file = await open(path, 'r');
  const imageBytes = (await file.stat()).size;
  const tokens = new Map<number, string>();
  let NextToken: string | undefined;
  do {
    const page = await ebs.send(new ListSnapshotBlocksCommand({ SnapshotId: snapshotId, NextToken }));
    for (const block of page.Blocks ?? []) tokens.set(block.BlockIndex as number, block.BlockToken as string);
    NextToken = page.NextToken;
  } while (NextToken);
  const differing: number[] = [];
  const indexes = new Set([
    ...tokens.keys(),
    ...Array.from({ length: Math.ceil(imageBytes / BLOCK_BYTES) }, (_, i) => i),
  ]);
  await parallel([...indexes], async (index) => {
    const expected = await readBlock(file, index);
    const BlockToken = tokens.get(index);
    let actual: Uint8Array = ZEROES;
    if (BlockToken) {
      const answer = await ebs.send(
        new GetSnapshotBlockCommand({ SnapshotId: snapshotId, BlockIndex: index, BlockToken }),
      );
      actual = (await answer.BlockData?.transformToByteArray()) ?? new Uint8Array();
      const digest = createHash('sha256').update(actual).digest('base64');
      if (digest !== answer.Checksum) differing.push(index);
    }
    if (!expected.equals(actual)) differing.push(index);
  });
  return { blocks: indexes.size, differing, seconds: (performance.now() - started) / 1000 };
}
