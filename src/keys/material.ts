/**
 * Key material: random bytes of a symmetric or HMAC key, or the PKCS#8 of a key pair, sealed at rest under the root key
 * and bound to its key, its own id and its spec. See docs/formats/key-material.md.
 */
import type { Fields } from '../crypto/fields.ts';
import { generateKeyPair, PrivateKey } from '../crypto/key-pairs.ts';
import { randomBytes } from '../crypto/random.ts';
import type { RootKey } from '../crypto/root-key.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import { IntegrityError } from '../errors.ts';
import type { Arn } from '../ids.ts';
import { type KeySpec, materialKind, SYMMETRIC_DEFAULT } from './key-specs.ts';
import type { KeyMaterial } from './records.ts';

const MATERIAL_ID_BYTES = 32;

/** What binds sealed material. */
export interface MaterialPlace {
  readonly keyArn: Arn;
  readonly materialId: string;
  readonly spec: KeySpec;
}

export interface NewMaterial {
  readonly materialId: string;
  readonly sealed: Uint8Array;
}

export function newMaterialId(): string {
  return Buffer.from(randomBytes(MATERIAL_ID_BYTES)).toString('hex');
}

/** Fresh material for a key, sealed under the root key. Key pairs are made off the event loop. */
export async function newMaterial(rootKey: RootKey, keyArn: Arn, spec: KeySpec): Promise<NewMaterial> {
  const kind = materialKind(spec);
  if (kind.kind === 'secret') return newSecretMaterial(rootKey, keyArn, spec, kind.byteCount);
  const bytes = (await generateKeyPair(kind.pair)).exposePkcs8();
  const materialId = newMaterialId();
  return { materialId, sealed: sealMaterial(rootKey, { keyArn, materialId, spec }, bytes) };
}

/** Fresh material of a symmetric encryption key, at once. */
export function newSymmetricMaterial(rootKey: RootKey, keyArn: Arn): NewMaterial {
  return newSecretMaterial(rootKey, keyArn, SYMMETRIC_DEFAULT, 32);
}

function newSecretMaterial(rootKey: RootKey, keyArn: Arn, spec: KeySpec, byteCount: number): NewMaterial {
  const materialId = newMaterialId();
  return { materialId, sealed: sealMaterial(rootKey, { keyArn, materialId, spec }, randomBytes(byteCount)) };
}

/** Seals material and wipes the bytes. */
export function sealMaterial(rootKey: RootKey, place: MaterialPlace, bytes: Uint8Array): Uint8Array {
  const sealed = rootKey.seal(bytes, materialFields(place));
  bytes.fill(0);
  return sealed;
}

/** The bytes of sealed material, to seal them elsewhere. Wipe them after use. @throws {IntegrityError} */
export function unsealMaterial(rootKey: RootKey, place: MaterialPlace, sealed: Uint8Array): Uint8Array<ArrayBuffer> {
  return rootKey.open(sealed, materialFields(place));
}

/** @throws {IntegrityError} where the stored bytes are not this key's material of this id and spec. */
export function openMaterial(rootKey: RootKey, place: MaterialPlace, sealed: Uint8Array): KeyMaterial {
  const { materialId, spec } = place;
  const bytes = unsealMaterial(rootKey, place, sealed);
  const kind = materialKind(spec);
  if (kind.kind === 'secret') return { kind: 'secret', materialId, key: SecretKey.take(bytes) };
  const pair = PrivateKey.take(bytes);
  if (!pair) throw new IntegrityError(`key material ${materialId} of ${place.keyArn}`);
  return { kind: 'pair', materialId, pair };
}

/** Associated data of sealed key material. That of symmetric encryption keys has no `spec`, as in the first version. */
export function materialFields({ keyArn, materialId, spec }: MaterialPlace): Fields {
  return [
    ['purpose', 'kms-key-material'],
    ['key', keyArn],
    ['material', materialId],
    ...(spec === SYMMETRIC_DEFAULT ? [] : [['spec', spec] as const]),
  ];
}

/** The digest by which material that is imported again is told from other material (kms 17.4), sealed like it. */
export function materialDigestFields({ keyArn, materialId }: Pick<MaterialPlace, 'keyArn' | 'materialId'>): Fields {
  return [
    ['purpose', 'kms-imported-material-digest'],
    ['key', keyArn],
    ['material', materialId],
  ];
}
