/** Roles: who may take them on, for how long, and what they may then do. */

import { checkPolicy, compilePolicy } from '../../policy/document.ts';
import type { Permit } from '../authz/permit.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, Arn } from '../ids.ts';
import { findRow, nameKey, type Role, roleOf, type Tagging } from './entities.ts';
import { linkedRolePolicy } from './linked-roles.ts';
import { attach, checkBoundary, requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import { newUniqueId } from './unique-ids.ts';

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
  /** The trust policy as it is stored. */
  async function canonicalTrust(text: string): Promise<string> {
    if (text.replace(/\s/g, '').length > TRUST_POLICY_CHARACTERS_MAX) {
      throw refuse('limit-exceeded', { what: 'ACLSizePerRole', limit: TRUST_POLICY_CHARACTERS_MAX });
    }
    checkPolicy(text, 'trust');
    return principals.canonicalizePolicy(text);
  }

  async function insert(tables: Tables, permit: Permit, wanted: NewRole, linkedService?: string): Promise<Role> {
    const target = requireTarget(permit, 'role');
    if (await findRow(tables, 'identity_role', target.accountId, target.name)) {
      throw refuse('entity-exists', { type: 'Role', name: target.name });
    }
    if (wanted.boundaryArn) await checkBoundary(tables, target.accountId, wanted.boundaryArn);
    const row = {
      id: newUniqueId('AROA'),
      account_id: target.accountId,
      name: target.name,
      name_key: nameKey(target.name),
      path: target.path,
      created_at: store.clock().getTime(),
      boundary_arn: wanted.boundaryArn ?? null,
      tags: JSON.stringify(wanted.tags),
      description: wanted.description,
      max_session_seconds: wanted.maxSessionSeconds,
      trust_policy: wanted.trustPolicy,
      linked_service: linkedService ?? null,
    };
    await tables.insertInto('identity_role').values(row).execute();
    return roleOf(row);
  }

  /** The role the permit names, which must not be a service's own. */
  async function target(tables: Tables, permit: Permit, allowLinked = false): Promise<Role> {
    const { accountId, name } = requireTarget(permit, 'role');
    const row = await findRow(tables, 'identity_role', accountId, name);
    if (!row) throw refuse('no-such-entity', { type: 'role', name });
    if (row.linked_service !== null && !allowLinked) throw refuse('unmodifiable-entity', { name });
    return roleOf(row);
  }

  async function update(permit: Permit, change: Parameters<typeof setRole>[2]): Promise<Role> {
    return store.write(async (tables) => {
      const role = await target(tables, permit);
      return setRole(tables, role.id, change);
    });
  }

  return {
    async lookUp(account: AccountId, name: string): Promise<Role | undefined> {
      const row = await findRow(store.read(), 'identity_role', account, name);
      return row && roleOf(row);
    },

    async byId(id: string): Promise<Role | undefined> {
      const rows = await store.read().selectFrom('identity_role').selectAll().where('id', '=', id).execute();
      return rows[0] && roleOf(rows[0]);
    },

    async list(account: AccountId, pathPrefix = '/'): Promise<Role[]> {
      const rows = await store
        .read()
        .selectFrom('identity_role')
        .selectAll()
        .where('account_id', '=', account)
        .orderBy('name_key')
        .execute();
      return rows.filter((row) => row.path.startsWith(pathPrefix)).map(roleOf);
    },

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
      await attach(tables, await target(tables, permit), policy);
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
        const role = await target(tables, permit, permit.action === 'iam:DeleteServiceLinkedRole');
        const profiles = await tables
          .selectFrom('identity_instance_profile')
          .select('name')
          .where('role_id', '=', role.id)
          .execute();
        const inline = await tables
          .selectFrom('identity_inline_policy')
          .select('name')
          .where('owner_id', '=', role.id)
          .execute();
        const attached = await tables
          .selectFrom('identity_attachment')
          .select('policy_arn')
          .where('owner_id', '=', role.id)
          .execute();
        if (profiles.length > 0) {
          throw refuse('delete-conflict', { detail: 'must remove roles from instance profile first.' });
        }
        if (inline.length > 0) throw refuse('delete-conflict', { detail: 'must delete policies first.' });
        const own = linkedRolePolicy(role.linkedService ?? '');
        if (attached.some(({ policy_arn }) => policy_arn !== own)) {
          throw refuse('delete-conflict', { detail: 'must detach all policies first.' });
        }
        await tables.deleteFrom('identity_attachment').where('owner_id', '=', role.id).execute();
        await tables.deleteFrom('identity_session').where('owner_id', '=', role.id).execute();
        await tables.deleteFrom('identity_role').where('id', '=', role.id).execute();
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

    /** `change` sees the tags as they are; nothing comes in between. */
    async setTags(
      permit: Permit<'iam:TagRole' | 'iam:UntagRole'>,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const role = await target(tables, permit);
        await setRole(tables, role.id, { tags: JSON.stringify(change(role.tags)) });
      });
    },

    async setBoundary(
      permit: Permit<'iam:PutRolePermissionsBoundary' | 'iam:DeleteRolePermissionsBoundary'>,
      boundary: Arn | undefined,
    ): Promise<void> {
      await store.write(async (tables) => {
        const role = await target(tables, permit);
        if (boundary) await checkBoundary(tables, role.accountId, boundary);
        await setRole(tables, role.id, { boundary_arn: boundary ?? null });
      });
    },

    /** Shows the trust policy with ARNs, and that it can still be read. */
    async shownTrustPolicy(role: Role): Promise<string> {
      compilePolicy(role.trustPolicy);
      return principals.displayPolicy(role.trustPolicy);
    },
  };
}

async function setRole(
  tables: Tables,
  id: string,
  change: {
    trust_policy?: string;
    description?: string;
    max_session_seconds?: number;
    tags?: string;
    boundary_arn?: string | null;
  },
): Promise<Role> {
  if (Object.keys(change).length > 0) {
    await tables.updateTable('identity_role').set(change).where('id', '=', id).execute();
  }
  const rows = await tables.selectFrom('identity_role').selectAll().where('id', '=', id).execute();
  return roleOf(rows[0]!);
}
