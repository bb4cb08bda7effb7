/**
 * Replacing the root volume of a running instance: the new volume is made in the name of the caller, the guest is
 * brought down, the two volumes change places in one transaction, and the guest boots from the new one. Until that
 * transaction a failure leaves the instance with its old root volume.
 *
 *     pending ──▶ in-progress ──▶ succeeded
 *        └────────────┴──▶ failing ──▶ failed
 */

import type { Call } from '../authz/caller.ts';
import { viaEc2 } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import {
  type AccountId,
  type ImageId,
  type InstanceId,
  newEc2Id,
  type Region,
  type SnapshotId,
  type VolumeId,
} from '../ids.ts';
import type { ImageRecord } from '../images/images.ts';
import type { Outcome, Program, Step } from '../jobs/jobs.ts';
import { type CallRecord, recallCall, recordCall } from '../volumes/call-record.ts';
import type { EncryptionOutcome, VolumeRecord, VolumeRequest } from '../volumes/volumes.ts';
import { attachmentOf, type Context, reading, refuse, transitionIn, volumesOf, writing } from './context.ts';
import { idOf } from './id-of.ts';
import type { InstanceRecord } from './instances.ts';
import { bringDown } from './machine-of.ts';
import { REPLACE_ROOT } from './programs.ts';
import { launchFailure } from './reasons.ts';
import { hold, release } from './stop.ts';
import {
  findInstance,
  findReplacement,
  insertReplacement,
  replacementOf,
  replaceReplacement,
  selectReplacements,
} from './tables.ts';

export interface RootReplacement {
  readonly id: string;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly instanceId: InstanceId;
  readonly state: 'pending' | 'in-progress' | 'succeeded' | 'failing' | 'failed';
  readonly startedAt: Date;
  readonly completedAt?: Date;
  /** The new root volume; the old one once they have changed places. */
  readonly volumeId: VolumeId;
  readonly replacedVolumeId?: VolumeId;
  /** How the new volume is made; absent where it is there already. */
  readonly making?: { readonly request: VolumeRequest; readonly outcome: EncryptionOutcome };
  readonly image?: { readonly id: ImageId; readonly bootMode?: ImageRecord['bootMode'] };
  readonly snapshotId?: SnapshotId;
  readonly deleteReplaced: boolean;
}

export type RootReplacementRequest = Pick<RootReplacement, 'image' | 'snapshotId' | 'deleteReplaced'> &
  (
    | { readonly volumeId: VolumeId; readonly making?: undefined }
    | { readonly volumeId?: undefined; readonly making: NonNullable<RootReplacement['making']> }
  );

/** Where the root volume of an instance comes from. */
export interface RootLineage {
  readonly root: VolumeRecord | undefined;
  /** Root volumes the instance has or had; their snapshots can take their place. */
  readonly volumeIds: ReadonlySet<string>;
  /** Of its launch, or of the image that replaced that. */
  readonly launchSnapshotId: SnapshotId | undefined;
}

export interface RootReplacements {
  rootLineage(record: InstanceRecord): Promise<RootLineage>;
  /** Records the task and enqueues the job that does it, in the name of the caller. One at a time for an instance. */
  replaceRoot(
    tx: Tx,
    permit: Permit<'ec2:CreateReplaceRootVolumeTask'>,
    call: Call,
    request: RootReplacementRequest,
  ): Promise<RootReplacement>;
  /** Those of the instances that are still known. */
  listReplacements(account: AccountId, region: Region): Promise<RootReplacement[]>;
}

const UNDER_WAY: readonly RootReplacement['state'][] = ['pending', 'in-progress', 'failing'];

export function rootReplacementsOf(ctx: Context): RootReplacements {
  return {
    async rootLineage(record) {
      const tasks = (await selectReplacements(reading(ctx)).where('instance_id', '=', record.id).execute())
        .map(replacementOf)
        .filter(({ replacedVolumeId }) => replacedVolumeId !== undefined)
        .toSorted((a, b) => a.startedAt.getTime() - b.startedAt.getTime());
      const launched = record.devices.find(({ deviceName }) => deviceName === record.rootDeviceName);
      const root = await rootOf(ctx, record);
      const ids = [launched?.volumeId, root?.id, ...tasks.flatMap((task) => [task.volumeId, task.replacedVolumeId])];
      return {
        root,
        volumeIds: new Set(ids.filter((id) => id !== undefined)),
        launchSnapshotId: tasks.findLast(({ image }) => image)?.snapshotId ?? launched?.request.snapshotId,
      };
    },

    async replaceRoot(tx, permit, call, { image, snapshotId, deleteReplaced, volumeId, making }) {
      const record = await findInstance(writing(tx), idOf(permit));
      if (!record) throw refuse('instance-not-found', { instanceId: idOf(permit) });
      if (record.state !== 'running') throw refuse('instance-state', { instanceId: record.id, state: record.state });
      const before = await selectReplacements(writing(tx)).where('instance_id', '=', record.id).execute();
      if (before.some(({ state }) => UNDER_WAY.includes(state))) {
        throw refuse('root-replacement-under-way', { instanceId: record.id });
      }
      const task: RootReplacement = {
        id: newEc2Id('replacevol'),
        ownerId: record.ownerId,
        region: record.region,
        instanceId: record.id,
        state: 'pending',
        startedAt: ctx.clock(),
        volumeId: volumeId ?? newEc2Id<VolumeId>('vol'),
        deleteReplaced,
        ...(making ? { making } : {}),
        ...(image ? { image } : {}),
        ...(snapshotId === undefined ? {} : { snapshotId }),
      };
      await insertReplacement(writing(tx), task);
      await ctx.jobs.enqueue<Replacing>(tx, REPLACE_ROOT, { id: task.id, call: recordCall(call) });
      return task;
    },

    async listReplacements(account, region) {
      const rows = await selectReplacements(reading(ctx))
        .where('owner_id', '=', account)
        .where('region', '=', region)
        .execute();
      return rows.map(replacementOf);
    },
  };
}

async function rootOf(ctx: Context, record: InstanceRecord): Promise<VolumeRecord | undefined> {
  const attached = await volumesOf(ctx, record);
  return attached.find((volume) => {
    const attachment = attachmentOf(volume, record.id);
    return attachment?.device === record.rootDeviceName && attachment.state === 'attached';
  });
}

interface Replacing {
  readonly id: string;
  readonly call: CallRecord;
}

export function replaceRootProgram(ctx: Context): Program<Replacing> {
  type Replace = (task: RootReplacement, step: Step<Replacing>) => Promise<Outcome<Replacing>>;

  const underWay =
    (work: Replace) =>
    async (step: Step<Replacing>): Promise<Outcome<Replacing>> => {
      const task = await findReplacement(reading(ctx), step.payload.id);
      if (!task || !UNDER_WAY.includes(task.state)) return { kind: 'done' };
      return work(task, step);
    };

  /** INVARIANT: a task fails only before the volumes have changed places; what comes then is repeated until it is done. */
  const mayFail =
    (work: Replace): Replace =>
    async (task, step) => {
      try {
        return await work(task, step);
      } catch (error) {
        if (!launchFailure(error)) throw error;
        ctx.log.info({ instanceId: task.instanceId, task: task.id, error }, 'a root volume could not be replaced');
        return { kind: 'hop', to: 'fail' };
      }
    };

  const make: Replace = async ({ volumeId, making }, { payload }) => {
    const call = viaEc2(recallCall(payload.call));
    if (making) await ctx.volumes.createNow(call, volumeId, making.request, making.outcome);
    return { kind: 'hop', to: 'swap' };
  };

  const swap: Replace = (task, { payload, signal }) =>
    ctx.lock.run(task.instanceId, async () => {
      if (task.replacedVolumeId !== undefined) return { kind: 'hop', to: 'up' };
      const record = await findInstance(reading(ctx), task.instanceId);
      const root = record && (await rootOf(ctx, record));
      if (!root || !(await hold(ctx, record.id, true))) return { kind: 'hop', to: 'fail' };
      await change(ctx, task, { state: 'in-progress' });
      await bringDown(ctx, record.id, signal);
      const places = { instanceId: record.id, from: root.id, to: task.volumeId };
      await ctx.volumes.exchange(viaEc2(recallCall(payload.call)), places, async (tx) => {
        await replaceReplacement(writing(tx), { ...task, state: 'in-progress', replacedVolumeId: root.id });
        const { image } = task;
        if (image) await transitionIn(tx, record.id, ['running'], (before) => withImage(before, image));
      });
      return { kind: 'hop', to: 'up' };
    });

  const up: Replace = async (task) => {
    await release(ctx, task.instanceId);
    if (task.deleteReplaced && task.replacedVolumeId) await removeUnattached(ctx, task, task.replacedVolumeId);
    await change(ctx, task, { state: 'succeeded', completedAt: ctx.clock() });
    return { kind: 'done' };
  };

  const fail: Replace = async (task) => {
    await change(ctx, task, { state: 'failing' });
    await ctx.lock.run(task.instanceId, async () => {
      await letGo(ctx, task);
      if (task.making) await removeUnattached(ctx, task, task.volumeId);
    });
    await release(ctx, task.instanceId);
    await change(ctx, task, { state: 'failed', completedAt: ctx.clock() });
    return { kind: 'done' };
  };

  return {
    kind: REPLACE_ROOT,
    start: 'make',
    steps: { make: underWay(mayFail(make)), swap: underWay(mayFail(swap)), up: underWay(up), fail: underWay(fail) },
    async failed(payload, cause) {
      const task = await findReplacement(reading(ctx), payload.id);
      if (!task || !UNDER_WAY.includes(task.state)) return;
      ctx.log.error({ instanceId: task.instanceId, task: task.id, error: cause }, 'a root volume was not replaced');
      const step = { job: '', payload, attempt: 1, signal: new AbortController().signal };
      await (task.replacedVolumeId === undefined ? fail : up)(task, step);
    },
  };
}

function change(
  ctx: Context,
  task: RootReplacement,
  fields: Pick<RootReplacement, 'state'> & Partial<Pick<RootReplacement, 'completedAt'>>,
): Promise<void> {
  return ctx.db.write((tx) => replaceReplacement(writing(tx), { ...task, ...fields }));
}

function withImage(record: InstanceRecord, image: NonNullable<RootReplacement['image']>): InstanceRecord {
  const { bootMode: _, ...rest } = record;
  return { ...rest, imageId: image.id, ...(image.bootMode === undefined ? {} : { bootMode: image.bootMode }) };
}

/** Undoes what a try of the exchange has begun; as anything but the root the volume was attached by somebody else. */
async function letGo(ctx: Context, { region, instanceId, volumeId }: RootReplacement): Promise<void> {
  const record = await findInstance(reading(ctx), instanceId);
  const volume = await ctx.volumes.find(region, volumeId);
  const attachment = volume && attachmentOf(volume, instanceId);
  if (attachment && attachment.device === record?.rootDeviceName) await ctx.volumes.detach(volumeId, instanceId);
}

/** A volume that somebody has attached meanwhile is theirs. */
async function removeUnattached(ctx: Context, { region, ownerId }: RootReplacement, id: VolumeId): Promise<void> {
  const volume = await ctx.volumes.find(region, id);
  if (!volume || volume.state === 'deleting' || volume.attachments.length > 0) return;
  try {
    await ctx.volumes.delete(id);
  } catch (error) {
    if (error instanceof Refusal && (error.reason === 'volume-in-use' || error.reason === 'volume-not-found')) return;
    throw error;
  }
  await ctx.db.write((tx) => ctx.tags.removeAll(tx, ownerId, region, id));
}
