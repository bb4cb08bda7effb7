/** Key material: 256 random bits, sealed at rest under the root key and bound to its key and its own id. */
import type { Fields } from '../crypto/fields.ts';
import { randomBytes } from '../crypto/random.ts';
import type { RootKey } from '../crypto/root-key.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import type { Arn } from '../ids.ts';
import type { KeyMaterial } from './records.ts';

const MATERIAL_BYTES = 32;
const MATERIAL_ID_BYTES = 32;

/** Fresh material for a key: its id, and its bytes sealed under the root key. */
export function newMaterial(rootKey: RootKey, keyArn: Arn): { materialId: string; sealed: Uint8Array } {
  const materialId = Buffer.from(randomBytes(MATERIAL_ID_BYTES)).toString('hex');
  const bytes = randomBytes(MATERIAL_BYTES);
  const sealed = rootKey.seal(bytes, materialFields(keyArn, materialId));
  bytes.fill(0);
  return { materialId, sealed };
}

/** @throws {IntegrityError} where the stored bytes are not this key's material of this id. */
export function openMaterial(rootKey: RootKey, keyArn: Arn, materialId: string, sealed: Uint8Array): KeyMaterial {
  return { materialId, key: SecretKey.take(rootKey.open(sealed, materialFields(keyArn, materialId))) };
}

/** Associated data of sealed key material. */
export function materialFields(keyArn: Arn, materialId: string): Fields {
  return [
    ['purpose', 'kms-key-material'],
    ['key', keyArn],
    ['material', materialId],
  ];
}
