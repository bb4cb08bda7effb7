/**
 * Pages of block maps: immutable, named by their SHA-256, searched as they are, without decoding.
 *
 *     0 4 magic `IMP1`    4 1 level (0 leaf)    5 1 zero    6 2 entry count    then entries, ascending by position
 *     leaf entry:  u8 position, 37 bytes block entry                             (38)
 *     inner entry: u8 position, 32 bytes page id of the child, u32 blocks in it   (37)
 *
 * A map always has {@link ROOT_LEVEL} levels above its leaves, so equal contents have equal roots. Position is the
 * byte of the block index that belongs to the level. docs/formats/block-map.md.
 */
import { sha256Hex } from '../crypto/hash.ts';
import { IntegrityError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { ENTRY_BYTES, type Entry, hex } from './entry.ts';

export const ROOT_LEVEL = 3;
const MAGIC = 0x494d5031;
const HEADER_BYTES = 8;
const LEAF_ENTRY_BYTES = 1 + ENTRY_BYTES;
const INNER_ENTRY_BYTES = 37;
const FANOUT = LIMITS.mapPageBlocks;

export type Page = Buffer;
/** SHA-256 of a page in hex. */
export type PageId = string;
export const pageId = (page: Page): PageId => sha256Hex(page);

export interface Child {
  readonly position: number;
  readonly id: PageId;
  readonly blockCount: number;
}
export interface LeafItem {
  readonly position: number;
  readonly entry: Entry;
}

/** Position of `index` in a page of `level`. */
export const positionOf = (index: number, level: number): number => Math.floor(index / FANOUT ** level) % FANOUT;
/** Blocks below one entry of a page of `level`. */
export const spanOf = (level: number): number => FANOUT ** level;

function newPage(level: number, count: number, entryBytes: number): Page {
  const page = Buffer.alloc(HEADER_BYTES + count * entryBytes);
  page.writeUInt32BE(MAGIC, 0);
  page[4] = level;
  page.writeUInt16BE(count, 6);
  return page;
}

export function encodeLeaf(items: readonly LeafItem[]): Page {
  const page = newPage(0, items.length, LEAF_ENTRY_BYTES);
  items.forEach(({ position, entry }, i) => {
    page[HEADER_BYTES + i * LEAF_ENTRY_BYTES] = position;
    page.set(entry, HEADER_BYTES + i * LEAF_ENTRY_BYTES + 1);
  });
  return page;
}

export function encodeInner(level: number, children: readonly Child[]): Page {
  const page = newPage(level, children.length, INNER_ENTRY_BYTES);
  children.forEach(({ position, id, blockCount }, i) => {
    const at = HEADER_BYTES + i * INNER_ENTRY_BYTES;
    page[at] = position;
    page.write(id, at + 1, 'hex');
    page.writeUInt32BE(blockCount, at + 33);
  });
  return page;
}

const entryBytesOf = (page: Page): number => (page[4] === 0 ? LEAF_ENTRY_BYTES : INNER_ENTRY_BYTES);
export const countOf = (page: Page): number => page.readUInt16BE(6);

/** First place in the page with a position of at least `position`. */
function lowerBound(page: Page, position: number): number {
  const size = entryBytesOf(page);
  let low = 0;
  for (let high = countOf(page); low < high; ) {
    const middle = (low + high) >> 1;
    if (page[HEADER_BYTES + middle * size]! < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

function itemAt(page: Page, i: number): LeafItem {
  const at = HEADER_BYTES + i * LEAF_ENTRY_BYTES;
  return { position: page[at]!, entry: page.subarray(at + 1, at + LEAF_ENTRY_BYTES) };
}
function childAt(page: Page, i: number): Child {
  const at = HEADER_BYTES + i * INNER_ENTRY_BYTES;
  return { position: page[at]!, id: hex(page.subarray(at + 1, at + 33)), blockCount: page.readUInt32BE(at + 33) };
}

export function findItem(page: Page, position: number): Entry | undefined {
  const i = lowerBound(page, position);
  if (i === countOf(page)) return undefined;
  const item = itemAt(page, i);
  return item.position === position ? item.entry : undefined;
}
export function findChild(page: Page, position: number): Child | undefined {
  const i = lowerBound(page, position);
  if (i === countOf(page)) return undefined;
  const child = childAt(page, i);
  return child.position === position ? child : undefined;
}

/** Entries of a leaf from `position` on; views into the page. */
export function* itemsFrom(page: Page, position = 0): Generator<LeafItem> {
  for (let i = lowerBound(page, position); i < countOf(page); i++) yield itemAt(page, i);
}
export function* childrenFrom(page: Page, position = 0): Generator<Child> {
  for (let i = lowerBound(page, position); i < countOf(page); i++) yield childAt(page, i);
}

export function blockCountOf(page: Page): number {
  if (page[4] === 0) return countOf(page);
  let sum = 0;
  for (const child of childrenFrom(page)) sum += child.blockCount;
  return sum;
}

export const EMPTY_ROOT_PAGE: Page = encodeInner(ROOT_LEVEL, []);
export const EMPTY_ROOT: PageId = pageId(EMPTY_ROOT_PAGE);

/** A page as stored, checked against its name and its own lengths. */
export function checkPage(id: PageId, bytes: Uint8Array, level: number): Page {
  const page = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sound =
    page.byteLength >= HEADER_BYTES &&
    page.readUInt32BE(0) === MAGIC &&
    page[4] === level &&
    page.byteLength === HEADER_BYTES + countOf(page) * entryBytesOf(page) &&
    pageId(page) === id;
  if (!sound) throw new IntegrityError(`map page ${id}`);
  return page;
}
