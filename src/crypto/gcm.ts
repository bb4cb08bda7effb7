/**
 * AES-256-GCM with a nonce given by the caller. Not for direct use outside `crypto/`: whoever calls this has to argue
 * that no nonce repeats under a key, as {@link file://./aead.ts} does for small messages.
 */
import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

export const GCM_NONCE_BYTES = 12;
export const GCM_TAG_BYTES = 16;

/** Ciphertext followed by the 16-byte tag. */
export function gcmSeal(key: KeyObject, nonce: Uint8Array, aad: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: GCM_TAG_BYTES });
  cipher.setAAD(aad);
  const body = cipher.update(plaintext);
  cipher.final();
  return Buffer.concat([body, cipher.getAuthTag()]);
}

/** The plaintext, or `undefined` where the tag does not hold; nothing unauthenticated is ever given out. */
export function gcmOpen(
  key: KeyObject,
  nonce: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.byteLength < GCM_TAG_BYTES) return undefined;
  const split = sealed.byteLength - GCM_TAG_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: GCM_TAG_BYTES });
  decipher.setAAD(aad);
  decipher.setAuthTag(sealed.subarray(split));
  const pooled = decipher.update(sealed.subarray(0, split));
  try {
    decipher.final();
  } catch {
    pooled.fill(0);
    return undefined;
  }
  const own = new Uint8Array(pooled.byteLength);
  own.set(pooled);
  pooled.fill(0);
  return own;
}
