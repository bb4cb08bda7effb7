import { type CreateKeyCommand, CustomerMasterKeySpec, KeySpec, KeyUsageType, OriginType } from '@aws-sdk/client-kms';
import { noteForAudit } from '../../authz/caller.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, invalid, unsupported } from './constraints.ts';
import { type Kms, note } from './kms.ts';
import { readTags, tagConditions } from './resource-tags.ts';
import { auditedKeyMetadata, keyMetadata } from './shapes.ts';

export const createKey =
  ({ keys }: Kms): OperationOf<CreateKeyCommand> =>
  async (call, input) => {
    const { spec, usage, origin, multiRegion } = readKind(input);
    const tags = readTags(input.Tags ?? []);
    const bypass = input.BypassPolicyLockoutSafetyCheck;
    note(call, false, {
      description: input.Description ?? '',
      keySpec: spec,
      customerMasterKeySpec: spec,
      keyUsage: usage,
      origin,
      multiRegion,
      bypassPolicyLockoutSafetyCheck: bypass ?? false,
      ...(input.Policy === undefined ? {} : { policy: input.Policy }),
      ...(tags.length > 0 ? { tags: tags.map((tag) => ({ tagKey: tag.key, tagValue: tag.value })) } : {}),
    });
    const permit = await keys.access.authorizeIdentity(call, 'kms:CreateKey', '*', {
      'kms:KeySpec': spec,
      'kms:KeyUsage': usage,
      'kms:KeyOrigin': origin,
      'kms:MultiRegion': multiRegion,
      'kms:MultiRegionKeyType': multiRegion ? 'PRIMARY' : undefined,
      'kms:CustomerMasterKeySpec': spec,
      'kms:CustomerMasterKeyUsage': usage,
      'kms:BypassPolicyLockoutSafetyCheck': bypass,
      ...tagConditions(tags),
    });
    // Tagging a new key needs its own right (7.2).
    if (tags.length > 0) await keys.access.authorizeIdentity(call, 'kms:TagResource', '*', tagConditions(tags));
    refuseUnsupported(input, { spec, origin, multiRegion });
    const key = await keys.createKey(permit, {
      description: input.Description ?? '',
      bypassLockoutCheck: bypass ?? false,
      tags,
      ...(input.Policy === undefined ? {} : { policy: input.Policy }),
    });
    noteForAudit(call, {
      resources: [{ arn: key.arn, accountId: key.accountId, type: 'AWS::KMS::Key' }],
      responseElements: { keyMetadata: auditedKeyMetadata(key) },
    });
    return { KeyMetadata: keyMetadata(key) };
  };

/** Which usages a key spec allows (6). */
function usagesOf(spec: string): readonly string[] {
  if (spec === 'SYMMETRIC_DEFAULT') return ['ENCRYPT_DECRYPT'];
  if (spec.startsWith('RSA_')) return ['ENCRYPT_DECRYPT', 'SIGN_VERIFY'];
  if (spec.startsWith('HMAC_')) return ['GENERATE_VERIFY_MAC'];
  if (spec.startsWith('ECC_NIST_P')) return ['SIGN_VERIFY', 'KEY_AGREEMENT'];
  if (spec.startsWith('ML_KEM_')) return ['ENCAPSULATE_DECAPSULATE'];
  if (spec === 'SM2') return ['ENCRYPT_DECRYPT', 'SIGN_VERIFY', 'KEY_AGREEMENT'];
  return ['SIGN_VERIFY'];
}

function readKind(input: InputOf<CreateKeyCommand>) {
  new Constraints()
    .length('policy', input.Policy, 1, 131_072)
    .length('description', input.Description, 0, 8192)
    .oneOf('keyUsage', input.KeyUsage, Object.values(KeyUsageType))
    .oneOf('customerMasterKeySpec', input.CustomerMasterKeySpec, Object.values(CustomerMasterKeySpec))
    .oneOf('keySpec', input.KeySpec, Object.values(KeySpec))
    .oneOf('origin', input.Origin, Object.values(OriginType))
    .enforce();
  if (input.KeySpec !== undefined && input.CustomerMasterKeySpec !== undefined) {
    throw invalid('You cannot specify KeySpec and CustomerMasterKeySpec in the same request.');
  }
  const spec = input.KeySpec ?? input.CustomerMasterKeySpec ?? 'SYMMETRIC_DEFAULT';
  if (input.KeyUsage === undefined && spec !== 'SYMMETRIC_DEFAULT') {
    throw invalid('You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.');
  }
  const usage = input.KeyUsage ?? 'ENCRYPT_DECRYPT';
  if (!usagesOf(spec).includes(usage)) throw invalid(`KeyUsage ${usage} is not compatible with KeySpec ${spec}`);
  return { spec, usage, origin: input.Origin ?? 'AWS_KMS', multiRegion: input.MultiRegion ?? false };
}

function refuseUnsupported(
  input: InputOf<CreateKeyCommand>,
  kind: { readonly spec: string; readonly origin: string; readonly multiRegion: boolean },
): void {
  if (kind.spec !== 'SYMMETRIC_DEFAULT') throw unsupported(`KeySpec ${kind.spec}`);
  if (kind.origin !== 'AWS_KMS') throw unsupported(`Origin ${kind.origin}`);
  if (kind.multiRegion) throw unsupported('MultiRegion');
  if (input.CustomKeyStoreId !== undefined) throw unsupported('CustomKeyStoreId');
  if (input.XksKeyId !== undefined) throw unsupported('XksKeyId');
}
