/** ReplicateKey and UpdatePrimaryRegion (kms §18). */
import type { ReplicateKeyCommand, UpdatePrimaryRegionCommand } from '@aws-sdk/client-kms';
import { type Call, noteForAudit } from '../../authz/caller.ts';
import type { Region } from '../../ids.ts';
import { relativeArn } from '../../keys/multi-region.ts';
import { refuse } from '../../keys/refusals.ts';
import { isReplica } from '../../keys/store.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints, invalid } from './constraints.ts';
import { authorize, type Kms, locate, note } from './kms.ts';
import { readTags, tagConditions } from './resource-tags.ts';
import { auditedKeyMetadata, keyMetadata, tagEntry } from './shapes.ts';

export const replicateKey =
  (kms: Kms): OperationOf<ReplicateKeyCommand> =>
  async (call, input) => {
    new Constraints()
      .length('replicaRegion', input.ReplicaRegion, 1, 32)
      .length('policy', input.Policy, 1, 131_072)
      .length('description', input.Description, 0, 8192)
      .enforce();
    const tags = readTags(input.Tags ?? []);
    const bypass = input.BypassPolicyLockoutSafetyCheck;
    const parameters = {
      keyId: input.KeyId,
      replicaRegion: input.ReplicaRegion,
      ...(input.Policy === undefined ? {} : { policy: input.Policy }),
      bypassPolicyLockoutSafetyCheck: bypass ?? false,
      description: input.Description ?? '',
    };
    note(call, false, parameters);
    const target = await locate(kms, call, 'kms:ReplicateKey', input.KeyId!);
    const { key } = target;
    const from = await authorize(kms, call, 'kms:ReplicateKey', target, {
      conditions: { 'kms:ReplicaRegion': input.ReplicaRegion },
    });
    if (!key.related || isReplica(key)) throw refuse('key-not-primary', { arn: key.arn });
    const there = inRegion(kms, call, 'ReplicaRegion', input.ReplicaRegion!);
    const create = await kms.keys.access.authorizeIdentity(there, 'kms:CreateKey', '*', {
      'kms:KeySpec': key.spec,
      'kms:KeyUsage': key.usage,
      'kms:KeyOrigin': key.origin,
      'kms:MultiRegion': true,
      'kms:MultiRegionKeyType': 'REPLICA',
      'kms:BypassPolicyLockoutSafetyCheck': bypass,
      ...tagConditions(tags),
    });
    if (tags.length > 0) await kms.keys.access.authorizeIdentity(there, 'kms:TagResource', '*', tagConditions(tags));
    const replica = await kms.keys.replicateKey(from, create, {
      description: input.Description ?? '',
      bypassLockoutCheck: bypass ?? false,
      tags,
      ...(input.Policy === undefined ? {} : { policy: input.Policy }),
    });
    note(call, false, parameters, { replicaKeyMetadata: auditedKeyMetadata(replica) });
    noteForAudit(call, {
      resources: [{ arn: replica.arn, accountId: replica.accountId, type: 'AWS::KMS::Key' }],
    });
    return {
      ReplicaKeyMetadata: keyMetadata(replica),
      ReplicaPolicy: await kms.keys.shownPolicy(replica),
      ReplicaTags: tags.map(tagEntry),
    };
  };

export const updatePrimaryRegion =
  (kms: Kms): OperationOf<UpdatePrimaryRegionCommand> =>
  async (call, input) => {
    new Constraints().length('primaryRegion', input.PrimaryRegion, 1, 32).enforce();
    note(call, false, { keyId: input.KeyId, primaryRegion: input.PrimaryRegion });
    const conditions = { 'kms:PrimaryRegion': input.PrimaryRegion };
    const target = await locate(kms, call, 'kms:UpdatePrimaryRegion', input.KeyId!);
    const from = await authorize(kms, call, 'kms:UpdatePrimaryRegion', target, { conditions });
    if (!target.key.related || isReplica(target.key)) throw refuse('key-not-primary', { arn: target.key.arn });
    const there = inRegion(kms, call, 'PrimaryRegion', input.PrimaryRegion!);
    const replica = await locate(kms, there, 'kms:UpdatePrimaryRegion', relativeArn(target.key, there.region));
    const to = await authorize(kms, there, 'kms:UpdatePrimaryRegion', replica, { conditions });
    await kms.keys.updatePrimaryRegion(from, to);
    return {};
  };

/** The call as it is made in another Region, where its own policies and keys are. */
function inRegion(kms: Kms, call: Call, member: string, region: string): Call {
  if (!kms.isRegion(region)) throw invalid(`${member} ${region} is not a Region.`);
  return { ...call, region: region as Region };
}
