/** The jobs behind StopInstances, TerminateInstances, StartInstances and RebootInstances. */
import { viaEc2 } from '../authz/caller.ts';
import type { InstanceId } from '../ids.ts';
import type { Outcome, Program, Step } from '../jobs/jobs.ts';
import { type CallRecord, recallCall } from '../volumes/call-record.ts';
import { attachmentOf, type Context, machineVolume, POWER_DOWN_MS, transition, volumesOf } from './context.ts';
import { machineIsGone } from './exits.ts';
import type { InstanceState } from './instances.ts';
import { removeInterfaces, removeVolume } from './launch.ts';
import type { MachineVolume } from './machine.ts';
import { bringDown, closeVolumes, reopenVolumes, startMachine } from './machine-of.ts';
import { FORGET, REBOOT, START, STOP, TERMINATE } from './programs.ts';
import { launchFailure, SERVER_ERROR, START_FAILED } from './reasons.ts';
import { findInstance } from './tables.ts';

const POLL_MS = 200;

export interface Ending {
  readonly id: InstanceId;
  /** Without asking the guest. */
  readonly force: boolean;
  /** When patience ends, in epoch ms. */
  readonly giveUpAt?: number;
}

/** Asks the guest to power off and waits without holding a job slot; then ends the machine and does the rest. */
function endingProgram(
  ctx: Context,
  kind: string,
  during: InstanceState,
  rest: (id: InstanceId) => Promise<void>,
): Program<Ending> {
  const isAt = async (id: InstanceId) => (await findInstance(ctx.db.read(), id))?.state === during;
  const ask = async ({ payload }: Step<Ending>): Promise<Outcome<Ending>> => {
    if (!(await isAt(payload.id))) return { kind: 'done' };
    if (payload.force || !ctx.driver.isRunning(payload.id)) return { kind: 'hop', to: 'end' };
    await ctx.driver.powerDown(payload.id);
    const giveUpAt = ctx.clock().getTime() + (ctx.powerDownMs ?? POWER_DOWN_MS);
    return { kind: 'hop', to: 'wait', payload: { ...payload, giveUpAt } };
  };
  const wait = async ({ payload }: Step<Ending>): Promise<Outcome<Ending>> => {
    const isLate = ctx.clock().getTime() >= (payload.giveUpAt ?? 0);
    if (ctx.driver.isRunning(payload.id) && !isLate) return { kind: 'nap', ms: POLL_MS };
    return { kind: 'hop', to: 'end' };
  };
  const end = ({ payload: { id } }: Step<Ending>): Promise<Outcome<Ending>> =>
    ctx.lock.run(id, async () => {
      if (!(await isAt(id))) return { kind: 'done' };
      await ctx.driver.kill(id);
      await rest(id);
      return { kind: 'done' };
    });
  return { kind, start: 'ask', steps: { ask, wait, end }, attemptsMax: 20 };
}

export function stopProgram(ctx: Context): Program<Ending> {
  return endingProgram(ctx, STOP, 'stopping', async (id) => {
    const record = await findInstance(ctx.db.read(), id);
    if (record) await closeVolumes(ctx, record);
    await transition(ctx, id, ['stopping'], (before) => ({ ...before, state: 'stopped', held: false }));
  });
}

export function terminateProgram(ctx: Context): Program<Ending> {
  return endingProgram(ctx, TERMINATE, 'shutting-down', async (id) => {
    const record = await findInstance(ctx.db.read(), id);
    if (!record) return;
    for (const volume of await volumesOf(ctx, record)) {
      if (attachmentOf(volume, id)?.deleteOnTermination) await removeVolume(ctx, record, volume.id);
      else await ctx.volumes.detach(volume.id, id);
    }
    // A launch that was ended half-way may have made volumes that it had not attached yet.
    if (!record.launched) for (const { volumeId } of record.devices) await removeVolume(ctx, record, volumeId);
    await transition(
      ctx,
      id,
      ['shutting-down'],
      (before) => ({ ...before, state: 'terminated', terminatedAt: ctx.clock(), held: false }),
      async (tx) => {
        await removeInterfaces(ctx, tx, record);
        await ctx.jobs.enqueue(tx, FORGET, { id });
      },
    );
  });
}

export interface Starting {
  readonly id: InstanceId;
  readonly call: CallRecord;
}

/** The caller's rights on the keys are needed again (K-9); without them the instance is stopped again (K-17). */
export function startProgram(ctx: Context): Program<Starting> {
  const backToStopped = async (id: InstanceId, reason: string) => {
    const record = await findInstance(ctx.db.read(), id);
    if (!record) return;
    await ctx.driver.kill(id);
    await closeVolumes(ctx, record);
    await transition(ctx, id, ['pending'], (before) => ({
      ...before,
      state: 'stopped',
      stateReason: START_FAILED,
      stateTransitionReason: reason,
    }));
  };
  const start = ({ payload }: Step<Starting>): Promise<Outcome<Starting>> =>
    ctx.lock.run(payload.id, async () => {
      const record = await findInstance(ctx.db.read(), payload.id);
      if (record?.state !== 'pending') return { kind: 'done' };
      const call = viaEc2(recallCall(payload.call));
      try {
        const served: MachineVolume[] = [];
        for (const volume of await volumesOf(ctx, record)) {
          const { socketPath } = await ctx.volumes.openForInstance(call, volume.id, record.id);
          served.push(machineVolume(volume, record.id, socketPath));
        }
        await startMachine(ctx, record, served);
      } catch (error) {
        const failure = launchFailure(error);
        if (!failure) throw error;
        ctx.log.info({ instanceId: record.id, error }, 'a start failed');
        await backToStopped(record.id, failure.transition);
        return { kind: 'done' };
      }
      await transition(ctx, record.id, ['pending'], ({ stateReason: _, ...rest }) => ({ ...rest, state: 'running' }));
      await machineIsGone(ctx, record.id);
      return { kind: 'done' };
    });
  return {
    kind: START,
    start: 'start',
    steps: { start },
    async failed({ id }, cause) {
      ctx.log.error({ instanceId: id, error: cause }, 'a start failed for a reason that is not the caller’s');
      await ctx.lock.run(id, () => backToStopped(id, SERVER_ERROR));
    },
  };
}

/** The guest powers off and boots again; the volumes stay open and the instance is running all the while. */
export function rebootProgram(ctx: Context): Program<{ id: InstanceId }> {
  const reboot = ({ payload: { id }, signal }: Step<{ id: InstanceId }>): Promise<Outcome<{ id: InstanceId }>> =>
    ctx.lock.run(id, async () => {
      if (!(await hold(ctx, id, true))) return { kind: 'done' };
      await bringDown(ctx, id, signal);
      return { kind: 'hop', to: 'up' };
    });
  const up = async ({ payload: { id } }: Step<{ id: InstanceId }>): Promise<Outcome<{ id: InstanceId }>> => {
    await release(ctx, id);
    return { kind: 'done' };
  };
  return { kind: REBOOT, start: 'down', steps: { down: reboot, up } };
}

/** Says that the machine of a running instance is about to go down and to come back. */
export async function hold(ctx: Context, id: InstanceId, held: boolean): Promise<boolean> {
  return (await transition(ctx, id, ['running'], (record) => ({ ...record, held }))) !== undefined;
}

/** Starts the machine again after {@link hold}, with the volumes it never let go of. */
export function release(ctx: Context, id: InstanceId): Promise<void> {
  return ctx.lock.run(id, async () => {
    const record = await findInstance(ctx.db.read(), id);
    if (record?.state !== 'running' || !record.held) return;
    try {
      await startMachine(ctx, record, await reopenVolumes(ctx, record));
    } catch (error) {
      ctx.log.error({ instanceId: id, error }, 'a machine did not come back');
    }
    await hold(ctx, id, false);
    await machineIsGone(ctx, id, 'died');
  });
}
