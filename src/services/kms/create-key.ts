import { type CreateKeyCommand, CustomerMasterKeySpec, KeySpec, KeyUsageType, OriginType } from '@aws-sdk/client-kms';
import { noteForAudit } from '../../authz/caller.ts';
import { algorithmsOf, isKeySpec } from '../../keys/key-specs.ts';
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
    refuseHardware(input, origin);
    const key = await keys.createKey(permit, {
      kind: madeKind(spec, usage, origin, multiRegion),
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
  if (isKeySpec(spec) && algorithmsOf(spec, usage).length === 0)
    throw invalid(`KeyUsage ${usage} is not compatible with KeySpec ${spec}`);
  return { spec, usage, origin: input.Origin ?? 'AWS_KMS', multiRegion: input.MultiRegion ?? false };
}

/** What needs hardware or another key manager behind Ingot. */
function refuseHardware(input: InputOf<CreateKeyCommand>, origin: string): void {
  if (input.CustomKeyStoreId !== undefined) throw unsupported('CustomKeyStoreId');
  if (input.XksKeyId !== undefined) throw unsupported('XksKeyId');
  if (origin !== 'AWS_KMS' && origin !== 'EXTERNAL') throw unsupported(`Origin ${origin}`);
}

function madeKind(spec: string, usage: KeyUsageType, origin: string, multiRegion: boolean) {
  if (!isKeySpec(spec)) throw unsupported(`KeySpec ${spec}`);
  return { spec, usage, origin: origin === 'EXTERNAL' ? ('EXTERNAL' as const) : ('AWS_KMS' as const), multiRegion };
}
