/** Randomness for secrets, from the operating system's generator by way of OpenSSL. */
import { randomFillSync } from 'node:crypto';

const POOL_BYTES = 4096;
/** What is taken from the pool: salts, nonces, ids and symmetric keys. */
const POOLED_BYTES_MAX = 64;

/** Asking the generator costs as much for a page as for a salt. INVARIANT: bytes before `used` are zero. */
const pool = new Uint8Array(POOL_BYTES);
let used = POOL_BYTES;

/** `count` unpredictable bytes in memory of their own, so that wiping them wipes nothing else. */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  if (count > POOLED_BYTES_MAX) return randomFillSync(new Uint8Array(count));
  if (used + count > POOL_BYTES) {
    randomFillSync(pool);
    used = 0;
  }
  const own = pool.slice(used, used + count);
  pool.fill(0, used, used + count);
  used += count;
  return own;
}
