/**
 * RSA signatures over a digest that the caller made (RFC 8017, 8.1 and 8.2). Node signs messages only, so the encoding
 * stands here; the private-key operation, with its blinding, is OpenSSL's.
 */
import { constants, createHash, type KeyObject, privateEncrypt, publicDecrypt } from 'node:crypto';
import { equalInConstantTime } from './hash.ts';
import { randomBytes } from './random.ts';
import type { SignatureHash } from './signatures.ts';

/** DER of a DigestInfo up to the digest itself (RFC 8017, 9.2, note 1). */
const DIGEST_INFO: Readonly<Record<SignatureHash, string>> = {
  sha256: '3031300d060960864801650304020105000420',
  sha384: '3041300d060960864801650304020205000430',
  sha512: '3051300d060960864801650304020305000440',
};

export function signDigestWithRsa(
  key: KeyObject,
  padding: 'rsa-pss' | 'rsa-pkcs1',
  hash: SignatureHash,
  digest: Uint8Array,
): Uint8Array {
  if (padding === 'rsa-pkcs1') {
    return new Uint8Array(privateEncrypt({ key, padding: constants.RSA_PKCS1_PADDING }, digestInfo(hash, digest)));
  }
  const encoded = encodePss(hash, digest, randomBytes(digest.byteLength), modulusBytes(key));
  return new Uint8Array(privateEncrypt({ key, padding: constants.RSA_NO_PADDING }, encoded));
}

export function verifyDigestWithRsa(
  key: KeyObject,
  padding: 'rsa-pss' | 'rsa-pkcs1',
  hash: SignatureHash,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.byteLength !== modulusBytes(key)) return false;
  try {
    if (padding === 'rsa-pkcs1') {
      const opened = publicDecrypt({ key, padding: constants.RSA_PKCS1_PADDING }, signature);
      return equalInConstantTime(opened, digestInfo(hash, digest));
    }
    const encoded = publicDecrypt({ key, padding: constants.RSA_NO_PADDING }, signature);
    return holdsPss(hash, digest, encoded);
  } catch {
    // OpenSSL refuses a signature above the modulus, or without the padding.
    return false;
  }
}

function digestInfo(hash: SignatureHash, digest: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(DIGEST_INFO[hash], 'hex'), digest]);
}

/** RFC 8017, 9.1.1, for a modulus of whole bytes: emBits is 8 * emLen - 1, so the top bit alone is cleared. */
function encodePss(hash: SignatureHash, digest: Uint8Array, salt: Uint8Array, byteCount: number): Buffer {
  const h = pssHash(hash, digest, salt);
  const db = Buffer.alloc(byteCount - h.byteLength - 1);
  db[db.byteLength - salt.byteLength - 1] = 1;
  db.set(salt, db.byteLength - salt.byteLength);
  mask(db, hash, h);
  db[0]! &= 0x7f;
  return Buffer.concat([db, h, Buffer.from([0xbc])]);
}

/** RFC 8017, 9.1.2 */
function holdsPss(hash: SignatureHash, digest: Uint8Array, encoded: Buffer): boolean {
  const saltAt = encoded.byteLength - 2 * digest.byteLength - 1;
  const dbBytes = encoded.byteLength - digest.byteLength - 1;
  if (encoded[encoded.byteLength - 1] !== 0xbc || (encoded[0]! & 0x80) !== 0) return false;
  const db = Buffer.from(encoded.subarray(0, dbBytes));
  const h = encoded.subarray(dbBytes, dbBytes + digest.byteLength);
  mask(db, hash, h);
  db[0]! &= 0x7f;
  if (db[saltAt - 1] !== 1 || db.subarray(0, saltAt - 1).some((byte) => byte !== 0)) return false;
  return equalInConstantTime(pssHash(hash, digest, db.subarray(saltAt)), h);
}

function pssHash(hash: SignatureHash, digest: Uint8Array, salt: Uint8Array): Buffer {
  return createHash(hash).update(Buffer.alloc(8)).update(digest).update(salt).digest();
}

/** Xors MGF1 of `seed` onto `bytes` (RFC 8017, B.2.1). */
function mask(bytes: Buffer, hash: SignatureHash, seed: Uint8Array): void {
  const counter = Buffer.alloc(4);
  for (let at = 0, turn = 0; at < bytes.byteLength; turn++) {
    counter.writeUInt32BE(turn);
    for (const byte of createHash(hash).update(seed).update(counter).digest()) {
      if (at === bytes.byteLength) return;
      bytes[at++]! ^= byte;
    }
  }
}

function modulusBytes(key: KeyObject): number {
  return (key.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
}
