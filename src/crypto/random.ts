/** Randomness for secrets, from the operating system's generator by way of OpenSSL. */
import { randomBytes as nodeRandomBytes } from 'node:crypto';

/** `count` unpredictable bytes in memory of their own, so that wiping them wipes nothing else. */
export function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  const pooled = nodeRandomBytes(count);
  const own = new Uint8Array(count);
  own.set(pooled);
  pooled.fill(0);
  return own;
}
