/** Sign, Verify, MACs, key agreement, encapsulation, public keys and data key pairs (kms §9, §10). */
import type { Permit } from '../authz/permit.ts';
import { equalInConstantTime } from '../crypto/hash.ts';
import { generateKeyPair, type KeyPairKind, PublicKey } from '../crypto/key-pairs.ts';
import { hmac } from '../crypto/mac.ts';
import { agreeOnSecret, decapsulate, encapsulate } from '../crypto/public-key-encryption.ts';
import { sign, signDigest, verify, verifyDigest } from '../crypto/signatures.ts';
import { sealCiphertext } from './ciphertext.ts';
import {
  algorithmsOf,
  isMacAlgorithm,
  isSigningAlgorithm,
  MAC_ALGORITHMS,
  materialKind,
  SIGNING_ALGORITHMS,
  type SigningAlgorithm,
} from './key-specs.ts';
import type { EncryptionContext } from './on-behalf.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';
import { type UseOptions, useKey } from './use.ts';

/** What is signed: the message itself, or its digest made by the caller. */
export interface SignedText {
  readonly algorithm: string;
  readonly messageType: 'RAW' | 'DIGEST';
  readonly message: Uint8Array;
}

export type DataKeyPairPermit = Permit<'kms:GenerateDataKeyPair'> | Permit<'kms:GenerateDataKeyPairWithoutPlaintext'>;

export interface DataKeyPair {
  /** PKCS#8 DER; wipe it after use. */
  readonly privateKey: Uint8Array<ArrayBuffer>;
  readonly privateKeyCiphertext: Uint8Array;
  /** SubjectPublicKeyInfo DER. */
  readonly publicKey: Uint8Array;
  readonly materialId: string;
}

export function publicKeyMethods(parts: KeyParts) {
  const { store, rates } = parts;

  return {
    async sign(permit: Permit<'kms:Sign'>, text: SignedText, options: UseOptions = {}): Promise<Uint8Array> {
      return useKey(parts, permit, 'Sign', options, async (key) => {
        const { scheme } = signingAlgorithm(key, text);
        const { pair } = await store.pair(key);
        return text.messageType === 'DIGEST'
          ? signDigest(pair, scheme, text.message)
          : sign(pair, scheme, text.message);
      });
    },

    /** @throws {Refusal} `signature-invalid` (10.2). */
    async verify(
      permit: Permit<'kms:Verify'>,
      text: SignedText,
      signature: Uint8Array,
      options: UseOptions = {},
    ): Promise<void> {
      await useKey(parts, permit, 'Verify', options, async (key) => {
        const { scheme } = signingAlgorithm(key, text);
        const open = (await store.pair(key)).pair.publicKey();
        const valid =
          text.messageType === 'DIGEST'
            ? await verifyDigest(open, scheme, text.message, signature)
            : await verify(open, scheme, text.message, signature);
        if (!valid) throw refuse('signature-invalid');
      });
    },

    async generateMac(
      permit: Permit<'kms:GenerateMac'>,
      algorithm: string,
      message: Uint8Array,
      options: UseOptions = {},
    ): Promise<Uint8Array> {
      return useKey(parts, permit, 'GenerateMac', options, (key) => macOf(key, algorithm, message));
    },

    /** @throws {Refusal} `mac-invalid` (10.2). */
    async verifyMac(
      permit: Permit<'kms:VerifyMac'>,
      algorithm: string,
      message: Uint8Array,
      mac: Uint8Array,
      options: UseOptions = {},
    ): Promise<void> {
      await useKey(parts, permit, 'VerifyMac', options, async (key) => {
        if (!equalInConstantTime(await macOf(key, algorithm, message), mac)) throw refuse('mac-invalid');
      });
    },

    /** The x coordinate that both sides compute; wipe it after use. @throws {Refusal} `peer-key-malformed` (10.5). */
    async deriveSharedSecret(
      permit: Permit<'kms:DeriveSharedSecret'>,
      peerSpki: Uint8Array,
      options: UseOptions = {},
    ): Promise<Uint8Array<ArrayBuffer>> {
      return useKey(parts, permit, 'DeriveSharedSecret', options, async (key) => {
        const { pair } = await store.pair(key);
        const peer = PublicKey.read(peerSpki);
        if (!peer || peer.kind !== pair.kind) throw refuse('peer-key-malformed');
        return agreeOnSecret(pair, peer);
      });
    },

    async encapsulate(permit: Permit<'kms:Encapsulate'>, options: UseOptions = {}) {
      return useKey(parts, permit, 'Encapsulate', options, async (key) =>
        encapsulate((await store.pair(key)).pair.publicKey()),
      );
    },

    /** Wipe the result after use. @throws {Refusal} `ciphertext-invalid` for what is no ciphertext of this key's kind. */
    async decapsulate(
      permit: Permit<'kms:Decapsulate'>,
      ciphertext: Uint8Array,
      options: UseOptions = {},
    ): Promise<Uint8Array<ArrayBuffer>> {
      return useKey(parts, permit, 'Decapsulate', options, async (key) => {
        const secret = decapsulate((await store.pair(key)).pair, ciphertext);
        if (!secret) throw refuse('ciphertext-invalid', { arn: key.arn });
        return secret;
      });
    },

    /** SubjectPublicKeyInfo DER (10.4). */
    async publicKey(permit: Permit<'kms:GetPublicKey'>): Promise<Uint8Array> {
      const key = await permittedKey(store, permit);
      if (materialKind(key.spec).kind !== 'pair') throw refuse('key-operation-unsupported', { arn: key.arn });
      requireState(key, 'GetPublicKey');
      return (await store.pair(key)).pair.publicKey().spki();
    },

    /** A fresh key pair, its private key in clear and sealed as `Encrypt` seals (9.5). */
    async generateDataKeyPair(
      permit: DataKeyPairPermit,
      kind: KeyPairKind,
      context: EncryptionContext,
      options: UseOptions = {},
    ): Promise<DataKeyPair> {
      const operation =
        permit.action === 'kms:GenerateDataKeyPair' ? 'GenerateDataKeyPair' : 'GenerateDataKeyPairWithoutPlaintext';
      return useKey(parts, permit, operation, options, async (key) => {
        if (permit.call) rates?.countPair(permit.call, kind);
        const pair = await generateKeyPair(kind);
        const privateKey = pair.exposePkcs8();
        const material = await store.currentSecret(key);
        return {
          privateKey,
          privateKeyCiphertext: sealCiphertext(key.keyId, material, privateKey, context),
          publicKey: pair.publicKey().spki(),
          materialId: material.materialId,
        };
      });
    },
  };

  async function macOf(key: KeyRecord, algorithm: string, message: Uint8Array): Promise<Uint8Array> {
    requireAlgorithm(key, algorithm);
    if (!isMacAlgorithm(algorithm)) throw refuse('algorithm-incompatible', { algorithm, spec: key.spec });
    return hmac(MAC_ALGORITHMS[algorithm], (await store.currentSecret(key)).key, message);
  }
}

/** @throws {Refusal} `algorithm-incompatible` (6.6), `digest-unsupported` or `digest-length` (10.1). */
function signingAlgorithm(key: KeyRecord, { algorithm, messageType, message }: SignedText): SigningAlgorithm {
  requireAlgorithm(key, algorithm);
  if (!isSigningAlgorithm(algorithm)) throw refuse('algorithm-incompatible', { algorithm, spec: key.spec });
  const found: SigningAlgorithm = SIGNING_ALGORITHMS[algorithm];
  if (messageType === 'DIGEST') {
    if (found.digestBytes === undefined) throw refuse('message-type-unsupported', { algorithm, messageType });
    if (message.byteLength !== found.digestBytes) throw refuse('digest-length', { algorithm });
  }
  return found;
}

function requireAlgorithm(key: KeyRecord, algorithm: string): void {
  if (!algorithmsOf(key.spec, key.usage).some((known) => known === algorithm)) {
    throw refuse('algorithm-incompatible', { algorithm, spec: key.spec });
  }
}
