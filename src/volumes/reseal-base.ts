/**
 * Sealing the base of a volume anew under the volume's own data key, in the background. Until it is done the volume
 * reads blocks under the source's data key; from then on whoever holds the source's key can open none of them.
 */
import type { VolumeId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type Context, isFinal } from './context.ts';
import { baseColumns, baseKeyOf, openForSystem, wrappedKeyOf } from './data-keys.ts';
import type { MapRoot } from './storage.ts';
import { reading, volumeRow, writing } from './tables.ts';

export const RESEAL_BASE = 'volumes.reseal-base';
/** After a failure that trying at once again cannot change: a disabled key, a block that is damaged. */
const RETRY_MS = 10 * 60_000;

interface ResealPayload {
  readonly id: VolumeId;
  /** The base to be sealed anew; where the volume has another by now, a snapshot has done it. */
  readonly root: MapRoot;
}

export const resealBaseJob = (id: VolumeId) => `base:${id}`;

/** Puts the base of the record under the volume being served, and deletes overlays that no record names any more. */
export function rebaseFromRecord(ctx: Context, id: VolumeId, sealedOverlays: readonly string[]): Promise<void> {
  return ctx.volumeLock.run(id, async () => {
    const row = await volumeRow(reading(ctx.db), id);
    const baseKey = row && baseKeyOf(row);
    if (!row?.base_root || !baseKey) return;
    const kept = new Set<string | null>([...(JSON.parse(row.frozen) as string[]), row.overlay]);
    const removed = sealedOverlays.filter((overlay) => !kept.has(overlay));
    const dataKey = await openForSystem(ctx.keys, baseKey, 'a new base goes under a volume in use');
    await ctx.storage.rebase(id, { root: row.base_root, dataKey }, removed);
  });
}

export function resealBaseProgram(ctx: Context): Program<ResealPayload> {
  return {
    kind: RESEAL_BASE,
    start: 'reseal',
    steps: {
      async reseal({ payload: { id, root }, signal }): Promise<Outcome<ResealPayload>> {
        const job = resealBaseJob(id);
        const row = await volumeRow(reading(ctx.db), id);
        const key = row && wrappedKeyOf(row);
        const baseKey = row && baseKeyOf(row);
        if (!key || !baseKey || row.state === 'deleting' || row.base_root !== root) {
          await ctx.db.write((tx) => ctx.storage.finishReseal(tx, job));
          return { kind: 'done' };
        }
        const reason = `the base of ${id} is sealed anew under the volume's own data key`;
        let sealed: MapRoot;
        try {
          const source = { root, dataKey: await openForSystem(ctx.keys, baseKey, reason) };
          sealed = await ctx.storage.reseal(job, source, await openForSystem(ctx.keys, key, reason), () => {}, signal);
        } catch (error) {
          if (!isFinal(error)) throw error;
          // Until it is done the source's data key opens the base: never given up while the volume is there.
          ctx.log.error({ volumeId: id, error }, 'the base of a volume could not be sealed anew, which is tried again');
          return { kind: 'nap', ms: RETRY_MS };
        }
        await ctx.db.write(async (tx) => {
          await writing(tx)
            .updateTable('volumes')
            .set({ base_root: sealed, ...baseColumns(key) })
            .where('id', '=', id)
            .where('base_root', '=', root)
            .execute();
          await ctx.storage.finishReseal(tx, job);
        });
        return { kind: 'hop', to: 'rebase' };
      },
      async rebase({ payload: { id } }): Promise<Outcome<ResealPayload>> {
        await rebaseFromRecord(ctx, id, []);
        return { kind: 'done' };
      },
    },
    attemptsMax: Number.POSITIVE_INFINITY,
  };
}
