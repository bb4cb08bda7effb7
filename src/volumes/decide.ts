/** Encryption outcomes with the keys they mean: the pure tables of policy/encryption-outcomes.ts, and keys looked up by identifier. */

import {
  type Choice,
  imageCopyOutcome,
  type KeyChoice,
  type SourceKind,
  snapshotCopyOutcome,
  volumeOutcome,
} from '../../policy/encryption-outcomes.ts';
import type { Call } from '../authz/caller.ts';
import { viaEc2 } from '../authz/caller.ts';
import type { AccountId, Arn } from '../ids.ts';
import type { KeysOnBehalf } from '../keys/on-behalf.ts';
import { refuse } from './context.ts';
import type {
  CopyDecision,
  EbsDefaults,
  EncryptionOutcome,
  SnapshotRecord,
  VolumeRecord,
  VolumeRequest,
} from './volumes.ts';

export const AWS_MANAGED_ALIAS = 'alias/aws/ebs';

interface Deps {
  readonly keys: KeysOnBehalf;
  readonly defaults: EbsDefaults;
}

type EncryptedSource = Pick<SnapshotRecord, 'ownerId' | 'encrypted' | 'kmsKeyArn' | 'underAwsManagedKey'>;

export function sourceKind(source: EncryptedSource | undefined, account: AccountId): SourceKind {
  if (!source) return 'none';
  if (source.ownerId === account) return source.encrypted ? 'own-encrypted' : 'own-plain';
  return source.encrypted ? 'shared-encrypted' : 'shared-plain';
}

/** Table 1.1. */
export async function decideVolume(
  deps: Deps,
  call: Call,
  request: Pick<VolumeRequest, 'encrypted' | 'kmsKeyId'>,
  source: SnapshotRecord | undefined,
): Promise<EncryptionOutcome> {
  const { accountId } = call.caller;
  const { encryptionByDefault, kmsKeyId } = await deps.defaults.get(accountId, call.region);
  const choice = volumeOutcome({
    source: sourceKind(source, accountId),
    encrypted: request.encrypted,
    keyGiven: request.kmsKeyId !== undefined,
    encryptionByDefault,
  });
  return withKey(deps.keys, call, choiceOf(choice, {}), { given: request.kmsKeyId, byDefault: kmsKeyId, source });
}

/** Tables 1.4 and 1.5. */
export async function decideCopy(deps: Deps, call: Call, decision: CopyDecision): Promise<EncryptionOutcome> {
  const { accountId } = call.caller;
  const { source } = decision;
  const { encryptionByDefault, kmsKeyId } = await deps.defaults.get(accountId, call.region);
  const kind = sourceKind(source, accountId);
  const request = {
    source: kind,
    encrypted: decision.encrypted,
    keyGiven: decision.kmsKeyId !== undefined,
    encryptionByDefault,
  };
  const choice =
    decision.kind === 'snapshot'
      ? snapshotCopyOutcome(request)
      : imageCopyOutcome({ ...request, sameRegion: source === undefined || source.region === call.region });
  const facts = source ? { snapshotId: source.id } : {};
  return withKey(deps.keys, call, choiceOf(choice, facts), { given: decision.kmsKeyId, byDefault: kmsKeyId, source });
}

/** BI-12: `Encrypted` without a key means the default key, and what is encrypted stays so whatever is asked. */
export async function decideVolumeCopy(
  deps: Deps,
  call: Call,
  source: VolumeRecord,
  request: Pick<VolumeRequest, 'encrypted' | 'kmsKeyId'>,
): Promise<EncryptionOutcome> {
  const { encryptionByDefault, kmsKeyId } = await deps.defaults.get(call.caller.accountId, call.region);
  const choice = volumeOutcome({
    source: source.encrypted && request.encrypted !== true ? 'own-encrypted' : 'none',
    encrypted: source.encrypted && !request.kmsKeyId && request.encrypted === false ? undefined : request.encrypted,
    keyGiven: request.kmsKeyId !== undefined,
    encryptionByDefault,
  });
  return withKey(deps.keys, call, choiceOf(choice, {}), { given: request.kmsKeyId, byDefault: kmsKeyId, source });
}

function choiceOf(choice: Choice, facts: { readonly snapshotId?: string }): KeyChoice {
  if (typeof choice === 'string') return choice;
  switch (choice.refused) {
    case 'kms-key-without-encrypted':
    case 'encrypted-false-of-encrypted':
    case 'plain-copy-of-encrypted':
      throw refuse(choice.refused, facts);
    default:
      throw new Error(`${choice.refused} is no outcome of a volume or a copy`);
  }
}

export async function withKey(
  keys: KeysOnBehalf,
  call: Call,
  choice: KeyChoice,
  candidates: {
    readonly given: string | undefined;
    readonly byDefault: string | undefined;
    readonly source: EncryptedSource | undefined;
  },
): Promise<EncryptionOutcome> {
  if (choice === 'plain') return { encrypted: false, source: 'none', underAwsManagedKey: false };
  if (choice === 'snapshot-key') {
    const { kmsKeyArn, underAwsManagedKey } = candidates.source!;
    return {
      encrypted: true,
      source: choice,
      underAwsManagedKey,
      ...(kmsKeyArn && { kmsKey: kmsKeyArn, kmsKeyArn }),
    };
  }
  const identifier = choice === 'given-key' ? candidates.given! : (candidates.byDefault ?? AWS_MANAGED_ALIAS);
  const via = viaEc2(call);
  const key = identifier === AWS_MANAGED_ALIAS ? await keys.ebsManagedKey(via) : await keys.resolve(via, identifier);
  return {
    encrypted: true,
    kmsKey: identifier,
    ...(key && { kmsKeyArn: key.arn }),
    source: choice,
    underAwsManagedKey: key?.manager === 'AWS',
  };
}

/** The key as it is recorded: an unknown one stands as it was given, and fails when it is used (CV-1). */
export function recordedKey(outcome: EncryptionOutcome): Arn | null {
  return outcome.encrypted ? (outcome.kmsKeyArn ?? (outcome.kmsKey as Arn)) : null;
}
