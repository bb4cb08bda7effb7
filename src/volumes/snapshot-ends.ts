/** How a pending snapshot ends, and how a snapshot goes. */
import type { Tx } from '../db/db.ts';
import type { SnapshotId } from '../ids.ts';
import type { Context } from './context.ts';
import { requireUnlocked } from './snapshot-locks.ts';
import type { MapRoot } from './storage.ts';
import { snapshotRow, writing } from './tables.ts';

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

export async function deleteSnapshot(ctx: Context, tx: Tx, id: SnapshotId): Promise<void> {
  const queries = writing(tx);
  const row = await snapshotRow(queries, id);
  if (!row) return;
  await requireUnlocked(tx, row, ctx.clock());
  if (row.origin === 'direct' && row.state === 'pending') await ctx.storage.dropUpload(tx, id);
  await queries.deleteFrom('snapshots').where('id', '=', id).execute();
  await ctx.tags.removeAll(tx, row.owner_id, row.region, id);
  tx.afterCommit(() => ctx.progress.delete(id));
}
