/** Records of keys in the shapes of KMS's answers. */
import type { GrantListEntry, KeyMetadata, Tag } from '@aws-sdk/client-kms';
import type { ShownGrant } from '../../keys/grants.ts';
import type { KeyRecord } from '../../keys/records.ts';
import type { KeyTag } from '../../keys/tags.ts';
import { auditDate } from './kms.ts';

/** 3.1 to 3.6 */
export function keyMetadata(key: KeyRecord): KeyMetadata {
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
    Origin: key.origin,
    KeyManager: key.manager,
    CustomerMasterKeySpec: key.spec,
    KeySpec: key.spec,
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    MultiRegion: key.multiRegion,
    CurrentKeyMaterialId: key.currentMaterialId,
  };
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
  const { encryptionContextSubset: subset, encryptionContextEquals: equals } = grant.constraints;
  const constraints = {
    ...(subset ? { EncryptionContextSubset: { ...subset } } : {}),
    ...(equals ? { EncryptionContextEquals: { ...equals } } : {}),
  };
  return {
    KeyId: grant.keyArn,
    GrantId: grant.grantId,
    Name: grant.name ?? '',
    CreationDate: grant.createdAt,
    GranteePrincipal: grant.grantee,
    ...(grant.retiring === undefined ? {} : { RetiringPrincipal: grant.retiring }),
    IssuingAccount: grant.issuingAccount,
    Operations: [...grant.operations] as NonNullable<GrantListEntry['Operations']>,
    ...(subset || equals ? { Constraints: constraints } : {}),
  };
}

export function tagEntry(tag: KeyTag): Tag {
  return { TagKey: tag.key, TagValue: tag.value };
}
