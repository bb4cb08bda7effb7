/** Digests and comparison without timing. */
import { createHash, hash, timingSafeEqual } from 'node:crypto';

export function sha256(...parts: readonly (Uint8Array | string)[]): Uint8Array {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return hash('sha256', only, 'buffer');
  const state = createHash('sha256');
  for (const part of parts) state.update(part);
  return state.digest();
}

/** SHA-256 as 64 lower-case hex digits. */
export function sha256Hex(...parts: readonly (Uint8Array | string)[]): string {
  const [only] = parts;
  if (only !== undefined && parts.length === 1) return hash('sha256', only, 'hex');
  return Buffer.from(sha256(...parts)).toString('hex');
}

/** Whether two byte strings are equal, in time that depends on their lengths only. */
export function equalInConstantTime(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b);
}
