/** Proof from stored bytes: what inspection tells of maps that are whole, and of every way in which one is not. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { scanFile } from '../../src/blocks/file-scan.ts';
import { chiSquareOf } from '../../src/blocks/inspection.ts';
import { CHI_SQUARE } from '../../src/verification/verification-report.ts';
import type { StorageTables } from '../../src/volumes/storage/tables.ts';
import type { MapRoot } from '../../src/volumes/storage.ts';
import { BLOCK, NEVER, openTestStorage, snapshotId, type TestStorage, testKey } from './storage-model.ts';

const key = testKey(1);

async function upload(t: TestStorage, name: string, blocks: ReadonlyMap<number, Buffer>): Promise<MapRoot> {
  await Promise.all(
    [...blocks].map(([index, content]) => t.storage.putBlock(snapshotId(name), key, index, Buffer.from(content))),
  );
  return t.db.write((tx) => t.storage.completeUpload(tx, snapshotId(name)));
}

/** Blocks over several leaves and inner pages, one of them zeros; plain text, which only a seal makes random. */
const INDEXES = [...Array.from({ length: 40 }, (_, at) => at), 255, 256, 65_536, 16_777_216];
const contents = () => {
  const blocks = new Map(INDEXES.map((index) => [index, Buffer.alloc(BLOCK, `block ${index} `)]));
  return blocks.set(300, Buffer.alloc(BLOCK));
};

const inspect = (t: TestStorage, root: MapRoot, dataKey = key, onProgress: (fraction: number) => void = () => {}) =>
  t.storage.inspectMap({ root, dataKey }, CHI_SQUARE, onProgress, NEVER);

test('a whole map is told so, before and after a restart', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', contents());
  for (const again of [false, true]) {
    if (again) await t.reopen();
    const seen: number[] = [];
    const proof = await inspect(t, root, key, (fraction) => seen.push(fraction));
    assert.deepEqual(proof.blocks, { listed: INDEXES.length + 1, zero: 1, authenticated: INDEXES.length });
    assert.deepEqual([proof.faults, proof.outside], [[], []]);
    assert.equal(proof.chiSquare.blocks, INDEXES.length);
    assert.deepEqual([proof.examples[0]?.index, proof.examples.at(-1)?.index], [0, 16_777_216]);
    assert.ok(seen.every((fraction, at) => fraction >= (seen[at - 1] ?? 0)) && seen.at(-1) === 1);
    assert.deepEqual(await t.storage.orphanedSegments(key.id, async () => [root]), []);
  }
});

test('the empty map has nothing that could be wrong', async () => {
  await using t = await openTestStorage();
  const proof = await inspect(t, t.storage.emptyMap);
  assert.deepEqual(proof.blocks, { listed: 0, zero: 0, authenticated: 0 });
  assert.deepEqual([proof.faultCount, proof.examples], [0, []]);
});

test('another data key opens nothing: by its id, and by its bytes alone', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', contents());
  const other = await inspect(t, root, testKey(2));
  assert.ok(
    other.faults.length === INDEXES.length && other.faults.every(({ problem }) => problem === 'segment-header'),
  );
  const disguised = await inspect(t, root, { ...testKey(2), id: key.id });
  assert.ok(disguised.faults.every(({ problem }) => problem === 'block-damaged'));
  assert.equal(disguised.blocks.authenticated, 0);
});

test('a page of the map that is gone, or another than its name says, is a fault of its own', async () => {
  for (const damage of ['gone', 'changed'] as const) {
    await using t = await openTestStorage();
    const root = await upload(t, 'snap-1', contents());
    await t.db.write(async (tx) => {
      const tables = tx.as<StorageTables>();
      const leaf = await tables
        .selectFrom('storage_pages')
        .select(['id', 'bytes'])
        .where('level', '=', 0)
        .executeTakeFirstOrThrow();
      if (damage === 'gone') await tables.deleteFrom('storage_pages').where('id', '=', leaf.id).execute();
      else {
        const bytes = Uint8Array.from(leaf.bytes);
        bytes[20]! ^= 1;
        await tables.updateTable('storage_pages').set({ bytes }).where('id', '=', leaf.id).execute();
      }
    });
    // The page is in memory still: what is on disk counts.
    const proof = await inspect(t, root);
    assert.deepEqual(proof.faults, [{ problem: 'map-damaged' }], damage);
    assert.equal(proof.blocks.authenticated, proof.blocks.listed - proof.blocks.zero);
  }
});

test('an inspection that is stopped ends', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', contents());
  const stopped = AbortSignal.abort(new Error('stopped'));
  await assert.rejects(
    t.storage.inspectMap({ root, dataKey: key }, CHI_SQUARE, () => {}, stopped),
    /stopped/,
  );
  await assert.rejects(
    t.storage.findMarker(Buffer.from('marker'), () => {}, stopped),
    /stopped/,
  );
});

test('segments that no map names are orphans of their own data key only', async () => {
  await using t = await openTestStorage();
  const root = await upload(t, 'snap-1', contents());
  await t.reopen();
  const orphans = await t.storage.orphanedSegments(key.id, async () => []);
  // The pages of the map are young until the next collection, and hold what they name.
  assert.deepEqual(orphans, []);
  await t.storage.collectGarbage(async () => [root]);
  assert.equal((await t.storage.orphanedSegments(key.id, async () => [])).length > 0, true);
  assert.deepEqual(await t.storage.orphanedSegments(testKey(2).id, async () => []), []);
  assert.deepEqual(await t.storage.orphanedSegments(key.id, async () => [root]), []);
});

test('chi-square: random bytes lie within the bounds, text and what is too even do not', () => {
  const within = (bytes: Uint8Array) => {
    const value = chiSquareOf(bytes);
    return value >= CHI_SQUARE.low && value <= CHI_SQUARE.high;
  };
  for (let round = 0; round < 64; round++) assert.ok(within(randomBytes(BLOCK)));
  assert.ok(!within(Buffer.alloc(BLOCK)));
  assert.ok(!within(Buffer.alloc(BLOCK, 'some text of the house ')));
  assert.ok(!within(Buffer.from(randomBytes(BLOCK).toString('base64')).subarray(0, BLOCK)));
  assert.ok(!within(Buffer.from(Array.from({ length: BLOCK }, (_, at) => at & 255))));
});

test('a marker is found at every place of a file, whatever the size of the pieces', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-scan-'));
  const path = join(dir, 'file');
  try {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 9 }),
        fc.array(fc.uint8Array({ maxLength: 30 }), { maxLength: 6 }),
        fc.integer({ min: 1, max: 40 }),
        async (marker, parts, pieceBytes) => {
          const bytes = Buffer.concat(parts.flatMap((part) => [Buffer.from(part), Buffer.from(marker)]));
          await writeFile(path, bytes);
          const places: number[] = [];
          for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) places.push(at);
          assert.deepEqual(await scanFile(path, marker, pieceBytes), {
            bytes: bytes.length,
            places: places.slice(0, 16),
          });
        },
      ),
      { verbose: 1 },
    );
    assert.equal(await scanFile(join(dir, 'gone'), Buffer.from('x')), undefined);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
