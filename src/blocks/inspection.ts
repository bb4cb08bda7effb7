/**
 * Looking at sealed blocks as they are stored: whether each authenticates, whether its ciphertext looks random, and
 * what is wrong where it does not. Reads the files anew, past every cache. Used within worker threads.
 */
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { openBlock, release } from '../crypto/block-cipher.ts';
import { LIMITS } from '../limits.ts';
import { ENTRY_BYTES, type Entry, hex, isDataEntry, segmentOf, slotOf, tagOf } from './entry.ts';
import { encodeSegmentHeader, openDirect, SEGMENT_HEADER_BYTES, segmentPath, slotOffset } from './segment.ts';
import { SegmentKeys, type WorkerKey } from './segment-reader.ts';

/**
 * `segment-missing`: no file. `segment-header`: a file of another segment or data key, or a damaged one.
 * `block-missing`: the file ends before the block. `block-displaced`: the bytes of this block are in another slot.
 * `block-damaged`: nothing there authenticates as this block.
 */
export type BlockProblem = 'segment-missing' | 'segment-header' | 'block-missing' | 'block-displaced' | 'block-damaged';

export interface BlockFault {
  /** Place among the entries of the request. */
  readonly at: number;
  readonly problem: BlockProblem;
  /** Where the bytes of a displaced block are. */
  readonly foundInSlot?: number;
}

export interface Inspection {
  readonly faults: readonly BlockFault[];
  /** For each entry the chi-square of its ciphertext's byte values; NaN where there was nothing to read. */
  readonly chiSquares: Float64Array<ArrayBuffer>;
}

/** Blocks of one request that are looked for in other slots: each costs as much as opening a whole segment. */
const SEARCHES_MAX = 4;

/** `scratch` is an aligned buffer of at least one block. */
export async function inspectBlocks(
  dir: string,
  dataKey: WorkerKey,
  entries: Uint8Array,
  scratch: Buffer,
): Promise<Inspection> {
  // Derived from the key at hand: a key that is remembered by its name would prove nothing about this one.
  const keys = new SegmentKeys();
  const count = entries.byteLength / ENTRY_BYTES;
  const chiSquares = new Float64Array(count).fill(Number.NaN);
  const faults: BlockFault[] = [];
  const bySegment = new Map<string, { readonly at: number; readonly entry: Entry }[]>();
  for (let at = 0; at < count; at++) {
    const entry = entries.subarray(at * ENTRY_BYTES, (at + 1) * ENTRY_BYTES);
    if (!isDataEntry(entry)) continue;
    const name = hex(segmentOf(entry));
    bySegment.set(name, [...(bySegment.get(name) ?? []), { at, entry }]);
  }
  let searches = 0;
  for (const blocks of bySegment.values()) {
    const segment = segmentOf(blocks[0]!.entry);
    const opened = await openSegment(dir, segment, dataKey, scratch);
    if (typeof opened === 'string') {
      faults.push(...blocks.map(({ at }) => ({ at, problem: opened })));
      continue;
    }
    try {
      for (const { at, entry } of blocks) {
        const ciphertext = await readSlot(opened, slotOf(entry), scratch);
        if (!ciphertext) {
          faults.push({ at, problem: 'block-missing' });
          continue;
        }
        chiSquares[at] = chiSquareOf(ciphertext);
        if (opens(keys, dataKey, entry, ciphertext)) continue;
        const found = searches++ < SEARCHES_MAX ? await search(opened, keys, dataKey, entry, scratch) : undefined;
        faults.push(
          found === undefined
            ? { at, problem: 'block-damaged' }
            : { at, problem: 'block-displaced', foundInSlot: found },
        );
      }
    } finally {
      await opened.close();
    }
  }
  return { faults, chiSquares };
}

async function openSegment(
  dir: string,
  segment: Uint8Array,
  dataKey: WorkerKey,
  scratch: Buffer,
): Promise<FileHandle | 'segment-missing' | 'segment-header'> {
  let file: FileHandle;
  try {
    ({ file } = await openDirect(segmentPath(dir, segment), constants.O_RDONLY));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'segment-missing';
    throw error;
  }
  const expected = Buffer.alloc(SEGMENT_HEADER_BYTES);
  encodeSegmentHeader(expected, segment, dataKey.id);
  try {
    const { bytesRead } = await file.read(scratch, 0, SEGMENT_HEADER_BYTES, 0);
    if (bytesRead === SEGMENT_HEADER_BYTES && expected.equals(scratch.subarray(0, SEGMENT_HEADER_BYTES))) return file;
  } catch (error) {
    await file.close();
    throw error;
  }
  await file.close();
  return 'segment-header';
}

async function readSlot(file: FileHandle, slot: number, scratch: Buffer): Promise<Buffer | undefined> {
  const { bytesRead } = await file.read(scratch, 0, LIMITS.blockBytes, slotOffset(slot));
  return bytesRead === LIMITS.blockBytes ? scratch.subarray(0, LIMITS.blockBytes) : undefined;
}

function opens(keys: SegmentKeys, dataKey: WorkerKey, entry: Entry, ciphertext: Uint8Array): boolean {
  const segment = segmentOf(entry);
  const place = { dataKeyId: dataKey.id, segment, slot: slotOf(entry) };
  const plaintext = openBlock(keys.get(dataKey, segment), place, ciphertext, tagOf(entry));
  if (!plaintext) return false;
  plaintext.fill(0);
  release(plaintext);
  return true;
}

/** Another slot of the segment whose bytes are this block's. */
async function search(
  file: FileHandle,
  keys: SegmentKeys,
  dataKey: WorkerKey,
  entry: Entry,
  scratch: Buffer,
): Promise<number | undefined> {
  for (let slot = 0; slot < LIMITS.segmentBlocks; slot++) {
    if (slot === slotOf(entry)) continue;
    const ciphertext = await readSlot(file, slot, scratch);
    if (!ciphertext) return undefined;
    if (opens(keys, dataKey, entry, ciphertext)) return slot;
  }
  return undefined;
}

/** Of the 256 byte values against an even spread, with 255 degrees of freedom. */
export function chiSquareOf(bytes: Uint8Array): number {
  const counts = new Uint32Array(256);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i]!]!++;
  const expected = bytes.length / 256;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}
