/** What the operations of the EBS direct APIs do the same way: find a snapshot, decide who may read it, authorize. */
import type { Authorizer, ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Db } from '../../db/db.ts';
import type { Idempotency } from '../../idempotency/idempotency.ts';
import { type Arn, isEc2Id, snapshotArn } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import type { Tags } from '../../tags/tags.ts';
import type { DirectSnapshots } from '../../volumes/direct.ts';
import type { SnapshotRecord, Snapshots } from '../../volumes/volumes.ts';
import { invalid, invalidParameter, snapshotNotFound } from './errors.ts';

export interface EbsDeps {
  readonly authorizer: Authorizer;
  readonly db: Pick<Db, 'write'>;
  readonly snapshots: Snapshots;
  readonly direct: DirectSnapshots;
  readonly tags: Tags;
  readonly idempotency: Idempotency;
}

export const BLOCK_BYTES = LIMITS.blockBytes;
const PAGE_MIN = 100;
const PAGE_MAX = 10_000;
const TOKEN_LENGTH_MAX = 256;

/** The snapshot as the caller may know of it; looked up before authorization, judged after it. */
export async function findSnapshot(deps: EbsDeps, call: Call, id: string): Promise<SnapshotRecord | undefined> {
  return isEc2Id(id, 'snap') ? deps.snapshots.find(call.region, id) : undefined;
}

/** E-23: snapshot ARNs have an empty account field. Tags count where the caller's own account put them. */
export async function authorizeSnapshot<Action extends string>(
  deps: EbsDeps,
  call: Call,
  action: Action,
  id: string,
  snapshot: SnapshotRecord | undefined,
  context: ConditionValues = {},
): Promise<void> {
  const own = snapshot?.ownerId === call.caller.accountId;
  const tags = own ? ((await deps.tags.of(snapshot.ownerId, call.region, [id])).get(id) ?? []) : [];
  await deps.authorizer.authorize(
    call,
    action,
    {
      arn: isEc2Id(id, 'snap') || id === '*' ? snapshotArn(call.region, id) : ('*' as Arn | '*'),
      ...(snapshot && { accountId: snapshot.ownerId }),
      tags: Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value])),
    },
    context,
  );
}

/** E-17: the owner and accounts it is privately shared with may read; a public one is refused by its own message. */
export function requireReadable(call: Call, id: string, snapshot: SnapshotRecord | undefined): SnapshotRecord {
  if (!snapshot) throw snapshotNotFound(id);
  const account = call.caller.accountId;
  if (snapshot.ownerId === account || snapshot.sharedWith.includes(account)) return snapshot;
  if (snapshot.publiclyUsable) throw invalid('INVALID_SNAPSHOT_ID', 'Public snapshots are not supported');
  throw snapshotNotFound(id);
}

/** E-17: only the owner writes. */
export function requireOwn(call: Call, id: string, snapshot: SnapshotRecord | undefined): SnapshotRecord {
  if (snapshot?.ownerId !== call.caller.accountId) throw snapshotNotFound(id);
  return snapshot;
}

export function pageRequest(input: {
  readonly PageToken?: string | undefined;
  readonly NextToken?: string | undefined;
  readonly MaxResults?: number | undefined;
  readonly StartingBlockIndex?: number | undefined;
}) {
  const pageToken = input.NextToken;
  if (pageToken !== undefined && pageToken.length > TOKEN_LENGTH_MAX) {
    throw invalid('INVALID_PAGE_TOKEN', `The pagination token ${pageToken} is invalid.`);
  }
  const asked = input.MaxResults ?? PAGE_MAX;
  if (asked < 0 || asked > PAGE_MAX) throw invalidParameter(`MaxResults must be between ${PAGE_MIN} and ${PAGE_MAX}`);
  const startIndex = input.StartingBlockIndex ?? 0;
  if (startIndex < 0) throw invalidParameter('StartingBlockIndex must not be negative');
  // Below 100 at least 100 may be given (E-8).
  return { max: Math.max(PAGE_MIN, asked), startIndex, pageToken };
}

export function requireBlockIndex(index: number | undefined): number {
  if (index === undefined || !Number.isInteger(index) || index < 0) {
    throw invalid('INVALID_BLOCK', `Block index ${index} is not valid`);
  }
  return index;
}
