/** Users and groups. */
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Arn } from '../ids.ts';
import { findRow, type Group, groupOf, nameKey, type Tagging, type User, userOf } from './entities.ts';
import { checkBoundary, requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import { newUniqueId } from './unique-ids.ts';

export type Users = ReturnType<typeof createUsers>;

export function createUsers(store: Store) {
  async function target(tables: Tables, permit: Permit): Promise<User> {
    const { accountId, name } = requireTarget(permit, 'user');
    const row = await findRow(tables, 'identity_user', accountId, name);
    if (!row) throw refuse('no-such-entity', { type: 'user', name });
    return userOf(row);
  }

  return {
    async lookUp(account: AccountId, name: string): Promise<User | undefined> {
      const row = await findRow(store.read(), 'identity_user', account, name);
      return row && userOf(row);
    },

    async byId(id: string): Promise<User | undefined> {
      const rows = await store.read().selectFrom('identity_user').selectAll().where('id', '=', id).execute();
      return rows[0] && userOf(rows[0]);
    },

    async list(account: AccountId, pathPrefix = '/'): Promise<User[]> {
      const rows = await store
        .read()
        .selectFrom('identity_user')
        .selectAll()
        .where('account_id', '=', account)
        .orderBy('name_key')
        .execute();
      return rows.filter((row) => row.path.startsWith(pathPrefix)).map(userOf);
    },

    async create(permit: Permit<'iam:CreateUser'>, wanted: { tags: Tagging; boundaryArn?: Arn }): Promise<User> {
      const { accountId, name, path } = requireTarget(permit, 'user');
      return store.write(async (tables) => {
        if (await findRow(tables, 'identity_user', accountId, name)) {
          throw refuse('entity-exists', { type: 'User', name });
        }
        if (wanted.boundaryArn) await checkBoundary(tables, accountId, wanted.boundaryArn);
        const row = {
          id: newUniqueId('AIDA'),
          account_id: accountId,
          name,
          name_key: nameKey(name),
          path,
          created_at: store.clock().getTime(),
          boundary_arn: wanted.boundaryArn ?? null,
          tags: JSON.stringify(wanted.tags),
        };
        await tables.insertInto('identity_user').values(row).execute();
        return userOf(row);
      });
    },

    async rename(permit: Permit<'iam:UpdateUser'>, change: { name?: string; path?: string }): Promise<void> {
      await store.write(async (tables) => {
        const user = await target(tables, permit);
        const name = change.name ?? user.name;
        const holder = await findRow(tables, 'identity_user', user.accountId, name);
        if (holder && holder.id !== user.id) throw refuse('entity-exists', { type: 'User', name });
        await tables
          .updateTable('identity_user')
          .set({ name, name_key: nameKey(name), path: change.path ?? user.path })
          .where('id', '=', user.id)
          .execute();
      });
    },

    async remove(permit: Permit<'iam:DeleteUser'>): Promise<void> {
      await store.write(async (tables) => {
        const { id } = await target(tables, permit);
        const keys = await tables.selectFrom('identity_access_key').select('id').where('owner_id', '=', id).execute();
        if (keys.length > 0) throw refuse('delete-conflict', { detail: 'must delete access keys first.' });
        const inline = await tables
          .selectFrom('identity_inline_policy')
          .select('name')
          .where('owner_id', '=', id)
          .execute();
        if (inline.length > 0) throw refuse('delete-conflict', { detail: 'must delete policies first.' });
        const attached = await tables
          .selectFrom('identity_attachment')
          .select('policy_arn')
          .where('owner_id', '=', id)
          .execute();
        if (attached.length > 0) throw refuse('delete-conflict', { detail: 'must detach all policies first.' });
        const groups = await tables
          .selectFrom('identity_group_member')
          .select('group_id')
          .where('user_id', '=', id)
          .execute();
        if (groups.length > 0) throw refuse('delete-conflict', { detail: 'must remove users from group first.' });
        await tables.deleteFrom('identity_session').where('owner_id', '=', id).execute();
        await tables.deleteFrom('identity_user').where('id', '=', id).execute();
      });
    },

    /** `change` sees the tags as they are; nothing comes in between. */
    async setTags(
      permit: Permit<'iam:TagUser' | 'iam:UntagUser'>,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const { id, tags } = await target(tables, permit);
        await tables
          .updateTable('identity_user')
          .set({ tags: JSON.stringify(change(tags)) })
          .where('id', '=', id)
          .execute();
      });
    },

    async setBoundary(
      permit: Permit<'iam:PutUserPermissionsBoundary' | 'iam:DeleteUserPermissionsBoundary'>,
      boundary: Arn | undefined,
    ): Promise<void> {
      await store.write(async (tables) => {
        const user = await target(tables, permit);
        if (boundary) await checkBoundary(tables, user.accountId, boundary);
        await tables
          .updateTable('identity_user')
          .set({ boundary_arn: boundary ?? null })
          .where('id', '=', user.id)
          .execute();
      });
    },
  };
}

export type Groups = ReturnType<typeof createGroups>;

export function createGroups(store: Store) {
  async function target(tables: Tables, permit: Permit): Promise<Group> {
    const { accountId, name } = requireTarget(permit, 'group');
    const row = await findRow(tables, 'identity_group', accountId, name);
    if (!row) throw refuse('no-such-entity', { type: 'group', name });
    return groupOf(row);
  }
  async function member(tables: Tables, account: AccountId, name: string): Promise<User> {
    const row = await findRow(tables, 'identity_user', account, name);
    if (!row) throw refuse('no-such-entity', { type: 'user', name });
    return userOf(row);
  }

  return {
    async lookUp(account: AccountId, name: string): Promise<Group | undefined> {
      const row = await findRow(store.read(), 'identity_group', account, name);
      return row && groupOf(row);
    },

    async list(account: AccountId, pathPrefix = '/'): Promise<Group[]> {
      const rows = await store
        .read()
        .selectFrom('identity_group')
        .selectAll()
        .where('account_id', '=', account)
        .orderBy('name_key')
        .execute();
      return rows.filter((row) => row.path.startsWith(pathPrefix)).map(groupOf);
    },

    async membersOf(group: Group): Promise<User[]> {
      const rows = await store
        .read()
        .selectFrom('identity_group_member')
        .innerJoin('identity_user', 'identity_user.id', 'identity_group_member.user_id')
        .selectAll('identity_user')
        .where('group_id', '=', group.id)
        .orderBy('name_key')
        .execute();
      return rows.map(userOf);
    },

    async groupsOf(user: User): Promise<Group[]> {
      const rows = await store
        .read()
        .selectFrom('identity_group_member')
        .innerJoin('identity_group', 'identity_group.id', 'identity_group_member.group_id')
        .selectAll('identity_group')
        .where('user_id', '=', user.id)
        .orderBy('name_key')
        .execute();
      return rows.map(groupOf);
    },

    async create(permit: Permit<'iam:CreateGroup'>): Promise<Group> {
      const { accountId, name, path } = requireTarget(permit, 'group');
      return store.write(async (tables) => {
        if (await findRow(tables, 'identity_group', accountId, name)) {
          throw refuse('entity-exists', { type: 'Group', name });
        }
        const row = {
          id: newUniqueId('AGPA'),
          account_id: accountId,
          name,
          name_key: nameKey(name),
          path,
          created_at: store.clock().getTime(),
        };
        await tables.insertInto('identity_group').values(row).execute();
        return groupOf(row);
      });
    },

    async rename(permit: Permit<'iam:UpdateGroup'>, change: { name?: string; path?: string }): Promise<void> {
      await store.write(async (tables) => {
        const group = await target(tables, permit);
        const name = change.name ?? group.name;
        const holder = await findRow(tables, 'identity_group', group.accountId, name);
        if (holder && holder.id !== group.id) throw refuse('entity-exists', { type: 'Group', name });
        await tables
          .updateTable('identity_group')
          .set({ name, name_key: nameKey(name), path: change.path ?? group.path })
          .where('id', '=', group.id)
          .execute();
      });
    },

    async remove(permit: Permit<'iam:DeleteGroup'>): Promise<void> {
      await store.write(async (tables) => {
        const { id } = await target(tables, permit);
        const members = await tables
          .selectFrom('identity_group_member')
          .select('user_id')
          .where('group_id', '=', id)
          .execute();
        if (members.length > 0) throw refuse('delete-conflict', { detail: 'must remove users from group first.' });
        const inline = await tables
          .selectFrom('identity_inline_policy')
          .select('name')
          .where('owner_id', '=', id)
          .execute();
        if (inline.length > 0) throw refuse('delete-conflict', { detail: 'must delete policies first.' });
        const attached = await tables
          .selectFrom('identity_attachment')
          .select('policy_arn')
          .where('owner_id', '=', id)
          .execute();
        if (attached.length > 0) throw refuse('delete-conflict', { detail: 'must detach all policies first.' });
        await tables.deleteFrom('identity_group').where('id', '=', id).execute();
      });
    },

    async add(permit: Permit<'iam:AddUserToGroup'>, userName: string): Promise<void> {
      await store.write(async (tables) => {
        const group = await target(tables, permit);
        const user = await member(tables, group.accountId, userName);
        await tables
          .insertInto('identity_group_member')
          .values({ group_id: group.id, user_id: user.id })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      });
    },

    async drop(permit: Permit<'iam:RemoveUserFromGroup'>, userName: string): Promise<void> {
      await store.write(async (tables) => {
        const group = await target(tables, permit);
        const user = await member(tables, group.accountId, userName);
        await tables
          .deleteFrom('identity_group_member')
          .where('group_id', '=', group.id)
          .where('user_id', '=', user.id)
          .execute();
      });
    },
  };
}
