/** Archiving snapshots and restoring them (L-14). */
import type {
  DescribeSnapshotTierStatusCommand,
  ModifySnapshotTierCommand,
  RestoreSnapshotTierCommand,
  SnapshotTierStatus,
} from '@aws-sdk/client-ec2';
import type { Tiering } from '../../volumes/snapshot-tiers.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { useOwnSnapshot } from './snapshot-access.ts';
import { tagSet, type VolumeDeps } from './volume-shapes.ts';

const RESTORE_DAYS_MAX = 180;

export const modifySnapshotTier =
  (deps: VolumeDeps): OperationOf<ModifySnapshotTierCommand> =>
  async (call, input) => {
    if (input.StorageTier !== undefined && input.StorageTier !== 'archive') {
      throw invalidParameterValue(`Value (${input.StorageTier}) for parameter storageTier is invalid.`);
    }
    const { id } = await useOwnSnapshot(deps, call, 'ec2:ModifySnapshotTier', input);
    if (input.StorageTier === undefined) throw missingParameter('StorageTier');
    const use = (await deps.imagesUsingSnapshot(id)).find((image) => !image.disabled);
    if (use) {
      throw ec2Error('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${use.imageId}`);
    }
    const at = await deps.db.write((tx) => deps.tiers.archive(tx, id));
    return { SnapshotId: id, TieringStartTime: at };
  };

export const restoreSnapshotTier =
  (deps: VolumeDeps): OperationOf<RestoreSnapshotTierCommand> =>
  async (call, input) => {
    const { TemporaryRestoreDays: days, PermanentRestore: permanent } = input;
    if (days !== undefined && permanent) {
      throw invalidParameterCombination('Specify either TemporaryRestoreDays or PermanentRestore, and not both.');
    }
    if (days !== undefined && (days < 1 || days > RESTORE_DAYS_MAX)) {
      throw invalidParameterValue(`TemporaryRestoreDays must be between 1 and ${RESTORE_DAYS_MAX}.`);
    }
    const { id } = await useOwnSnapshot(deps, call, 'ec2:RestoreSnapshotTier', input);
    if (days === undefined && !permanent) throw missingParameter('TemporaryRestoreDays or PermanentRestore');
    const at = await deps.db.write((tx) => deps.tiers.restore(tx, id, days));
    return {
      SnapshotId: id,
      RestoreStartTime: at,
      IsPermanentRestore: permanent === true,
      ...(days !== undefined && { RestoreDuration: days }),
    };
  };

interface Row {
  readonly snapshot: SnapshotRecord;
  readonly tiering: Tiering | undefined;
}

const operationStatus = ({ tiering }: Row) => tiering && (`${tiering.operation}-completed` as const);

const FILTERS: FilterReaders<Row> = {
  'snapshot-id': ({ snapshot }) => snapshot.id,
  'volume-id': ({ snapshot }) => snapshot.volumeId,
  'last-tiering-operation': operationStatus,
};

export const describeSnapshotTierStatus =
  (deps: VolumeDeps): OperationOf<DescribeSnapshotTierStatusCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeSnapshotTierStatus');
    dryRun(input);
    const { accountId } = call.caller;
    const own = (await deps.snapshots.listVisible(call.region, accountId)).filter((each) => each.ownerId === accountId);
    const ids = own.map((snapshot) => snapshot.id);
    const [tierings, tags] = [await deps.tiers.tierings(ids), await deps.tags.of(accountId, call.region, ids)];
    const rows = own.map((snapshot): Row => ({ snapshot, tiering: tierings.get(snapshot.id) }));
    const tagsOf = ({ snapshot }: Row) => tags.get(snapshot.id) ?? [];
    const { items, NextToken } = page(rows.filter(compileFilters(input.Filters, FILTERS, tagsOf)), input, {
      operation: 'DescribeSnapshotTierStatus',
      key: ({ snapshot }) => snapshot.id,
    });
    return {
      SnapshotTierStatuses: items.map((row) => ({ ...statusShape(row), ...tagSet(tagsOf(row)) })),
      ...(NextToken !== undefined && { NextToken }),
    };
  };

function statusShape(row: Row): SnapshotTierStatus {
  const { snapshot, tiering } = row;
  const status = operationStatus(row);
  return {
    SnapshotId: snapshot.id,
    VolumeId: snapshot.volumeId,
    OwnerId: snapshot.ownerId,
    Status: snapshot.state,
    StorageTier: snapshot.storageTier,
    ...(tiering && {
      LastTieringStartTime: tiering.at,
      LastTieringProgress: 100,
      LastTieringOperationStatus: status!,
    }),
    ...(tiering?.operation === 'archival' && { ArchivalCompleteTime: tiering.at }),
    ...(snapshot.restoreExpiryTime && { RestoreExpiryTime: snapshot.restoreExpiryTime }),
  };
}
