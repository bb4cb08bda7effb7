/** An access key of a member's root user, which no API makes: its owner makes it in the console, here on the database at rest. */
import { join } from 'node:path';
import { openRootKey } from '../../src/crypto/root-key.ts';
import { openDb } from '../../src/db/sqlite.ts';
import { createIdentity } from '../../src/identity/identity.ts';
import type { AccountId } from '../../src/ids.ts';
import { migrations } from '../../src/schema.ts';
import type { Credentials, Ingot } from '../house/ingot.ts';

/** Restarts the server: clients made before have its old address. */
export async function rootAccessKeyOf(
  { ingot }: { readonly ingot: Ingot },
  { id }: { readonly id: string },
): Promise<Credentials> {
  await ingot.stop();
  const rootKey = await openRootKey(ingot.dataDir, { create: false });
  const db = await openDb(join(ingot.dataDir, 'ingot.db'), migrations(rootKey));
  try {
    const { accessKeys } = createIdentity({ db, rootKey, clock: () => new Date() });
    const { key, secret } = await db.write((tx) => accessKeys.createRoot(tx, id as AccountId));
    return { accessKeyId: key.id, secretAccessKey: secret };
  } finally {
    await db.close();
    await ingot.restart();
  }
}
