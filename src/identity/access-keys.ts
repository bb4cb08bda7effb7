/** Long-term access keys. Secrets are sealed under the root key, bound to the id of their access key. */
import { type Permit, systemPermit } from '../authz/permit.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId } from '../ids.ts';
import { findRow, type User, userOf } from './entities.ts';
import { requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import { newAccessKeyId, newSecretAccessKey } from './unique-ids.ts';

export interface AccessKey {
  readonly id: string;
  readonly ownerId: string;
  readonly accountId: AccountId;
  readonly status: 'Active' | 'Inactive';
  readonly createdAt: Date;
}

const KEYS_PER_OWNER_MAX = 2;
const utf8 = new TextEncoder();

export function sealSecret(rootKey: RootKey, accessKeyId: string, secret: string): Uint8Array {
  return rootKey.seal(utf8.encode(secret), secretFields(accessKeyId));
}
export function openSecret(rootKey: RootKey, accessKeyId: string, sealed: Uint8Array): Uint8Array {
  return rootKey.open(sealed, secretFields(accessKeyId));
}
/** What the secret of an access key is bound to. */
export function secretFields(accessKeyId: string): readonly (readonly [string, string])[] {
  return [
    ['purpose', 'secret-access-key'],
    ['access-key-id', accessKeyId],
  ];
}

export type AccessKeys = ReturnType<typeof createAccessKeys>;

export function createAccessKeys(store: Store) {
  /** Whose keys a permit is about: a user, or the root user of an account. */
  async function owner(tables: Tables, permit: Permit): Promise<{ id: string; accountId: AccountId }> {
    const root = /^arn:aws:iam::(\d{12}):root$/.exec(permit.resource);
    if (root) return { id: root[1]!, accountId: root[1] as AccountId };
    const { accountId, name } = requireTarget(permit, 'user');
    const row = await findRow(tables, 'identity_user', accountId, name);
    if (!row) throw refuse('no-such-entity', { type: 'user', name });
    return { id: row.id, accountId };
  }

  async function insert(
    tables: Tables,
    holder: { id: string; accountId: AccountId },
    given?: { id: string; secret: string },
  ): Promise<{ key: AccessKey; secret: string }> {
    const there = await tables
      .selectFrom('identity_access_key')
      .select('id')
      .where('owner_id', '=', holder.id)
      .execute();
    if (there.length >= KEYS_PER_OWNER_MAX) {
      throw refuse('limit-exceeded', { what: 'AccessKeysPerUser', limit: KEYS_PER_OWNER_MAX });
    }
    const id = given?.id ?? newAccessKeyId('AKIA', holder.accountId);
    const secret = given?.secret ?? newSecretAccessKey();
    const row = {
      id,
      owner_id: holder.id,
      account_id: holder.accountId,
      status: 'Active',
      sealed_secret: sealSecret(store.rootKey, id, secret),
      created_at: store.clock().getTime(),
    };
    await tables.insertInto('identity_access_key').values(row).execute();
    return { key: keyOf(row), secret };
  }

  async function target(tables: Tables, permit: Permit, id: string) {
    const holder = await owner(tables, permit);
    const rows = await tables
      .selectFrom('identity_access_key')
      .select('id')
      .where('id', '=', id)
      .where('owner_id', '=', holder.id)
      .execute();
    if (!rows[0]) throw refuse('no-such-entity', { type: 'Access Key', name: id });
  }

  return {
    /** The secret is told here and never again (15.7). */
    create: (permit: Permit<'iam:CreateAccessKey'>): Promise<{ key: AccessKey; secret: string }> =>
      store.write(async (tables) => insert(tables, await owner(tables, permit))),

    /** The root user's first key, made or given by the operator. */
    async createRoot(tx: Tx, account: AccountId, given?: { id: string; secret: string }) {
      const permit = systemPermit('iam:CreateAccessKey', `arn:aws:iam::${account}:root`, 'first start');
      const tables = store.within(tx);
      return insert(tables, await owner(tables, permit), given);
    },

    async listOf(ownerId: string): Promise<AccessKey[]> {
      const rows = await store
        .read()
        .selectFrom('identity_access_key')
        .selectAll()
        .where('owner_id', '=', ownerId)
        .orderBy('created_at')
        .orderBy('id')
        .execute();
      return rows.map(keyOf);
    },

    /** Account that owns the access key, long-term or temporary, whether it is valid or not (14.8). */
    async find(id: string): Promise<{ accountId: AccountId; user?: User } | undefined> {
      const tables = store.read();
      const rows = await tables.selectFrom('identity_access_key').selectAll().where('id', '=', id).execute();
      const row = rows[0];
      if (!row) return undefined;
      const users = await tables.selectFrom('identity_user').selectAll().where('id', '=', row.owner_id).execute();
      return { accountId: row.account_id as AccountId, ...(users[0] ? { user: userOf(users[0]) } : {}) };
    },

    async setStatus(permit: Permit<'iam:UpdateAccessKey'>, id: string, status: AccessKey['status']): Promise<void> {
      await store.write(async (tables) => {
        await target(tables, permit, id);
        await tables.updateTable('identity_access_key').set({ status }).where('id', '=', id).execute();
      });
    },

    async remove(permit: Permit<'iam:DeleteAccessKey'>, id: string): Promise<void> {
      await store.write(async (tables) => {
        await target(tables, permit, id);
        await tables.deleteFrom('identity_access_key').where('id', '=', id).execute();
        await tables.deleteFrom('identity_last_use').where('subject_id', '=', id).execute();
      });
    },
  };
}

function keyOf(row: {
  id: string;
  owner_id: string;
  account_id: string;
  status: string;
  created_at: number;
}): AccessKey {
  return {
    id: row.id,
    ownerId: row.owner_id,
    accountId: row.account_id as AccountId,
    status: row.status === 'Active' ? 'Active' : 'Inactive',
    createdAt: new Date(row.created_at),
  };
}
