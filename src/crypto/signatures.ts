/** Signatures over messages, and over digests that the caller made. */
import { constants, sign as nodeSign, verify as nodeVerify, type SignKeyObjectInput } from 'node:crypto';
import { signDigestWithEcdsa, verifyDigestWithEcdsa } from './ecdsa-digest.ts';
import type { PrivateKey, PublicKey } from './key-pairs.ts';
import { signDigestWithRsa, verifyDigestWithRsa } from './rsa-digest.ts';

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

/** Signs a digest of the scheme's hash. */
export function signDigest(key: PrivateKey, scheme: SignatureScheme, digest: Uint8Array): Uint8Array {
  switch (scheme.kind) {
    case 'rsa-pss':
    case 'rsa-pkcs1':
      return signDigestWithRsa(key.keyObject(), scheme.kind, scheme.hash, digest);
    case 'ecdsa':
      return signDigestWithEcdsa(key, digest);
    case 'pure':
      throw new RangeError('this scheme signs messages, not digests');
  }
}

export function verifyDigest(
  key: PublicKey,
  scheme: SignatureScheme,
  digest: Uint8Array,
  signature: Uint8Array,
): boolean {
  switch (scheme.kind) {
    case 'rsa-pss':
    case 'rsa-pkcs1':
      return verifyDigestWithRsa(key.keyObject(), scheme.kind, scheme.hash, digest, signature);
    case 'ecdsa':
      return verifyDigestWithEcdsa(key, digest, signature);
    case 'pure':
      throw new RangeError('this scheme signs messages, not digests');
  }
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
