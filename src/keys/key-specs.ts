/** Which key specs there are, what each may be used for, and by which algorithms (kms §6): the table as data. */
import type { KeyPairKind } from '../crypto/key-pairs.ts';
import type { MacHash } from '../crypto/mac.ts';
import type { OaepHash } from '../crypto/public-key-encryption.ts';
import type { SignatureScheme } from '../crypto/signatures.ts';

export type KeyUsage =
  | 'ENCRYPT_DECRYPT'
  | 'SIGN_VERIFY'
  | 'GENERATE_VERIFY_MAC'
  | 'KEY_AGREEMENT'
  | 'ENCAPSULATE_DECAPSULATE';

/** How a signing algorithm signs; `digestBytes` where it also takes digests (kms 10.1). */
export interface SigningAlgorithm {
  readonly scheme: SignatureScheme;
  readonly digestBytes?: number;
}

export const SIGNING_ALGORITHMS = {
  RSASSA_PSS_SHA_256: { scheme: { kind: 'rsa-pss', hash: 'sha256' }, digestBytes: 32 },
  RSASSA_PSS_SHA_384: { scheme: { kind: 'rsa-pss', hash: 'sha384' }, digestBytes: 48 },
  RSASSA_PSS_SHA_512: { scheme: { kind: 'rsa-pss', hash: 'sha512' }, digestBytes: 64 },
  RSASSA_PKCS1_V1_5_SHA_256: { scheme: { kind: 'rsa-pkcs1', hash: 'sha256' }, digestBytes: 32 },
  RSASSA_PKCS1_V1_5_SHA_384: { scheme: { kind: 'rsa-pkcs1', hash: 'sha384' }, digestBytes: 48 },
  RSASSA_PKCS1_V1_5_SHA_512: { scheme: { kind: 'rsa-pkcs1', hash: 'sha512' }, digestBytes: 64 },
  ECDSA_SHA_256: { scheme: { kind: 'ecdsa', hash: 'sha256' }, digestBytes: 32 },
  ECDSA_SHA_384: { scheme: { kind: 'ecdsa', hash: 'sha384' }, digestBytes: 48 },
  ECDSA_SHA_512: { scheme: { kind: 'ecdsa', hash: 'sha512' }, digestBytes: 64 },
  ED25519_SHA_512: { scheme: { kind: 'pure' } },
  ML_DSA_SHAKE_256: { scheme: { kind: 'pure' } },
} as const satisfies Readonly<Record<string, SigningAlgorithm>>;

export const MAC_ALGORITHMS = {
  HMAC_SHA_224: 'sha224',
  HMAC_SHA_256: 'sha256',
  HMAC_SHA_384: 'sha384',
  HMAC_SHA_512: 'sha512',
} as const satisfies Readonly<Record<string, MacHash>>;

export const OAEP_ALGORITHMS = {
  RSAES_OAEP_SHA_1: 'sha1',
  RSAES_OAEP_SHA_256: 'sha256',
} as const satisfies Readonly<Record<string, OaepHash>>;

export type SigningAlgorithmName = keyof typeof SIGNING_ALGORITHMS;
export type MacAlgorithmName = keyof typeof MAC_ALGORITHMS;
export type OaepAlgorithmName = keyof typeof OAEP_ALGORITHMS;

export const SYMMETRIC_DEFAULT = 'SYMMETRIC_DEFAULT';

type Algorithm =
  | typeof SYMMETRIC_DEFAULT
  | OaepAlgorithmName
  | SigningAlgorithmName
  | MacAlgorithmName
  | 'ECDH'
  | 'ML_KEM';

/** What key material of a spec is: random bytes, or a key pair. */
export type MaterialKind =
  | { readonly kind: 'secret'; readonly byteCount: number }
  | { readonly kind: 'pair'; readonly pair: KeyPairKind };

interface SpecFacts {
  readonly material: MaterialKind;
  readonly usages: { readonly [Usage in KeyUsage]?: readonly Algorithm[] };
}

const RSA_ENCRYPTION = ['RSAES_OAEP_SHA_1', 'RSAES_OAEP_SHA_256'] as const;
const RSA_SIGNING = [
  'RSASSA_PKCS1_V1_5_SHA_256',
  'RSASSA_PKCS1_V1_5_SHA_384',
  'RSASSA_PKCS1_V1_5_SHA_512',
  'RSASSA_PSS_SHA_256',
  'RSASSA_PSS_SHA_384',
  'RSASSA_PSS_SHA_512',
] as const;

function secret(byteCount: number): MaterialKind {
  return { kind: 'secret', byteCount };
}
function pair(kind: KeyPairKind): MaterialKind {
  return { kind: 'pair', pair: kind };
}
const rsa = (kind: KeyPairKind) => ({
  material: pair(kind),
  usages: { ENCRYPT_DECRYPT: RSA_ENCRYPTION, SIGN_VERIFY: RSA_SIGNING },
});
const nistCurve = (kind: KeyPairKind, algorithm: SigningAlgorithmName) => ({
  material: pair(kind),
  usages: { SIGN_VERIFY: [algorithm], KEY_AGREEMENT: ['ECDH'] as const },
});
const signing = (kind: KeyPairKind, algorithm: SigningAlgorithmName) => ({
  material: pair(kind),
  usages: { SIGN_VERIFY: [algorithm] },
});
const mac = (byteCount: number, algorithm: MacAlgorithmName) => ({
  material: secret(byteCount),
  usages: { GENERATE_VERIFY_MAC: [algorithm] },
});
const encapsulation = (kind: KeyPairKind) => ({
  material: pair(kind),
  usages: { ENCAPSULATE_DECAPSULATE: ['ML_KEM'] as const },
});

export const KEY_SPECS = {
  SYMMETRIC_DEFAULT: { material: secret(32), usages: { ENCRYPT_DECRYPT: [SYMMETRIC_DEFAULT] } },
  RSA_2048: rsa('rsa-2048'),
  RSA_3072: rsa('rsa-3072'),
  RSA_4096: rsa('rsa-4096'),
  ECC_NIST_P256: nistCurve('p-256', 'ECDSA_SHA_256'),
  ECC_NIST_P384: nistCurve('p-384', 'ECDSA_SHA_384'),
  ECC_NIST_P521: nistCurve('p-521', 'ECDSA_SHA_512'),
  ECC_SECG_P256K1: signing('secp256k1', 'ECDSA_SHA_256'),
  ECC_NIST_EDWARDS25519: signing('ed25519', 'ED25519_SHA_512'),
  HMAC_224: mac(28, 'HMAC_SHA_224'),
  HMAC_256: mac(32, 'HMAC_SHA_256'),
  HMAC_384: mac(48, 'HMAC_SHA_384'),
  HMAC_512: mac(64, 'HMAC_SHA_512'),
  ML_DSA_44: signing('ml-dsa-44', 'ML_DSA_SHAKE_256'),
  ML_DSA_65: signing('ml-dsa-65', 'ML_DSA_SHAKE_256'),
  ML_DSA_87: signing('ml-dsa-87', 'ML_DSA_SHAKE_256'),
  ML_KEM_512: encapsulation('ml-kem-512'),
  ML_KEM_768: encapsulation('ml-kem-768'),
  ML_KEM_1024: encapsulation('ml-kem-1024'),
} as const satisfies Readonly<Record<string, SpecFacts>>;

export type KeySpec = keyof typeof KEY_SPECS;

export function isKeySpec(name: string): name is KeySpec {
  return Object.hasOwn(KEY_SPECS, name);
}

/** The algorithms of a key; empty where spec and usage do not go together (6.2). */
export function algorithmsOf(spec: KeySpec, usage: KeyUsage): readonly Algorithm[] {
  const { usages }: SpecFacts = KEY_SPECS[spec];
  return usages[usage] ?? [];
}

export function materialKind(spec: KeySpec): MaterialKind {
  return KEY_SPECS[spec].material;
}

export function isSymmetric(key: { readonly spec: KeySpec }): boolean {
  return key.spec === SYMMETRIC_DEFAULT;
}

export function isSigningAlgorithm(name: string): name is SigningAlgorithmName {
  return Object.hasOwn(SIGNING_ALGORITHMS, name);
}
export function isMacAlgorithm(name: string): name is MacAlgorithmName {
  return Object.hasOwn(MAC_ALGORITHMS, name);
}
export function isOaepAlgorithm(name: string): name is OaepAlgorithmName {
  return Object.hasOwn(OAEP_ALGORITHMS, name);
}
