/** Joins the parts of this folder to what images, instances and the services see. */

import type { RootKey } from '../crypto/root-key.ts';
import * as attachments from './attachments.ts';
import { type Context, KeyedLock, refuse, type VolumesDeps } from './context.ts';
import { copySnapshotProgram, startCopy } from './copy-snapshot.ts';
import { copyVolumeProgram, startVolumeCopy } from './copy-volume.ts';
import { createNow, createVolumeProgram, startCreate } from './create-volume.ts';
import { decideCopy, decideVolume, decideVolumeCopy } from './decide.ts';
import { createEbsDefaults } from './defaults.ts';
import { deleteVolume, deleteVolumeProgram } from './delete-volume.ts';
import { createDirectSnapshots, type DirectSnapshots } from './direct.ts';
import { createVolumeModifications, type VolumeModifications } from './modify-volume.ts';
import { createSnapshotProofs, type SnapshotProofs } from './prove-snapshot.ts';
import { resealBaseProgram } from './reseal-base.ts';
import { deleteSnapshot, emptyBinProgram, restoreSnapshot } from './snapshot-ends.ts';
import { createSnapshotLocks, type SnapshotLocks } from './snapshot-locks.ts';
import { createSnapshotTiers, type SnapshotTiers } from './snapshot-tiers.ts';
import type { MapRoot } from './storage.ts';
import { inChunks, reading, snapshotRecords, snapshotRow, volumeRecords, volumeRow, writing } from './tables.ts';
import { completeUploadProgram, UploadActivity, uploadTimeoutProgram } from './upload-jobs.ts';
import { sealSnapshotProgram, startSnapshot, startSnapshots } from './volume-snapshots.ts';
import type { EbsDefaults, Snapshots, Volumes } from './volumes.ts';

export { volumesMigrations } from './schema.ts';

export interface VolumesParts {
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly ebsDefaults: EbsDefaults;
  readonly direct: DirectSnapshots;
  readonly proofs: SnapshotProofs;
  readonly locks: SnapshotLocks;
  readonly tiers: SnapshotTiers;
  readonly modifications: VolumeModifications;
}

export interface CreateVolumesDeps extends VolumesDeps {
  /** Seals the key of block tokens. */
  readonly rootKey: RootKey;
  /** Changes whenever keys, grants or policies change; without it, opened data keys of direct reads live a minute. */
  readonly authorizationEpoch?: () => number;
}

/** Registers its job programs, so call it before `jobs.start()`. */
export function createVolumes(deps: CreateVolumesDeps): VolumesParts {
  const ctx: Context = { ...deps, progress: new Map(), volumeLock: new KeyedLock(), openedBy: new Map() };
  const ebsDefaults = createEbsDefaults(deps.db);
  const snapshots = snapshotsOf(ctx, ebsDefaults);
  const volumes = volumesOf(ctx, ebsDefaults, snapshots);
  deps.jobs.register(createVolumeProgram(ctx));
  deps.jobs.register(emptyBinProgram(ctx));
  deps.jobs.register(copyVolumeProgram(ctx));
  deps.jobs.register(deleteVolumeProgram(ctx));
  deps.jobs.register(resealBaseProgram(ctx));
  deps.jobs.register(sealSnapshotProgram(ctx));
  deps.jobs.register(copySnapshotProgram(ctx));
  const activity = new UploadActivity(deps.clock);
  deps.jobs.register(completeUploadProgram(ctx, activity));
  deps.jobs.register(uploadTimeoutProgram(ctx, activity));
  const direct = createDirectSnapshots({
    ctx,
    defaults: ebsDefaults,
    rootKey: deps.rootKey,
    activity,
    authorizationEpoch: deps.authorizationEpoch ?? (() => 0),
  });
  return {
    volumes,
    snapshots,
    ebsDefaults,
    direct,
    proofs: createSnapshotProofs(ctx, () => volumes.liveRoots()),
    locks: createSnapshotLocks(deps),
    tiers: createSnapshotTiers(deps),
    modifications: createVolumeModifications(deps),
  };
}

function snapshotsOf(ctx: Context, ebsDefaults: EbsDefaults): Snapshots {
  const { db, keys } = ctx;
  return {
    async find(region, id) {
      const row = await snapshotRow(reading(db), id);
      if (row?.region !== region) return undefined;
      return (await snapshotRecords(reading(db), [row], ctx))[0];
    },
    async findMany(region, ids) {
      const rows = await inChunks(ids, (some) =>
        reading(db)
          .selectFrom('snapshots')
          .selectAll()
          .where('id', 'in', some as never[])
          .where('region', '=', region)
          .execute(),
      );
      return snapshotRecords(reading(db), rows, ctx);
    },
    async listVisible(region, account) {
      const rows = await reading(db)
        .selectFrom('snapshots')
        .selectAll()
        .where('region', '=', region)
        .where(({ eb, or }) => or([eb('purpose', 'is', null), eb('purpose', '!=', 'volume-copy')]))
        .where('state', '!=', 'recoverable')
        .where(({ eb, or, selectFrom }) =>
          or([
            eb('owner_id', '=', account),
            eb('public', '=', 1),
            eb('id', 'in', selectFrom('snapshot_permissions').select('snapshot_id').where('account_id', '=', account)),
          ]),
        )
        .execute();
      const records = await snapshotRecords(reading(db), rows, ctx);
      return records.filter((record) => this.mayUse(record, account));
    },
    async countRunningCopies(region, account) {
      const { count } = await reading(db)
        .selectFrom('snapshots')
        .select(({ fn }) => fn.countAll<number>().as('count'))
        .where('region', '=', region)
        .where('owner_id', '=', account)
        .where('origin', '=', 'copy')
        .where('state', '=', 'pending')
        .where('purpose', 'is', null)
        .executeTakeFirstOrThrow();
      return count;
    },
    decideCopy: (call, decision) => decideCopy({ keys, defaults: ebsDefaults }, call, decision),
    startCopy: (tx, call, request) => startCopy(ctx, tx, call, request),
    startSnapshot: (call, _permit, request, within) => startSnapshot(ctx, call, request, within),
    startSnapshots: (call, _permit, { volumeIds, description }, within) =>
      startSnapshots(
        ctx,
        call,
        volumeIds.map((volumeId) => ({ volumeId, description })),
        within,
      ),
    delete: (tx, id) => deleteSnapshot(ctx, tx, id),
    restore: (tx, id) => restoreSnapshot(ctx, tx, id),
    async setSharing(tx, id, sharing) {
      const queries = writing(tx);
      await queries
        .updateTable('snapshots')
        .set({ public: sharing.public ? 1 : 0 })
        .where('id', '=', id)
        .execute();
      await queries.deleteFrom('snapshot_permissions').where('snapshot_id', '=', id).execute();
      for (const account of new Set(sharing.sharedWith)) {
        await queries.insertInto('snapshot_permissions').values({ snapshot_id: id, account_id: account }).execute();
      }
    },
    mayUse: (snapshot, account) =>
      snapshot.state !== 'recoverable' &&
      (snapshot.ownerId === account || snapshot.publiclyUsable || snapshot.sharedWith.includes(account)),
  };
}

function volumesOf(ctx: Context, ebsDefaults: EbsDefaults, snapshots: Snapshots): Volumes {
  const { db, keys } = ctx;
  return {
    async find(region, id) {
      const row = await volumeRow(reading(db), id);
      return row?.region === region ? (await volumeRecords(reading(db), [row]))[0] : undefined;
    },
    async findMany(region, ids) {
      const rows = await inChunks(ids, (some) =>
        reading(db)
          .selectFrom('volumes')
          .selectAll()
          .where('id', 'in', some as never[])
          .where('region', '=', region)
          .execute(),
      );
      return volumeRecords(reading(db), rows);
    },
    async listOwned(region, account) {
      const rows = await reading(db)
        .selectFrom('volumes')
        .selectAll()
        .where('region', '=', region)
        .where('owner_id', '=', account)
        .execute();
      return volumeRecords(reading(db), rows);
    },
    async decideEncryption(call, request) {
      const source = request.snapshotId ? await snapshots.find(call.region, request.snapshotId) : undefined;
      if (request.snapshotId) {
        if (!source) throw refuse('snapshot-not-found', { snapshotId: request.snapshotId });
        if (source.storageTier === 'archive') throw refuse('snapshot-archived', { snapshotId: source.id });
        if (source.state !== 'completed') {
          throw refuse('snapshot-not-completed', { snapshotId: source.id, state: source.state });
        }
      }
      return decideVolume({ keys, defaults: ebsDefaults }, call, request, source);
    },
    startCreate: (tx, call, request, outcome) => startCreate(ctx, tx, call, request, outcome),
    decideCopy: (call, source, request) => decideVolumeCopy({ keys, defaults: ebsDefaults }, call, source, request),
    startCopy: (call, _permit, source, request, outcome, within) =>
      startVolumeCopy(ctx, call, source, request, outcome, within),
    createNow: (call, id, request, outcome) => createNow(ctx, call, id, request, outcome),
    attach: (call, volume, to) => attachments.attach(ctx, call, volume, to),
    openForInstance: (call, volume, instanceId) => attachments.openForInstance(ctx, call, volume, instanceId),
    reopenForInstance: (volume, instanceId) => attachments.reopenForInstance(ctx, volume, instanceId),
    closeForInstance: (volume, instanceId) => attachments.closeForInstance(ctx, volume, instanceId),
    detach: (volume, instanceId, options) => attachments.detach(ctx, volume, instanceId, options),
    exchange: (call, places, within) => attachments.exchange(ctx, call, places, within),
    async setDeleteOnTermination(tx, volume, instanceId, value) {
      await writing(tx)
        .updateTable('volume_attachments')
        .set({ delete_on_termination: value ? 1 : 0 })
        .where('volume_id', '=', volume)
        .where('instance_id', '=', instanceId)
        .execute();
    },
    delete: (volume) => deleteVolume(ctx, volume),
    async liveOverlays() {
      const rows = await reading(db).selectFrom('volumes').select(['overlay', 'frozen']).execute();
      return new Set(rows.flatMap(({ overlay, frozen }) => [overlay ?? [], JSON.parse(frozen) as string[]].flat()));
    },
    async liveRoots() {
      const inSnapshots = await reading(db).selectFrom('snapshots').select(['map_root', 'source_root']).execute();
      const inVolumes = await reading(db).selectFrom('volumes').select('base_root').execute();
      const roots = [
        ...inSnapshots.flatMap((row) => [row.map_root, row.source_root]),
        ...inVolumes.map((row) => row.base_root),
      ];
      return [...new Set(roots.filter((root): root is MapRoot => root !== null))];
    },
  };
}
