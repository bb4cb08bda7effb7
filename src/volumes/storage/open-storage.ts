/** Joins the parts of the storage into the {@link Storage} that `volumes/` stands on. */
import { mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { compare, countBlocks, findBlock, walk } from '../../blocks/block-map.ts';
import { BlockStore } from '../../blocks/block-store.ts';
import { identityOf, isZeroEntry } from '../../blocks/entry.ts';
import { EMPTY_ROOT } from '../../blocks/map-page.ts';
import { dataKeyOfSegment } from '../../blocks/segment.ts';
import type { Db } from '../../db/db.ts';
import { LIMITS } from '../../limits.ts';
import { createLog, type Log } from '../../log.ts';
import type { ChangedBlock, ListedBlock, MapRoot, Storage } from '../storage.ts';
import { Attachments } from './attachments.ts';
import { collectGarbage, unnamedSegments } from './garbage.ts';
import { findMarker, inspectMap } from './inspect-map.ts';
import { PageStore } from './pages.ts';
import { Sealing, workerKey } from './sealing.ts';
import { Uploads } from './uploads.ts';

export interface StorageOptions {
  /** Data directory; `segments`, `overlays` and `run` are made in it. One process at a time. */
  readonly dir: string;
  /** With `storageMigrations` applied. */
  readonly db: Db;
  readonly log?: Log;
  /** Block worker threads; LIMITS.cryptoWorkers unless given. */
  readonly workers?: number;
}

/** Opens the storage in `dir`, as an earlier process left it, however that ended. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const log = options.log ?? createLog('silent');
  const { db } = options;
  await mkdir(options.dir, { recursive: true, mode: 0o700 });
  const dir = await realpath(options.dir);
  const [segmentsDir, overlaysDir] = [join(dir, 'segments'), join(dir, 'overlays')];
  const blocks = await BlockStore.open({
    segmentsDir,
    overlaysDir,
    workers: options.workers ?? LIMITS.cryptoWorkers,
    onBuffered: () => log.debug({ segmentsDir }, 'The file system has no O_DIRECT; segments go through the page cache'),
  });
  const pages = new PageStore(db);
  const uploads = new Uploads(db, blocks, pages);
  const attachments = new Attachments({ dir, segmentsDir, overlaysDir }, pages, log);

  // Work between the sealing of blocks and the row that names them: the collector waits for it.
  const underWay = new Set<Promise<unknown>>();
  const track = <Result>(work: Promise<Result>): Promise<Result> => {
    underWay.add(work);
    const over = (): boolean => underWay.delete(work);
    work.then(over, over);
    return work;
  };
  const sealing = new Sealing(db, blocks, pages, overlaysDir, track);
  let collecting: Promise<unknown> = Promise.resolve();
  /** One at a time: collections, and looks at what one would delete. */
  const inTurn = <Result>(work: () => Promise<Result>): Promise<Result> => {
    const turn = collecting.then(work);
    collecting = turn.catch(() => {});
    return turn;
  };
  const garbage = {
    db,
    blocks,
    pages,
    uploads,
    sealing,
    attachedRoots: () => attachments.baseRoots(),
    settled: async () => void (await Promise.allSettled([...underWay])),
  };

  return {
    emptyMap: EMPTY_ROOT as MapRoot,

    putBlock: (upload, dataKey, index, plaintext, expectedSha256) =>
      track(uploads.put(upload, dataKey, index, plaintext, expectedSha256)),
    uploadSummary: (upload) => uploads.summary(upload),
    completeUpload: async (tx, upload, parent) => (await uploads.complete(tx, upload, parent)) as MapRoot,
    dropUpload: (tx, upload) => uploads.drop(tx, upload),

    async readBlock(map, index) {
      const entry = await findBlock(pages, map.root, index);
      if (!entry) return undefined;
      if (isZeroEntry(entry)) return new Uint8Array(LIMITS.blockBytes);
      return blocks.ask({ kind: 'read', dataKey: workerKey(map.dataKey), entry: Uint8Array.from(entry) });
    },
    async blockIdentity(root, index) {
      const entry = await findBlock(pages, root, index);
      return entry && identityOf(entry);
    },
    async listBlocks(root, startIndex, max) {
      const found: ListedBlock[] = [];
      for await (const { index, entry } of walk(pages, root, startIndex)) {
        if (found.length === max) return { blocks: found, next: index };
        found.push({ index, identity: identityOf(entry) });
      }
      return { blocks: found };
    },
    async listChangedBlocks(first, second, startIndex, max) {
      const found: ChangedBlock[] = [];
      for await (const change of compare(pages, first, second, startIndex)) {
        if (found.length === max) return { blocks: found, next: change.index };
        found.push({
          index: change.index,
          ...(change.first && { first: identityOf(change.first) }),
          ...(change.second && { second: identityOf(change.second) }),
        });
      }
      return { blocks: found };
    },
    mapSummary: async (root) => ({ blockCount: await countBlocks(pages, root) }),

    reseal: (job, source, target, onProgress, signal) => sealing.reseal(job, source, target, onProgress, signal),
    finishReseal: (tx, job) => sealing.finish(tx, job),

    createOverlay: (volume) => attachments.createOverlay(volume),
    deleteOverlays: (volume) => attachments.deleteOverlays(volume),
    removeOverlaysExcept: (named) => attachments.removeOverlaysExcept(named),
    attach: (volume, layers) => attachments.attach(volume, layers),
    detach: (volume) => attachments.detach(volume),
    isAttached: (volume) => attachments.isAttached(volume),
    freeze: (volume, record) => attachments.freeze(volume, record),
    sealOverlays: (job, layers, onProgress, signal) =>
      attachments.reading(layers.frozen, () => sealing.sealOverlays(job, layers, onProgress, signal)),
    rebase: (volume, base, removedOverlays) => attachments.rebase(volume, base, removedOverlays),

    inspectMap: (map, bounds, onProgress, signal) => inspectMap(db, blocks, map, bounds, onProgress, signal),
    async orphanedSegments(dataKey, liveRoots) {
      const unnamed = await inTurn(() => unnamedSegments(garbage, liveRoots));
      const owned = await Promise.all(
        [...unnamed.keys()].map(async (id) => ((await dataKeyOfSegment(segmentsDir, id)) === dataKey ? [id] : [])),
      );
      return owned.flat().sort();
    },
    findMarker: (marker, onProgress, signal) => findMarker(dir, blocks, marker, onProgress, signal),

    collectGarbage: (liveRoots) => inTurn(() => collectGarbage(garbage, liveRoots)),
    async close() {
      try {
        await attachments.close();
      } finally {
        await Promise.allSettled([...underWay, collecting]);
        await blocks.close();
      }
    },
  };
}
