/**
 * Keys of the tokens that clients hold: grant tokens, import tokens, encoded authorization messages. They stand in the
 * database, sealed under the root key; so a token outlives the root key under which Ingot ran when it was made. Each
 * replacement of the root key brings a new one, and the earlier ones open what they sealed.
 */
import type { Fields } from '../crypto/fields.ts';
import { randomBytes } from '../crypto/random.ts';
import { type RootKey, type RootKeyRing, ringOf } from '../crypto/root-key.ts';
import type { SealedColumn } from '../crypto/sealed-column.ts';
import type { Db, Migration } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';

const KEY_BYTES = 32;

interface TokenKeyTables {
  token_key: { id: number; sealed: Uint8Array; created_at: number };
}

export const tokenKeyMigrations: readonly Migration[] = [
  {
    id: 'tokenkeys-0001',
    async up(schema) {
      await schema.schema
        .createTable('token_key')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('sealed', 'blob', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .execute();
    },
  },
];

const fieldsOf = (id: number): Fields => [
  ['purpose', 'token-key'],
  ['token-key', String(id)],
];

export const tokenKeySealed: readonly SealedColumn[] = [
  { table: 'token_key', column: 'sealed', key: ['id'], fieldsOf: ({ id }) => fieldsOf(Number(id)) },
];

/** Seals under the newest token key, opens under any. */
export interface TokenKeys extends RootKey {
  /** Makes a new key where the newest root key did not seal the newest one. */
  renew(): Promise<void>;
}

export async function openTokenKeys(deps: {
  readonly db: Db;
  readonly rootKey: RootKeyRing;
  readonly clock: () => Date;
}): Promise<TokenKeys> {
  const { db, rootKey, clock } = deps;
  const rows = () => db.read<TokenKeyTables>().selectFrom('token_key').selectAll().orderBy('id', 'desc').execute();

  async function add(): Promise<void> {
    await db.write(async (tx) => {
      const tables = tx.as<TokenKeyTables>();
      const newest = await tables.selectFrom('token_key').select('id').orderBy('id', 'desc').executeTakeFirst();
      const id = (newest?.id ?? 0) + 1;
      const bytes = randomBytes(KEY_BYTES);
      const sealed = rootKey.seal(bytes, fieldsOf(id));
      bytes.fill(0);
      await tables.insertInto('token_key').values({ id, sealed, created_at: clock().getTime() }).execute();
    });
  }

  async function read(): Promise<RootKey> {
    try {
      return ringOf((await rows()).map(({ id, sealed }) => rootKey.open(sealed, fieldsOf(id))));
    } catch (cause) {
      throw new IntegrityError('the root key beside this database', { cause });
    }
  }

  if ((await rows()).length === 0) await add();
  let keys = await read();
  return {
    seal: (plaintext, fields) => keys.seal(plaintext, fields),
    open: (blob, fields) => keys.open(blob, fields),
    async renew() {
      const newest = (await rows())[0];
      if (newest && rootKey.isCurrent(newest.sealed, fieldsOf(newest.id))) return;
      await add();
      keys = await read();
    },
  };
}
