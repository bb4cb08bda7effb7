/** Encrypt, Decrypt, ReEncrypt and data keys (kms §8, §9) on keys that were authorized. */

import type { Permit } from '../authz/permit.ts';
import { randomBytes } from '../crypto/random.ts';
import type { Region } from '../ids.ts';
import { openCiphertext, readCiphertextHeader, sealCiphertext } from './ciphertext.ts';
import type { EncryptionContext } from './on-behalf.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState, type StatefulOperation } from './states.ts';

export interface Sealed {
  readonly ciphertext: Uint8Array;
  readonly materialId: string;
}
export interface Opened {
  /** Wipe it after use. */
  readonly plaintext: Uint8Array<ArrayBuffer>;
  readonly materialId: string;
}

/** Actions whose permit allows a fresh data key. */
export type DataKeyPermit = Permit<'kms:GenerateDataKey'> | Permit<'kms:GenerateDataKeyWithoutPlaintext'>;

export function cryptographyMethods({ store }: KeyParts) {
  async function sealUnder(key: KeyRecord, plaintext: Uint8Array, context: EncryptionContext): Promise<Sealed> {
    const material = await store.currentMaterial(key);
    return { ciphertext: sealCiphertext(key.keyId, material, plaintext, context), materialId: material.materialId };
  }

  /** @throws {Refusal} `ciphertext-other-key` (kms 8.7) or `ciphertext-invalid` (8.6). */
  async function openUnder(key: KeyRecord, ciphertext: Uint8Array, context: EncryptionContext): Promise<Opened> {
    const header = readCiphertextHeader(ciphertext);
    if (!header) throw refuse('ciphertext-invalid');
    if (header.keyId !== key.keyId) throw refuse('ciphertext-other-key', { arn: key.arn });
    const material = await store.material(key, header.materialId);
    const plaintext = material && openCiphertext(material, ciphertext, context);
    if (!plaintext) throw refuse('ciphertext-invalid', { arn: key.arn });
    return { plaintext, materialId: header.materialId };
  }

  async function usableKey(permit: Permit, operation: StatefulOperation): Promise<KeyRecord> {
    const key = await permittedKey(store, permit);
    requireState(key, operation);
    return key;
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

    async encrypt(permit: Permit<'kms:Encrypt'>, plaintext: Uint8Array, context: EncryptionContext): Promise<Sealed> {
      return sealUnder(await usableKey(permit, 'Encrypt'), plaintext, context);
    },

    async decrypt(permit: Permit<'kms:Decrypt'>, ciphertext: Uint8Array, context: EncryptionContext): Promise<Opened> {
      return openUnder(await usableKey(permit, 'Decrypt'), ciphertext, context);
    },

    /** Fresh random bytes in clear and sealed. */
    async generateDataKey(
      permit: DataKeyPermit,
      byteCount: number,
      context: EncryptionContext,
    ): Promise<Sealed & Opened> {
      const key = await usableKey(permit, 'GenerateDataKey');
      const plaintext = randomBytes(byteCount);
      return { ...(await sealUnder(key, plaintext, context)), plaintext };
    },

    async reEncrypt(
      from: Permit<'kms:ReEncryptFrom'>,
      to: Permit<'kms:ReEncryptTo'>,
      source: { readonly ciphertext: Uint8Array; readonly context: EncryptionContext },
      destinationContext: EncryptionContext,
    ): Promise<{ ciphertext: Uint8Array; sourceMaterialId: string; destinationMaterialId: string }> {
      const sourceKey = await usableKey(from, 'ReEncrypt');
      const destinationKey = await usableKey(to, 'ReEncrypt');
      const opened = await openUnder(sourceKey, source.ciphertext, source.context);
      try {
        const sealed = await sealUnder(destinationKey, opened.plaintext, destinationContext);
        return {
          ciphertext: sealed.ciphertext,
          sourceMaterialId: opened.materialId,
          destinationMaterialId: sealed.materialId,
        };
      } finally {
        opened.plaintext.fill(0);
      }
    },

    generateRandom(_permit: Permit<'kms:GenerateRandom'>, byteCount: number): Uint8Array<ArrayBuffer> {
      return randomBytes(byteCount);
    },

    /** Only that the key's state allows the operation: a dry run that has no ciphertext to show (kms 22.3). */
    async requireUsable(permit: Permit<'kms:Decrypt' | 'kms:ReEncryptFrom' | 'kms:ReEncryptTo'>): Promise<void> {
      await usableKey(permit, 'Decrypt');
    },

    /** Opens what a key sealed for work that Ingot does by itself, whatever the key's state. */
    async openForSystem(
      permit: Permit<'kms:Decrypt'>,
      ciphertext: Uint8Array,
      context: EncryptionContext,
    ): Promise<Opened> {
      if (permit.reason === undefined) throw new Error('openForSystem is for system work only');
      return openUnder(await permittedKey(store, permit), ciphertext, context);
    },
  };
}
