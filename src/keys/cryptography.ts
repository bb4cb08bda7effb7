/** Encrypt, Decrypt, ReEncrypt and data keys (kms §8, §9) on keys that were authorized. */

import type { Permit } from '../authz/permit.ts';
import { decryptOaep, encryptOaep, oaepBytesMax } from '../crypto/public-key-encryption.ts';
import { randomBytes } from '../crypto/random.ts';
import type { Region } from '../ids.ts';
import { openCiphertext, readCiphertextHeader, sealCiphertext } from './ciphertext.ts';
import { algorithmsOf, isOaepAlgorithm, isSymmetric, OAEP_ALGORITHMS, SYMMETRIC_DEFAULT } from './key-specs.ts';
import type { EncryptionContext } from './on-behalf.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import { familyOf } from './rates.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';
import { requireUsage, type UseOptions, useKey } from './use.ts';

export interface Sealed {
  readonly ciphertext: Uint8Array;
  /** Of symmetric keys only: the others have but one. */
  readonly materialId?: string;
}
export interface Opened {
  /** Wipe it after use. */
  readonly plaintext: Uint8Array<ArrayBuffer>;
  readonly materialId?: string;
}

/** How to seal or open with one key. */
export interface Method {
  /** SYMMETRIC_DEFAULT where absent. */
  readonly algorithm?: string;
  /** For SYMMETRIC_DEFAULT only (11.1). */
  readonly context: EncryptionContext;
}

/** Actions whose permit allows a fresh data key. */
export type DataKeyPermit = Permit<'kms:GenerateDataKey'> | Permit<'kms:GenerateDataKeyWithoutPlaintext'>;

export function cryptographyMethods(parts: KeyParts) {
  const { store, uses, rates } = parts;

  /** @throws {Refusal} `algorithm-incompatible`, `context-unsupported` or `plaintext-too-long` (6.6, 8.2, 11.1). */
  async function sealUnder(key: KeyRecord, plaintext: Uint8Array, method: Method): Promise<Sealed> {
    const algorithm = requireMethod(key, method);
    if (isOaepAlgorithm(algorithm)) {
      const open = (await store.pair(key)).pair.publicKey();
      const hash = OAEP_ALGORITHMS[algorithm];
      const limit = oaepBytesMax(open, hash);
      if (plaintext.byteLength > limit) throw refuse('plaintext-too-long', { algorithm, spec: key.spec, limit });
      return { ciphertext: encryptOaep(open, hash, plaintext) };
    }
    return sealSecret(key, plaintext, method.context);
  }

  async function sealSecret(
    key: KeyRecord,
    plaintext: Uint8Array,
    context: EncryptionContext,
  ): Promise<Required<Sealed>> {
    const material = await store.currentSecret(key);
    return { ciphertext: sealCiphertext(key.keyId, material, plaintext, context), materialId: material.materialId };
  }

  /** @throws {Refusal} `ciphertext-other-key` (kms 8.7) or `ciphertext-invalid` (8.6). */
  async function openUnder(key: KeyRecord, ciphertext: Uint8Array, method: Method): Promise<Opened> {
    const algorithm = requireMethod(key, method);
    if (isOaepAlgorithm(algorithm)) {
      const plaintext = await decryptOaep((await store.pair(key)).pair, OAEP_ALGORITHMS[algorithm], ciphertext);
      if (!plaintext) throw refuse('ciphertext-invalid', { arn: key.arn });
      return { plaintext };
    }
    const header = readCiphertextHeader(ciphertext);
    if (!header) throw refuse('ciphertext-invalid');
    if (header.keyId !== key.keyId) throw refuse('ciphertext-other-key', { arn: key.arn });
    const material = await store.material(key, header.materialId);
    const plaintext = material?.kind === 'secret' && openCiphertext(material, ciphertext, method.context);
    if (!plaintext) throw refuse('ciphertext-invalid', { arn: key.arn });
    return { plaintext, materialId: header.materialId };
  }

  return {
    /**
     * The key that a ciphertext names, in this Region, or `undefined` where there is none. Not authorized.
     * @throws {Refusal} `ciphertext-invalid` where the bytes are no KMS ciphertext.
     */
    async keyOfCiphertext(region: Region, ciphertext: Uint8Array): Promise<KeyRecord | undefined> {
      const header = readCiphertextHeader(ciphertext);
      if (!header) throw refuse('ciphertext-invalid');
      return store.byId(region, header.keyId);
    },

    async encrypt(
      permit: Permit<'kms:Encrypt'>,
      plaintext: Uint8Array,
      method: Method,
      options: UseOptions = {},
    ): Promise<Sealed> {
      return useKey(parts, permit, 'Encrypt', options, (key) => sealUnder(key, plaintext, method));
    },

    async decrypt(
      permit: Permit<'kms:Decrypt'>,
      ciphertext: Uint8Array,
      method: Method,
      options: UseOptions = {},
    ): Promise<Opened> {
      return useKey(parts, permit, 'Decrypt', options, (key) => openUnder(key, ciphertext, method));
    },

    /** Fresh random bytes in clear and sealed. */
    async generateDataKey(
      permit: DataKeyPermit,
      byteCount: number,
      context: EncryptionContext,
      options: UseOptions = {},
    ): Promise<Required<Sealed> & Opened> {
      const operation = permit.action === 'kms:GenerateDataKey' ? 'GenerateDataKey' : 'GenerateDataKeyWithoutPlaintext';
      return useKey(parts, permit, operation, options, async (key) => {
        const plaintext = randomBytes(byteCount);
        return { ...(await sealSecret(key, plaintext, context)), plaintext };
      });
    },

    async reEncrypt(
      from: Permit<'kms:ReEncryptFrom'>,
      to: Permit<'kms:ReEncryptTo'>,
      source: Method & { readonly ciphertext: Uint8Array },
      destination: Method,
      { dryRun = false }: UseOptions = {},
    ): Promise<{ ciphertext: Uint8Array; sourceMaterialId?: string; destinationMaterialId?: string }> {
      const sourceKey = await usableForReEncrypt(from, true);
      const destinationKey = await usableForReEncrypt(to, false);
      if (from.call) rates?.countUse(from.call, sourceKey.spec);
      // Keys that share a rate count once.
      if (to.call && familyOf(sourceKey.spec) !== familyOf(destinationKey.spec)) {
        rates?.countUse(to.call, destinationKey.spec);
      }
      const opened = await openUnder(sourceKey, source.ciphertext, source);
      try {
        const sealed = await sealUnder(destinationKey, opened.plaintext, destination);
        if (!dryRun) {
          uses.note(sourceKey, 'ReEncrypt', from);
          uses.note(destinationKey, 'ReEncrypt', to);
        }
        return {
          ciphertext: sealed.ciphertext,
          ...(opened.materialId === undefined ? {} : { sourceMaterialId: opened.materialId }),
          ...(sealed.materialId === undefined ? {} : { destinationMaterialId: sealed.materialId }),
        };
      } finally {
        opened.plaintext.fill(0);
      }
    },

    generateRandom(_permit: Permit<'kms:GenerateRandom'>, byteCount: number): Uint8Array<ArrayBuffer> {
      return randomBytes(byteCount);
    },

    /** Only that key and algorithm allow the operation: a dry run that has no ciphertext to show (kms 22.3). */
    async requireUsable(
      permit: Permit<'kms:Decrypt' | 'kms:ReEncryptFrom' | 'kms:ReEncryptTo'>,
      method: Method,
    ): Promise<void> {
      const key = await usableForReEncrypt(permit, permit.action !== 'kms:ReEncryptTo');
      if (permit.call) rates?.countUse(permit.call, key.spec);
      requireMethod(key, method);
    },

    /** Opens what a key sealed for work that Ingot does by itself, whatever the key's state. */
    async openForSystem(
      permit: Permit<'kms:Decrypt'>,
      ciphertext: Uint8Array,
      context: EncryptionContext,
    ): Promise<Opened> {
      if (permit.reason === undefined) throw new Error('openForSystem is for system work only');
      return openUnder(await permittedKey(store, permit), ciphertext, { context });
    },
  };

  async function usableForReEncrypt(permit: Permit, opens: boolean): Promise<KeyRecord> {
    const key = await permittedKey(store, permit);
    requireUsage(key, 'ReEncrypt', opens);
    requireState(key, 'ReEncrypt');
    return key;
  }
}

/** The algorithm, if the key has it (6.6) and the context fits it. */
function requireMethod(key: KeyRecord, { algorithm = SYMMETRIC_DEFAULT, context }: Method): string {
  if (!algorithmsOf(key.spec, key.usage).some((known) => known === algorithm)) {
    throw refuse('algorithm-incompatible', { algorithm, spec: key.spec });
  }
  if (!isSymmetric(key) && Object.keys(context).length > 0) throw refuse('context-unsupported');
  return algorithm;
}
