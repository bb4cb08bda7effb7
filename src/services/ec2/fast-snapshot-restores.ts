/** Fast snapshot restore by snapshot and zone. Volumes need no initialization here, so that enabling is done at once. */
import type {
  DescribeFastSnapshotRestoresCommand,
  DisableFastSnapshotRestoreErrorItem,
  DisableFastSnapshotRestoreSuccessItem,
  DisableFastSnapshotRestoresCommand,
  EnableFastSnapshotRestoreErrorItem,
  EnableFastSnapshotRestoreSuccessItem,
  EnableFastSnapshotRestoresCommand,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { Zone } from '../../network/regions.ts';
import { zonesOf } from '../../network/regions.ts';
import type { FastRestore } from '../../volumes/snapshot-tiers.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, authorizeAny, dryRun } from './common.ts';
import {
  ec2Error,
  missingParameter,
  type RefusalPlace,
  requireSnapshotId,
  snapshotNotFound,
  volumeRefusals,
} from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { requireZone, snapshotResource, type VolumeDeps, visibleSnapshot } from './volume-shapes.ts';

interface ZonesInput {
  readonly SourceSnapshotIds?: readonly string[] | undefined;
  readonly AvailabilityZones?: readonly string[] | undefined;
  readonly AvailabilityZoneIds?: readonly string[] | undefined;
  readonly DryRun?: boolean | undefined;
}

interface Failure {
  readonly snapshotId: string;
  readonly zone: Zone;
  readonly error: ApiError;
}

/** Each snapshot in each zone by itself: what fails for one is reported beside what is done for the others. */
async function forEach<Item>(
  deps: VolumeDeps,
  call: Call,
  action: 'EnableFastSnapshotRestores' | 'DisableFastSnapshotRestores',
  input: ZonesInput,
  work: (snapshot: SnapshotRecord, zone: Zone) => Promise<Item>,
): Promise<{ done: Item[]; failures: Failure[] }> {
  const { SourceSnapshotIds: ids } = input;
  if (!ids?.length) throw missingParameter('SourceSnapshotIds');
  for (const id of ids) requireSnapshotId(id);
  const found = new Map<string, SnapshotRecord | undefined>();
  for (const id of ids) found.set(id, await visibleSnapshot(deps, call, id));
  const checks = [];
  for (const [id, snapshot] of found) checks.push(await snapshotResource(deps, call, snapshot, id));
  await authorizeAll(deps.authorizer, call, `ec2:${action}`, checks);
  dryRun(input);
  const zones = zonesOf(call.region);
  const asked = [
    ...(input.AvailabilityZones ?? []).map((name) => requireZone(zones, { AvailabilityZone: name })),
    ...(input.AvailabilityZoneIds ?? []).map((id) => requireZone(zones, { AvailabilityZoneId: id })),
  ];
  if (asked.length === 0) throw missingParameter('AvailabilityZones');
  const done: Item[] = [];
  const failures: Failure[] = [];
  for (const [snapshotId, snapshot] of found) {
    for (const zone of asked) {
      try {
        if (!snapshot || !mayRestore(snapshot, call)) throw snapshotNotFound(snapshotId);
        done.push(await work(snapshot, zone));
      } catch (error) {
        failures.push({ snapshotId, zone, error: asApiError(error, { call, operation: action, facts: {} }) });
      }
    }
  }
  return { done, failures };
}

/** Own ones, and those shared with the account by name. */
function mayRestore(snapshot: SnapshotRecord, { caller }: Call): boolean {
  return snapshot.ownerId === caller.accountId || snapshot.sharedWith.includes(caller.accountId);
}

function asApiError(error: unknown, place: RefusalPlace): ApiError {
  if (error instanceof ApiError) return error;
  const answers: Readonly<Record<string, ((place: RefusalPlace) => ApiError) | undefined>> = volumeRefusals;
  const answer = error instanceof Refusal ? answers[error.reason] : undefined;
  if (!answer || !(error instanceof Refusal)) throw error;
  return answer({ ...place, facts: error.facts });
}

const failed = (
  failures: readonly Failure[],
): (EnableFastSnapshotRestoreErrorItem & DisableFastSnapshotRestoreErrorItem)[] =>
  [...Map.groupBy(failures, (failure) => failure.snapshotId)].map(([SnapshotId, some]) => ({
    SnapshotId,
    FastSnapshotRestoreStateErrors: some.map(({ zone, error }) => ({
      AvailabilityZone: zone.name,
      AvailabilityZoneId: zone.id,
      Error: { Code: error.code, Message: error.message },
    })),
  }));

function shapeOf(restore: FastRestore, snapshot: Pick<SnapshotRecord, 'ownerId'> | undefined, zones: readonly Zone[]) {
  const zone = zones.find((each) => each.name === restore.availabilityZone);
  return {
    SnapshotId: restore.snapshotId,
    AvailabilityZone: restore.availabilityZone,
    ...(zone && { AvailabilityZoneId: zone.id }),
    State: 'enabled' as const,
    StateTransitionReason: 'Client.UserInitiated - Lifecycle state transition',
    ...(snapshot && { OwnerId: snapshot.ownerId }),
    EnablingTime: restore.enabledAt,
    OptimizingTime: restore.enabledAt,
    EnabledTime: restore.enabledAt,
  };
}

export const enableFastSnapshotRestores =
  (deps: VolumeDeps): OperationOf<EnableFastSnapshotRestoresCommand> =>
  async (call, input) => {
    const { done, failures } = await forEach<EnableFastSnapshotRestoreSuccessItem>(
      deps,
      call,
      'EnableFastSnapshotRestores',
      input,
      async (snapshot, zone) => {
        const { accountId } = call.caller;
        const restore = await deps.db.write((tx) =>
          deps.tiers.enableFastRestore(tx, snapshot.id, accountId, zone.name),
        );
        return shapeOf(restore, snapshot, zonesOf(call.region));
      },
    );
    return { Successful: done, Unsuccessful: failed(failures) };
  };

export const disableFastSnapshotRestores =
  (deps: VolumeDeps): OperationOf<DisableFastSnapshotRestoresCommand> =>
  async (call, input) => {
    const { done, failures } = await forEach<DisableFastSnapshotRestoreSuccessItem>(
      deps,
      call,
      'DisableFastSnapshotRestores',
      input,
      async (snapshot, zone) => {
        const { accountId } = call.caller;
        const restore = await deps.db.write((tx) =>
          deps.tiers.disableFastRestore(tx, snapshot.id, accountId, zone.name),
        );
        if (!restore) {
          throw ec2Error(
            'InvalidFastSnapshotRestore.NotFound',
            `Fast snapshot restore is not enabled for ${snapshot.id} in ${zone.name}.`,
          );
        }
        const now = deps.clock();
        return {
          ...shapeOf(restore, snapshot, zonesOf(call.region)),
          State: 'disabled',
          DisablingTime: now,
          DisabledTime: now,
        };
      },
    );
    return { Successful: done, Unsuccessful: failed(failures) };
  };

const FILTERS: FilterReaders<ReturnType<typeof shapeOf>> = {
  'availability-zone': (item) => item.AvailabilityZone,
  'availability-zone-id': (item) => item.AvailabilityZoneId,
  'owner-id': (item) => item.OwnerId,
  'snapshot-id': (item) => item.SnapshotId,
  state: (item) => item.State,
};

export const describeFastSnapshotRestores =
  (deps: VolumeDeps): OperationOf<DescribeFastSnapshotRestoresCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeFastSnapshotRestores');
    dryRun(input);
    const restores = await deps.tiers.fastRestores(call.region, call.caller.accountId);
    const snapshots = await deps.snapshots.findMany(call.region, [...new Set(restores.map((each) => each.snapshotId))]);
    const byId = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]));
    const shown = restores.map((restore) => shapeOf(restore, byId.get(restore.snapshotId), zonesOf(call.region)));
    const { items, NextToken } = page(shown.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeFastSnapshotRestores',
      key: (item) => `${item.SnapshotId} ${item.AvailabilityZone}`,
      min: 0,
    });
    return { FastSnapshotRestores: items, ...(NextToken !== undefined && { NextToken }) };
  };
