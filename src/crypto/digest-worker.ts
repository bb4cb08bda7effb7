/** The thread behind digest-signatures.ts: one job after another, each answered under its id. */
import type { KeyObject } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import { signDigestWithEcdsa, verifyDigestWithEcdsa } from './ecdsa-digest.ts';
import { PrivateKey, PublicKey } from './key-pairs.ts';
import { signDigestWithRsa, verifyDigestWithRsa } from './rsa-digest.ts';
import type { SignatureScheme } from './signatures.ts';

export type DigestScheme = Exclude<SignatureScheme, { readonly kind: 'pure' }>;

export interface DigestJob {
  readonly id: string;
  readonly key: KeyObject;
  readonly scheme: DigestScheme;
  readonly digest: Uint8Array;
  /** To verify; to sign where absent. */
  readonly signature?: Uint8Array;
}

export interface DigestAnswer {
  readonly id: string;
  /** Absent where it failed. */
  readonly value?: Uint8Array | boolean;
  readonly failure?: unknown;
}

function sign(key: KeyObject, scheme: DigestScheme, digest: Uint8Array): Uint8Array {
  if (scheme.kind === 'ecdsa') return signDigestWithEcdsa(new PrivateKey(key), digest);
  return signDigestWithRsa(key, scheme.kind, scheme.hash, digest);
}

function verify(key: KeyObject, scheme: DigestScheme, digest: Uint8Array, signature: Uint8Array): boolean {
  if (scheme.kind === 'ecdsa') return verifyDigestWithEcdsa(new PublicKey(key), digest, signature);
  return verifyDigestWithRsa(key, scheme.kind, scheme.hash, digest, signature);
}

parentPort!.on('message', ({ id, key, scheme, digest, signature }: DigestJob) => {
  let answer: DigestAnswer;
  try {
    answer = { id, value: signature ? verify(key, scheme, digest, signature) : sign(key, scheme, digest) };
  } catch (failure) {
    answer = { id, failure };
  }
  parentPort!.postMessage(answer);
});
