/** Instance profiles: the way an instance gets at most one role (15.11). */
import type { Permit } from '../authz/permit.ts';
import type { AccountId } from '../ids.ts';
import type { InstanceProfile, Tagging } from './entities.ts';
import { namedEntities, tagged } from './named-entities.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';

export type InstanceProfiles = ReturnType<typeof createInstanceProfiles>;

export function createInstanceProfiles(store: Store) {
  const profiles = namedEntities(store, 'instance-profile');
  const roles = namedEntities(store, 'role');

  async function setRole(permit: Permit, change: (tables: Tables, profile: InstanceProfile) => Promise<string | null>) {
    await store.write(async (tables) => {
      const profile = await profiles.target(tables, permit);
      await profiles.set(tables, profile.id, { role_id: await change(tables, profile) });
    });
  }

  return {
    lookUp: profiles.lookUp,
    ...tagged(store, profiles),

    /** Profiles of the account, or only those that hold the role. */
    async list(account: AccountId, filter: { pathPrefix?: string; roleId?: string } = {}): Promise<InstanceProfile[]> {
      const all = await profiles.list(account, filter.pathPrefix);
      return all.filter(({ roleId }) => filter.roleId === undefined || roleId === filter.roleId);
    },

    create: (permit: Permit<'iam:CreateInstanceProfile'>, tags: Tagging): Promise<InstanceProfile> =>
      store.write((tables) => profiles.insert(tables, permit, { role_id: null, tags: JSON.stringify(tags) })),

    async remove(permit: Permit<'iam:DeleteInstanceProfile'>): Promise<void> {
      await store.write(async (tables) => {
        const profile = await profiles.target(tables, permit);
        if (profile.roleId !== undefined) {
          throw refuse('delete-conflict', { detail: 'must remove roles from instance profile first.' });
        }
        await profiles.remove(tables, profile.id);
      });
    },

    addRole: (permit: Permit<'iam:AddRoleToInstanceProfile'>, roleName: string): Promise<void> =>
      setRole(permit, async (tables, profile) => {
        const role = await roles.require(tables, profile.accountId, roleName);
        if (profile.roleId !== undefined) {
          throw refuse('limit-exceeded', { what: 'InstanceSessionsPerInstanceProfile', limit: 1 });
        }
        return role.id;
      }),

    removeRole: (permit: Permit<'iam:RemoveRoleFromInstanceProfile'>, roleName: string): Promise<void> =>
      setRole(permit, async (tables, profile) => {
        const role = await roles.require(tables, profile.accountId, roleName);
        if (profile.roleId !== role.id) throw refuse('no-such-entity', { type: 'role', name: roleName });
        return null;
      }),
  };
}
