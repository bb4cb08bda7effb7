/** HMAC (RFC 2104) with the hashes of KMS's MAC algorithms. */
import { createHmac } from 'node:crypto';
import type { SecretKey } from './secret-key.ts';

export type MacHash = 'sha224' | 'sha256' | 'sha384' | 'sha512';

export function hmac(hash: MacHash, key: SecretKey, message: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac(hash, key.keyObject()).update(message).digest());
}
