/** A stream kept in a file while it is needed: for formats that must be read in another order than they arrive. */
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export interface Spooled {
  readonly path: string;
  remove(): Promise<void>;
}

/** Readable by its owner only; the folder goes with it. */
export async function spool(bytes: Readable, dir: string): Promise<Spooled> {
  const folder = await mkdtemp(join(dir, 'ingot-spool-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  const path = join(folder, 'disk');
  try {
    await pipeline(bytes, createWriteStream(path, { mode: 0o600, highWaterMark: 1 << 20 }));
  } catch (error) {
    await remove();
    throw error;
  }
  return { path, remove };
}
