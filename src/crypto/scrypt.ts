/** scrypt (RFC 7914): a key from a passphrase, at a price in memory and time for whoever guesses. */
import { scrypt } from 'node:crypto';

export interface ScryptCost {
  /** log2 of N, the number of blocks. */
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** 128 MiB and a few tenths of a second; the parameters stand beside what the key seals, so they can grow. */
export const SCRYPT_COST: ScryptCost = { logN: 17, r: 8, p: 1 };

/** What a stored file may ask for: more would let a damaged byte exhaust the memory. */
const LOG_N_MAX = 20;

/** Wipe the result after use. @throws {RangeError} where the cost is out of bounds. */
export function scryptKey(
  passphrase: Uint8Array,
  salt: Uint8Array,
  cost: ScryptCost,
  byteCount: number,
): Promise<Buffer> {
  const { logN, r, p } = cost;
  if (logN < 14 || logN > LOG_N_MAX || r < 1 || r > 16 || p < 1 || p > 4)
    throw new RangeError('scrypt cost out of bounds');
  const N = 2 ** logN;
  return new Promise((resolve, reject) => {
    scrypt(passphrase, salt, byteCount, { N, r, p, maxmem: 256 * N * r }, (error, key) =>
      error ? reject(error) : resolve(key),
    );
  });
}
