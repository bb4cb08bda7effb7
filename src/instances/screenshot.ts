/** Screenshots: the picture comes from the machine, and is turned into a JPEG in a thread of its own. */
import { Worker } from 'node:worker_threads';
import type { InstanceId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { type Context, refuse, requireInstance } from './context.ts';
import type { Screen } from './machine.ts';

export async function takeScreenshot(
  ctx: Context,
  id: InstanceId,
  options: { readonly wakeUp: boolean },
): Promise<Uint8Array> {
  const { state, ownerId } = await requireInstance(ctx, id);
  if (state !== 'running' || !ctx.driver.isRunning(id)) throw refuse('instance-state', { instanceId: id, state });
  const waiting = ctx.screenshotsOf.get(ownerId) ?? 0;
  if (waiting >= LIMITS.screenshotsWaitingMax) throw refuse('screenshots-too-many', { account: ownerId });
  ctx.screenshotsOf.set(ownerId, waiting + 1);
  try {
    const screen = await ctx.driver.takeScreen(id, options);
    if (!screen) throw refuse('no-screen', { instanceId: id });
    return await jpegOf(screen);
  } finally {
    const left = ctx.screenshotsOf.get(ownerId)! - 1;
    if (left > 0) ctx.screenshotsOf.set(ownerId, left);
    else ctx.screenshotsOf.delete(ownerId);
  }
}

function jpegOf(screen: Screen): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./jpeg-worker.ts', import.meta.url), { workerData: screen, name: 'jpeg' });
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', () => reject(new Error('the picture of a screen was not made')));
  });
}
