/**
 * Console output. A machine keeps its newest 64 KiB in memory; what has been read, and what a machine leaves when it
 * ends, is kept sealed under the installation's root key: a guest prints what is on its encrypted volumes.
 */
import type { Fields } from '../crypto/aead.ts';
import type { InstanceId } from '../ids.ts';
import { type Context, reading, writing } from './context.ts';
import { CONSOLE_BYTES } from './machine.ts';

export const consoleFields = (id: InstanceId): Fields => [
  ['purpose', 'instance-console'],
  ['instance', id],
];

/** Adds what the machine said since the last time, and gives all there is. */
export function readConsole(ctx: Context, id: InstanceId): Promise<{ output: Uint8Array; at: Date }> {
  return ctx.lock.run(`console:${id}`, async () =>
    append(ctx, id, await ctx.driver.takeConsole(id).catch(() => EMPTY)),
  );
}

/** Keeps the last words of a machine. */
export async function keepConsole(ctx: Context, id: InstanceId, rest: Uint8Array): Promise<void> {
  if (rest.byteLength > 0) await ctx.lock.run(`console:${id}`, () => append(ctx, id, rest));
}

const EMPTY = new Uint8Array(0);

async function append(ctx: Context, id: InstanceId, more: Uint8Array): Promise<{ output: Uint8Array; at: Date }> {
  const row = await reading(ctx)
    .selectFrom('instances')
    .select(['console', 'console_at'])
    .where('id', '=', id)
    .executeTakeFirst();
  const before = row?.console ? ctx.rootKey.open(row.console, consoleFields(id)) : EMPTY;
  const at = row?.console_at ? new Date(row.console_at) : ctx.clock();
  if (more.byteLength === 0) return { output: before, at };
  const output = new Uint8Array(Buffer.concat([before, more]).subarray(-CONSOLE_BYTES));
  const now = ctx.clock();
  const sealed = ctx.rootKey.seal(output, consoleFields(id));
  await ctx.db.write((tx) =>
    writing(tx)
      .updateTable('instances')
      .set({ console: sealed, console_at: now.getTime() })
      .where('id', '=', id)
      .execute(),
  );
  return { output, at: now };
}
