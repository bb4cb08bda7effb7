/** How a pending snapshot ends, and how a snapshot goes. */
import type { Tx } from '../db/db.ts';
import type { AccountId, Region, SnapshotId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type Context, refuse } from './context.ts';
import { requireUnlocked } from './snapshot-locks.ts';
import type { MapRoot } from './storage.ts';
import { type SnapshotRow, snapshotRow, writing } from './tables.ts';

/** Completes a pending snapshot; false where it is gone or has ended before. */
export async function finishSnapshot(ctx: Context, tx: Tx, id: SnapshotId, root: MapRoot): Promise<boolean> {
  tx.afterCommit(() => ctx.progress.delete(id));
  const { numUpdatedRows } = await writing(tx)
    .updateTable('snapshots')
    .set({
      state: 'completed',
      progress: '100%',
      completion_time: ctx.clock().getTime(),
      map_root: root,
      source_root: null,
      frozen_through: null,
      upload: null,
    })
    .where('id', '=', id)
    .where('state', '=', 'pending')
    .executeTakeFirstOrThrow();
  return numUpdatedRows > 0n;
}

/** Ends a pending snapshot in `error` (CS-6, CS-9, E-13, E-20). `job` names a reseal whose progress is of no more use. */
export async function failSnapshot(ctx: Context, id: SnapshotId, message: string, job?: string): Promise<void> {
  await ctx.db.write(async (tx) => {
    tx.afterCommit(() => ctx.progress.delete(id));
    const queries = writing(tx);
    if (job !== undefined) await ctx.storage.finishReseal(tx, job);
    const row = await snapshotRow(queries, id);
    if (row?.state !== 'pending') return;
    if (row.origin === 'direct') await ctx.storage.dropUpload(tx, id);
    await queries
      .updateTable('snapshots')
      .set({ state: 'error', state_message: message, progress: '0%', source_root: null, upload: null })
      .where('id', '=', id)
      .execute();
  });
}

/** Where a rule of the Recycle Bin keeps it, the snapshot goes there, with its tags and with nobody to share it. */
export async function deleteSnapshot(ctx: Context, tx: Tx, id: SnapshotId): Promise<void> {
  const queries = writing(tx);
  const row = await snapshotRow(queries, id);
  if (!row || row.state === 'recoverable') return;
  await requireUnlocked(tx, row, ctx.clock());
  if (row.state === 'completed' && row.purpose !== 'volume-copy') {
    const tags = (await ctx.tags.of(row.owner_id, row.region, [id])).get(id) ?? [];
    const place = { account: row.owner_id, region: row.region, type: 'EBS_SNAPSHOT' as const, id };
    if (await ctx.bin.enter(tx, { ...place, tags, detail: '' })) {
      await queries.updateTable('snapshots').set({ state: 'recoverable', public: 0 }).where('id', '=', id).execute();
      await queries.deleteFrom('snapshot_permissions').where('snapshot_id', '=', id).execute();
      await ctx.jobs.enqueue<BinnedSnapshot>(tx, EMPTY_BIN, { id, owner: row.owner_id, region: row.region });
      return;
    }
  }
  await removeSnapshot(ctx, tx, row);
}

async function removeSnapshot(ctx: Context, tx: Tx, row: SnapshotRow): Promise<void> {
  const { id } = row;
  if (row.origin === 'direct' && row.state === 'pending') await ctx.storage.dropUpload(tx, id);
  await writing(tx).deleteFrom('snapshots').where('id', '=', id).execute();
  await ctx.tags.removeAll(tx, row.owner_id, row.region, id);
  tx.afterCommit(() => ctx.progress.delete(id));
}

/** Takes a snapshot out of the bin, as it was but for its sharing. */
export async function restoreSnapshot(ctx: Context, tx: Tx, id: SnapshotId): Promise<void> {
  const { numUpdatedRows } = await writing(tx)
    .updateTable('snapshots')
    .set({ state: 'completed' })
    .where('id', '=', id)
    .where('state', '=', 'recoverable')
    .executeTakeFirstOrThrow();
  if (numUpdatedRows === 0n) throw refuse('snapshot-not-found', { snapshotId: id });
  await ctx.bin.leave(tx, id);
}

const EMPTY_BIN = 'snapshots.empty-bin';

interface BinnedSnapshot {
  readonly id: SnapshotId;
  readonly owner: AccountId;
  readonly region: Region;
}

/** Deletes for good what nobody restored in time. */
export function emptyBinProgram(ctx: Context): Program<BinnedSnapshot> {
  return {
    kind: EMPTY_BIN,
    start: 'wait',
    steps: {
      async wait({ payload: { id, owner, region } }): Promise<Outcome<BinnedSnapshot>> {
        const item = await ctx.bin.item(owner, region, id);
        if (!item) return { kind: 'done' };
        const leftMs = item.exitsAt.getTime() - ctx.clock().getTime();
        if (leftMs > 0) return { kind: 'nap', ms: leftMs };
        await ctx.db.write(async (tx) => {
          const row = await snapshotRow(writing(tx), id);
          if (row?.state === 'recoverable') await removeSnapshot(ctx, tx, row);
          await ctx.bin.leave(tx, id);
        });
        return { kind: 'done' };
      },
    },
  };
}
