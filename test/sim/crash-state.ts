/** What the crash test and the process it kills agree on. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { MapRoot, VolumeLayers } from '../../src/volumes/storage.ts';
import { BLOCK, SECTOR, Seeded, testKey, volumeId } from './storage-model.ts';

export const CRASH_VOLUME = volumeId('vol-00000000000c4a540');
export const CRASH_SIZE = 8 * BLOCK;

export interface CrashState {
  readonly base?: MapRoot;
  readonly frozen: readonly string[];
  readonly overlay: string;
  readonly jobs: number;
}

export const statePath = (dir: string): string => join(dir, 'volume.json');

export async function readCrashState(dir: string): Promise<CrashState> {
  try {
    return JSON.parse(await readFile(statePath(dir), 'utf8'));
  } catch {
    return { frozen: [], overlay: '', jobs: 0 };
  }
}

export function crashLayers(state: CrashState): VolumeLayers {
  const dataKey = testKey(1);
  return {
    sizeBytes: CRASH_SIZE,
    dataKey,
    frozen: state.frozen,
    overlay: state.overlay,
    ...(state.base && { base: { root: state.base, dataKey } }),
  };
}

/** A block that says its stamp in its first bytes and depends on it in all others. */
export function stampedBlock(stamp: number): Buffer {
  return stamped(stamp, 0, BLOCK);
}
/** The same for a sector. */
export const stampedSector = (sector: number, version: number): Buffer => stamped(version, sector + 1, SECTOR);

function stamped(stamp: number, salt: number, length: number): Buffer {
  const bytes = new Seeded(stamp * 2_654_435_761 + salt).bytes(length);
  bytes.writeUInt32LE(stamp, 0);
  return bytes;
}
export const stampOf = (bytes: Buffer): number => bytes.readUInt32LE(0);
