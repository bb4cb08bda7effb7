/**
 * CreateSnapshot: the overlay being written is frozen at once, together with the record of the snapshot; a job seals
 * what the frozen overlays changed onto the base. The sealed map is the snapshot's, and the volume's new base.
 */
import type { Call } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import { newEc2Id, type SnapshotId, type VolumeId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { LIMITS } from '../limits.ts';
import { type Context, isFinal, percent, refuse } from './context.ts';
import { baseColumns, baseKeyOf, keyColumns, openForSystem, wrappedKeyOf } from './data-keys.ts';
import { rebaseFromRecord } from './reseal-base.ts';
import { failSnapshot, finishSnapshot } from './snapshot-ends.ts';
import type { MapRoot, VolumeLayers } from './storage.ts';
import {
  nextSequence,
  reading,
  type SnapshotRow,
  snapshotRecords,
  snapshotRow,
  type VolumeRow,
  volumeRow,
  writing,
} from './tables.ts';
import type { SnapshotRecord } from './volumes.ts';

export const SEAL_SNAPSHOT = 'snapshots.seal';
const GIB = 1024 ** 3;
const TURN_PAUSE_MS = 200;

interface SealPayload {
  readonly id: SnapshotId;
  readonly volumeId: VolumeId;
  /** Overlays that went into the new base, for the last step. */
  readonly sealed?: readonly string[];
}

export interface SnapshotRequest {
  readonly volumeId: VolumeId;
  readonly description: string;
  readonly id?: SnapshotId;
  readonly purpose?: SnapshotRow['purpose'];
}

async function requireSnapshottable(
  row: VolumeRow | undefined,
  id: VolumeId,
): Promise<VolumeRow & { overlay: string }> {
  if (!row || row.state === 'deleting') throw refuse('volume-not-found', { volumeId: id });
  const { overlay } = row;
  if (overlay === null || (row.state !== 'available' && row.state !== 'in-use')) {
    throw refuse('volume-state', { volumeId: id, state: row.state });
  }
  return { ...row, overlay };
}

/** Freezes volume after volume; the writes of all wait while `record` runs, so that their snapshots are of one moment. */
async function freezeAll(
  ctx: Context,
  ids: readonly VolumeId[],
  record: (overlays: ReadonlyMap<VolumeId, string>) => Promise<void>,
  overlays = new Map<VolumeId, string>(),
): Promise<void> {
  const [first, ...rest] = ids;
  if (first === undefined) return record(overlays);
  await ctx.storage.freeze(first, (newOverlay) => freezeAll(ctx, rest, record, overlays.set(first, newOverlay)));
}

/** One transaction records all of them; `within` joins it. Volumes are named once each. */
export async function startSnapshots(
  ctx: Context,
  call: Call,
  requests: readonly SnapshotRequest[],
  within: ((tx: Tx, snapshots: readonly SnapshotRecord[]) => Promise<void>) | undefined,
): Promise<SnapshotRecord[]> {
  for (const { volumeId } of requests) {
    await requireSnapshottable(await volumeRow(reading(ctx.db), volumeId), volumeId);
  }
  let records: SnapshotRecord[] = [];
  // In one order for everybody, so that no two requests wait for each other's volumes.
  const ids = requests.map(({ volumeId }) => volumeId).sort();
  await freezeAll(ctx, ids, (overlays) =>
    ctx.db.write(async (tx) => {
      const rows: SnapshotRow[] = [];
      for (const request of requests) rows.push(await recordSnapshot(ctx, tx, call, request, overlays));
      records = await snapshotRecords(writing(tx), rows, ctx);
      await within?.(tx, records);
    }),
  );
  return records;
}

export async function startSnapshot(
  ctx: Context,
  call: Call,
  request: SnapshotRequest,
  within: ((tx: Tx, snapshot: SnapshotRecord) => Promise<void>) | undefined,
): Promise<SnapshotRecord> {
  const before = request.id && (await snapshotRow(reading(ctx.db), request.id));
  if (before) return (await snapshotRecords(reading(ctx.db), [before], ctx))[0]!;
  const [record] = await startSnapshots(ctx, call, [request], async (tx, [made]) => within?.(tx, made!));
  if (!record) throw new Error(`the overlay of ${request.volumeId} was frozen without a record`);
  return record;
}

/** L-26, L-27. */
async function requireRate(ctx: Context, tx: Tx, volumeId: VolumeId): Promise<void> {
  const since = ctx.clock().getTime() - LIMITS.volumeSnapshotsWindowMs;
  const { pending, recent } = await writing(tx)
    .selectFrom('snapshots')
    .select(({ fn, eb }) => [
      fn.countAll<number>().filterWhere('state', '=', 'pending').as('pending'),
      fn
        .countAll<number>()
        .filterWhere(eb('start_time', '>', since))
        .as('recent'),
    ])
    .where('volume_id', '=', volumeId)
    .where('purpose', 'is', null)
    .executeTakeFirstOrThrow();
  if (recent >= LIMITS.volumeSnapshotsPerWindowMax) throw refuse('snapshot-rate', { volumeId });
  const max = LIMITS.volumeSnapshotsPendingMax;
  if (pending >= max) throw refuse('snapshots-pending', { volumeId, max });
}

async function recordSnapshot(
  ctx: Context,
  tx: Tx,
  call: Call,
  { volumeId, description, id = newEc2Id<SnapshotId>('snap'), purpose = null }: SnapshotRequest,
  overlays: ReadonlyMap<VolumeId, string>,
): Promise<SnapshotRow> {
  const queries = writing(tx);
  const volume = await requireSnapshottable(await volumeRow(queries, volumeId), volumeId);
  // What CreateImage and copies of volumes make is not counted.
  if (purpose === null) await requireRate(ctx, tx, volumeId);
  const frozen = [...(JSON.parse(volume.frozen) as string[]), volume.overlay];
  await queries
    .updateTable('volumes')
    .set({ frozen: JSON.stringify(frozen), overlay: overlays.get(volumeId)! })
    .where('id', '=', volumeId)
    .execute();
  const row: SnapshotRow = {
    id,
    sequence: await nextSequence(queries),
    region: volume.region,
    owner_id: call.caller.accountId,
    origin: 'volume',
    volume_id: volumeId,
    volume_size_gib: volume.size_gib,
    state: 'pending',
    state_message: null,
    progress: '',
    start_time: ctx.clock().getTime(),
    completion_time: null,
    description,
    encrypted: volume.encrypted,
    aws_managed_key: volume.aws_managed_key,
    storage_tier: 'standard',
    public: 0,
    ...keyColumns(wrappedKeyOf(volume)!),
    map_root: null,
    source_root: volume.base_root,
    parent_id: null,
    frozen_through: volume.overlay,
    upload: null,
    upload_timeout_ms: null,
    completion_minutes: null,
    purpose,
    restored_until: null,
  };
  await queries.insertInto('snapshots').values(row).execute();
  await ctx.jobs.enqueue<SealPayload>(tx, SEAL_SNAPSHOT, { id, volumeId });
  return row;
}

/** Snapshots of one volume are sealed in the order they were made, so that each stands on the one before. */
async function isItsTurn(ctx: Context, row: SnapshotRow): Promise<boolean> {
  const earlier = await reading(ctx.db)
    .selectFrom('snapshots')
    .select('id')
    .where('volume_id', '=', row.volume_id)
    .where('origin', '=', 'volume')
    .where('state', '=', 'pending')
    .where('sequence', '<', row.sequence)
    .executeTakeFirst();
  return earlier === undefined;
}

/** The overlays up to and with `through`; all that went into an earlier snapshot are in the base by now. */
function overlaysThrough(frozen: readonly string[], through: string | null): string[] {
  const last = through === null ? -1 : frozen.indexOf(through);
  return frozen.slice(0, last + 1);
}

export function sealSnapshotProgram(ctx: Context): Program<SealPayload> {
  const job = (id: SnapshotId) => `snapshot:${id}`;

  const sealOnto = async (row: SnapshotRow, volume: VolumeRow, overlays: readonly string[], signal: AbortSignal) => {
    const reason = `snapshot ${row.id} seals what was written to ${volume.id}`;
    const dataKey = await openForSystem(ctx.keys, wrappedKeyOf(volume)!, reason);
    const baseKey = baseKeyOf(volume);
    const layers: Omit<VolumeLayers, 'overlay'> = {
      sizeBytes: volume.size_gib * GIB,
      frozen: overlays,
      dataKey,
      ...(volume.base_root && baseKey
        ? {
            base: {
              root: volume.base_root,
              dataKey: baseKey.id === dataKey.id ? dataKey : await openForSystem(ctx.keys, baseKey, reason),
            },
          }
        : {}),
    };
    const onProgress = (fraction: number) => ctx.progress.set(row.id, percent(fraction));
    return ctx.storage.sealOverlays(job(row.id), layers, onProgress, signal);
  };

  return {
    kind: SEAL_SNAPSHOT,
    start: 'seal',
    steps: {
      async seal({ payload, signal }): Promise<Outcome<SealPayload>> {
        const { id, volumeId } = payload;
        const row = await snapshotRow(reading(ctx.db), id);
        if (row?.state !== 'pending') {
          await ctx.db.write((tx) => ctx.storage.finishReseal(tx, job(id)));
          return { kind: 'done' };
        }
        if (!(await isItsTurn(ctx, row))) return { kind: 'nap', ms: TURN_PAUSE_MS };
        const volume = await volumeRow(reading(ctx.db), volumeId);
        if (!volume) {
          await failSnapshot(ctx, id, 'Source volume is not found');
          return { kind: 'done' };
        }
        await ctx.db.write((tx) =>
          writing(tx).updateTable('snapshots').set({ source_root: volume.base_root }).where('id', '=', id).execute(),
        );
        const overlays = overlaysThrough(JSON.parse(volume.frozen) as string[], row.frozen_through);
        let root: MapRoot;
        try {
          root = await sealOnto(row, volume, overlays, signal);
        } catch (error) {
          if (!isFinal(error)) throw error;
          ctx.log.error({ snapshotId: id, error }, 'a snapshot could not be sealed');
          await failSnapshot(ctx, id, 'The data of the volume could not be read', job(id));
          return { kind: 'done' };
        }
        await ctx.db.write(async (tx) => {
          const queries = writing(tx);
          await ctx.storage.finishReseal(tx, job(id));
          // A snapshot deleted meanwhile leaves the overlays as they are.
          if (!(await finishSnapshot(ctx, tx, id, root))) return;
          const now = (await volumeRow(queries, volumeId))!;
          const rest = (JSON.parse(now.frozen) as string[]).filter((overlay) => !overlays.includes(overlay));
          await queries
            .updateTable('volumes')
            .set({ base_root: root, ...baseColumns(wrappedKeyOf(now)!), frozen: JSON.stringify(rest) })
            .where('id', '=', volumeId)
            .execute();
        });
        return { kind: 'hop', to: 'rebase', payload: { ...payload, sealed: overlays } };
      },
      async rebase({ payload }): Promise<Outcome<SealPayload>> {
        await rebaseFromRecord(ctx, payload.volumeId, payload.sealed ?? []);
        return { kind: 'done' };
      },
    },
    async failed({ id }, cause) {
      ctx.log.error({ snapshotId: id, error: cause }, 'a snapshot could not be sealed');
      await failSnapshot(ctx, id, 'An internal error has occurred', job(id));
    },
  };
}
