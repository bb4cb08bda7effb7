/**
 * What Encrypt and GenerateDataKey hand out: a byte string that names its key and key material and is authenticated
 * together with both and with the encryption context (kms 8.3, 11.2).
 *
 *     KMS ciphertext v1:  01 | kind (1) | key id (16) | key material id (32) | sealed message (crypto/aead.ts)
 *
 * Kind 0 is a UUID, kind 1 the hex digits of a multi-Region key id. See docs/formats/kms-ciphertext.md.
 */

import { seal, tryOpen } from '../crypto/aead.ts';
import { encodeFields, type Fields } from '../crypto/fields.ts';
import type { KeyId } from '../ids.ts';
import type { EncryptionContext } from './on-behalf.ts';
import type { SecretMaterial } from './records.ts';

const VERSION = 1;
const KIND_AT = 1;
const KEY_ID_AT = 2;
const MATERIAL_ID_AT = 18;
const HEADER_BYTES = 50;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MULTI_REGION = /^mrk-[0-9a-f]{32}$/;

/** What a ciphertext says of itself. Nothing of it is authenticated until it opens. */
export interface CiphertextHeader {
  readonly keyId: KeyId;
  readonly materialId: string;
}

/** Whether `value` is a key id (kms 2.1). */
export function isKeyId(value: string): value is KeyId {
  return UUID.test(value) || MULTI_REGION.test(value);
}

/** The header, or `undefined` where the bytes are no KMS ciphertext of a known version. */
export function readCiphertextHeader(ciphertext: Uint8Array): CiphertextHeader | undefined {
  if (ciphertext.byteLength < HEADER_BYTES || ciphertext[0] !== VERSION) return undefined;
  const kind = ciphertext[KIND_AT];
  if (kind !== 0 && kind !== 1) return undefined;
  const id = hex(ciphertext.subarray(KEY_ID_AT, MATERIAL_ID_AT));
  const uuid = `${id.slice(0, 8)}-${id.slice(8, 12)}-${id.slice(12, 16)}-${id.slice(16, 20)}-${id.slice(20)}`;
  return {
    keyId: (kind === 0 ? uuid : `mrk-${id}`) as KeyId,
    materialId: hex(ciphertext.subarray(MATERIAL_ID_AT, HEADER_BYTES)),
  };
}

export function sealCiphertext(
  keyId: KeyId,
  material: Pick<SecretMaterial, 'materialId' | 'key'>,
  plaintext: Uint8Array,
  context: EncryptionContext,
): Uint8Array {
  const header = { keyId, materialId: material.materialId };
  const sealed = seal(material.key, plaintext, ciphertextFields(header, context));
  const ciphertext = new Uint8Array(HEADER_BYTES + sealed.byteLength);
  ciphertext.set(encodeCiphertextHeader(header));
  ciphertext.set(sealed, HEADER_BYTES);
  return ciphertext;
}

/** The plaintext, or `undefined` where bytes, material or context do not fit. Wipe the result after use. */
export function openCiphertext(
  material: Pick<SecretMaterial, 'materialId' | 'key'>,
  ciphertext: Uint8Array,
  context: EncryptionContext,
): Uint8Array<ArrayBuffer> | undefined {
  const header = readCiphertextHeader(ciphertext);
  if (header === undefined || header.materialId !== material.materialId) return undefined;
  return tryOpen(material.key, ciphertext.subarray(HEADER_BYTES), ciphertextFields(header, context));
}

export function encodeCiphertextHeader({ keyId, materialId }: CiphertextHeader): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const multiRegion = MULTI_REGION.test(keyId);
  header[0] = VERSION;
  header[KIND_AT] = multiRegion ? 1 : 0;
  header.set(Buffer.from(keyId.slice(multiRegion ? 4 : 0).replaceAll('-', ''), 'hex'), KEY_ID_AT);
  header.set(Buffer.from(materialId, 'hex'), MATERIAL_ID_AT);
  return header;
}

/** Associated data of a KMS ciphertext: its header, and the encryption context whatever the order of its pairs. */
export function ciphertextFields(header: CiphertextHeader, context: EncryptionContext): Fields {
  return [
    ['purpose', 'kms-ciphertext'],
    ['header', encodeCiphertextHeader(header)],
    ['encryption-context', encodeContext(context)],
  ];
}

/** The pairs sorted by the UTF-8 bytes of their keys; `{a: 'bc'}` and `{ab: 'c'}` differ. */
export function encodeContext(context: EncryptionContext): Uint8Array {
  const pairs = Object.entries(context).map(([key, value]) => ({ bytes: Buffer.from(key), key, value }));
  pairs.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  return encodeFields(pairs.map(({ key, value }) => [key, value]));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
