/** A machine that ended: the guest powered off, or QEMU died. What that means depends on what the instance was doing. */
import type { InstanceId } from '../ids.ts';
import { keepConsole } from './console.ts';
import { type Context, transition } from './context.ts';
import type { StateReason } from './instances.ts';
import type { MachineExit } from './machine.ts';
import { STOP, TERMINATE } from './programs.ts';
import { GUEST_SHUTDOWN, MACHINE_DIED } from './reasons.ts';
import { findInstance } from './tables.ts';

/** For the driver's `onExit`. */
export async function onMachineExit(ctx: Context, exit: MachineExit): Promise<void> {
  await keepConsole(ctx, exit.instanceId, exit.console);
  if (exit.how === 'killed') return;
  await ctx.lock.run(exit.instanceId, () => machineIsGone(ctx, exit.instanceId, exit.how));
}

/**
 * Where the record says running and no machine is there: stops or terminates the instance as it was launched to. Does
 * nothing while a machine runs, or is about to be started again. Call with the instance's lock.
 */
export async function machineIsGone(ctx: Context, id: InstanceId, how: MachineExit['how'] = 'shutdown'): Promise<void> {
  if (ctx.driver.isRunning(id)) return;
  const record = await findInstance(ctx.db.read(), id);
  if (record?.state !== 'running' || record.held) return;
  const byGuest = how === 'shutdown';
  const stateReason: StateReason = byGuest ? GUEST_SHUTDOWN : MACHINE_DIED;
  const terminates = record.spot !== undefined || (byGuest && record.shutdownBehavior === 'terminate');
  await transition(
    ctx,
    id,
    ['running'],
    (before) => ({
      ...before,
      state: terminates ? 'shutting-down' : 'stopping',
      stateReason,
      stateTransitionReason: byGuest ? '' : stateReason.code,
    }),
    (tx) => ctx.jobs.enqueue(tx, terminates ? TERMINATE : STOP, { id, force: true }),
  );
}
