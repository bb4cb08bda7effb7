/** Instance profiles: the way an instance gets at most one role (15.11). */
import type { Permit } from '../authz/permit.ts';
import type { AccountId } from '../ids.ts';
import {
  findRow,
  type InstanceProfile,
  instanceProfileOf,
  nameKey,
  type Role,
  roleOf,
  type Tagging,
} from './entities.ts';
import { requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import { newUniqueId } from './unique-ids.ts';

export type InstanceProfiles = ReturnType<typeof createInstanceProfiles>;

export function createInstanceProfiles(store: Store) {
  async function target(tables: Tables, permit: Permit): Promise<InstanceProfile> {
    const { accountId, name } = requireTarget(permit, 'instance-profile');
    const row = await findRow(tables, 'identity_instance_profile', accountId, name);
    if (!row) throw refuse('no-such-entity', { type: 'instance profile', name });
    return instanceProfileOf(row);
  }

  async function requireRole(tables: Tables, account: AccountId, name: string): Promise<Role> {
    const row = await findRow(tables, 'identity_role', account, name);
    if (!row) throw refuse('no-such-entity', { type: 'role', name });
    return roleOf(row);
  }

  async function setRole(permit: Permit, change: (tables: Tables, profile: InstanceProfile) => Promise<string | null>) {
    await store.write(async (tables) => {
      const profile = await target(tables, permit);
      const role_id = await change(tables, profile);
      await tables.updateTable('identity_instance_profile').set({ role_id }).where('id', '=', profile.id).execute();
    });
  }

  return {
    async lookUp(account: AccountId, name: string): Promise<InstanceProfile | undefined> {
      const row = await findRow(store.read(), 'identity_instance_profile', account, name);
      return row && instanceProfileOf(row);
    },

    /** Profiles of the account, or only those that hold the role. */
    async list(account: AccountId, filter: { pathPrefix?: string; roleId?: string } = {}): Promise<InstanceProfile[]> {
      const rows = await store
        .read()
        .selectFrom('identity_instance_profile')
        .selectAll()
        .where('account_id', '=', account)
        .orderBy('name_key')
        .execute();
      return rows
        .filter((row) => row.path.startsWith(filter.pathPrefix ?? '/'))
        .filter((row) => filter.roleId === undefined || row.role_id === filter.roleId)
        .map(instanceProfileOf);
    },

    async create(permit: Permit<'iam:CreateInstanceProfile'>, tags: Tagging): Promise<InstanceProfile> {
      const { accountId, name, path } = requireTarget(permit, 'instance-profile');
      return store.write(async (tables) => {
        if (await findRow(tables, 'identity_instance_profile', accountId, name)) {
          throw refuse('entity-exists', { type: 'Instance Profile', name });
        }
        const row = {
          id: newUniqueId('AIPA'),
          account_id: accountId,
          name,
          name_key: nameKey(name),
          path,
          created_at: store.clock().getTime(),
          role_id: null,
          tags: JSON.stringify(tags),
        };
        await tables.insertInto('identity_instance_profile').values(row).execute();
        return instanceProfileOf(row);
      });
    },

    async remove(permit: Permit<'iam:DeleteInstanceProfile'>): Promise<void> {
      await store.write(async (tables) => {
        const profile = await target(tables, permit);
        if (profile.roleId !== undefined) {
          throw refuse('delete-conflict', { detail: 'must remove roles from instance profile first.' });
        }
        await tables.deleteFrom('identity_instance_profile').where('id', '=', profile.id).execute();
      });
    },

    /** `change` sees the tags as they are; nothing comes in between. */
    async setTags(
      permit: Permit<'iam:TagInstanceProfile' | 'iam:UntagInstanceProfile'>,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const profile = await target(tables, permit);
        await tables
          .updateTable('identity_instance_profile')
          .set({ tags: JSON.stringify(change(profile.tags)) })
          .where('id', '=', profile.id)
          .execute();
      });
    },

    addRole: (permit: Permit<'iam:AddRoleToInstanceProfile'>, roleName: string): Promise<void> =>
      setRole(permit, async (tables, profile) => {
        const role = await requireRole(tables, profile.accountId, roleName);
        if (profile.roleId !== undefined) {
          throw refuse('limit-exceeded', { what: 'InstanceSessionsPerInstanceProfile', limit: 1 });
        }
        return role.id;
      }),

    removeRole: (permit: Permit<'iam:RemoveRoleFromInstanceProfile'>, roleName: string): Promise<void> =>
      setRole(permit, async (tables, profile) => {
        const role = await requireRole(tables, profile.accountId, roleName);
        if (profile.roleId !== role.id) throw refuse('no-such-entity', { type: 'role', name: roleName });
        return null;
      }),
  };
}
