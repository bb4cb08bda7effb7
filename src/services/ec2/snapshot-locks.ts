/** Snapshot locks (L-13). */
import type {
  DescribeLockedSnapshotsCommand,
  LockedSnapshotsInfo,
  LockSnapshotCommand,
  UnlockSnapshotCommand,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { LockRequest, SnapshotLock } from '../../volumes/snapshot-locks.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  requireSnapshotId,
  snapshotNotFound,
} from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { useOwnSnapshot } from './snapshot-access.ts';
import type { VolumeDeps } from './volume-shapes.ts';

const DURATION_DAYS = { min: 1, max: 36_500 };
const COOL_OFF_HOURS = { min: 1, max: 72 };

export const lockSnapshot =
  (deps: VolumeDeps): OperationOf<LockSnapshotCommand> =>
  async (call, input) => {
    const request = lockRequest(call, input);
    const snapshot = await useOwnSnapshot(deps, call, 'ec2:LockSnapshot', input, {
      ...(input.LockDuration !== undefined && { 'ec2:SnapshotLockDuration': input.LockDuration }),
      ...(input.CoolOffPeriod !== undefined && { 'ec2:SnapshotCoolOffPeriod': input.CoolOffPeriod }),
    });
    if (snapshot.state === 'error')
      throw ec2Error('IncorrectState', `Snapshot is in invalid state - ${snapshot.state}`);
    const lock = await deps.db.write((tx) => deps.locks.lock(tx, snapshot.id, request));
    const { OwnerId: _, ...shown } = lockShape(lock);
    return shown;
  };

function lockRequest(call: Call, input: InputOf<LockSnapshotCommand>): LockRequest {
  const { LockMode: mode, LockDuration: days, ExpirationDate: expiresAt, CoolOffPeriod: hours } = input;
  if (!mode) throw missingParameter('LockMode');
  if (mode !== 'governance' && mode !== 'compliance') {
    throw invalidParameterValue(`Value (${mode}) for parameter lockMode is invalid.`);
  }
  if ((days === undefined) === (expiresAt === undefined)) {
    throw invalidParameterCombination('Specify either LockDuration or ExpirationDate, and not both.');
  }
  if (days !== undefined && (days < DURATION_DAYS.min || days > DURATION_DAYS.max)) {
    throw invalidParameterValue(`LockDuration must be between ${DURATION_DAYS.min} and ${DURATION_DAYS.max} days.`);
  }
  if (expiresAt !== undefined && !(expiresAt > call.now)) {
    throw invalidParameterValue('ExpirationDate must be in the future.');
  }
  if (hours !== undefined && mode !== 'compliance') {
    throw invalidParameterCombination('CoolOffPeriod can be specified for compliance mode only.');
  }
  if (hours !== undefined && (hours < COOL_OFF_HOURS.min || hours > COOL_OFF_HOURS.max)) {
    throw invalidParameterValue(`CoolOffPeriod must be between ${COOL_OFF_HOURS.min} and ${COOL_OFF_HOURS.max} hours.`);
  }
  return {
    mode,
    ...(hours === undefined ? {} : { coolOffHours: hours }),
    term: expiresAt === undefined ? { durationDays: days! } : { expiresAt },
  };
}

export const unlockSnapshot =
  (deps: VolumeDeps): OperationOf<UnlockSnapshotCommand> =>
  async (call, input) => {
    const { id } = await useOwnSnapshot(deps, call, 'ec2:UnlockSnapshot', input);
    await deps.db.write((tx) => deps.locks.unlock(tx, id));
    return { SnapshotId: id };
  };

const FILTERS: FilterReaders<SnapshotLock> = { 'lock-state': (lock) => lock.state };

export const describeLockedSnapshots =
  (deps: VolumeDeps): OperationOf<DescribeLockedSnapshotsCommand> =>
  async (call, input) => {
    const { SnapshotIds: ids } = input;
    for (const id of ids ?? []) requireSnapshotId(id);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeLockedSnapshots');
    dryRun(input);
    const { accountId } = call.caller;
    if (ids?.length) {
      const own = await deps.snapshots.findMany(call.region, ids);
      const unknown = ids.find((id) => !own.some((each) => each.id === id && each.ownerId === accountId));
      if (unknown !== undefined) throw snapshotNotFound(unknown);
    }
    const locks = (await deps.locks.list(call.region, accountId)).filter(
      (lock) => !ids?.length || ids.includes(lock.snapshotId),
    );
    const { items, NextToken } = page(locks.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeLockedSnapshots',
      key: (lock) => lock.snapshotId,
      ids: { parameter: 'snapshotIdsSet', given: ids },
    });
    return { Snapshots: items.map(lockShape), ...(NextToken !== undefined && { NextToken }) };
  };

function lockShape(lock: SnapshotLock): LockedSnapshotsInfo {
  return {
    SnapshotId: lock.snapshotId,
    OwnerId: lock.ownerId,
    LockState: lock.state,
    LockDuration: lock.durationDays,
    ...(lock.coolOffHours !== undefined && { CoolOffPeriod: lock.coolOffHours }),
    ...(lock.coolOffEndsAt && { CoolOffPeriodExpiresOn: lock.coolOffEndsAt }),
    LockCreatedOn: lock.createdAt,
    LockDurationStartTime: lock.startsAt,
    LockExpiresOn: lock.expiresAt,
  };
}
