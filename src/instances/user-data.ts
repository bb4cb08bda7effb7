/** User data: at most 16 KiB a launch brings along. It may hold secrets, so it is kept sealed under the root key. */
import type { Fields } from '../crypto/aead.ts';
import type { Tx } from '../db/db.ts';
import type { InstanceId } from '../ids.ts';
import { type Context, reading, writing } from './context.ts';

export const userDataFields = (id: InstanceId): Fields => [
  ['purpose', 'instance-user-data'],
  ['instance', id],
];

export async function readUserData(
  ctx: Pick<Context, 'db' | 'rootKey'>,
  id: InstanceId,
): Promise<Uint8Array | undefined> {
  const row = await reading(ctx).selectFrom('instances').select('user_data').where('id', '=', id).executeTakeFirst();
  return row?.user_data ? ctx.rootKey.open(row.user_data, userDataFields(id)) : undefined;
}

/** No bytes take it away. */
export async function writeUserData(
  ctx: Pick<Context, 'rootKey'>,
  tx: Tx,
  id: InstanceId,
  data: Uint8Array,
): Promise<void> {
  const sealed = data.byteLength === 0 ? null : ctx.rootKey.seal(data, userDataFields(id));
  await writing(tx).updateTable('instances').set({ user_data: sealed }).where('id', '=', id).execute();
}
