import type { StartSnapshotCommand, StartSnapshotResponse } from '@aws-sdk/client-ebs';
import type { Call } from '../../authz/caller.ts';
import { hashParameters, type TokenUse } from '../../idempotency/idempotency.ts';
import { snapshotArn } from '../../ids.ts';
import type { Tag } from '../../tags/tags.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeSnapshot, BLOCK_BYTES, type EbsDeps, findSnapshot } from './common.ts';
import { ebsError, invalid, invalidParameter, snapshotNotFound } from './errors.ts';

const VOLUME_SIZE_MAX = 65_536;
const TIMEOUT_MIN = 10;
const TIMEOUT_MAX = 4320;
const TIMEOUT_DEFAULT = 60;
const DESCRIPTION_MAX = 255;
const TAGS_MAX = 50;
/** E-12. */
const KMS_KEY_ARN = /^arn:aws[a-zA-Z-]*:kms:[a-z0-9-]*:\d{12}:key\/.+$/;

export const startSnapshot =
  (deps: EbsDeps): OperationOf<StartSnapshotCommand> =>
  async (call, input) => {
    const checked = check(input);
    const { ParentSnapshotId: parentId } = input;
    const parent = parentId === undefined ? undefined : await findSnapshot(deps, call, parentId);
    await authorize(deps, call, input, parent, checked);

    const token: TokenUse | undefined = input.ClientToken
      ? {
          account: call.caller.accountId,
          region: call.region,
          action: 'ebs:StartSnapshot',
          token: input.ClientToken,
        }
      : undefined;
    const hash = await hashParameters(input);
    const replay = async () => {
      const earlier = token && (await deps.idempotency.find(token));
      if (!earlier) return undefined;
      const made = await deps.snapshots.find(call.region, earlier.resultId);
      if (earlier.parametersHash !== hash || !made) throw conflict();
      return answer(made, input, checked.tags);
    };
    const replayed = await replay();
    if (replayed) return replayed;

    if (parentId !== undefined) {
      if (!parent) throw snapshotNotFound(parentId);
      // E-16: a shared snapshot cannot be a parent.
      if (parent.ownerId !== call.caller.accountId) throw snapshotNotFound(parentId);
      if (parent.state !== 'completed') {
        throw invalid('INVALID_SNAPSHOT_ID', `Source snapshot (${parentId}) is not complete.`);
      }
    }
    const outcome = await deps.direct.decide(call, {
      parent,
      encrypted: input.Encrypted,
      kmsKeyArn: input.KmsKeyArn,
    });
    const raced = new Error('another request with this token came first');
    const started = deps.direct.start(
      call,
      {
        volumeSizeGiB: checked.volumeSize,
        parent,
        description: input.Description ?? '',
        timeoutMinutes: input.Timeout ?? TIMEOUT_DEFAULT,
        outcome,
      },
      async (tx, made) => {
        if (checked.tags.length > 0) {
          await deps.tags.put(tx, made.ownerId, made.region, 'snapshot', made.id, checked.tags);
        }
        if (!token) return;
        if (await deps.idempotency.find(token, tx)) throw raced;
        await deps.idempotency.remember(tx, token, hash, made.id);
      },
    );
    const snapshot = await started.catch(async (error: unknown) => {
      if (error !== raced) throw error;
      return undefined;
    });
    if (snapshot) return answer(snapshot, input, checked.tags);
    return (await replay()) ?? Promise.reject(conflict());
  };

const conflict = () =>
  ebsError('ConflictException', 'The request uses the same client token as a previous, but non-identical request.');

interface Checked {
  readonly volumeSize: number;
  readonly tags: readonly Tag[];
}

function check(input: InputOf<StartSnapshotCommand>): Checked {
  const { VolumeSize: volumeSize, Timeout: timeout, KmsKeyArn: keyArn, Description: description } = input;
  if (volumeSize === undefined || !Number.isInteger(volumeSize) || volumeSize < 1 || volumeSize > VOLUME_SIZE_MAX) {
    throw invalid('INVALID_VOLUME_SIZE', `VolumeSize must be between 1 and ${VOLUME_SIZE_MAX} GiB`);
  }
  if (timeout !== undefined && (timeout < TIMEOUT_MIN || timeout > TIMEOUT_MAX)) {
    throw invalidParameter(`Timeout must be between ${TIMEOUT_MIN} and ${TIMEOUT_MAX} minutes`);
  }
  if (keyArn !== undefined && !KMS_KEY_ARN.test(keyArn)) {
    throw invalidParameter('KmsKeyArn must be the ARN of a KMS key');
  }
  if (description !== undefined && description.length > DESCRIPTION_MAX) {
    throw invalidParameter(`Description must be at most ${DESCRIPTION_MAX} characters`);
  }
  const tags = (input.Tags ?? []).map(({ Key, Value }) => {
    if (!Key || Key.length > 128 || (Value ?? '').length > 256 || /^aws:/i.test(Key)) {
      throw invalid('INVALID_TAG', `The tag key '${Key ?? ''}' or its value is invalid`);
    }
    return { Key, Value: Value ?? '' };
  });
  if (tags.length > TAGS_MAX || new Set(tags.map((tag) => tag.Key)).size < tags.length) {
    throw invalid('INVALID_TAG', `At most ${TAGS_MAX} tags with different keys can be given`);
  }
  return { volumeSize, tags };
}

/** E-23, and ec2:CreateTags on the new snapshot where there are tags (E-14). */
async function authorize(
  deps: EbsDeps,
  call: Call,
  input: InputOf<StartSnapshotCommand>,
  parent: SnapshotRecord | undefined,
  { volumeSize, tags }: Checked,
): Promise<void> {
  const requestTags = {
    ...(tags.length > 0 && { 'aws:TagKeys': tags.map((tag) => tag.Key) }),
    ...Object.fromEntries(tags.map((tag) => [`aws:RequestTag/${tag.Key}`, tag.Value])),
  };
  const parentId = input.ParentSnapshotId;
  await authorizeSnapshot(deps, call, 'ebs:StartSnapshot', parentId ?? '*', parent, {
    'ebs:VolumeSize': volumeSize,
    ...(input.Description !== undefined && { 'ebs:Description': input.Description }),
    ...(parentId !== undefined && { 'ebs:ParentSnapshot': snapshotArn(call.region, parentId) }),
    ...requestTags,
  });
  if (tags.length === 0) return;
  await authorizeSnapshot(deps, call, 'ec2:CreateTags', '*', undefined, {
    ...requestTags,
    'ec2:CreateAction': 'StartSnapshot',
    'ec2:Region': call.region,
  });
}

/** E-15. */
function answer(
  snapshot: SnapshotRecord,
  input: InputOf<StartSnapshotCommand>,
  tags: readonly Tag[],
): StartSnapshotResponse {
  return {
    SnapshotId: snapshot.id,
    OwnerId: snapshot.ownerId,
    Status: snapshot.state === 'completed' || snapshot.state === 'error' ? snapshot.state : 'pending',
    StartTime: snapshot.startTime,
    VolumeSize: snapshot.volumeSizeGiB,
    BlockSize: BLOCK_BYTES,
    ...(input.Description !== undefined && { Description: snapshot.description }),
    ...(input.ParentSnapshotId !== undefined && { ParentSnapshotId: input.ParentSnapshotId }),
    ...(snapshot.kmsKeyArn && { KmsKeyArn: snapshot.kmsKeyArn }),
    ...(tags.length > 0 && { Tags: [...tags] }),
    SseType: snapshot.encrypted ? 'sse-kms' : 'none',
  };
}
