/** Users. */
import type { Permit } from '../authz/permit.ts';
import type { Arn } from '../ids.ts';
import type { Tagging, User } from './entities.ts';
import { bounded, namedEntities, tagged } from './named-entities.ts';
import { refuse } from './refusals.ts';
import type { Store } from './store.ts';

export type Users = ReturnType<typeof createUsers>;

export function createUsers(store: Store) {
  const users = namedEntities(store, 'user');
  const { lookUp, byId, list, rename } = users;

  return {
    lookUp,
    byId,
    list,
    rename,
    ...tagged(store, users),
    ...bounded(store, users),

    create: (permit: Permit<'iam:CreateUser'>, wanted: { tags: Tagging; boundaryArn?: Arn }): Promise<User> =>
      store.write((tables) =>
        users.insert(tables, permit, {
          boundary_arn: wanted.boundaryArn ?? null,
          tags: JSON.stringify(wanted.tags),
        }),
      ),

    async remove(permit: Permit<'iam:DeleteUser'>): Promise<void> {
      await store.write(async (tables) => {
        const { id } = await users.target(tables, permit);
        const keys = await tables.selectFrom('identity_access_key').select('id').where('owner_id', '=', id).execute();
        if (keys.length > 0) throw refuse('delete-conflict', { detail: 'must delete access keys first.' });
        await users.requireNoPolicies(tables, id);
        const groups = await tables
          .selectFrom('identity_group_member')
          .select('group_id')
          .where('user_id', '=', id)
          .execute();
        if (groups.length > 0) throw refuse('delete-conflict', { detail: 'must remove users from group first.' });
        await tables.deleteFrom('identity_session').where('owner_id', '=', id).execute();
        await users.remove(tables, id);
      });
    },
  };
}
