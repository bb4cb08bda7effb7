/** Proof from stored bytes: every block of a map looked at in worker threads, and a marker looked for in every file. */
import { readdir, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { countBlocks, type Found, walk } from '../../blocks/block-map.ts';
import type { BlockStore } from '../../blocks/block-store.ts';
import { hex, isDataEntry, segmentOf, slotOf } from '../../blocks/entry.ts';
import type { Inspection } from '../../blocks/inspection.ts';
import type { Db } from '../../db/db.ts';
import { IntegrityError } from '../../errors.ts';
import type { MapFault, MapProof, MarkerSearch, SealedMap } from '../storage.ts';
import { PageStore } from './pages.ts';
import { workerKey } from './sealing.ts';

/** 16 MiB of blocks in one request. */
const CHUNK_BLOCKS = 32;
const CHUNKS_UNDER_WAY = 4;
const TOLD_MAX = 1000;

interface Place {
  readonly index: number;
  readonly segment: string;
  readonly slot: number;
}

class Tally {
  listed = 0;
  zero = 0;
  faultCount = 0;
  least = Number.POSITIVE_INFINITY;
  greatest = 0;
  measured = 0;
  readonly segments = new Set<string>();
  readonly faults: MapFault[] = [];
  readonly outside: number[] = [];

  fault(fault: MapFault): void {
    this.faultCount++;
    if (this.faults.length < TOLD_MAX) this.faults.push(fault);
  }

  add(places: readonly Place[], { faults, chiSquares }: Inspection, bounds: { low: number; high: number }): void {
    for (const { at, problem, foundInSlot } of faults) {
      this.fault({ problem, ...places[at]!, ...(foundInSlot === undefined ? {} : { foundInSlot }) });
    }
    for (const [at, value] of chiSquares.entries()) {
      if (Number.isNaN(value)) continue;
      this.measured++;
      this.least = Math.min(this.least, value);
      this.greatest = Math.max(this.greatest, value);
      if ((value < bounds.low || value > bounds.high) && this.outside.length < TOLD_MAX) {
        this.outside.push(places[at]!.index);
      }
    }
  }
}

export async function inspectMap(
  db: Db,
  blocks: BlockStore,
  map: SealedMap,
  bounds: { readonly low: number; readonly high: number },
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<MapProof> {
  // Not the pages that are in memory: those on disk are to be proved.
  const pages = new PageStore(db);
  const tally = new Tally();
  const stored: Place[] = [];
  const underWay = new Set<Promise<void>>();
  let total = 0;

  const inspect = async (chunk: readonly Found[]): Promise<void> => {
    const places = chunk.map(placeOf);
    const entries = Buffer.concat(chunk.map(({ entry }) => entry));
    tally.add(places, await blocks.ask({ kind: 'inspect', dataKey: workerKey(map.dataKey), entries }), bounds);
    if (total > 0) onProgress(Math.min(1, tally.listed / total));
  };
  const give = async (chunk: readonly Found[]): Promise<void> => {
    signal.throwIfAborted();
    const work = inspect(chunk);
    underWay.add(work);
    const over = () => underWay.delete(work);
    work.then(over, over);
    if (underWay.size >= CHUNKS_UNDER_WAY) await Promise.race(underWay);
  };

  let chunk: Found[] = [];
  try {
    total = await countBlocks(pages, map.root);
    for await (const found of walk(pages, map.root)) {
      tally.listed++;
      if (!isDataEntry(found.entry)) {
        tally.zero++;
        continue;
      }
      const place = placeOf(found);
      tally.segments.add(place.segment);
      keepExample(stored, place);
      chunk.push(found);
      if (chunk.length < CHUNK_BLOCKS) continue;
      await give(chunk);
      chunk = [];
    }
  } catch (error) {
    if (!(error instanceof IntegrityError)) throw error;
    tally.fault({ problem: 'map-damaged' });
  }
  if (chunk.length > 0) await give(chunk);
  await Promise.all(underWay);
  signal.throwIfAborted();

  const inBlocks = tally.faults.some(({ problem }) => problem === 'map-damaged') ? 1 : 0;
  return {
    blocks: {
      listed: tally.listed,
      zero: tally.zero,
      authenticated: tally.listed - tally.zero - (tally.faultCount - inBlocks),
    },
    segments: tally.segments.size,
    chiSquare: { blocks: tally.measured, least: tally.measured > 0 ? tally.least : 0, greatest: tally.greatest },
    outside: tally.outside.sort((one, other) => one - other),
    faults: tally.faults.sort((one, other) => (one.index ?? -1) - (other.index ?? -1)),
    faultCount: tally.faultCount,
    examples: examplesOf(stored),
  };
}

function placeOf({ index, entry }: Found): Place {
  return { index, segment: hex(segmentOf(entry)), slot: slotOf(entry) };
}

/** First and last are kept as they come, and every so often one between: memory does not grow with the map. */
const EXAMPLES_KEPT = 64;
function keepExample(stored: Place[], place: Place): void {
  if (stored.length < EXAMPLES_KEPT) stored.push(place);
  else stored[EXAMPLES_KEPT - 1] = place;
}

function examplesOf(stored: readonly Place[]): Place[] {
  const chosen = new Set([stored[0], stored[Math.floor((stored.length - 1) / 2)], stored.at(-1)]);
  return [...chosen].filter((place) => place !== undefined);
}

/** Folders and files may go while they are listed. */
async function* filesUnder(dir: string): AsyncGenerator<string> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const entry of entries) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) yield* filesUnder(path);
    else if (entry.isFile()) yield path;
  }
}

const FILES_AT_ONCE = 4;

export async function findMarker(
  dir: string,
  blocks: BlockStore,
  marker: Uint8Array,
  onProgress: (fraction: number) => void,
  signal: AbortSignal,
): Promise<MarkerSearch> {
  const files: { readonly path: string; readonly sizeBytes: number }[] = [];
  for await (const path of filesUnder(dir)) {
    const sizeBytes = await stat(path).then(
      ({ size }) => size,
      () => 0,
    );
    files.push({ path, sizeBytes });
  }
  const total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const found: { path: string; places: readonly number[] }[] = [];
  let [scanned, bytes] = [0, 0];
  const queue = files.values();
  const lane = async (): Promise<void> => {
    for (const { path } of queue) {
      signal.throwIfAborted();
      const scan = await blocks.ask({ kind: 'scan', path, marker });
      if (!scan) continue;
      scanned++;
      bytes += scan.bytes;
      if (scan.places.length > 0) found.push({ path: relative(dir, path), places: scan.places });
      onProgress(total === 0 ? 1 : Math.min(1, bytes / total));
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
  return { files: scanned, bytes, found: found.sort((one, other) => (one.path < other.path ? -1 : 1)) };
}
