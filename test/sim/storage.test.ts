/** Sealed blocks, maps, uploads, re-encryption and collection, each against plain buffers as the truth. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { IntegrityError } from '../../src/errors.ts';
import type { DataKeyId } from '../../src/ids.ts';
import type { MapRoot, SealedMap } from '../../src/volumes/storage.ts';
import { BLOCK, NEVER, openTestStorage, quiet, snapshotId, type TestStorage, testKey } from './storage-model.ts';

const key = testKey(1);
const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** Uploads `blocks` (index to content) and completes; the contents are kept. */
async function upload(t: TestStorage, name: string, blocks: Map<number, Buffer>, parent?: MapRoot): Promise<MapRoot> {
  await Promise.all(
    [...blocks].map(([index, content]) => t.storage.putBlock(snapshotId(name), key, index, Buffer.from(content))),
  );
  return t.db.write((tx) => t.storage.completeUpload(tx, snapshotId(name), parent));
}

async function assertHolds(t: TestStorage, map: SealedMap, blocks: Map<number, Buffer>): Promise<void> {
  const listed = await t.storage.listBlocks(map.root, 0, 100_000);
  assert.deepEqual(
    listed.blocks.map(({ index }) => index),
    [...blocks.keys()].sort((a, b) => a - b),
  );
  assert.equal((await t.storage.mapSummary(map.root)).blockCount, blocks.size);
  for (const [index, content] of blocks) {
    const read = await t.storage.readBlock(map, index);
    assert.ok(read && content.equals(read), `block ${index}`);
  }
}

/** Indexes at the edges of leaves, inner pages and the largest volume (64 TiB). */
const EDGES = [0, 1, 255, 256, 257, 65_535, 65_536, 16_777_215, 16_777_216, 134_217_727];
const randomBlocks = (indexes: readonly number[]): Map<number, Buffer> =>
  new Map(indexes.map((index) => [index, randomBytes(BLOCK)]));

test('blocks at every edge of the map read back, before and after a restart (E-1, E-7)', async () => {
  await using t = await openTestStorage();
  const blocks = randomBlocks(EDGES);
  const root = await upload(t, 'snap-1', blocks);
  await assertHolds(t, { root, dataKey: key }, blocks);
  for (const absent of [2, 254, 258, 65_534, 134_217_726, 134_217_728]) {
    assert.equal(await t.storage.readBlock({ root, dataKey: key }, absent), undefined);
    assert.equal(await t.storage.blockIdentity(root, absent), undefined);
  }
  await t.reopen();
  await assertHolds(t, { root, dataKey: key }, blocks);
});

test('pages of a listing join to the whole, whatever the size (E-7, E-8)', async () => {
  await using t = await openTestStorage();
  const indexes = [0, 1, 2, 255, 256, 300, 511, 512, 70_000];
  const root = await upload(t, 'snap-1', randomBlocks(indexes));
  for (const size of [1, 2, 3, 4, 8, 9, 10]) {
    const seen: number[] = [];
    let next: number | undefined = 0;
    while (next !== undefined) {
      const page = await t.storage.listBlocks(root, next, size);
      assert.ok(page.blocks.length <= size);
      seen.push(...page.blocks.map(({ index }) => index));
      next = page.next;
    }
    assert.deepEqual(seen, indexes);
  }
});

test('the empty map has no block and is what an upload without blocks gives', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', new Map());
  assert.equal(root, t.storage.emptyMap);
  assert.deepEqual(await t.storage.listBlocks(root, 0, 10), { blocks: [] });
  assert.equal(await t.storage.readBlock({ root, dataKey: key }, 0), undefined);
});

test('a wrong digest stores nothing; the summary counts indexes once and the last write wins (E-4, E-6)', async () => {
  await using t = await openTestStorage();
  const { storage } = t;
  const snap = snapshotId('snap-1');
  const [first, second, other] = [randomBytes(BLOCK), randomBytes(BLOCK), randomBytes(BLOCK)];
  const refused = await storage.putBlock(snap, key, 7, Buffer.from(first), sha256(second));
  assert.equal(refused.stored, false);
  assert.ok(sha256(first).equals(refused.sha256));
  assert.equal((await storage.uploadSummary(snap)).blockCount, 0);

  await storage.putBlock(snap, key, 70_000, Buffer.from(other), sha256(other));
  await storage.putBlock(snap, key, 7, Buffer.from(first), sha256(first));
  await storage.putBlock(snap, key, 7, Buffer.from(second), sha256(second));
  const summary = await storage.uploadSummary(snap);
  assert.equal(summary.blockCount, 2);
  assert.ok(sha256(sha256(second), sha256(other)).equals(summary.linearSha256));

  const root = await t.db.write((tx) => storage.completeUpload(tx, snap));
  await assertHolds(t, { root, dataKey: key }, new Map([[7, second], [70_000, other]])); // biome-ignore format: pairs
  await assert.rejects(storage.putBlock(snap, key, 8, Buffer.from(first)), /upload-closed/);
});

test('blocks of any other length are refused before anything is stored', async () => {
  await using t = await openTestStorage();
  for (const length of [0, 1, BLOCK - 1, BLOCK + 1]) {
    await assert.rejects(t.storage.putBlock(snapshotId('snap-1'), key, 0, Buffer.alloc(length)), RangeError);
  }
  assert.deepEqual(await readdir(join(t.dir, 'segments')), []);
});

test('zero blocks are listed, read as zeros, take no space, and differ by identity when rewritten (E-9)', async () => {
  await using t = await openTestStorage();
  const zero = Buffer.alloc(BLOCK);
  const parent = await upload(t, 'snap-1', new Map([[3, zero]]));
  assert.deepEqual(await readdir(join(t.dir, 'segments')), []);
  await assertHolds(t, { root: parent, dataKey: key }, new Map([[3, zero]]));
  const child = await upload(t, 'snap-2', new Map([[3, zero]]), parent);
  const changed = await t.storage.listChangedBlocks(parent, child, 0, 10);
  assert.equal(changed.blocks.length, 1);
  assert.notDeepEqual(changed.blocks[0]!.first, changed.blocks[0]!.second);
});

test('a child holds the parent where it wrote nothing; changes list both sides (E-9)', async () => {
  await using t = await openTestStorage();
  const before = randomBlocks([0, 5, 256, 300, 66_000]);
  const parent = await upload(t, 'snap-1', before);
  const written = new Map([
    [5, before.get(5)!], // an identical rewrite is a change
    [6, randomBytes(BLOCK)],
    [66_000, randomBytes(BLOCK)],
    [1_000_000, randomBytes(BLOCK)],
  ]);
  const child = await upload(t, 'snap-2', written, parent);
  await assertHolds(t, { root: child, dataKey: key }, new Map([...before, ...written]));

  const sides = (changes: { index: number; first?: Uint8Array; second?: Uint8Array }[]): unknown[] =>
    changes.map(({ index, first, second }) => [index, first !== undefined, second !== undefined]);
  const expected = [[5, true, true], [6, false, true], [66_000, true, true], [1_000_000, false, true]]; // biome-ignore format: rows
  assert.deepEqual(sides((await t.storage.listChangedBlocks(parent, child, 0, 100)).blocks), expected);
  assert.deepEqual(
    sides((await t.storage.listChangedBlocks(child, parent, 6, 100)).blocks),
    expected.slice(1).map(([index, first, second]) => [index, second, first]),
  );
  const page = await t.storage.listChangedBlocks(parent, child, 0, 2);
  assert.deepEqual([page.blocks.length, page.next], [2, 66_000]);
  assert.deepEqual(await t.storage.listChangedBlocks(child, child, 0, 100), { blocks: [] });
});

test('re-encryption gives the same content under another key and shares no ciphertext with the source', async () => {
  await using t = await openTestStorage();
  const blocks = randomBlocks([0, 1, 40, 255, 256, 600, 70_000]);
  blocks.set(9, Buffer.alloc(BLOCK));
  const root = await upload(t, 'snap-1', blocks);
  const target = testKey(2);
  const progress: number[] = [];
  const copy = await t.storage.reseal('job', { root, dataKey: key }, target, (f) => progress.push(f), NEVER);
  await assertHolds(t, { root: copy, dataKey: target }, blocks);
  assert.equal(progress.at(-1), 1);
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  );
  await assert.rejects(t.storage.readBlock({ root: copy, dataKey: key }, 0), IntegrityError);
  // The same job gives the same map, also after a restart, until it is finished.
  await t.reopen();
  assert.equal(await t.storage.reseal('job', { root, dataKey: key }, target, quiet, NEVER), copy);
  await t.db.write((tx) => t.storage.finishReseal(tx, 'job'));
  const again = await t.storage.reseal('job', { root, dataKey: key }, target, quiet, NEVER);
  assert.notEqual(again, copy);
});

test('a re-encryption that is aborted goes on where it was', async () => {
  await using t = await openTestStorage();
  const blocks = randomBlocks(Array.from({ length: 12 }, (_, i) => i * 256));
  const root = await upload(t, 'snap-1', blocks);
  const target = testKey(2);
  const stop = new AbortController();
  const stopping = t.storage.reseal(
    'job',
    { root, dataKey: key },
    target,
    (f) => f >= 0.5 && stop.abort(),
    stop.signal,
  );
  await assert.rejects(stopping, { name: 'AbortError' });
  await t.reopen();
  const progress: number[] = [];
  const copy = await t.storage.reseal('job', { root, dataKey: key }, target, (f) => progress.push(f), NEVER);
  assert.ok(progress[0]! >= 0.4, `went on at ${progress[0]}`);
  await assertHolds(t, { root: copy, dataKey: target }, blocks);
});

test('a changed byte anywhere in a segment is an IntegrityError, never other content', async () => {
  await using t = await openTestStorage();
  const blocks = randomBlocks([0]);
  const root = await upload(t, 'snap-1', blocks);
  const [name] = await readdir(join(t.dir, 'segments'));
  const path = join(t.dir, 'segments', name!);
  const whole = await readFile(path);
  assert.equal(whole.byteLength, 4096 + BLOCK);
  const places = [
    0,
    7,
    8,
    11,
    12,
    16,
    31,
    32,
    34,
    69,
    70,
    4095,
    4096,
    4097,
    4096 + 4095,
    4096 + BLOCK / 2,
    4096 + BLOCK - 1,
  ];
  for (const place of places) {
    const changed = Buffer.from(whole);
    changed[place]! ^= 1 << (place % 8);
    await writeFile(path, changed);
    await t.reopen();
    await assert.rejects(t.storage.readBlock({ root, dataKey: key }, 0), IntegrityError, `byte ${place}`);
  }
  for (const length of [0, 4096, 4096 + BLOCK - 1]) {
    await writeFile(path, whole.subarray(0, length));
    await t.reopen();
    await assert.rejects(t.storage.readBlock({ root, dataKey: key }, 0), IntegrityError, `length ${length}`);
  }
  await writeFile(path, whole);
  await t.reopen();
  await assertHolds(t, { root, dataKey: key }, blocks);
});

test('sealed blocks that change places are noticed, within a segment and between segments', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', randomBlocks([0, 1, 2, 3]));
  await t.reopen();
  const second = await upload(t, 'snap-2', randomBlocks([0]));
  const paths = (await readdir(join(t.dir, 'segments'))).map((name) => join(t.dir, 'segments', name));
  const files = await Promise.all(paths.map((path) => readFile(path)));
  const slots = files.flatMap((file, f) =>
    Array.from({ length: (file.byteLength - 4096) / BLOCK }, (_, s) => ({ f, at: 4096 + s * BLOCK })),
  );
  assert.equal(slots.length, 5);
  // Every block takes the place of the next one.
  const moved = files.map((file) => Buffer.from(file));
  slots.forEach(({ f, at }, i) => {
    const to = slots[(i + 1) % slots.length]!;
    files[f]!.copy(moved[to.f]!, to.at, at, at + BLOCK);
  });
  await Promise.all(paths.map((path, i) => writeFile(path, moved[i]!)));
  await t.reopen();
  for (const index of [0, 1, 2, 3]) {
    await assert.rejects(t.storage.readBlock({ root, dataKey: key }, index), IntegrityError);
  }
  await assert.rejects(t.storage.readBlock({ root: second, dataKey: key }, 0), IntegrityError);
});

test('collection deletes whole dead segments and pages, and nothing that is reached', async () => {
  await using t = await openTestStorage();
  const kept = randomBlocks([0, 300]);
  const dead = await upload(t, 'snap-1', randomBlocks([0, 1, 70_000]));
  await t.reopen(); // another process, other segments
  const live = await upload(t, 'snap-2', kept);
  await t.storage.putBlock(snapshotId('snap-3'), key, 0, Buffer.from(kept.get(0)!));
  const target = testKey(2);
  const copy = await t.storage.reseal('job', { root: live, dataKey: key }, target, quiet, NEVER);
  await t.reopen();
  const before = (await readdir(join(t.dir, 'segments'))).length;
  const collected = await t.storage.collectGarbage(async () => [live]);
  assert.ok(collected.segmentsDeleted > 0 && collected.bytesFreed >= 3 * BLOCK);
  assert.equal((await readdir(join(t.dir, 'segments'))).length, before - collected.segmentsDeleted);
  await t.reopen();
  await assert.rejects(t.storage.readBlock({ root: dead, dataKey: key }, 0), IntegrityError);
  await assertHolds(t, { root: live, dataKey: key }, kept);
  await assertHolds(t, { root: copy, dataKey: target }, kept); // held by its unfinished job
  const root = await t.db.write((tx) => t.storage.completeUpload(tx, snapshotId('snap-3')));
  await assertHolds(t, { root, dataKey: key }, new Map([[0, kept.get(0)!]]));
  // A second collection, with nothing alive, takes everything.
  await t.db.write((tx) => t.storage.finishReseal(tx, 'job'));
  await t.reopen();
  await t.storage.collectGarbage(async () => []);
  assert.deepEqual(await readdir(join(t.dir, 'segments')), []);
});

test('collection during uploads and completions takes nothing that they use', async () => {
  await using t = await openTestStorage();
  const roots: MapRoot[] = [];
  const contents: Map<number, Buffer>[] = [];
  let uploading = true;
  const collector = (async () => {
    while (uploading) await t.storage.collectGarbage(async () => [...roots]);
  })();
  for (let round = 0; round < 12; round++) {
    const blocks = randomBlocks([0, round, 256 + round, 70_000]);
    const name = `snap-${round}`;
    await Promise.all([...blocks].map(([i, b]) => t.storage.putBlock(snapshotId(name), key, i, Buffer.from(b))));
    await t.db.write(async (tx) => {
      const root = await t.storage.completeUpload(tx, snapshotId(name), roots.at(-1));
      tx.afterCommit(() => roots.push(root));
    });
    contents.push(new Map([...(contents.at(-1) ?? []), ...blocks]));
  }
  uploading = false;
  await collector;
  await t.reopen();
  for (const [i, root] of roots.entries()) await assertHolds(t, { root, dataKey: key }, contents[i]!);
});

test('no plaintext of a block is found in any file', async () => {
  await using t = await openTestStorage();
  const marker = Buffer.from('a marker that is easy to find 0123456789');
  const root = await upload(t, 'snap-1', new Map([[0, Buffer.alloc(BLOCK, marker)]]));
  await t.storage.reseal('job', { root, dataKey: key }, testKey(2), quiet, NEVER);
  let files = 0;
  for (const entry of await readdir(t.dir, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    files++;
    assert.ok(!(await readFile(join(entry.parentPath, entry.name))).includes(marker.subarray(0, 16)), entry.name);
  }
  assert.ok(files >= 3);
});

test('collection spares the blocks of an upload that goes on, on their own and after a restart', async () => {
  await using t = await openTestStorage();
  const blocks = randomBlocks([0, 1, 70_000]);
  const snap = snapshotId('snap-1');
  for (const [index, content] of blocks) await t.storage.putBlock(snap, key, index, Buffer.from(content));
  await t.reopen();
  assert.equal((await t.storage.collectGarbage(async () => [])).segmentsDeleted, 0);
  const root = await t.db.write((tx) => t.storage.completeUpload(tx, snap));
  await assertHolds(t, { root, dataKey: key }, blocks);
  // Dropped, they go.
  const dropped = snapshotId('snap-2');
  await t.storage.putBlock(dropped, key, 0, randomBytes(BLOCK));
  await t.db.write((tx) => t.storage.dropUpload(tx, dropped));
  await t.reopen();
  const collected = await t.storage.collectGarbage(async () => [root]);
  assert.deepEqual(collected, { segmentsDeleted: 1, bytesFreed: 4096 + BLOCK });
});

test('collection waits for blocks that are sealed and not yet named by a row', async () => {
  await using t = await openTestStorage();
  // A key of its own for each upload: so many that segments close right after their only block.
  const uploads = Array.from({ length: 100 }, (_, i) => ({
    name: snapshotId(`snap-${i}`),
    dataKey: { id: `key-${i}` as DataKeyId, secret: key.secret },
    content: randomBytes(BLOCK),
  }));
  const gate = () => Promise.withResolvers<void>();
  const [first, second, begun] = [gate(), gate(), gate()];
  // Transactions run in the order of their asking: first, the collection's number, second, the rows of the blocks.
  const writes = [t.db.write(() => first.promise)];
  let marking = false;
  const collection = t.storage.collectGarbage(async () => {
    marking = true;
    return [];
  });
  await Promise.resolve();
  writes.push(
    t.db.write(() => {
      begun.resolve();
      return second.promise;
    }),
  );
  const puts = uploads.map(({ name, dataKey, content }) => t.storage.putBlock(name, dataKey, 0, Buffer.from(content)));
  const folder = join(t.dir, 'segments');
  while ((await readdir(folder)).length < uploads.length) await roundTrip(t);
  first.resolve();
  await begun.promise;
  for (let i = 0; i < 300; i++) await roundTrip(t);
  const markedEarly = marking;
  second.resolve();
  await Promise.all([...writes, ...puts, collection]);
  assert.equal(markedEarly, false);
  for (const { name, dataKey, content } of uploads) {
    const root = await t.db.write((tx) => t.storage.completeUpload(tx, name));
    await assertHolds(t, { root, dataKey }, new Map([[0, content]]));
  }
});

/** To a block worker and back, storing nothing. */
async function roundTrip(t: TestStorage): Promise<void> {
  await t.storage.putBlock(snapshotId('snap-none'), key, 0, Buffer.alloc(BLOCK), Buffer.alloc(32));
}
