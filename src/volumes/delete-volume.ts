/** Deleting a volume: the record says `deleting` at once, a job removes grants, overlays and the record itself. */
import type { VolumeId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type Context, refuse } from './context.ts';
import { ec2ServiceCall } from './data-keys.ts';
import { resealBaseJob } from './reseal-base.ts';
import { reading, type VolumeRow, volumeRow, writing } from './tables.ts';

export const DELETE_VOLUME = 'volumes.delete';
const SNAPSHOT_PAUSE_MS = 500;

interface DeletePayload {
  readonly id: VolumeId;
}

/** Refuses while attached or already on its way out. */
export async function deleteVolume(ctx: Context, id: VolumeId): Promise<void> {
  await ctx.db.write(async (tx) => {
    const queries = writing(tx);
    const row = await volumeRow(queries, id);
    if (!row || row.state === 'deleting') throw refuse('volume-not-found', { volumeId: id });
    const attachment = await queries
      .selectFrom('volume_attachments')
      .select('instance_id')
      .where('volume_id', '=', id)
      .executeTakeFirst();
    if (attachment) throw refuse('volume-in-use', { volumeId: id, instanceId: attachment.instance_id });
    await queries.updateTable('volumes').set({ state: 'deleting' }).where('id', '=', id).execute();
    await ctx.jobs.enqueue<DeletePayload>(tx, DELETE_VOLUME, { id });
  });
}

/** Retires both grants of K-8. Never fails for a key that is gone. */
async function retireGrants(ctx: Context, row: VolumeRow): Promise<void> {
  if (!row.kms_key_arn) return;
  const attachments = await reading(ctx.db)
    .selectFrom('volume_attachments')
    .select('grant_id')
    .where('volume_id', '=', row.id)
    .execute();
  const service = ec2ServiceCall(row.owner_id, row.region, ctx.clock());
  for (const grantId of [row.grant_id, ...attachments.map((each) => each.grant_id)]) {
    if (grantId !== null) await ctx.keys.retireGrant(service, row.kms_key_arn, grantId);
  }
}

export function deleteVolumeProgram(ctx: Context): Program<DeletePayload> {
  return {
    kind: DELETE_VOLUME,
    start: 'delete',
    steps: {
      async delete({ payload: { id } }): Promise<Outcome<DeletePayload>> {
        const row = await volumeRow(reading(ctx.db), id);
        if (!row) return { kind: 'done' };
        const pending = await reading(ctx.db)
          .selectFrom('snapshots')
          .select('id')
          .where('volume_id', '=', id)
          .where('origin', '=', 'volume')
          .where('state', '=', 'pending')
          .executeTakeFirst();
        // The frozen overlays are still to be sealed into the snapshot.
        if (pending) return { kind: 'nap', ms: SNAPSHOT_PAUSE_MS };
        await ctx.volumeLock.run(id, async () => {
          ctx.openedBy.delete(id);
          await ctx.storage.detach(id);
          await ctx.storage.deleteOverlays(id);
        });
        await retireGrants(ctx, row);
        await ctx.db.write(async (tx) => {
          await ctx.storage.finishReseal(tx, resealBaseJob(id));
          await ctx.tags.removeAll(tx, row.owner_id, row.region, id);
          await writing(tx).deleteFrom('volumes').where('id', '=', id).execute();
        });
        return { kind: 'done' };
      },
    },
    async failed({ id }, cause) {
      ctx.log.error({ volumeId: id, error: cause }, 'a volume could not be deleted; its files stay');
    },
  };
}
