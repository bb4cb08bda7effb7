/**
 * Archiving of snapshots (L-14) and fast restore. Every snapshot here is whole by itself, so archiving moves no bytes
 * and is done at once; from then on nothing reads the snapshot until it is restored.
 */
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Region, SnapshotId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { refuse } from './context.ts';
import {
  type FastRestoreRow,
  inChunks,
  reading,
  type SnapshotRow,
  type SnapshotTieringRow,
  snapshotRow,
  tierOf,
  writing,
} from './tables.ts';

export interface Tiering {
  readonly snapshotId: SnapshotId;
  readonly operation: SnapshotTieringRow['operation'];
  readonly at: Date;
}

export interface FastRestore {
  readonly snapshotId: SnapshotId;
  readonly accountId: AccountId;
  readonly availabilityZone: string;
  readonly enabledAt: Date;
}

export interface SnapshotTiers {
  /** Gives the time of the change. */
  archive(tx: Tx, id: SnapshotId): Promise<Date>;
  /** For good, or for some days; repeated for a restored one it changes how long. Gives the time of the change. */
  restore(tx: Tx, id: SnapshotId, days: number | undefined): Promise<Date>;
  /** The last change of each snapshot that ever had one. */
  tierings(ids: readonly SnapshotId[]): Promise<Map<SnapshotId, Tiering>>;

  enableFastRestore(tx: Tx, id: SnapshotId, account: AccountId, zone: string): Promise<FastRestore>;
  /** `undefined` where it was not enabled. */
  disableFastRestore(tx: Tx, id: SnapshotId, account: AccountId, zone: string): Promise<FastRestore | undefined>;
  fastRestores(region: Region, account: AccountId): Promise<FastRestore[]>;
}

const DAY_MS = 86_400_000;

const fastRestoreOf = (row: FastRestoreRow): FastRestore => ({
  snapshotId: row.snapshot_id,
  accountId: row.account_id,
  availabilityZone: row.availability_zone,
  enabledAt: new Date(row.enabled_at),
});

async function requireCompleted(tx: Tx, id: SnapshotId): Promise<SnapshotRow> {
  const row = await snapshotRow(writing(tx), id);
  if (!row) throw refuse('snapshot-not-found', { snapshotId: id });
  if (row.state !== 'completed') throw refuse('snapshot-not-completed', { snapshotId: id, state: row.state });
  return row;
}

export function createSnapshotTiers({ db, clock }: { readonly db: Db; readonly clock: () => Date }): SnapshotTiers {
  const note = async (
    tx: Tx,
    id: SnapshotId,
    operation: SnapshotTieringRow['operation'],
    columns: Pick<SnapshotRow, 'storage_tier' | 'restored_until'>,
  ): Promise<Date> => {
    const at = clock();
    await writing(tx).updateTable('snapshots').set(columns).where('id', '=', id).execute();
    const row = { snapshot_id: id, operation, tiered_at: at.getTime() };
    await writing(tx)
      .insertInto('snapshot_tierings')
      .values(row)
      .onConflict((conflict) => conflict.column('snapshot_id').doUpdateSet(row))
      .execute();
    return at;
  };
  const restoresIn = (tx: Tx, id: SnapshotId) =>
    writing(tx).selectFrom('fast_snapshot_restores').selectAll().where('snapshot_id', '=', id);

  return {
    async archive(tx, id) {
      const row = await requireCompleted(tx, id);
      if (tierOf(row, clock()) === 'archive') throw refuse('snapshot-archived', { snapshotId: id });
      if (await restoresIn(tx, id).executeTakeFirst()) throw refuse('snapshot-fast-restored', { snapshotId: id });
      return note(tx, id, 'archival', { storage_tier: 'archive', restored_until: null });
    },
    async restore(tx, id, days) {
      const row = await requireCompleted(tx, id);
      if (row.storage_tier !== 'archive') throw refuse('snapshot-not-archived', { snapshotId: id });
      return days === undefined
        ? note(tx, id, 'permanent-restore', { storage_tier: 'standard', restored_until: null })
        : note(tx, id, 'temporary-restore', {
            storage_tier: 'archive',
            restored_until: clock().getTime() + days * DAY_MS,
          });
    },
    async tierings(ids) {
      const rows = await inChunks(ids, (some) =>
        reading(db).selectFrom('snapshot_tierings').selectAll().where('snapshot_id', 'in', some).execute(),
      );
      return new Map(
        rows.map((row) => [
          row.snapshot_id,
          { snapshotId: row.snapshot_id, operation: row.operation, at: new Date(row.tiered_at) },
        ]),
      );
    },

    async enableFastRestore(tx, id, account, zone) {
      const snapshot = await requireCompleted(tx, id);
      if (tierOf(snapshot, clock()) === 'archive') throw refuse('snapshot-archived', { snapshotId: id });
      const enabled = await writing(tx)
        .selectFrom('fast_snapshot_restores')
        .selectAll()
        .where('account_id', '=', account)
        .where('availability_zone', '=', zone)
        .execute();
      const before = enabled.find((row) => row.snapshot_id === id);
      if (before) return fastRestoreOf(before);
      if (enabled.length >= LIMITS.fastRestoresMax) throw refuse('fast-restore-limit', { max: LIMITS.fastRestoresMax });
      const row: FastRestoreRow = {
        snapshot_id: id,
        account_id: account,
        region: snapshot.region,
        availability_zone: zone,
        enabled_at: clock().getTime(),
      };
      await writing(tx).insertInto('fast_snapshot_restores').values(row).execute();
      return fastRestoreOf(row);
    },
    async disableFastRestore(tx, id, account, zone) {
      const row = await restoresIn(tx, id)
        .where('account_id', '=', account)
        .where('availability_zone', '=', zone)
        .executeTakeFirst();
      if (!row) return undefined;
      await writing(tx)
        .deleteFrom('fast_snapshot_restores')
        .where('snapshot_id', '=', id)
        .where('account_id', '=', account)
        .where('availability_zone', '=', zone)
        .execute();
      return fastRestoreOf(row);
    },
    async fastRestores(region, account) {
      const rows = await reading(db)
        .selectFrom('fast_snapshot_restores')
        .selectAll()
        .where('region', '=', region)
        .where('account_id', '=', account)
        .execute();
      return rows.map(fastRestoreOf);
    },
  };
}
