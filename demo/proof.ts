/** Facts read from the data directory itself, as somebody would who stole the disk. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface Scan {
  readonly files: number;
  readonly bytes: number;
  /** Files that hold one of the needles in the clear. */
  readonly hits: readonly string[];
}

async function* filesUnder(dir: string): AsyncGenerator<string> {
  for await (const entry of await opendir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}

/** Whether one of `needles` stands in the file, also across read boundaries. */
export async function fileHolds(path: string, needles: readonly Uint8Array[]): Promise<boolean> {
  const longest = Math.max(...needles.map((needle) => needle.length));
  let tail = Buffer.alloc(0);
  for await (const piece of createReadStream(path, { highWaterMark: 4 << 20 }) as AsyncIterable<Buffer>) {
    const joined = Buffer.concat([tail, piece]);
    if (needles.some((needle) => joined.includes(needle))) return true;
    tail = Buffer.from(joined.subarray(Math.max(0, joined.length - longest + 1)));
  }
  return false;
}

const SAMPLE_BYTES = 64;
const SAMPLES_MAX = 8;
/** Fewer, and the like may stand anywhere: text of a licence, a table of zeros and ones. */
const DISTINCT_BYTES_MIN = 24;

/** Pieces of a file that are unlike anything but themselves, spread over it: at most one from each eighth. */
export async function sampleFile(path: string): Promise<Uint8Array[]> {
  await using file = await open(path, 'r');
  const stretch = Math.ceil((await file.stat()).size / SAMPLES_MAX);
  const samples: Uint8Array[] = [];
  const piece = Buffer.alloc(1 << 20);
  for (let start = 0; start < stretch * SAMPLES_MAX; start += stretch) {
    let sample: Uint8Array | undefined;
    for (let at = start; at < start + stretch && !sample; at += piece.length) {
      const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, start + stretch - at), at);
      for (let offset = 0; offset + SAMPLE_BYTES <= bytesRead && !sample; offset += SAMPLE_BYTES) {
        const candidate = piece.subarray(offset, offset + SAMPLE_BYTES);
        if (new Set(candidate).size >= DISTINCT_BYTES_MIN) sample = Uint8Array.from(candidate);
      }
    }
    if (sample) samples.push(sample);
  }
  return samples;
}

/** Reads every byte of every file under `dir` and looks for each of `needles`, also across read boundaries. */
export async function scanFor(dir: string, needles: readonly Uint8Array[]): Promise<Scan> {
  const hits: string[] = [];
  let files = 0;
  let bytes = 0;
  for await (const path of filesUnder(dir)) {
    files += 1;
    bytes += (await stat(path)).size;
    if (await fileHolds(path, needles)) hits.push(path);
  }
  return { files, bytes, hits };
}

const BLOCK_BYTES = 524_288;

/**
 * Counts aligned 512 KiB pieces in the files under `dir` and how many distinct ones there are: two copies of one image
 * under two keys share none.
 */
export async function countDistinctBlocks(dir: string, suffix: string): Promise<{ blocks: number; distinct: number }> {
  const seen = new Set<string>();
  let blocks = 0;
  for await (const path of filesUnder(dir)) {
    if (!path.endsWith(suffix)) continue;
    const pending: Buffer[] = [];
    let size = 0;
    let skipped = 0;
    // A segment starts with a 4 KiB header (docs/formats/segment.md).
    for await (const piece of createReadStream(path, { highWaterMark: BLOCK_BYTES }) as AsyncIterable<Buffer>) {
      let rest = piece;
      if (skipped < 4096) {
        const cut = Math.min(4096 - skipped, rest.length);
        skipped += cut;
        rest = rest.subarray(cut);
      }
      pending.push(rest);
      size += rest.length;
      while (size >= BLOCK_BYTES) {
        const all = Buffer.concat(pending);
        seen.add(createHash('sha256').update(all.subarray(0, BLOCK_BYTES)).digest('base64'));
        blocks += 1;
        const left = Buffer.from(all.subarray(BLOCK_BYTES));
        pending.length = 0;
        pending.push(left);
        size = left.length;
      }
    }
  }
  return { blocks, distinct: seen.size };
}
