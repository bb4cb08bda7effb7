/** The blocks of a disk into a snapshot: side by side, each checksummed, only those that are wanted. */
import { type EBSClient, PutSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import { BLOCK_BYTES, BLOCKS_PER_GIB, isZero, sha256 } from '../disk/block.ts';
import type { Disk } from '../disk/source.ts';
import { CliError } from '../error.ts';
import { inLanes } from './lanes.ts';
import { type ListedBlock, readBlock } from './read-blocks.ts';
import type { BlockLog } from './state.ts';

/** A block that the server found damaged is sent again. */
const SENDS_MAX = 3;

export interface Parent {
  readonly snapshotId: string;
  readonly blocks: readonly ListedBlock[];
}

export interface Upload {
  readonly snapshotId: string;
  readonly volumeSizeGiB: number;
  readonly parent: Parent | undefined;
  readonly log: BlockLog;
  /** The disk is the same, unchanged file as when the log was begun: logged blocks need not be read again. */
  readonly logIsOfThisDisk: boolean;
  readonly lanes: number;
  readonly signal: AbortSignal;
  /** `bytes` of the disk are dealt with. */
  progress(bytes: number): void;
}

export interface Uploaded {
  /** Sent now. */
  readonly written: number;
  /** Sent by an earlier run. */
  readonly resumed: number;
  /** The parent has the same bytes. */
  readonly unchanged: number;
}

export async function uploadBlocks(ebs: EBSClient, disk: Disk, upload: Upload): Promise<Uploaded> {
  const { log, snapshotId, parent } = upload;
  const counts = { written: 0, resumed: 0, unchanged: 0 };
  const inParent = new Map(parent?.blocks.map((block) => [block.index, block]));
  /** Sent by an earlier run, and not met again in this one: a stream may be another one than it was. */
  const unseen = new Set(log.indexes());
  const blockCount = upload.volumeSizeGiB * BLOCKS_PER_GIB;

  const deal = async (index: number, data: Buffer<ArrayBuffer>, signal: AbortSignal): Promise<void> => {
    const listed = inParent.get(index);
    const logged = log.get(index);
    inParent.delete(index);
    unseen.delete(index);
    if (!listed && !logged && isZero(data)) return;
    if (index >= blockCount) {
      throw new CliError(`The disk is larger than ${upload.volumeSizeGiB} GiB: give its size with --volume-size.`);
    }
    if (!logged && listed && parent) {
      const { data: theirs } = await readBlock(ebs, parent.snapshotId, listed, signal);
      if (theirs.equals(data)) {
        counts.unchanged += 1;
        return;
      }
    }
    const digest = await sha256(data);
    if (logged?.equals(digest)) {
      counts.resumed += 1;
      return;
    }
    await putBlock(ebs, snapshotId, index, data, digest, signal);
    log.add(index, digest);
    counts.written += 1;
  };

  const skip = (index: number) => {
    if (!upload.logIsOfThisDisk || !log.get(index)) return false;
    inParent.delete(index);
    unseen.delete(index);
    counts.resumed += 1;
    upload.progress(BLOCK_BYTES);
    return true;
  };
  await inLanes(upload.lanes, upload.signal, async (signal) => {
    const buffer = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
    for (;;) {
      signal.throwIfAborted();
      const index = await disk.next(buffer, skip);
      if (index === undefined) return;
      await deal(index, buffer, signal);
      upload.progress(BLOCK_BYTES);
    }
  });

  // What is left of the parent, or of an earlier run, lies where this disk has no data.
  const rest = [...new Set([...inParent.keys(), ...unseen])].values();
  const zeroes = Buffer.from(new ArrayBuffer(BLOCK_BYTES));
  await inLanes(upload.lanes, upload.signal, async (signal) => {
    for (const index of rest) {
      signal.throwIfAborted();
      await deal(index, zeroes, signal);
    }
  });
  return counts;
}

async function putBlock(
  ebs: EBSClient,
  snapshotId: string,
  index: number,
  data: Uint8Array,
  digest: Buffer,
  signal: AbortSignal,
): Promise<void> {
  const Checksum = digest.toString('base64');
  const command = new PutSnapshotBlockCommand({
    SnapshotId: snapshotId,
    BlockIndex: index,
    BlockData: data,
    DataLength: BLOCK_BYTES,
    Checksum,
    ChecksumAlgorithm: 'SHA256',
  });
  for (let sent = 1; ; sent += 1) {
    try {
      const answer = await ebs.send(command, { abortSignal: signal });
      if (answer.Checksum !== Checksum) throw new CliError(`Block ${index} was stored with another checksum.`);
      return;
    } catch (error) {
      if (sent === SENDS_MAX || !isDamagedOnTheWay(error)) throw error;
    }
  }
}

/** E-19: the signature is right, the bytes are not those of the signed checksum. */
function isDamagedOnTheWay(error: unknown): boolean {
  return (
    error instanceof Error && error.name === 'InvalidSignatureException' && error.message.includes('x-amz-Checksum')
  );
}
