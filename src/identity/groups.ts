/** Groups and their members. */
import type { Permit } from '../authz/permit.ts';
import { type Group, groupOf, type User, userOf } from './entities.ts';
import { namedEntities } from './named-entities.ts';
import { refuse } from './refusals.ts';
import type { Store } from './store.ts';

export type Groups = ReturnType<typeof createGroups>;

export function createGroups(store: Store) {
  const groups = namedEntities(store, 'group');
  const users = namedEntities(store, 'user');
  const { lookUp, list, rename } = groups;

  return {
    lookUp,
    list,
    rename,

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

    create: (permit: Permit<'iam:CreateGroup'>): Promise<Group> =>
      store.write((tables) => groups.insert(tables, permit, {})),

    async remove(permit: Permit<'iam:DeleteGroup'>): Promise<void> {
      await store.write(async (tables) => {
        const { id } = await groups.target(tables, permit);
        const members = await tables
          .selectFrom('identity_group_member')
          .select('user_id')
          .where('group_id', '=', id)
          .execute();
        if (members.length > 0) throw refuse('delete-conflict', { detail: 'must remove users from group first.' });
        await groups.requireNoPolicies(tables, id);
        await groups.remove(tables, id);
      });
    },

    async add(permit: Permit<'iam:AddUserToGroup'>, userName: string): Promise<void> {
      await store.write(async (tables) => {
        const group = await groups.target(tables, permit);
        const user = await users.require(tables, group.accountId, userName);
        await tables
          .insertInto('identity_group_member')
          .values({ group_id: group.id, user_id: user.id })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
      });
    },

    async drop(permit: Permit<'iam:RemoveUserFromGroup'>, userName: string): Promise<void> {
      await store.write(async (tables) => {
        const group = await groups.target(tables, permit);
        const user = await users.require(tables, group.accountId, userName);
        await tables
          .deleteFrom('identity_group_member')
          .where('group_id', '=', group.id)
          .where('user_id', '=', user.id)
          .execute();
      });
    },
  };
}
