/** Roles: who may take them on, for how long, and what they may then do. */

import { checkPolicy, compilePolicy } from '../../policy/document.ts';
import type { Permit } from '../authz/permit.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import type { Tx } from '../db/db.ts';
import type { Arn } from '../ids.ts';
import type { Role, Tagging } from './entities.ts';
import { linkedRolePolicy } from './linked-roles.ts';
import { bounded, namedEntities, tagged } from './named-entities.ts';
import { attach } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';

export interface NewRole {
  readonly trustPolicy: string;
  readonly description: string;
  readonly maxSessionSeconds: number;
  readonly tags: Tagging;
  readonly boundaryArn?: Arn;
}

const TRUST_POLICY_CHARACTERS_MAX = 4096;

export type Roles = ReturnType<typeof createRoles>;

export function createRoles(store: Store, principals: PolicyPrincipals) {
  /** A service's own role is not the account's to change. */
  const roles = namedEntities(store, 'role', ({ linkedService, name }) => {
    if (linkedService !== undefined) throw refuse('unmodifiable-entity', { name });
  });

  /** The trust policy as it is stored. */
  async function canonicalTrust(text: string): Promise<string> {
    if (text.replace(/\s/g, '').length > TRUST_POLICY_CHARACTERS_MAX) {
      throw refuse('limit-exceeded', { what: 'ACLSizePerRole', limit: TRUST_POLICY_CHARACTERS_MAX });
    }
    checkPolicy(text, 'trust');
    return principals.canonicalizePolicy(text);
  }

  const insert = (tables: Tables, permit: Permit, wanted: NewRole, linkedService?: string): Promise<Role> =>
    roles.insert(tables, permit, {
      boundary_arn: wanted.boundaryArn ?? null,
      tags: JSON.stringify(wanted.tags),
      description: wanted.description,
      max_session_seconds: wanted.maxSessionSeconds,
      trust_policy: wanted.trustPolicy,
      linked_service: linkedService ?? null,
    });

  async function update(permit: Permit, change: Parameters<typeof roles.set>[2]): Promise<Role> {
    return store.write(async (tables) => {
      const { id } = await roles.target(tables, permit);
      await roles.set(tables, id, change);
      return (await roles.byId(id, tables))!;
    });
  }

  const { lookUp, byId, list } = roles;
  return {
    lookUp,
    byId: (id: string): Promise<Role | undefined> => byId(id),
    list,
    ...tagged(store, roles),
    ...bounded(store, roles),

    async create(permit: Permit<'iam:CreateRole'>, wanted: NewRole): Promise<Role> {
      const trustPolicy = await canonicalTrust(wanted.trustPolicy);
      return store.write((tables) => insert(tables, permit, { ...wanted, trustPolicy }));
    },

    /** {@link create} within a transaction, for a trust policy whose principals are accounts. */
    async createIn(tx: Tx, permit: Permit<'iam:CreateRole'>, wanted: NewRole): Promise<Role> {
      checkPolicy(wanted.trustPolicy, 'trust');
      return insert(store.within(tx), permit, wanted);
    },

    async attachIn(tx: Tx, permit: Permit<'iam:AttachRolePolicy'>, policy: Arn): Promise<void> {
      const tables = store.within(tx);
      await attach(tables, await roles.target(tables, permit), policy);
    },

    /** A role that only `service` may assume and the account may not change (15.8). */
    async createLinked(
      permit: Permit<'iam:CreateServiceLinkedRole'>,
      service: string,
      description: string,
    ): Promise<Role> {
      const trustPolicy = JSON.stringify({
        Version: '2012-10-17',
        Statement: [{ Effect: 'Allow', Principal: { Service: service }, Action: 'sts:AssumeRole' }],
      });
      const wanted = { trustPolicy, description, maxSessionSeconds: 3600, tags: {} };
      const policy = linkedRolePolicy(service);
      return store.write(async (tables) => {
        const role = await insert(tables, permit, wanted, service);
        if (policy) await attach(tables, role, policy);
        return role;
      });
    },

    async remove(permit: Permit<'iam:DeleteRole' | 'iam:DeleteServiceLinkedRole'>): Promise<void> {
      await store.write(async (tables) => {
        const own = permit.action === 'iam:DeleteServiceLinkedRole';
        const role = await (own ? roles.named(tables, permit) : roles.target(tables, permit));
        const profile = await tables
          .selectFrom('identity_instance_profile')
          .select('name')
          .where('role_id', '=', role.id)
          .executeTakeFirst();
        if (profile) throw refuse('delete-conflict', { detail: 'must remove roles from instance profile first.' });
        await roles.requireNoPolicies(tables, role.id, linkedRolePolicy(role.linkedService ?? ''));
        await tables.deleteFrom('identity_attachment').where('owner_id', '=', role.id).execute();
        await tables.deleteFrom('identity_session').where('owner_id', '=', role.id).execute();
        await roles.remove(tables, role.id);
        await tables.deleteFrom('identity_last_use').where('subject_id', '=', role.id).execute();
      });
    },

    async setTrustPolicy(permit: Permit<'iam:UpdateAssumeRolePolicy'>, text: string): Promise<void> {
      await update(permit, { trust_policy: await canonicalTrust(text) });
    },

    update: (
      permit: Permit<'iam:UpdateRole' | 'iam:UpdateRoleDescription'>,
      change: { description?: string; maxSessionSeconds?: number },
    ): Promise<Role> =>
      update(permit, {
        ...(change.description === undefined ? {} : { description: change.description }),
        ...(change.maxSessionSeconds === undefined ? {} : { max_session_seconds: change.maxSessionSeconds }),
      }),

    /** Shows the trust policy with ARNs, and that it can still be read. */
    async shownTrustPolicy(role: Role): Promise<string> {
      compilePolicy(role.trustPolicy);
      return principals.displayPolicy(role.trustPolicy);
    },
  };
}
