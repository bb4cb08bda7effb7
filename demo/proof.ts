/** Facts read from the data directory itself, as somebody would who stole the disk. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface Scan {
  readonly files: number;
  readonly bytes: number;
  /** Files that hold the marker in the clear. */
  readonly hits: readonly string[];
}

async function* filesUnder(dir: string): AsyncGenerator<string> {
  for await (const entry of await opendir(dir)) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}

/** Whether `text` stands in the file, also across read boundaries. */
export async function fileHolds(path: string, text: string): Promise<boolean> {
  const needle = Buffer.from(text);
  let tail = Buffer.alloc(0);
  for await (const piece of createReadStream(path, { highWaterMark: 4 << 20 }) as AsyncIterable<Buffer>) {
    const seam = Buffer.concat([tail, piece.subarray(0, needle.length)]);
    if (piece.includes(needle) || seam.includes(needle)) return true;
    tail = Buffer.from(piece.subarray(Math.max(0, piece.length - needle.length + 1)));
  }
  return false;
}

/** Reads every byte of every file under `dir` and looks for `marker`, also across read boundaries. */
export async function scanFor(dir: string, marker: string): Promise<Scan> {
  const hits: string[] = [];
  let files = 0;
  let bytes = 0;
  for await (const path of filesUnder(dir)) {
    files += 1;
    bytes += (await stat(path)).size;
    if (await fileHolds(path, marker)) hits.push(path);
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
