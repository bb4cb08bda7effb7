/** A whole disk into a begun snapshot, with a bar, up to the call that completes it. */
import { createHash } from 'node:crypto';
import { CompleteSnapshotCommand, type EBSClient } from '@aws-sdk/client-ebs';
import { BLOCK_BYTES } from '../disk/block.ts';
import type { Disk } from '../disk/source.ts';
import { size } from '../pace.ts';
import type { Report } from '../report.ts';
import { BlockLog } from './state.ts';
import { type Parent, type Uploaded, uploadBlocks } from './upload.ts';

/** An upload that rests so long is given up by EBS: a night and a day, so that it can be resumed the next morning. */
export const UPLOAD_TIMEOUT_MINUTES = 36 * 60;

export interface DiskUpload {
  readonly snapshotId: string;
  readonly volumeSizeGiB: number;
  readonly parent: Parent | undefined;
  /** An earlier run began the snapshot with the same disk. */
  readonly resumed: boolean;
  readonly lanes: number;
  readonly signal: AbortSignal;
}

export async function uploadDisk(ebs: EBSClient, disk: Disk, upload: DiskUpload, report: Report): Promise<Uploaded> {
  const { snapshotId, volumeSizeGiB, parent, resumed, lanes, signal } = upload;
  await using log = await BlockLog.open(snapshotId);
  const bar = report.bar('Uploading', disk.dataBytes);
  let uploaded: Uploaded;
  try {
    uploaded = await uploadBlocks(ebs, disk, {
      snapshotId,
      volumeSizeGiB,
      parent,
      log,
      logIsOfThisDisk: resumed && disk.identity.kind === 'file' && !isStreamed(disk),
      lanes,
      signal,
      progress: (bytes) => bar.advance(bytes),
    });
  } catch (error) {
    bar.stop();
    throw error;
  }
  bar.done(`${size(uploaded.written * BLOCK_BYTES)} uploaded`);
  const digests = log.digests();
  const linear = createHash('sha256');
  for (const digest of digests) linear.update(digest);
  await ebs.send(
    new CompleteSnapshotCommand({
      SnapshotId: snapshotId,
      ChangedBlocksCount: digests.length,
      // Over no blocks at all there is no checksum.
      ...(digests.length > 0
        ? {
            Checksum: linear.digest('base64'),
            ChecksumAlgorithm: 'SHA256' as const,
            ChecksumAggregationMethod: 'LINEAR' as const,
          }
        : {}),
    }),
    { abortSignal: signal },
  );
  return uploaded;
}

/** A compressed file gives its blocks in order, like a stream: all are looked at again. */
const isStreamed = (disk: Disk) => ['gzip', 'zstd', 'xz'].includes(disk.format);
