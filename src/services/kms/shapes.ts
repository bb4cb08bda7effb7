/** Records of keys in the shapes of KMS's answers. */
import {
  CustomerMasterKeySpec,
  type GrantListEntry,
  type KeyMetadata,
  type MultiRegionConfiguration,
  type Tag,
} from '@aws-sdk/client-kms';
import { keyArn, type Region } from '../../ids.ts';
import type { ShownGrant } from '../../keys/grants.ts';
import { algorithmsOf, isSymmetric, type KeyUsage } from '../../keys/key-specs.ts';
import type { Expiration, KeyRecord, RelatedKeys } from '../../keys/records.ts';
import type { KeyTag } from '../../keys/tags.ts';
import { auditDate } from './kms.ts';

/** 3.1 to 3.6 */
export function keyMetadata(key: KeyRecord): KeyMetadata {
  const oldName = Object.values(CustomerMasterKeySpec).find((name) => name === key.spec);
  return {
    AWSAccountId: key.accountId,
    KeyId: key.keyId,
    Arn: key.arn,
    CreationDate: key.createdAt,
    Enabled: key.state === 'Enabled',
    Description: key.description,
    KeyUsage: key.usage,
    KeyState: key.state,
    ...(key.deletionAt ? { DeletionDate: key.deletionAt } : {}),
    ...(key.deletionWindowInDays === undefined ? {} : { PendingDeletionWindowInDays: key.deletionWindowInDays }),
    ...(key.imported ? expirationMembers(key.imported) : {}),
    Origin: key.origin,
    KeyManager: key.manager,
    ...(oldName ? { CustomerMasterKeySpec: oldName } : {}),
    KeySpec: key.spec,
    ...algorithmMembers(key),
    MultiRegion: key.multiRegion,
    ...(key.related ? { MultiRegionConfiguration: multiRegionConfiguration(key, key.related) } : {}),
    ...(isSymmetric(key) && key.currentMaterialId !== undefined ? { CurrentKeyMaterialId: key.currentMaterialId } : {}),
  };
}

/** Exactly one list, by usage (3.4). */
export function algorithmMembers(key: KeyRecord): Partial<KeyMetadata> {
  const algorithms = [...algorithmsOf(key.spec, key.usage)];
  return { [ALGORITHM_LISTS[key.usage]]: algorithms };
}

const ALGORITHM_LISTS = {
  ENCRYPT_DECRYPT: 'EncryptionAlgorithms',
  SIGN_VERIFY: 'SigningAlgorithms',
  GENERATE_VERIFY_MAC: 'MacAlgorithms',
  KEY_AGREEMENT: 'KeyAgreementAlgorithms',
  ENCAPSULATE_DECAPSULATE: 'EncapsulationAlgorithms',
} as const satisfies Readonly<Record<KeyUsage, keyof KeyMetadata>>;

/** 3.5 */
function multiRegionConfiguration(key: KeyRecord, related: RelatedKeys): MultiRegionConfiguration {
  const relative = (region: Region) => ({ Arn: keyArn(region, key.accountId, key.keyId), Region: region });
  const { primaryRegion, regions } = related;
  return {
    MultiRegionKeyType: primaryRegion === key.region ? 'PRIMARY' : 'REPLICA',
    PrimaryKey: relative(primaryRegion),
    ReplicaKeys: regions.filter((region) => region !== primaryRegion).map(relative),
  };
}

/** Of imported material (3.3). */
export function expirationMembers({ validTo }: Expiration): Pick<KeyMetadata, 'ExpirationModel' | 'ValidTo'> {
  if (!validTo) return { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' };
  return { ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: validTo };
}

/** The same with lowerCamel names and dates as text, for the audit record of CreateKey (26.3). */
export function auditedKeyMetadata(key: KeyRecord): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(keyMetadata(key)).map(([name, value]) => [
      name[0]!.toLowerCase() + name.slice(1),
      value instanceof Date ? auditDate(value) : value,
    ]),
  );
}

/** 15.14 */
export function grantEntry(grant: ShownGrant): GrantListEntry {
  const { encryptionContextSubset: subset, encryptionContextEquals: equals, sourceArn } = grant.constraints;
  const constraints = {
    ...(subset ? { EncryptionContextSubset: { ...subset } } : {}),
    ...(equals ? { EncryptionContextEquals: { ...equals } } : {}),
    ...(sourceArn === undefined ? {} : { SourceArn: sourceArn }),
  };
  return {
    KeyId: grant.keyArn,
    GrantId: grant.grantId,
    Name: grant.name ?? '',
    CreationDate: grant.createdAt,
    [grant.granteeIsService ? 'GranteeServicePrincipal' : 'GranteePrincipal']: grant.grantee,
    ...(grant.retiring === undefined
      ? {}
      : { [grant.retiringIsService ? 'RetiringServicePrincipal' : 'RetiringPrincipal']: grant.retiring }),
    IssuingAccount: grant.issuingAccount,
    Operations: [...grant.operations] as NonNullable<GrantListEntry['Operations']>,
    ...(Object.keys(constraints).length > 0 ? { Constraints: constraints } : {}),
  };
}

export function tagEntry(tag: KeyTag): Tag {
  return { TagKey: tag.key, TagValue: tag.value };
}
