/**
 * Asymmetric keys: making them off the event loop, and reading and writing them as PKCS#8 and SubjectPublicKeyInfo. A
 * {@link PrivateKey} prints as redacted, like {@link SecretKey}.
 */
import { createPrivateKey, createPublicKey, generateKeyPair as generate, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';

/** Every kind of key pair Ingot makes; OpenSSL 3.5 has all of them. */
export type KeyPairKind =
  | 'rsa-2048'
  | 'rsa-3072'
  | 'rsa-4096'
  | 'p-256'
  | 'p-384'
  | 'p-521'
  | 'secp256k1'
  | 'ed25519'
  | 'ml-dsa-44'
  | 'ml-dsa-65'
  | 'ml-dsa-87'
  | 'ml-kem-512'
  | 'ml-kem-768'
  | 'ml-kem-1024';

const CURVES = { 'p-256': 'prime256v1', 'p-384': 'secp384r1', 'p-521': 'secp521r1', secp256k1: 'secp256k1' } as const;
export type CurveKind = keyof typeof CURVES;
/** OpenSSL's name of a curve. */
export type CurveName = (typeof CURVES)[CurveKind];

export class PrivateKey {
  readonly #key: KeyObject;
  readonly #public: KeyObject;
  /** `undefined` where Ingot makes no such keys. */
  readonly kind: KeyPairKind | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
    this.#public = createPublicKey(key);
    this.kind = kindOf(key);
  }
  /** Reads PKCS#8 DER and wipes the caller's copy; `undefined` where the bytes are no private key. */
  static take(pkcs8: Uint8Array): PrivateKey | undefined {
    try {
      return new PrivateKey(
        createPrivateKey({
          key: Buffer.from(pkcs8.buffer, pkcs8.byteOffset, pkcs8.byteLength),
          format: 'der',
          type: 'pkcs8',
        }),
      );
    } catch {
      return undefined;
    } finally {
      pkcs8.fill(0);
    }
  }
  /** For signatures, decryption and key agreement in this folder. */
  keyObject(): KeyObject {
    return this.#key;
  }
  publicKey(): PublicKey {
    return new PublicKey(this.#public);
  }
  /** PKCS#8 DER, for sealing or for an answer that must carry it; wipe it after use. */
  exposePkcs8(): Uint8Array<ArrayBuffer> {
    const pooled = this.#key.export({ format: 'der', type: 'pkcs8' });
    const own = new Uint8Array(pooled);
    pooled.fill(0);
    return own;
  }
  toString(): string {
    return '[redacted key]';
  }
  toJSON(): string {
    return '[redacted key]';
  }
  [inspect.custom](): string {
    return '[redacted key]';
  }
}

export class PublicKey {
  readonly #key: KeyObject;
  readonly kind: KeyPairKind | undefined;

  constructor(key: KeyObject) {
    this.#key = key;
    this.kind = kindOf(key);
  }
  /** Reads SubjectPublicKeyInfo DER; `undefined` where the bytes are none, or a point is not on its curve. */
  static read(spki: Uint8Array): PublicKey | undefined {
    try {
      const bytes = Buffer.from(spki);
      const key = createPublicKey({ key: bytes, format: 'der', type: 'spki' });
      return new PublicKey(key);
    } catch {
      return undefined;
    }
  }
  keyObject(): KeyObject {
    return this.#key;
  }
  /** SubjectPublicKeyInfo DER. */
  spki(): Uint8Array {
    return new Uint8Array(this.#key.export({ format: 'der', type: 'spki' }));
  }
}

export function curveOf(kind: KeyPairKind | undefined): CurveName | undefined {
  return kind !== undefined && Object.hasOwn(CURVES, kind) ? CURVES[kind as CurveKind] : undefined;
}

type Done = (error: Error | null, publicKey: KeyObject, privateKey: KeyObject) => void;

/** Commits and files wait for the same few threads: slow keys must not take them all. */
const GENERATED_AT_A_TIME = 2;
let generating = 0;
const waiting: (() => void)[] = [];

/** A fresh key pair, made in Node's thread pool: an RSA key may take seconds. Only a few are made at a time. */
export async function generateKeyPair(kind: KeyPairKind): Promise<PrivateKey> {
  if (generating < GENERATED_AT_A_TIME) generating++;
  else await new Promise<void>((resolve) => waiting.push(resolve));
  try {
    return new PrivateKey(await generateKeyObject(kind));
  } finally {
    const next = waiting.shift();
    if (next) next();
    else generating--;
  }
}

function generateKeyObject(kind: KeyPairKind): Promise<KeyObject> {
  return new Promise((resolve, reject) => {
    const done: Done = (error, _, privateKey) => (error ? reject(error) : resolve(privateKey));
    const curve = curveOf(kind);
    if (kind.startsWith('rsa-')) generate('rsa', { modulusLength: Number(kind.slice(4)) }, done);
    else if (curve !== undefined) generate('ec', { namedCurve: curve }, done);
    else generate(kind as 'ed25519', done);
  });
}

function kindOf(key: KeyObject): KeyPairKind | undefined {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'rsa') {
    const kind = `rsa-${details?.modulusLength}`;
    return kind === 'rsa-2048' || kind === 'rsa-3072' || kind === 'rsa-4096' ? kind : undefined;
  }
  if (type === 'ec') return (Object.keys(CURVES) as CurveKind[]).find((kind) => CURVES[kind] === details?.namedCurve);
  return PLAIN.find((kind) => kind === type);
}

const PLAIN = [
  'ed25519',
  'ml-dsa-44',
  'ml-dsa-65',
  'ml-dsa-87',
  'ml-kem-512',
  'ml-kem-768',
  'ml-kem-1024',
] as const satisfies readonly KeyPairKind[];
