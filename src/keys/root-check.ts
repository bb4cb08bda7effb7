/** One sealed message beside the keys, which tells at start-up whether the root key is the right one. */
import type { Fields } from '../crypto/fields.ts';
import { randomBytes } from '../crypto/random.ts';
import type { RootKey } from '../crypto/root-key.ts';
import { IntegrityError } from '../errors.ts';
import type { KeyStore } from './store.ts';

export const ROOT_CHECK_FIELDS: Fields = [['purpose', 'root-key-check']];

/** A root key that opens nothing here must be noticed at start-up, not by the first Decrypt. */
export async function checkRootKey(store: KeyStore, rootKey: RootKey): Promise<void> {
  const row = await store.read().selectFrom('keys_root_check').select('sealed').executeTakeFirst();
  if (row) {
    try {
      rootKey.open(row.sealed, ROOT_CHECK_FIELDS);
    } catch (cause) {
      if (!(cause instanceof IntegrityError)) throw cause;
      throw new IntegrityError('the root key beside this database', { cause });
    }
    return;
  }
  const sealed = rootKey.seal(randomBytes(16), ROOT_CHECK_FIELDS);
  await store.write(async (tables) => {
    await tables.insertInto('keys_root_check').values({ id: 1, sealed }).execute();
  });
}
