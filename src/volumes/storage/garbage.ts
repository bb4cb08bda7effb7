/**
 * Deletes map pages and segments that nothing reaches, while everything else goes on.
 *
 * The collection takes a number G first. Pages that are saved from then on carry G or more and are spared. A segment is
 * a candidate only if it is closed; then the work that may still hold blocks of it in flight is waited for; and only
 * then is marked, in an order in which references move: jobs' leaves, jobs' roots, recorded roots, uploads, young pages.
 * What moves from one to the next between two looks is seen by the later look.
 */
import { mark } from '../../blocks/block-map.ts';
import type { BlockStore } from '../../blocks/block-store.ts';
import { type Entry, hex, isDataEntry, segmentOf } from '../../blocks/entry.ts';
import { itemsFrom, type Page, type PageId } from '../../blocks/map-page.ts';
import type { Db } from '../../db/db.ts';
import type { MapRoot } from '../storage.ts';
import type { PageStore } from './pages.ts';
import type { Sealing } from './sealing.ts';
import type { StorageTables } from './tables.ts';
import type { Uploads } from './uploads.ts';

const SWEEP_PAGES = 500;

export interface GarbageParts {
  readonly db: Db;
  readonly blocks: BlockStore;
  readonly pages: PageStore;
  readonly uploads: Uploads;
  readonly sealing: Sealing;
  /** Bases of attached volumes. */
  readonly attachedRoots: () => readonly PageId[];
  /** Resolves when all work that was under way at the call has recorded its blocks, or failed. */
  readonly settled: () => Promise<void>;
}

export async function collectGarbage(
  parts: GarbageParts,
  liveRoots: () => Promise<readonly MapRoot[]>,
): Promise<{ segmentsDeleted: number; bytesFreed: number }> {
  const { db, blocks } = parts;
  const number = await nextCollection(db);
  const { candidates, reached, segments } = await survey(parts, liveRoots, number);
  await sweepPages(db, number, reached);
  let segmentsDeleted = 0;
  let bytesFreed = 0;
  for (const [segment, sizeBytes] of candidates) {
    if (segments.has(segment)) continue;
    await blocks.deleteSegment(segment);
    segmentsDeleted++;
    bytesFreed += sizeBytes;
  }
  return { segmentsDeleted, bytesFreed };
}

/** Segments that a collection would delete now, with their sizes in bytes; nothing is deleted. */
export async function unnamedSegments(
  parts: GarbageParts,
  liveRoots: () => Promise<readonly MapRoot[]>,
): Promise<Map<string, number>> {
  const { candidates, segments } = await survey(parts, liveRoots, await latestCollection(parts.db));
  return new Map([...candidates].filter(([segment]) => !segments.has(segment)));
}

/** Closed segments, and what is reached from everything that may name a page or a segment. */
async function survey(
  parts: GarbageParts,
  liveRoots: () => Promise<readonly MapRoot[]>,
  number: number,
): Promise<{ candidates: Map<string, number>; reached: Set<PageId>; segments: Set<string> }> {
  const { db, blocks, pages, uploads, sealing } = parts;
  const candidates = await blocks.closedSegments();
  await parts.settled();

  const reached = new Set<PageId>();
  const segments = new Set<string>();
  const keep = (entry: Entry): void => {
    if (isDataEntry(entry)) segments.add(hex(segmentOf(entry)));
  };
  const keepLeaf = (page: Page): void => {
    for (const { entry } of itemsFrom(page)) keep(entry);
  };
  const { leaves, roots } = await sealing.holdings();
  for (const leaf of leaves) await mark(pages, leaf, reached, keepLeaf, 0);
  for (const root of new Set([...roots, ...parts.attachedRoots(), ...(await liveRoots())])) {
    await mark(pages, root, reached, keepLeaf);
  }
  await uploads.forEachEntry(keep);
  await forEachYoungLeaf(db, number, keepLeaf);
  return { candidates, reached, segments };
}

async function latestCollection(db: Db): Promise<number> {
  const row = await db
    .read<StorageTables>()
    .selectFrom('storage_collection')
    .select('number')
    .executeTakeFirstOrThrow();
  return row.number;
}

async function nextCollection(db: Db): Promise<number> {
  return db.write(async (tx) => {
    const row = await tx
      .as<StorageTables>()
      .updateTable('storage_collection')
      .set((update) => ({ number: update('number', '+', 1) }))
      .returning('number')
      .executeTakeFirstOrThrow();
    return row.number;
  });
}

async function forEachYoungLeaf(db: Db, number: number, visit: (page: Page) => void): Promise<void> {
  let after: Uint8Array = new Uint8Array(0);
  for (;;) {
    const rows = await db
      .read<StorageTables>()
      .selectFrom('storage_pages')
      .select(['id', 'bytes'])
      .where('touched', '>=', number)
      .where('level', '=', 0)
      .where('id', '>', after)
      .orderBy('id')
      .limit(SWEEP_PAGES)
      .execute();
    for (const row of rows) visit(Buffer.from(row.bytes));
    const last = rows.at(-1);
    if (!last) return;
    after = last.id;
  }
}

async function sweepPages(db: Db, number: number, reached: ReadonlySet<PageId>): Promise<void> {
  let after: Uint8Array = new Uint8Array(0);
  for (;;) {
    const rows = await db
      .read<StorageTables>()
      .selectFrom('storage_pages')
      .select('id')
      .where('touched', '<', number)
      .where('id', '>', after)
      .orderBy('id')
      .limit(SWEEP_PAGES)
      .execute();
    const last = rows.at(-1);
    if (!last) return;
    after = last.id;
    const dead = rows.filter((row) => !reached.has(hex(row.id))).map((row) => row.id);
    if (dead.length === 0) continue;
    await db.write(async (tx) => {
      // A page that was saved again since then is young now.
      const sweep = tx.as<StorageTables>().deleteFrom('storage_pages').where('touched', '<', number);
      await sweep.where('id', 'in', dead).execute();
    });
  }
}
