/**
 * Block maps as immutable radix trees of pages: finding, listing, comparing, and building new ones that share every
 * page that did not change. Knows no database: pages come from a {@link PageSource} and go to a {@link PageSink}.
 */
import { LIMITS } from '../limits.ts';
import type { Entry } from './entry.ts';
import {
  blockCountOf,
  type Child,
  childrenFrom,
  EMPTY_ROOT,
  EMPTY_ROOT_PAGE,
  encodeInner,
  encodeLeaf,
  findChild,
  findItem,
  itemsFrom,
  type Page,
  type PageId,
  pageId,
  positionOf,
  ROOT_LEVEL,
  spanOf,
} from './map-page.ts';

export interface PageSource {
  /** Throws IntegrityError where the page is missing or not what its name says. */
  load(id: PageId, level: number): Promise<Page>;
}
export interface PageSink {
  /** Stores a page under its name; a page that is there already is made young again for the collector. */
  save(id: PageId, page: Page): Promise<void>;
}

export interface Found {
  readonly index: number;
  readonly entry: Entry;
}
export interface Difference {
  readonly index: number;
  readonly first?: Entry;
  readonly second?: Entry;
}

export async function findBlock(source: PageSource, root: PageId, index: number): Promise<Entry | undefined> {
  if (index < 0 || index >= spanOf(ROOT_LEVEL + 1)) return undefined;
  let id = root;
  for (let level = ROOT_LEVEL; level > 0; level--) {
    const child = findChild(await source.load(id, level), positionOf(index, level));
    if (!child) return undefined;
    id = child.id;
  }
  return findItem(await source.load(id, 0), positionOf(index, 0));
}

export async function countBlocks(source: PageSource, root: PageId): Promise<number> {
  return blockCountOf(await source.load(root, ROOT_LEVEL));
}

/** Every block from `startIndex` on, ascending. */
export async function* walk(source: PageSource, root: PageId, startIndex = 0): AsyncGenerator<Found> {
  for await (const leaf of leaves(source, root, Math.floor(startIndex / LIMITS.mapPageBlocks))) {
    const first = leaf.number * LIMITS.mapPageBlocks;
    for (const { position, entry } of itemsFrom(await source.load(leaf.id, 0), Math.max(0, startIndex - first))) {
      yield { index: first + position, entry };
    }
  }
}

export interface LeafRef {
  /** Block index of its first place, divided by LIMITS.mapPageBlocks. */
  readonly number: number;
  readonly id: PageId;
  readonly blockCount: number;
}

/** Every leaf from number `from` on, ascending, without loading the leaves. */
export async function* leaves(source: PageSource, root: PageId, from = 0): AsyncGenerator<LeafRef> {
  yield* below(source, root, ROOT_LEVEL, 0, from);
}

/** `number` counts pages of this level; `from` is a leaf number. */
async function* below(
  source: PageSource,
  id: PageId,
  level: number,
  number: number,
  from: number,
): AsyncGenerator<LeafRef> {
  const span = spanOf(level - 1);
  const page = await source.load(id, level);
  const skipped = Math.floor(from / span) - number * LIMITS.mapPageBlocks;
  for (const child of childrenFrom(page, Math.max(0, skipped))) {
    const childNumber = number * LIMITS.mapPageBlocks + child.position;
    if (level === 1) yield { number: childNumber, id: child.id, blockCount: child.blockCount };
    else yield* below(source, child.id, level - 1, childNumber, from);
  }
}

/** Where two maps differ, ascending from `startIndex`; equal pages are not even loaded (E-9). */
export async function* compare(
  source: PageSource,
  first: PageId,
  second: PageId,
  startIndex = 0,
): AsyncGenerator<Difference> {
  yield* differences(source, first, second, ROOT_LEVEL, 0, startIndex);
}

async function* differences(
  source: PageSource,
  first: PageId | undefined,
  second: PageId | undefined,
  level: number,
  base: number,
  startIndex: number,
): AsyncGenerator<Difference> {
  if (first === second) return;
  const span = spanOf(level);
  const from = Math.max(0, Math.floor((startIndex - base) / span));
  const [a, b] = [first && (await source.load(first, level)), second && (await source.load(second, level))];
  if (level === 0) {
    for (const [position, x, y] of joined(a ? itemsFrom(a, from) : [], b ? itemsFrom(b, from) : [])) {
      if (x && y && Buffer.compare(x.entry, y.entry) === 0) continue;
      yield { index: base + position, ...(x && { first: x.entry }), ...(y && { second: y.entry }) };
    }
    return;
  }
  for (const [position, x, y] of joined(a ? childrenFrom(a, from) : [], b ? childrenFrom(b, from) : [])) {
    yield* differences(source, x?.id, y?.id, level - 1, base + position * span, startIndex);
  }
}

/** Merges two lists that ascend by position. */
function* joined<Item extends { readonly position: number }>(
  first: Iterable<Item>,
  second: Iterable<Item>,
): Generator<[number, Item | undefined, Item | undefined]> {
  const [left, right] = [first[Symbol.iterator](), second[Symbol.iterator]()];
  let [a, b] = [left.next(), right.next()];
  while (!a.done || !b.done) {
    const position = Math.min(a.done ? Infinity : a.value.position, b.done ? Infinity : b.value.position);
    const x = !a.done && a.value.position === position ? a.value : undefined;
    const y = !b.done && b.value.position === position ? b.value : undefined;
    yield [position, x, y];
    if (x) a = left.next();
    if (y) b = right.next();
  }
}

/** A leaf with `changes` (ascending) laid over what `old` holds. */
export function mergeLeaf(old: Page | undefined, changes: Iterable<{ position: number; entry: Entry }>): Page {
  const items = [];
  for (const [, before, after] of joined(old ? itemsFrom(old) : [], changes)) items.push((after ?? before)!);
  return encodeLeaf(items);
}

/** A changed leaf by number; `undefined` for `id` removes it. */
export interface LeafChange {
  readonly number: number;
  readonly id: PageId;
  readonly blockCount: number;
}

/** The map `root` with some leaves exchanged. `changes` ascend by number; their pages are saved already. */
export async function withLeaves(
  source: PageSource,
  sink: PageSink,
  root: PageId,
  changes: readonly LeafChange[],
): Promise<PageId> {
  if (changes.length === 0) return root;
  const child = await rebuilt(source, sink, root, ROOT_LEVEL, changes);
  return child.id;
}

async function rebuilt(
  source: PageSource,
  sink: PageSink,
  old: PageId | undefined,
  level: number,
  changes: readonly LeafChange[],
): Promise<{ id: PageId; blockCount: number }> {
  const groups = new Map<number, LeafChange[]>();
  for (const change of changes) {
    const position = positionOf(change.number, level - 1);
    const group = groups.get(position);
    if (group) group.push(change);
    else groups.set(position, [change]);
  }
  const oldPage = old === undefined ? undefined : await source.load(old, level);
  const before = new Map<number, Child>(
    oldPage ? [...childrenFrom(oldPage)].map((child) => [child.position, child]) : [],
  );
  const children = [...before.values()].filter((child) => !groups.has(child.position));
  for (const [position, group] of groups) {
    const child = level === 1 ? group.at(-1)! : await rebuilt(source, sink, before.get(position)?.id, level - 1, group);
    if (child.blockCount > 0) children.push({ position, id: child.id, blockCount: child.blockCount });
  }
  children.sort((a, b) => a.position - b.position);
  const page = encodeInner(level, children);
  const id = pageId(page);
  if (id !== EMPTY_ROOT) await sink.save(id, page);
  return { id, blockCount: blockCountOf(page) };
}

/** Every page below `root` that `seen` has not: calls `onLeaf` with new leaves. For the collector. */
export async function mark(
  source: PageSource,
  root: PageId,
  seen: Set<PageId>,
  onLeaf: (page: Page) => void,
  level = ROOT_LEVEL,
): Promise<void> {
  if (seen.has(root)) return;
  seen.add(root);
  const page = root === EMPTY_ROOT ? EMPTY_ROOT_PAGE : await source.load(root, level);
  if (level === 0) return onLeaf(page);
  for (const child of childrenFrom(page)) await mark(source, child.id, seen, onLeaf, level - 1);
}
