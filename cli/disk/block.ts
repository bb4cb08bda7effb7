/** The unit of the EBS direct APIs (E-1). */
export const BLOCK_BYTES = 524_288;
export const GIB = 2 ** 30;
export const BLOCKS_PER_GIB = GIB / BLOCK_BYTES;

const ZEROES = Buffer.alloc(BLOCK_BYTES);

/** `block` is one whole block. */
export function isZero(block: Uint8Array): boolean {
  return ZEROES.equals(block);
}

/** On a thread of the pool, so that blocks are hashed side by side. */
export async function sha256(block: Uint8Array<ArrayBuffer>): Promise<Buffer> {
  return Buffer.from(await globalThis.crypto.subtle.digest('SHA-256', block));
}
