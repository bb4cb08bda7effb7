/** Signatures over messages, and over digests that the caller made. */
import { constants, sign as nodeSign, verify as nodeVerify, type SignKeyObjectInput } from 'node:crypto';
import { signDigestApart, verifyDigestApart } from './digest-signatures.ts';
import type { DigestScheme } from './digest-worker.ts';
import type { PrivateKey, PublicKey } from './key-pairs.ts';

export type SignatureHash = 'sha256' | 'sha384' | 'sha512';

/** Padding of RSA and encoding of ECDSA are as KMS has them: a PSS salt as long as the digest, DER (kms 10.3). */
export type SignatureScheme =
  | { readonly kind: 'rsa-pss' | 'rsa-pkcs1' | 'ecdsa'; readonly hash: SignatureHash }
  /** Ed25519 of RFC 8032, or ML-DSA of FIPS 204 with an empty context: both hash by themselves. */
  | { readonly kind: 'pure' };

/** Signs in OpenSSL's thread pool. */
export function sign(key: PrivateKey, scheme: SignatureScheme, message: Uint8Array): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    nodeSign(hashOf(scheme), message, { key: key.keyObject(), ...optionsOf(scheme) }, (error, signature) =>
      error ? reject(error) : resolve(new Uint8Array(signature)),
    );
  });
}

export function verify(
  key: PublicKey,
  scheme: SignatureScheme,
  message: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    nodeVerify(hashOf(scheme), message, { key: key.keyObject(), ...optionsOf(scheme) }, signature, (error, valid) =>
      error ? reject(error) : resolve(valid),
    );
  });
}

/** Signs a digest of the scheme's hash, in a thread of its own. @throws {RangeError} for a scheme that signs messages */
export async function signDigest(key: PrivateKey, scheme: SignatureScheme, digest: Uint8Array): Promise<Uint8Array> {
  return signDigestApart(key, ofDigests(scheme), digest);
}

export async function verifyDigest(
  key: PublicKey,
  scheme: SignatureScheme,
  digest: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return verifyDigestApart(key, ofDigests(scheme), digest, signature);
}

function ofDigests(scheme: SignatureScheme): DigestScheme {
  if (scheme.kind === 'pure') throw new RangeError('this scheme signs messages, not digests');
  return scheme;
}

function hashOf(scheme: SignatureScheme): string | null {
  return scheme.kind === 'pure' ? null : scheme.hash;
}

function optionsOf(scheme: SignatureScheme): Omit<SignKeyObjectInput, 'key'> {
  switch (scheme.kind) {
    case 'rsa-pss':
      return { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    case 'rsa-pkcs1':
      return { padding: constants.RSA_PKCS1_PADDING };
    case 'ecdsa':
      return { dsaEncoding: 'der' };
    case 'pure':
      return {};
  }
}
