/** `ingot export`: a snapshot, or the disk of an AMI, into a file. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { type Aws, connect } from './aws.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { BLOCK_BYTES, BLOCKS_PER_GIB, GIB, isZero, sha256 } from './disk/block.ts';
import { createSink, type DiskSink } from './disk/sink.ts';
import { inLanes } from './ebs/lanes.ts';
import { type Listing, listBlocks, readBlock } from './ebs/read-blocks.ts';
import { resolveSnapshot } from './ebs/snapshots.ts';
import { CliError, InterruptedError, MismatchError } from './error.ts';
import { interruptSignal } from './interrupt.ts';
import { size } from './pace.ts';
import { facts, Report } from './report.ts';

export interface ExportOptions extends ConnectionOptions {
  readonly format?: 'raw' | 'qcow2';
  readonly device?: string;
  readonly verify?: true;
  readonly force?: true;
  readonly parallel: number;
  readonly json?: true;
}

export async function exportDisk(subject: string, path: string, options: ExportOptions): Promise<void> {
  const report = new Report(options);
  const signal = interruptSignal();
  const started = performance.now();
  if (!options.force && (await stat(path).catch(() => undefined))) {
    throw new CliError(`There is a ${path} already: give --force to replace it.`);
  }
  const format = options.format ?? (path.endsWith('.qcow2') ? 'qcow2' : 'raw');
  const aws = await connect(options);
  const { snapshotId } = await resolveSnapshot(aws.ec2, subject, options.device, signal);
  const listing = await report.waiting(`Reading the blocks of ${snapshotId}`, () =>
    listBlocks(aws.ebs, snapshotId, signal),
  );
  const sink = await createSink(path, format, listing.volumeSizeGiB * GIB);
  try {
    const digests = await download(aws, snapshotId, listing, sink, options.parallel, report, signal);
    if (options.verify) await verify(path, listing, sink, digests, report, signal);
    await sink.publish();
    report.result(
      {
        snapshotId,
        file: path,
        format,
        volumeSizeGiB: listing.volumeSizeGiB,
        blocks: listing.blocks.length,
        bytesDownloaded: listing.blocks.length * BLOCK_BYTES,
        linearSha256: linear(digests),
        verified: options.verify === true,
        seconds: Number(((performance.now() - started) / 1000).toFixed(3)),
      },
      facts([
        ['File', `${path} (${format}, ${listing.volumeSizeGiB} GiB)`],
        ['Snapshot', snapshotId],
        ['Downloaded', `${size(listing.blocks.length * BLOCK_BYTES)} in ${listing.blocks.length} blocks`],
        ['Checked', options.verify ? 'each block on arrival, and the finished file' : 'each block on arrival'],
      ]),
    );
  } catch (error) {
    await sink.discard();
    if (signal.aborted)
      throw new InterruptedError('Stopped. Nothing is left; start again to export.', { cause: error });
    throw error;
  }
}

/** Digests of all blocks of the snapshot, by index. */
async function download(
  { ebs }: Aws,
  snapshotId: string,
  { blocks }: Listing,
  sink: DiskSink,
  lanes: number,
  report: Report,
  signal: AbortSignal,
): Promise<Map<number, Buffer>> {
  const digests = new Map<number, Buffer>();
  const bar = report.bar('Downloading', blocks.length * BLOCK_BYTES);
  const queue = blocks.values();
  try {
    await inLanes(lanes, signal, async (either) => {
      for (const block of queue) {
        either.throwIfAborted();
        const { data, digest } = await readBlock(ebs, snapshotId, block, either);
        if (!isZero(data)) await sink.write(block.index * BLOCK_BYTES, data);
        digests.set(block.index, digest);
        bar.advance(BLOCK_BYTES);
      }
    });
    await sink.flush();
  } catch (error) {
    bar.stop();
    throw error;
  }
  bar.done(`${size(blocks.length * BLOCK_BYTES)} downloaded`);
  return digests;
}

async function verify(
  path: string,
  { volumeSizeGiB }: Listing,
  sink: DiskSink,
  digests: ReadonlyMap<number, Buffer>,
  report: Report,
  signal: AbortSignal,
): Promise<void> {
  const count = volumeSizeGiB * BLOCKS_PER_GIB;
  const bar = report.bar('Verifying', count * BLOCK_BYTES);
  let next = 0;
  try {
    await inLanes(4, signal, async (either) => {
      const buffer = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
      while (next < count) {
        either.throwIfAborted();
        const index = next;
        next += 1;
        await sink.read(index * BLOCK_BYTES, buffer);
        const digest = digests.get(index);
        const same = digest ? digest.equals(await sha256(buffer)) : isZero(buffer);
        if (!same)
          throw new MismatchError(`Block ${index} of ${path} is not what was written to it: the file is removed.`);
        bar.advance(BLOCK_BYTES);
      }
    });
  } catch (error) {
    bar.stop();
    throw error;
  }
  bar.done(`${size(count * BLOCK_BYTES)} verified`);
}

/** The checksum of the EBS direct APIs over all blocks (E-4): two exports of one snapshot have the same. */
function linear(digests: ReadonlyMap<number, Buffer>): string {
  const all = createHash('sha256');
  for (const [, digest] of [...digests].sort(([a], [b]) => a - b)) all.update(digest);
  return all.digest('base64');
}
