/**
 * AES-256-GCM for blocks in segments, where speed decides: ciphertext and tag apart, results freed at once.
 *
 * Why no nonce repeats under a key: the key is derived from the data key and the segment's random 128-bit id, so
 * it belongs to one segment; the nonce is the slot number; a slot is sealed at most once, because only the writer that
 * created the segment gives slots out, counting up, and counts a slot as used before it seals it, whether or not the
 * write succeeds. After a restart no old segment is appended to: new blocks go to new segments with new ids.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';
import { encodeFields } from './fields.ts';

export const BLOCK_TAG_BYTES = 16;
const FORMAT_VERSION = 1;
const SEGMENT_KEY_INFO = 'ingot block v1';

/** What a sealed block is bound to. */
export interface BlockPlace {
  readonly dataKeyId: string;
  /** 16 bytes. */
  readonly segment: Uint8Array;
  readonly slot: number;
}

/** The key of one segment: HKDF-SHA-256 of the data key, info `ingot block v1` and the segment id. */
export function deriveSegmentKey(dataKey: KeyObject, segment: Uint8Array): KeyObject {
  const info = Buffer.concat([Buffer.from(SEGMENT_KEY_INFO), segment]);
  const bytes = new Uint8Array(hkdfSync('sha256', dataKey, new Uint8Array(0), info, 32));
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

function nonceOf(slot: number): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(slot, 8);
  return nonce;
}

function aadOf(place: BlockPlace): Uint8Array {
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(FORMAT_VERSION, 0);
  numbers.writeUInt32BE(place.slot, 4);
  return encodeFields([
    ['format', numbers.subarray(0, 4)],
    ['data-key', place.dataKeyId],
    ['segment', place.segment],
    ['slot', numbers.subarray(4, 8)],
  ]);
}

/** Seals into `target` (as long as `plaintext`) and gives the tag. */
export function sealBlockInto(
  segmentKey: KeyObject,
  place: BlockPlace,
  plaintext: Uint8Array,
  target: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', segmentKey, nonceOf(place.slot), { authTagLength: BLOCK_TAG_BYTES });
  cipher.setAAD(aadOf(place));
  const body = cipher.update(plaintext);
  target.set(body);
  release(body);
  cipher.final();
  return cipher.getAuthTag();
}

/** The plaintext in memory of its own, or `undefined` where the tag does not hold. */
export function openBlock(
  segmentKey: KeyObject,
  place: BlockPlace,
  ciphertext: Uint8Array,
  tag: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  const decipher = createDecipheriv('aes-256-gcm', segmentKey, nonceOf(place.slot), {
    authTagLength: BLOCK_TAG_BYTES,
  });
  decipher.setAAD(aadOf(place));
  decipher.setAuthTag(tag);
  const body = decipher.update(ciphertext) as Buffer<ArrayBuffer>;
  try {
    decipher.final();
  } catch {
    body.fill(0);
    release(body);
    return undefined;
  }
  return body;
}

/** Gives a large buffer's memory back now: left to the garbage collector, cipher results halve the throughput. */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (buffer instanceof ArrayBuffer && !buffer.detached && buffer.byteLength === bytes.byteLength) buffer.transfer(0);
}
