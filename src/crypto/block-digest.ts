/** SHA-256 over many parts that come one after another, as the LINEAR checksum of an upload needs (E-4). */
import { createHash } from 'node:crypto';

export interface Sha256 {
  update(part: Uint8Array): void;
  digest(): Uint8Array;
}

export function createSha256(): Sha256 {
  const hash = createHash('sha256');
  return { update: (part) => void hash.update(part), digest: () => hash.digest() };
}
