/** Status checks, of what is really known: whether the machine's process is there, and whether its guest was heard. */
import type { Context } from './context.ts';
import type { InstanceHealth, InstanceRecord } from './instances.ts';

const BOOT_MS_MAX = 5 * 60_000;

export function healthOf(ctx: Context, { id }: InstanceRecord): InstanceHealth {
  // Between two machines of a reboot there is none.
  if (!ctx.driver.isRunning(id)) return { system: 'initializing', instance: 'initializing' };
  if (ctx.driver.kind === 'none') return { system: 'passed', instance: 'passed' };
  const seen = ctx.links.seen(id);
  if (seen?.heard) return { system: 'passed', instance: 'passed' };
  const giveUpAt = seen && new Date(seen.since.getTime() + BOOT_MS_MAX);
  if (!giveUpAt || ctx.clock() < giveUpAt) return { system: 'passed', instance: 'initializing' };
  return { system: 'passed', instance: 'failed', impairedSince: giveUpAt };
}
