/**
 * Making a map by sealing many blocks: re-encryption of a map, and overlays joined onto their base. Both go leaf by
 * leaf (128 MiB) through the block workers, a few at a time, and each finished leaf is recorded, so that a crash costs
 * at most the leaves under way. Bytes never pass through this thread.
 */
import { type LeafChange, leaves, mergeLeaf, type PageSource, withLeaves } from '../../blocks/block-map.ts';
import type { BlockStore } from '../../blocks/block-store.ts';
import { ENTRY_BYTES, type Entry, hex } from '../../blocks/entry.ts';
import {
  blockCountOf,
  EMPTY_ROOT,
  encodeLeaf,
  findItem,
  itemsFrom,
  type LeafItem,
  type Page,
  type PageId,
  pageId,
} from '../../blocks/map-page.ts';
import { Overlay } from '../../blocks/overlay.ts';
import type { WorkerKey } from '../../blocks/segment-reader.ts';
import type { Db, Tx } from '../../db/db.ts';
import { LIMITS } from '../../limits.ts';
import type { MapRoot, OpenDataKey, SealedMap, VolumeLayers } from '../storage.ts';
import type { PageStore } from './pages.ts';
import type { StorageTables } from './tables.ts';

/** Blocks in one request to a worker: 16 MiB share one sync. */
const CHUNK_BLOCKS = 32;
const LEAVES_UNDER_WAY = 2;
const NO_ENTRY: Entry = new Uint8Array(ENTRY_BYTES);

export const workerKey = (key: OpenDataKey): WorkerKey => ({ id: key.id, key: key.secret.keyObject() });

/** One leaf to make, and how: `build` reports blocks as it goes and gives the finished leaf. */
interface LeafTask {
  readonly number: number;
  readonly weight: number;
  build(report: (blocks: number) => void, signal: AbortSignal): Promise<Page>;
}

/** Tells the collector of work that holds sealed blocks no row names yet. */
export type Track = <Result>(work: Promise<Result>) => Promise<Result>;

export class Sealing {
  readonly #db: Db;
  readonly #blocks: BlockStore;
  readonly #pages: PageStore;
  readonly #overlaysDir: string;
  readonly #track: Track;

  constructor(db: Db, blocks: BlockStore, pages: PageStore, overlaysDir: string, track: Track) {
    this.#track = track;
    this.#db = db;
    this.#blocks = blocks;
    this.#pages = pages;
    this.#overlaysDir = overlaysDir;
  }

  async reseal(
    job: string,
    source: SealedMap,
    target: OpenDataKey,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapRoot> {
    const tasks: LeafTask[] = [];
    for await (const leaf of leaves(this.#pages, source.root)) {
      tasks.push({
        number: leaf.number,
        weight: leaf.blockCount,
        build: async (report, stop) => {
          const items = [...itemsFrom(await this.#pages.load(leaf.id, 0))];
          const entries = await this.#inChunks(items, report, stop, (chunk) =>
            this.#blocks.ask({
              kind: 'reseal',
              source: workerKey(source.dataKey),
              target: workerKey(target),
              entries: Buffer.concat(chunk.map((item) => item.entry)),
            }),
          );
          return encodeLeaf(items.map(({ position }, i) => ({ position, entry: entryAt(entries, i) })));
        },
      });
    }
    return this.#run(job, EMPTY_ROOT, tasks, onProgress, signal);
  }

  async sealOverlays(
    job: string,
    layers: Omit<VolumeLayers, 'overlay'>,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapRoot> {
    const base = layers.base?.root ?? EMPTY_ROOT;
    const foreignBase = layers.base !== undefined && layers.base.dataKey.id !== layers.dataKey.id;
    const changed = await this.#changedRegions(layers);
    const numbers = new Set(changed.keys());
    // Under another key nothing of the base can be shared: every one of its leaves is made anew.
    if (foreignBase) for await (const leaf of leaves(this.#pages, base)) numbers.add(leaf.number);
    const tasks = [...numbers]
      .sort((a, b) => a - b)
      .map((number) => this.#mergeTask(layers, foreignBase, number, changed.get(number) ?? new Set()));
    return this.#run(job, base, tasks, onProgress, signal);
  }

  async finish(tx: Tx, job: string): Promise<void> {
    await tx.as<StorageTables>().deleteFrom('storage_job_leaves').where('job', '=', job).execute();
    await tx.as<StorageTables>().deleteFrom('storage_jobs').where('job', '=', job).execute();
  }

  /** What unfinished jobs hold on to, for the collector. */
  async holdings(): Promise<{ roots: PageId[]; leaves: PageId[] }> {
    const rows = this.#db.read<StorageTables>();
    // Leaves first: a job that ends between the two looks is then seen by the second.
    const pages = await rows.selectFrom('storage_job_leaves').select('page').execute();
    const roots = await rows.selectFrom('storage_jobs').select('root').execute();
    return { roots: roots.map((row) => row.root), leaves: pages.map((row) => hex(row.page)) };
  }

  #mergeTask(
    layers: Omit<VolumeLayers, 'overlay'>,
    foreignBase: boolean,
    number: number,
    positions: ReadonlySet<number>,
  ): LeafTask {
    return {
      number,
      weight: positions.size,
      build: async (report, stop) => {
        const old = layers.base && (await leafPage(this.#pages, layers.base.root, number));
        const wanted = new Set(positions);
        if (foreignBase && old) for (const { position } of itemsFrom(old)) wanted.add(position);
        const items: LeafItem[] = [...wanted]
          .sort((a, b) => a - b)
          .map((position) => ({ position, entry: (old && findItem(old, position)) ?? NO_ENTRY }));
        const entries = await this.#inChunks(items, report, stop, (chunk) =>
          this.#blocks.ask({
            kind: 'merge',
            overlays: [...layers.frozen].reverse(),
            dataKey: workerKey(layers.dataKey),
            ...(layers.base && { baseKey: workerKey(layers.base.dataKey) }),
            sizeBytes: layers.sizeBytes,
            indexes: chunk.map((item) => number * LIMITS.mapPageBlocks + item.position),
            entries: Buffer.concat(chunk.map((item) => item.entry)),
          }),
        );
        const sealed = items
          .map(({ position }, i) => ({ position, entry: entryAt(entries, i) }))
          .filter(({ entry }) => entry[0] !== 0);
        return mergeLeaf(foreignBase ? undefined : old, sealed);
      },
    };
  }

  /** Positions that any frozen overlay holds, by leaf. */
  async #changedRegions(layers: Omit<VolumeLayers, 'overlay'>): Promise<Map<number, Set<number>>> {
    const changed = new Map<number, Set<number>>();
    for (const name of layers.frozen) {
      const overlay = await Overlay.open(this.#overlaysDir, name, workerKey(layers.dataKey), 'read');
      try {
        for await (const region of overlay.regions()) {
          const number = Math.floor(region / LIMITS.mapPageBlocks);
          const positions = changed.get(number) ?? new Set();
          changed.set(number, positions.add(region % LIMITS.mapPageBlocks));
        }
      } finally {
        await overlay.close();
      }
    }
    return changed;
  }

  async #inChunks(
    items: readonly LeafItem[],
    report: (blocks: number) => void,
    signal: AbortSignal,
    ask: (chunk: readonly LeafItem[]) => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const chunks: Promise<Uint8Array>[] = [];
    for (let at = 0; at < items.length; at += CHUNK_BLOCKS) {
      const chunk = items.slice(at, at + CHUNK_BLOCKS);
      chunks.push(
        (async () => {
          signal.throwIfAborted();
          const sealed = await ask(chunk);
          report(chunk.length);
          return sealed;
        })(),
      );
    }
    // All of them are waited for: what a failed leaf has under way must not outlive its job unseen.
    const settled = await Promise.allSettled(chunks);
    return Buffer.concat(
      settled.map((outcome) => {
        if (outcome.status === 'rejected') throw outcome.reason;
        return outcome.value;
      }),
    );
  }

  /** Runs what is not done yet of `tasks`, and joins all leaves of the job onto `base`. */
  async #run(
    job: string,
    base: PageId,
    tasks: readonly LeafTask[],
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapRoot> {
    const rows = this.#db.read<StorageTables>();
    const ended = await rows.selectFrom('storage_jobs').select('root').where('job', '=', job).executeTakeFirst();
    if (ended) return ended.root as MapRoot;

    const done = new Set(
      (await rows.selectFrom('storage_job_leaves').select('leaf').where('job', '=', job).execute()).map(
        (row) => row.leaf,
      ),
    );
    const total = tasks.reduce((sum, task) => sum + task.weight, 0);
    let finished = tasks.reduce((sum, task) => sum + (done.has(task.number) ? task.weight : 0), 0);
    const report = (blocks: number): void => {
      finished += blocks;
      onProgress(total === 0 ? 1 : Math.min(1, finished / total));
    };
    report(0);

    const remaining = tasks.filter((task) => !done.has(task.number));
    let next = 0;
    let failed = false;
    const lane = async (): Promise<void> => {
      for (let task = remaining[next++]; task && !failed; task = remaining[next++]) {
        try {
          signal.throwIfAborted();
          await this.#track(task.build(report, signal).then((page) => this.#saveLeaf(job, task.number, page)));
        } catch (error) {
          failed = true;
          throw error;
        }
      }
    };
    const lanes = await Promise.allSettled(Array.from({ length: LEAVES_UNDER_WAY }, lane));
    for (const outcome of lanes) if (outcome.status === 'rejected') throw outcome.reason;

    return this.#db.write(async (tx) => {
      const leafRows = await tx
        .as<StorageTables>()
        .selectFrom('storage_job_leaves')
        .selectAll()
        .where('job', '=', job)
        .orderBy('leaf')
        .execute();
      const changes: LeafChange[] = leafRows.map((row) => ({
        number: row.leaf,
        id: hex(row.page),
        blockCount: row.block_count,
      }));
      const store = this.#pages.within(tx);
      const root = await withLeaves(store, store, base, changes);
      await tx.as<StorageTables>().insertInto('storage_jobs').values({ job, root }).execute();
      await tx.as<StorageTables>().deleteFrom('storage_job_leaves').where('job', '=', job).execute();
      return root as MapRoot;
    });
  }

  #saveLeaf(job: string, leaf: number, page: Page): Promise<void> {
    const id = pageId(page);
    return this.#db.write(async (tx) => {
      await this.#pages.within(tx).save(id, page);
      await tx
        .as<StorageTables>()
        .insertInto('storage_job_leaves')
        .values({ job, leaf, page: Buffer.from(id, 'hex'), block_count: blockCountOf(page) })
        .execute();
    });
  }
}

const entryAt = (entries: Uint8Array, i: number): Entry => entries.subarray(i * ENTRY_BYTES, (i + 1) * ENTRY_BYTES);

/** The leaf of `root` with this number, if it has one. */
async function leafPage(pages: PageSource, root: PageId, number: number): Promise<Page | undefined> {
  for await (const leaf of leaves(pages, root, number)) {
    return leaf.number === number ? pages.load(leaf.id, 0) : undefined;
  }
  return undefined;
}
