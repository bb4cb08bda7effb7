/** What is encrypted for the holder of a private key: RSA-OAEP, key agreement on a curve, ML-KEM, wrapped keys. */
import {
  constants,
  createDecipheriv,
  diffieHellman,
  decapsulate as nodeDecapsulate,
  encapsulate as nodeEncapsulate,
  publicEncrypt,
  subtle,
} from 'node:crypto';
import type { PrivateKey, PublicKey } from './key-pairs.ts';

export type OaepHash = 'sha1' | 'sha256';

const HASH_BYTES: Readonly<Record<OaepHash, number>> = { sha1: 20, sha256: 32 };

/** The longest message that RSA-OAEP takes (RFC 8017, 7.1.1). */
export function oaepBytesMax(key: PublicKey, hash: OaepHash): number {
  return modulusBytes(key) - 2 * HASH_BYTES[hash] - 2;
}

/** RSA-OAEP with MGF1 over the same hash and an empty label. */
export function encryptOaep(key: PublicKey, hash: OaepHash, plaintext: Uint8Array): Uint8Array {
  const padding = constants.RSA_PKCS1_OAEP_PADDING;
  return new Uint8Array(publicEncrypt({ key: key.keyObject(), padding, oaepHash: hash }, plaintext));
}

const OAEP = { name: 'RSA-OAEP' };
const WEB_HASHES: Readonly<Record<OaepHash, string>> = { sha1: 'SHA-1', sha256: 'SHA-256' };

/**
 * The plaintext, or `undefined` for whatever reason it does not open. Wipe the result after use. Web Crypto has the
 * form that runs in Node's thread pool.
 */
export async function decryptOaep(
  key: PrivateKey,
  hash: OaepHash,
  ciphertext: Uint8Array,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const webKey = key.keyObject().toCryptoKey({ ...OAEP, hash: WEB_HASHES[hash] }, false, ['decrypt']);
  try {
    return new Uint8Array(await subtle.decrypt(OAEP, webKey, new Uint8Array(ciphertext)));
  } catch {
    return undefined;
  }
}

/**
 * ECDH: the x coordinate of the shared point (SEC 1, 3.3.1). Both keys must be on one curve. Wipe the result after use.
 */
export function agreeOnSecret(key: PrivateKey, peer: PublicKey): Promise<Uint8Array<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    diffieHellman({ privateKey: key.keyObject(), publicKey: peer.keyObject() }, (error, secret) =>
      error ? reject(error) : resolve(owned(secret!)),
    );
  });
}

export interface Encapsulated {
  /** 32 bytes; wipe them after use. */
  readonly sharedSecret: Uint8Array<ArrayBuffer>;
  readonly ciphertext: Uint8Array;
}

/** ML-KEM (FIPS 203). */
export function encapsulate(key: PublicKey): Encapsulated {
  const { sharedKey, ciphertext } = nodeEncapsulate(key.keyObject());
  return { sharedSecret: owned(sharedKey), ciphertext: new Uint8Array(ciphertext) };
}

/** `undefined` where the ciphertext has not the length of one; any other gives some secret (FIPS 203, 6.3). */
export function decapsulate(key: PrivateKey, ciphertext: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  try {
    return owned(nodeDecapsulate(key.keyObject(), ciphertext));
  } catch {
    return undefined;
  }
}

const KEY_WRAP_IV = Buffer.from('a65959a6', 'hex');
const WRAPPING_KEY_BYTES = 32;

/**
 * Opens what was wrapped in two steps: an AES-256 key by RSA-OAEP, and by that key the payload (RFC 5649), written one
 * after the other. `undefined` where either does not open. Wipe the result after use.
 */
export async function unwrapByAesKeyWrap(
  key: PrivateKey,
  hash: OaepHash,
  wrapped: Uint8Array,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const split = modulusBytes(key.publicKey());
  const wrappingKey = await decryptOaep(key, hash, wrapped.subarray(0, split));
  if (!wrappingKey) return undefined;
  try {
    if (wrappingKey.byteLength !== WRAPPING_KEY_BYTES) return undefined;
    const decipher = createDecipheriv('id-aes256-wrap-pad', wrappingKey, KEY_WRAP_IV);
    return owned(Buffer.concat([decipher.update(wrapped.subarray(split)), decipher.final()]));
  } catch {
    return undefined;
  } finally {
    wrappingKey.fill(0);
  }
}

function modulusBytes(key: PublicKey): number {
  return (key.keyObject().asymmetricKeyDetails?.modulusLength ?? 0) / 8;
}

/** Moves secret bytes out of Node's shared pool. */
function owned(pooled: Buffer | ArrayBuffer): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(pooled);
  const own = new Uint8Array(bytes);
  bytes.fill(0);
  return own;
}
