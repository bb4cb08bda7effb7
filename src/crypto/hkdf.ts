/** HKDF with SHA-256 (RFC 5869). */
import { hkdfSync } from 'node:crypto';
import type { SecretKey } from './secret-key.ts';

/** `byteCount` bytes derived from `key`; `info` separates the uses of one key. Wipe the result after use. */
export function hkdf(
  key: SecretKey,
  salt: Uint8Array,
  info: string | Uint8Array,
  byteCount: number,
): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hkdfSync('sha256', key.keyObject(), salt, info, byteCount));
}
