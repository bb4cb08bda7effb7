/** Maps of pages against plain maps, by properties. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { IntegrityError } from '../errors.ts';
import {
  compare,
  countBlocks,
  findBlock,
  type LeafChange,
  leaves,
  mark,
  mergeLeaf,
  type PageSink,
  type PageSource,
  walk,
  withLeaves,
} from './block-map.ts';
import { dataEntry, type Entry, zeroEntry } from './entry.ts';
import { blockCountOf, checkPage, EMPTY_ROOT, EMPTY_ROOT_PAGE, encodeLeaf, type Page, pageId } from './map-page.ts';

class MemoryPages implements PageSource, PageSink {
  readonly pages = new Map([[EMPTY_ROOT, EMPTY_ROOT_PAGE]]);
  loads = 0;
  async load(id: string, level: number): Promise<Page> {
    this.loads++;
    const page = this.pages.get(id);
    if (!page) throw new IntegrityError(`map page ${id}`);
    return checkPage(id, page, level);
  }
  async save(id: string, page: Page): Promise<void> {
    this.pages.set(id, page);
  }
}

async function withBlocks(store: MemoryPages, root: string, blocks: Map<number, Entry>): Promise<string> {
  const groups = Map.groupBy(
    [...blocks].sort(([a], [b]) => a - b),
    ([index]) => Math.floor(index / 256),
  );
  const changes: LeafChange[] = [];
  for (const [number, items] of groups) {
    let old: Page | undefined;
    for await (const leaf of leaves(store, root, number)) {
      if (leaf.number === number) old = await store.load(leaf.id, 0);
      break;
    }
    const page = mergeLeaf(
      old,
      items.map(([index, entry]) => ({ position: index % 256, entry })),
    );
    await store.save(pageId(page), page);
    changes.push({ number, id: pageId(page), blockCount: blockCountOf(page) });
  }
  return withLeaves(store, store, root, changes);
}

const someEntry = (): Entry =>
  randomBytes(1)[0]! < 40 ? zeroEntry() : dataEntry(randomBytes(16), randomBytes(1)[0]!, randomBytes(16));
const edge = fc.constantFrom(0, 1, 254, 255, 256, 257, 65_535, 65_536, 16_777_215, 16_777_216, 2 ** 32 - 1);
const index = fc.oneof(edge, fc.nat(600), fc.nat(2 ** 32 - 1));
const indexes = fc.uniqueArray(index, { maxLength: 40 });
const ascending = (map: Map<number, Entry>): [number, Entry][] => [...map].sort(([a], [b]) => a - b);

test('a map finds, counts and walks what a plain map holds, from any start', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(indexes, { minLength: 1, maxLength: 4 }), index, async (rounds, start) => {
      const store = new MemoryPages();
      const truth = new Map<number, Entry>();
      let root: string = EMPTY_ROOT;
      for (const round of rounds) {
        const changes = new Map(round.map((at) => [at, someEntry()]));
        for (const [at, entry] of changes) truth.set(at, entry);
        root = await withBlocks(store, root, changes);
      }
      assert.equal(await countBlocks(store, root), truth.size);
      for (const at of [...truth.keys(), start]) assert.deepEqual(await findBlock(store, root, at), truth.get(at));
      const walked = await Array.fromAsync(walk(store, root, start), (found) => [found.index, found.entry]);
      assert.deepEqual(
        walked,
        ascending(truth).filter(([at]) => at >= start),
      );
      // The same content by another way has the same root.
      assert.equal(await withBlocks(new MemoryPages(), EMPTY_ROOT, truth), root);
    }),
    { numRuns: 60 },
  );
});

test('comparing finds exactly the blocks that differ, from any start, in both directions', async () => {
  await fc.assert(
    fc.asyncProperty(indexes, indexes, indexes, index, async (shared, onlyFirst, onlySecond, start) => {
      const store = new MemoryPages();
      const parent = new Map(shared.map((at) => [at, someEntry()]));
      const sides = [onlyFirst, onlySecond].map((side) => new Map(side.map((at) => [at, someEntry()])));
      const root = await withBlocks(store, EMPTY_ROOT, parent);
      const [a, b] = await Promise.all(sides.map((side) => withBlocks(store, root, side)));
      const [first, second] = sides.map((side) => new Map([...parent, ...side]));
      const expected = [...new Set([...first!.keys(), ...second!.keys()])]
        .filter((at) => at >= start && first!.get(at) !== second!.get(at))
        .sort((x, y) => x - y)
        .map((at) => [at, first!.get(at), second!.get(at)]);
      const found = await Array.fromAsync(compare(store, a!, b!, start), (c) => [c.index, c.first, c.second]);
      assert.deepEqual(found, expected);
      const reverse = await Array.fromAsync(compare(store, b!, a!, start), (c) => [c.index, c.second, c.first]);
      assert.deepEqual(reverse, expected);
    }),
    { numRuns: 60 },
  );
});

test('comparing loads what differs and not what is shared', async () => {
  const store = new MemoryPages();
  const blocks = new Map(Array.from({ length: 200 }, (_, i) => [i * 256, someEntry()]));
  const root = await withBlocks(store, EMPTY_ROOT, blocks);
  const child = await withBlocks(store, root, new Map([[512, someEntry()]]));
  store.loads = 0;
  assert.equal((await Array.fromAsync(compare(store, root, child))).length, 1);
  assert.equal(store.loads, 8);
});

test('marking reaches every page of a map once', async () => {
  const store = new MemoryPages();
  const root = await withBlocks(store, EMPTY_ROOT, new Map([0, 256, 70_000].map((at) => [at, someEntry()])));
  const seen = new Set<string>([]);
  let leafCount = 0;
  await mark(store, root, seen, () => leafCount++);
  await mark(store, root, seen, () => leafCount++);
  assert.equal(leafCount, 3);
  assert.equal(seen.size, store.pages.size - 1);
});

test('a page that is not what its name says is an IntegrityError', () => {
  const page = encodeLeaf([{ position: 3, entry: someEntry() }]);
  const id = pageId(page);
  assert.doesNotThrow(() => checkPage(id, page, 0));
  for (let at = 0; at < page.byteLength; at++) {
    const changed = Buffer.from(page);
    changed[at]! ^= 1;
    assert.throws(() => checkPage(id, changed, 0), IntegrityError);
  }
  assert.throws(() => checkPage(id, page, 1), IntegrityError);
  assert.throws(() => checkPage(id, page.subarray(0, 7), 0), IntegrityError);
});

interface Vector {
  readonly root: string;
  readonly pages: readonly { readonly id: string; readonly bytes: string }[];
  readonly blocks: readonly (readonly [index: number, entry: string | null])[];
}

test('maps are as a second implementation has them: made alike, and read alike', async () => {
  const file = new URL('../../test/vectors/formats/block-map.json', import.meta.url);
  const { tests } = JSON.parse(readFileSync(file, 'utf8')) as { tests: readonly Vector[] };
  for (const { root, pages, blocks } of tests) {
    const given = new MemoryPages();
    for (const { id, bytes } of pages) await given.save(id, Buffer.from(bytes, 'hex'));
    const held = new Map<number, Entry>();
    for (const [index, expected] of blocks) {
      const found = await findBlock(given, root, index);
      assert.equal(found ? Buffer.from(found).toString('hex') : null, expected, `block ${index}`);
      if (expected !== null) held.set(index, Buffer.from(expected, 'hex'));
    }
    assert.equal(await withBlocks(new MemoryPages(), EMPTY_ROOT, held), root);
  }
});
