/**
 * CopyVolumes (BI-12). The source is frozen when the copy is recorded, through a snapshot that nobody sees: the copy is
 * of the moment of the request, and made from that snapshot like every volume from one.
 */
import type { Call } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import { newEc2Id, type SnapshotId, type VolumeId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type CallRecord, recallCall, recordCall } from './call-record.ts';
import { type Context, isFinal } from './context.ts';
import { insertVolume, makeVolume, vanish } from './create-volume.ts';
import { baseColumns, wrappedKeyOf } from './data-keys.ts';
import { deleteSnapshot } from './snapshot-ends.ts';
import { reading, snapshotRow, volumeRecords, volumeRow, writing } from './tables.ts';
import { startSnapshot } from './volume-snapshots.ts';
import type { EncryptionOutcome, VolumeRecord, VolumeRequest } from './volumes.ts';

export const COPY_VOLUME = 'volumes.copy';
const SEAL_PAUSE_MS = 50;

interface CopyPayload {
  readonly id: VolumeId;
  readonly snapshotId: SnapshotId;
  readonly caller: CallRecord;
}

export async function startVolumeCopy(
  ctx: Context,
  call: Call,
  source: VolumeRecord,
  request: Omit<VolumeRequest, 'snapshotId'>,
  outcome: EncryptionOutcome,
  within: (tx: Tx, volume: VolumeRecord) => Promise<void>,
): Promise<VolumeRecord> {
  const id = newEc2Id<VolumeId>('vol');
  let made: VolumeRecord | undefined;
  const hidden = { volumeId: source.id, description: `Copied to ${id}`, purpose: 'volume-copy' as const };
  await startSnapshot(ctx, call, hidden, async (tx, snapshot) => {
    const row = await insertVolume(ctx, tx, call, id, { sizeGiB: source.sizeGiB, ...request }, outcome);
    await writing(tx).updateTable('volumes').set({ source_volume_id: source.id }).where('id', '=', id).execute();
    const payload = { id, snapshotId: snapshot.id, caller: recordCall(call) };
    await ctx.jobs.enqueue<CopyPayload>(tx, COPY_VOLUME, payload);
    made = (await volumeRecords(writing(tx), [{ ...row, source_volume_id: source.id }]))[0]!;
    await within(tx, made);
  });
  if (!made) throw new Error(`the copy ${id} of ${source.id} was not recorded`);
  return made;
}

export function copyVolumeProgram(ctx: Context): Program<CopyPayload> {
  const end = async (snapshotId: SnapshotId) => {
    await ctx.db.write((tx) => deleteSnapshot(ctx, tx, snapshotId));
  };
  return {
    kind: COPY_VOLUME,
    start: 'wait',
    steps: {
      async wait({ payload: { id, snapshotId } }): Promise<Outcome<CopyPayload>> {
        const snapshot = await snapshotRow(reading(ctx.db), snapshotId);
        if (snapshot?.state === 'pending') return { kind: 'nap', ms: SEAL_PAUSE_MS };
        const volume = await volumeRow(reading(ctx.db), id);
        if (volume?.state === 'creating' && volume.base_root === null) {
          const key = snapshot && wrappedKeyOf(snapshot);
          if (snapshot?.state !== 'completed' || !key) {
            ctx.log.error({ volumeId: id, snapshotId }, 'a volume could not be copied: its source was not sealed');
            await vanish(ctx, id);
            return { kind: 'hop', to: 'end' };
          }
          await ctx.db.write((tx) =>
            writing(tx)
              .updateTable('volumes')
              .set({ base_root: snapshot.map_root, ...baseColumns(key) })
              .where('id', '=', id)
              .execute(),
          );
        }
        return { kind: 'hop', to: 'make' };
      },
      async make({ payload }): Promise<Outcome<CopyPayload>> {
        try {
          await makeVolume(ctx, recallCall(payload.caller), payload.id);
        } catch (error) {
          if (!isFinal(error)) throw error;
          ctx.log.info({ volumeId: payload.id, error }, 'a volume could not be copied and is removed');
          await vanish(ctx, payload.id);
        }
        return { kind: 'hop', to: 'end' };
      },
      async end({ payload }): Promise<Outcome<CopyPayload>> {
        await end(payload.snapshotId);
        return { kind: 'done' };
      },
    },
    async failed(payload, cause) {
      ctx.log.error({ volumeId: payload.id, error: cause }, 'a volume could not be copied and is removed');
      await vanish(ctx, payload.id);
      await end(payload.snapshotId);
    },
  };
}
