/**
 * Direct uploads: blocks are sealed at once, and what says where they are goes to the database in batches, so that many
 * blocks share one commit. A block is acknowledged when both are durable.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import { type LeafChange, mergeLeaf, withLeaves } from '../../blocks/block-map.ts';
import type { BlockStore } from '../../blocks/block-store.ts';
import { ENTRY_BYTES, type Entry } from '../../blocks/entry.ts';
import {
  blockCountOf,
  EMPTY_ROOT,
  findChild,
  type PageId,
  pageId,
  positionOf,
  ROOT_LEVEL,
} from '../../blocks/map-page.ts';
import { createSha256 } from '../../crypto/block-digest.ts';
import type { Db, Tx } from '../../db/db.ts';
import { Refusal } from '../../errors.ts';
import type { SnapshotId } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { OpenDataKey } from '../storage.ts';
import type { PageStore } from './pages.ts';
import type { StorageTables } from './tables.ts';

/** 32 GiB of blocks: what one step of joining holds in memory. */
const REGION_BLOCKS = 65_536;
/** u32 index, entry, SHA-256 of the plaintext. */
const RECORD_BYTES = 4 + ENTRY_BYTES + 32;
const CLOSED_UPLOADS_REMEMBERED = 10_000;

/** The upload was completed or dropped while the block was on its way. */
export type UploadRefusal = 'upload-closed';

interface Pending {
  readonly upload: string;
  readonly index: number;
  readonly record: Uint8Array;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

export class Uploads {
  readonly #db: Db;
  readonly #blocks: BlockStore;
  readonly #pages: PageStore;
  readonly #closed = new Set<string>();
  #pending: Pending[] = [];
  #committing = false;

  constructor(db: Db, blocks: BlockStore, pages: PageStore) {
    this.#db = db;
    this.#blocks = blocks;
    this.#pages = pages;
  }

  async put(
    upload: SnapshotId,
    dataKey: OpenDataKey,
    index: number,
    plaintext: Uint8Array,
    expectedSha256?: Uint8Array,
  ): Promise<{ stored: boolean; sha256: Uint8Array }> {
    if (plaintext.byteLength !== LIMITS.blockBytes) throw new RangeError('a block is exactly 524,288 bytes');
    if (!Number.isSafeInteger(index) || index < 0 || index > 0xffff_ffff) throw new RangeError(`no block ${index}`);
    const owned = ownBuffer(plaintext);
    const { entry, sha256 } = await this.#blocks.ask(
      {
        kind: 'put',
        dataKey: { id: dataKey.id, key: dataKey.secret.keyObject() },
        plaintext: owned,
        ...(expectedSha256 && { expectedSha256 }),
      },
      [owned],
    );
    if (!entry) return { stored: false, sha256 };
    const record = Buffer.alloc(RECORD_BYTES);
    record.writeUInt32BE(index, 0);
    record.set(entry, 4);
    record.set(sha256, 4 + ENTRY_BYTES);
    await new Promise<void>((resolve, reject) => {
      this.#pending.push({ upload, index, record, resolve, reject });
      if (!this.#committing) void this.#commitAll();
    });
    return { stored: true, sha256 };
  }

  async summary(upload: SnapshotId): Promise<{ blockCount: number; linearSha256: Uint8Array }> {
    const hash = createSha256();
    let blockCount = 0;
    for await (const records of this.#regions(this.#db.read<StorageTables>(), upload)) {
      blockCount += records.length;
      for (const record of records) hash.update(record.subarray(4 + ENTRY_BYTES));
    }
    return { blockCount, linearSha256: hash.digest() };
  }

  async complete(tx: Tx, upload: SnapshotId, parent: PageId = EMPTY_ROOT): Promise<PageId> {
    const store = this.#pages.within(tx);
    const changes: LeafChange[] = [];
    for await (const records of this.#regions(tx.as<StorageTables>(), upload)) {
      for (const [number, items] of byLeaf(records)) {
        let old: PageId | undefined = parent;
        for (let level = ROOT_LEVEL; level > 0 && old !== undefined; level--) {
          const page = await store.load(old, level);
          old = findChild(page, positionOf(number, level - 1))?.id;
        }
        const page = mergeLeaf(old === undefined ? undefined : await store.load(old, 0), items);
        const id = pageId(page);
        await store.save(id, page);
        changes.push({ number, id, blockCount: blockCountOf(page) });
      }
    }
    const root = await withLeaves(store, store, parent, changes);
    await this.drop(tx, upload);
    return root;
  }

  async drop(tx: Tx, upload: SnapshotId): Promise<void> {
    await tx.as<StorageTables>().deleteFrom('storage_uploads').where('upload', '=', upload).execute();
    tx.afterCommit(() => {
      this.#closed.add(upload);
      if (this.#closed.size > CLOSED_UPLOADS_REMEMBERED) this.#closed.delete(this.#closed.values().next().value!);
    });
  }

  /** Every entry of every upload, for the collector. */
  async forEachEntry(visit: (entry: Entry) => void): Promise<void> {
    const rows = this.#db.read<StorageTables>();
    for (let after = 0; ; ) {
      const row = await rows
        .selectFrom('storage_uploads')
        .select(['seq', 'entries'])
        .where('seq', '>', after)
        .orderBy('seq')
        .executeTakeFirst();
      if (!row) return;
      after = row.seq;
      for (const record of recordsOf(row.entries)) visit(record.subarray(4, 4 + ENTRY_BYTES));
    }
  }

  async #commitAll(): Promise<void> {
    this.#committing = true;
    while (this.#pending.length > 0) {
      // Blocks that were sealed in the same turn of the loop go together.
      await turnOfTheLoop();
      const batch = this.#pending;
      this.#pending = [];
      try {
        // Looked at within the transaction: an upload that closes does so before or after this batch, never during it.
        const late = await this.#db.write((tx) => this.#commit(tx, batch));
        for (const item of batch) {
          if (late.has(item)) item.reject(new Refusal<UploadRefusal>('upload-closed', { upload: item.upload }));
          else item.resolve();
        }
      } catch (error) {
        for (const item of batch) item.reject(error);
      }
    }
    this.#committing = false;
  }

  async #commit(tx: Tx, batch: readonly Pending[]): Promise<Set<Pending>> {
    const late = new Set<Pending>();
    const groups = new Map<string, { upload: string; region: number; records: Uint8Array[] }>();
    for (const item of batch) {
      if (this.#closed.has(item.upload)) {
        late.add(item);
        continue;
      }
      const region = Math.floor(item.index / REGION_BLOCKS);
      const key = `${item.upload} ${region}`;
      const group = groups.get(key) ?? { upload: item.upload, region, records: [] };
      groups.set(key, group);
      group.records.push(item.record);
    }
    for (const { upload, region, records } of groups.values()) {
      await tx
        .as<StorageTables>()
        .insertInto('storage_uploads')
        .values({ upload, region, entries: Buffer.concat(records) })
        .execute();
    }
    return late;
  }

  /** Records of an upload, region by region, ascending by index, the last write of each. */
  async *#regions(tables: Kysely<StorageTables>, upload: string): AsyncGenerator<Uint8Array[]> {
    const regions = await tables
      .selectFrom('storage_uploads')
      .select('region')
      .distinct()
      .where('upload', '=', upload)
      .orderBy('region')
      .execute();
    for (const { region } of regions) {
      const latest = new Map<number, Uint8Array>();
      const batches = await tables
        .selectFrom('storage_uploads')
        .select('entries')
        .where('upload', '=', upload)
        .where('region', '=', region)
        .orderBy('seq')
        .execute();
      for (const { entries } of batches) {
        for (const record of recordsOf(entries)) latest.set(indexOf(record), record);
      }
      yield [...latest.entries()].sort(([a], [b]) => a - b).map(([, record]) => record);
    }
  }
}

const indexOf = (record: Uint8Array): number =>
  ((record[0]! << 24) | (record[1]! << 16) | (record[2]! << 8) | record[3]!) >>> 0;

function* recordsOf(entries: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < entries.byteLength; at += RECORD_BYTES) yield entries.subarray(at, at + RECORD_BYTES);
}

/** Groups ascending records by leaf number. */
function byLeaf(records: readonly Uint8Array[]): Map<number, { position: number; entry: Entry }[]> {
  const leaves = new Map<number, { position: number; entry: Entry }[]>();
  for (const record of records) {
    const index = indexOf(record);
    const number = Math.floor(index / LIMITS.mapPageBlocks);
    const items = leaves.get(number) ?? [];
    leaves.set(number, items);
    items.push({ position: positionOf(index, 0), entry: record.subarray(4, 4 + ENTRY_BYTES) });
  }
  return leaves;
}

/** The bytes in an ArrayBuffer that can be transferred: the caller's own if it is exactly the block, else a copy. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.byteLength && !buffer.resizable) return buffer;
  const copy = new Uint8Array(bytes.byteLength);
  copy.set(bytes);
  return copy.buffer;
}
