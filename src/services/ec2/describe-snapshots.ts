import type { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { type AccountId, isAccountId } from '../../ids.ts';
import type { Tag } from '../../tags/tags.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { ec2Error, requireSnapshotId, snapshotNotFound } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { showSnapshot, type VolumeDeps } from './volume-shapes.ts';

const FILTERS: FilterReaders<SnapshotRecord> = {
  description: (snapshot) => snapshot.description,
  encrypted: (snapshot) => snapshot.encrypted,
  'owner-id': (snapshot) => snapshot.ownerId,
  progress: (snapshot) => snapshot.progress,
  'snapshot-id': (snapshot) => snapshot.id,
  'start-time': (snapshot) => snapshot.startTime,
  status: (snapshot) => snapshot.state,
  'storage-tier': (snapshot) => snapshot.storageTier,
  'volume-id': (snapshot) => snapshot.volumeId,
  'volume-size': (snapshot) => snapshot.volumeSizeGiB,
};

export const describeSnapshots =
  (deps: VolumeDeps): OperationOf<DescribeSnapshotsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeSnapshots');
    dryRun(input);
    const visible = await askedFor(deps, call, input);
    const tags = await deps.tags.of(
      call.caller.accountId,
      call.region,
      visible.map((snapshot) => snapshot.id),
    );
    const tagsOf = (snapshot: SnapshotRecord): readonly Tag[] => tags.get(snapshot.id) ?? [];
    const { items, NextToken } = page(visible.filter(compileFilters(input.Filters, FILTERS, tagsOf)), input, {
      operation: 'DescribeSnapshots',
      key: (snapshot) => snapshot.id,
      ids: { parameter: 'snapshotIdsSet', given: input.SnapshotIds },
    });
    return {
      Snapshots: items.map((snapshot) => showSnapshot(snapshot, tagsOf(snapshot))),
      ...(NextToken !== undefined && { NextToken }),
    };
  };

async function askedFor(
  deps: VolumeDeps,
  call: Call,
  input: InputOf<DescribeSnapshotsCommand>,
): Promise<SnapshotRecord[]> {
  const { accountId } = call.caller;
  const { SnapshotIds: ids = [] } = input;
  for (const id of ids) requireSnapshotId(id);
  const owners = input.OwnerIds?.map((owner) => accountOf(owner, accountId, 'owner'));
  const restorers = input.RestorableByUserIds?.map((user) => accountOf(user, accountId, 'restorable-by'));
  const found =
    ids.length > 0
      ? (await deps.snapshots.findMany(call.region, [...new Set(ids)])).filter((snapshot) =>
          deps.snapshots.mayUse(snapshot, accountId),
        )
      : await deps.snapshots.listVisible(call.region, accountId);
  const missing = ids.find((id) => !found.some((snapshot) => snapshot.id === id));
  if (missing !== undefined) throw snapshotNotFound(missing);
  return found.filter(
    (snapshot) =>
      (!owners?.length || owners.includes(snapshot.ownerId)) &&
      (!restorers?.length || restorers.some((account) => isRestorable(snapshot, account, accountId))),
  );
}

/** `self`, an account id, `amazon` as an owner that owns nothing here, `all` for public ones. */
function accountOf(value: string, self: AccountId, parameter: 'owner' | 'restorable-by'): AccountId | 'all' | 'amazon' {
  if (value === 'self') return self;
  if (isAccountId(value)) return value;
  if (parameter === 'owner' && value === 'amazon') return value;
  if (parameter === 'restorable-by' && value === 'all') return value;
  throw ec2Error('InvalidUserID.Malformed', `Invalid user id: "${value}"`);
}

/** Another account's id counts where the caller's snapshot, or one it sees, is shared with that account by name. */
function isRestorable(snapshot: SnapshotRecord, account: AccountId | 'all' | 'amazon', self: AccountId): boolean {
  if (account === 'all') return snapshot.publiclyUsable;
  if (account === 'amazon') return false;
  if (account === self) return snapshot.ownerId === self || snapshot.sharedWith.includes(self);
  return snapshot.ownerId === account || (snapshot.ownerId === self && snapshot.sharedWith.includes(account));
}
