/** HMAC-SHA-256 and the key chain of Signature Version 4. */
import { createHmac } from 'node:crypto';
import { SecretKey } from './secret-key.ts';

export function hmacSha256(key: SecretKey, data: string | Uint8Array): Buffer {
  return createHmac('sha256', key.keyObject()).update(data).digest();
}

/**
 * The signing key of one secret for one credential scope: HMAC over date, region, service and `aws4_request`, beginning
 * with `AWS4` and the secret (authorization-and-wire 10.3). `date` is `yyyymmdd`.
 */
export function deriveSigningKey(secret: SecretKey, date: string, region: string, service: string): SecretKey {
  const secretBytes = secret.exposeSecretBytes();
  const start = Buffer.concat([Buffer.from('AWS4'), secretBytes]);
  secretBytes.fill(0);
  let key = SecretKey.take(start);
  for (const part of [date, region, service, 'aws4_request']) key = SecretKey.take(hmacSha256(key, part));
  return key;
}
