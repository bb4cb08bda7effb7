/** The job behind RunInstances: volumes in the name of the caller, then the machine; or the failure that EC2 shows. */
import { viaEc2 } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import type { InstanceId, VolumeId } from '../ids.ts';
import type { Outcome, Program, Step } from '../jobs/jobs.ts';
import { type CallRecord, recallCall } from '../volumes/call-record.ts';
import { type Context, machineVolume, transition, volumesOf, writing } from './context.ts';
import { machineIsGone } from './exits.ts';
import type { InstanceRecord, StateReason } from './instances.ts';
import type { MachineVolume } from './machine.ts';
import { startMachine } from './machine-of.ts';
import { FORGET, LAUNCH } from './programs.ts';
import { launchFailure, SERVER_ERROR, START_FAILED } from './reasons.ts';
import { findInstance, selectReplacements } from './tables.ts';

export interface Launch {
  readonly id: InstanceId;
  readonly call: CallRecord;
}

export function launchProgram(ctx: Context): Program<Launch> {
  const launch = ({ payload }: Step<Launch>): Promise<Outcome<Launch>> =>
    ctx.lock.run(payload.id, async () => {
      const record = await findInstance(ctx.db.read(), payload.id);
      // A launch that failed, and a process that ended before the job had gone on to undo it.
      if (record?.state === 'shutting-down' && !record.launched) return { kind: 'hop', to: 'undo' };
      if (record?.state !== 'pending') return { kind: 'done' };
      try {
        await startMachine(ctx, record, await makeVolumes(ctx, record, payload));
      } catch (error) {
        const failure = launchFailure(error);
        if (!failure) throw error;
        ctx.log.info({ instanceId: record.id, error }, 'a launch failed');
        return fail(record.id, failure.reason, failure.transition);
      }
      await transition(ctx, record.id, ['pending'], ({ stateReason: _, ...rest }) => ({
        ...rest,
        state: 'running',
        launched: true,
      }));
      await machineIsGone(ctx, record.id);
      return { kind: 'done' };
    });

  const fail = async (id: InstanceId, stateReason: StateReason, reason: string): Promise<Outcome<Launch>> => {
    await transition(ctx, id, ['pending'], (record) => ({
      ...record,
      state: 'shutting-down',
      stateReason,
      stateTransitionReason: reason,
    }));
    return { kind: 'hop', to: 'undo' };
  };

  const undo = ({ payload }: Step<Launch>): Promise<Outcome<Launch>> =>
    ctx.lock.run(payload.id, async () => {
      const record = await findInstance(ctx.db.read(), payload.id);
      if (record?.state !== 'shutting-down') return { kind: 'done' };
      await ctx.driver.kill(record.id);
      for (const { volumeId } of record.devices) await removeVolume(ctx, record, volumeId);
      await transition(
        ctx,
        record.id,
        ['shutting-down'],
        (before) => ({ ...before, state: 'terminated', terminatedAt: ctx.clock() }),
        async (tx) => {
          await removeInterfaces(ctx, tx, record);
          await ctx.jobs.enqueue(tx, FORGET, { id: record.id });
        },
      );
      return { kind: 'done' };
    });

  return {
    kind: LAUNCH,
    start: 'launch',
    steps: { launch, undo },
    async failed({ id, call }, cause) {
      ctx.log.error({ instanceId: id, error: cause }, 'a launch failed for a reason that is not the caller’s');
      await fail(id, START_FAILED, SERVER_ERROR);
      await undo({ job: '', payload: { id, call }, attempt: 1, signal: new AbortController().signal });
    },
  };
}

/** How long a terminated instance is still shown (L-2). */
const SHOWN_MS = 60 * 60 * 1000;

/** Removes the record of an instance an hour after its end. */
export function forgetProgram(ctx: Context): Program<{ id: InstanceId }> {
  const forget = async ({ payload: { id } }: Step<{ id: InstanceId }>): Promise<Outcome<{ id: InstanceId }>> => {
    const record = await findInstance(ctx.db.read(), id);
    if (!record) return { kind: 'done' };
    const left = (record.terminatedAt?.getTime() ?? 0) + SHOWN_MS - ctx.clock().getTime();
    if (left > 0) return { kind: 'nap', ms: left };
    await ctx.db.write(async (tx) => {
      const tasks = await selectReplacements(writing(tx)).where('instance_id', '=', id).execute();
      for (const each of [id, ...tasks.map((task) => task.id)]) {
        await ctx.tags.removeAll(tx, record.ownerId, record.region, each);
      }
      await writing(tx).deleteFrom('root_replacements').where('instance_id', '=', id).execute();
      await writing(tx).deleteFrom('instances').where('id', '=', id).execute();
    });
    return { kind: 'done' };
  };
  return { kind: FORGET, start: 'forget', steps: { forget } };
}

/** Makes and attaches each volume; both may be repeated with the same id. The order is that of the machine: root first. */
async function makeVolumes(ctx: Context, record: InstanceRecord, payload: Launch): Promise<MachineVolume[]> {
  const call = viaEc2(recallCall(payload.call));
  const sockets = new Map<VolumeId, string>();
  for (const device of record.devices) {
    await ctx.volumes.createNow(call, device.volumeId, device.request, device.outcome);
  }
  for (const { volumeId, deviceName, deleteOnTermination } of record.devices) {
    const to = { instanceId: record.id, device: deviceName, deleteOnTermination };
    sockets.set(volumeId, (await ctx.volumes.attach(call, volumeId, to)).socketPath);
  }
  const volumes = await volumesOf(ctx, record);
  return volumes.map((volume) => machineVolume(volume, record.id, sockets.get(volume.id) ?? ''));
}

/** Detaches and deletes a volume of the instance, wherever its making ended. */
export async function removeVolume(ctx: Context, record: InstanceRecord, id: VolumeId): Promise<void> {
  // In one: a volume that a crash leaves detached is known to nobody as the instance's.
  await ctx.volumes.detach(id, record.id, { andDelete: true });
  const unattached = await ctx.volumes.find(record.region, id);
  // With Multi-Attach it may still be another instance's.
  if (unattached && unattached.attachments.length > 0) return;
  if (unattached && unattached.state !== 'deleting') await ctx.volumes.delete(id);
  await ctx.db.write((tx) => ctx.tags.removeAll(tx, record.ownerId, record.region, id));
}

export async function removeInterfaces(ctx: Context, tx: Tx, record: InstanceRecord): Promise<void> {
  for (const { id } of await ctx.network.interfacesOf([record.id])) {
    await ctx.tags.removeAll(tx, record.ownerId, record.region, id);
  }
  await ctx.network.deleteInterfacesOf(tx, record.id);
}
