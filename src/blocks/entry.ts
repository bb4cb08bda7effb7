/**
 * Where one block of a map is: 37 bytes that maps, uploads and messages between threads share.
 *
 *     u8 kind (1 data, 2 zero), 16 bytes segment id, u32 slot, 16 bytes GCM tag
 *
 * A zero block is written but not stored: its segment id is random and names nothing, its slot and tag are zero, so that
 * writing zeros again is a change that can be told (E-9).
 */
import { randomBytes } from '../crypto/random.ts';

export const ENTRY_BYTES = 37;
export const IDENTITY_BYTES = 21;
const KIND_DATA = 1;
const KIND_ZERO = 2;

/** A view of {@link ENTRY_BYTES} bytes. */
export type Entry = Uint8Array;

export function dataEntry(segment: Uint8Array, slot: number, tag: Uint8Array): Entry {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry[0] = KIND_DATA;
  entry.set(segment, 1);
  entry.writeUInt32BE(slot, 17);
  entry.set(tag, 21);
  return entry;
}

export function zeroEntry(): Entry {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry[0] = KIND_ZERO;
  entry.set(randomBytes(16), 1);
  return entry;
}

export const isZeroEntry = (entry: Entry): boolean => entry[0] === KIND_ZERO;
export const isDataEntry = (entry: Entry): boolean => entry[0] === KIND_DATA;
export const segmentOf = (entry: Entry): Uint8Array => entry.subarray(1, 17);
export const slotOf = (entry: Entry): number =>
  ((entry[17]! << 24) | (entry[18]! << 16) | (entry[19]! << 8) | entry[20]!) >>> 0;
export const tagOf = (entry: Entry): Uint8Array => entry.subarray(21, 37);

/** What names the block: kind, segment and slot, in memory of its own. */
export const identityOf = (entry: Entry): Uint8Array => entry.slice(0, IDENTITY_BYTES);

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
