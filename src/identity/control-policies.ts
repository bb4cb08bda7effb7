/** Service and resource control policies: documents, and where they are attached (authorization-and-wire 1.3, 1.4). */

import { checkPolicy } from '../../policy/document.ts';
import type { Permit } from '../authz/permit.ts';
import { type AccountId, type Arn, formatArn } from '../ids.ts';
import type { Tagging } from './entities.ts';
import { FULL_AWS_ACCESS } from './managed-policies.ts';
import { NO_PARENT } from './memberships.ts';
import { putOrganizationTags, removeOrganizationTags } from './organization-tags.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import { lowerId } from './unique-ids.ts';

export type ControlPolicyType = 'SERVICE_CONTROL_POLICY' | 'RESOURCE_CONTROL_POLICY';
export interface ControlPolicy {
  readonly id: string;
  readonly arn: Arn;
  readonly type: ControlPolicyType;
  readonly name: string;
  readonly description: string;
  readonly document: string;
  readonly awsManaged: boolean;
}

/** What ARNs of control policies are made of. */
interface OrganizationHead {
  readonly id: string;
  readonly rootId: string;
  readonly managementAccount: AccountId;
}

const POLICIES_PER_TARGET_MAX = 5;

export function arnIn(managementAccount: string, resource: string): Arn {
  return formatArn({ service: 'organizations', region: '', account: managementAccount, resource });
}

export async function attachFullAccess(tables: Tables, target: string): Promise<void> {
  await tables
    .insertInto('identity_control_attachment')
    .values({ policy_id: FULL_AWS_ACCESS.id, target_id: target })
    .execute();
}

export function createControlPolicies(store: Store, get: (tables?: Tables) => Promise<OrganizationHead>) {
  const fullAccess: ControlPolicy = {
    ...FULL_AWS_ACCESS,
    arn: `arn:aws:organizations::aws:policy/service_control_policy/${FULL_AWS_ACCESS.id}` as Arn,
    type: 'SERVICE_CONTROL_POLICY',
    awsManaged: true,
  };

  function policyOf(organization: OrganizationHead, row: ControlPolicyRow): ControlPolicy {
    const type = row.type as ControlPolicyType;
    return {
      id: row.id,
      arn: arnIn(organization.managementAccount, `policy/${organization.id}/${type.toLowerCase()}/${row.id}`),
      type,
      name: row.name,
      description: row.description,
      document: row.document,
      awsManaged: false,
    };
  }

  async function controlPolicy(id: string, tables: Tables = store.read()): Promise<ControlPolicy | undefined> {
    if (id === fullAccess.id) return fullAccess;
    const rows = await tables.selectFrom('identity_control_policy').selectAll().where('id', '=', id).execute();
    return rows[0] && policyOf(await get(tables), rows[0]);
  }

  async function listControlPolicies(type: ControlPolicyType): Promise<ControlPolicy[]> {
    const organization = await get();
    const rows = await store
      .read()
      .selectFrom('identity_control_policy')
      .selectAll()
      .where('type', '=', type)
      .orderBy('id')
      .execute();
    const own = rows.map((row) => policyOf(organization, row));
    return type === 'SERVICE_CONTROL_POLICY' ? [fullAccess, ...own] : own;
  }

  async function controlPoliciesOn(target: string, tables: Tables = store.read()): Promise<ControlPolicy[]> {
    const rows = await tables
      .selectFrom('identity_control_attachment')
      .select('policy_id')
      .where('target_id', '=', target)
      .orderBy('policy_id')
      .execute();
    const found = await Promise.all(rows.map((row) => controlPolicy(row.policy_id, tables)));
    return found.filter((policy) => policy !== undefined);
  }

  async function targetsOf(policyId: string): Promise<string[]> {
    const rows = await store
      .read()
      .selectFrom('identity_control_attachment')
      .select('target_id')
      .where('policy_id', '=', policyId)
      .orderBy('target_id')
      .execute();
    return rows.map((row) => row.target_id);
  }

  function checkControlPolicy(type: ControlPolicyType, document: string): void {
    checkPolicy(document, type === 'SERVICE_CONTROL_POLICY' ? 'service-control' : 'resource-control');
  }

  async function nameIsFree(tables: Tables, type: string, name: string, except?: string): Promise<void> {
    const rows = await tables
      .selectFrom('identity_control_policy')
      .select('id')
      .where('type', '=', type)
      .where('name', '=', name)
      .execute();
    if (name === FULL_AWS_ACCESS.name || rows.some((row) => row.id !== except)) {
      throw refuse('control-policy-name-taken', { name });
    }
  }

  async function createControlPolicy(
    _permit: Permit<'organizations:CreatePolicy'>,
    wanted: { type: ControlPolicyType; name: string; description: string; document: string; tags?: Tagging },
  ): Promise<ControlPolicy> {
    checkControlPolicy(wanted.type, wanted.document);
    return store.write(async (tables) => {
      await nameIsFree(tables, wanted.type, wanted.name);
      const { tags = {}, ...document } = wanted;
      const row = { id: `p-${lowerId(8)}`, ...document, created_at: store.clock().getTime() };
      await tables.insertInto('identity_control_policy').values(row).execute();
      await putOrganizationTags(tables, row.id, tags);
      return policyOf(await get(tables), row);
    });
  }

  async function updateControlPolicy(
    _permit: Permit<'organizations:UpdatePolicy'>,
    id: string,
    change: { name?: string; description?: string; document?: string },
  ): Promise<ControlPolicy> {
    return store.write(async (tables) => {
      const policy = await own(tables, id);
      if (change.document !== undefined) checkControlPolicy(policy.type, change.document);
      if (change.name !== undefined) await nameIsFree(tables, policy.type, change.name, id);
      const { name, description, document } = { ...policy, ...change };
      await tables
        .updateTable('identity_control_policy')
        .set({ name, description, document })
        .where('id', '=', id)
        .execute();
      return { ...policy, name, description, document };
    });
  }

  async function deleteControlPolicy(_permit: Permit<'organizations:DeletePolicy'>, id: string): Promise<void> {
    await store.write(async (tables) => {
      await own(tables, id);
      const used = await tables
        .selectFrom('identity_control_attachment')
        .select('target_id')
        .where('policy_id', '=', id)
        .execute();
      if (used.length > 0) throw refuse('control-policy-in-use', { policy: id });
      await tables.deleteFrom('identity_control_policy').where('id', '=', id).execute();
      await removeOrganizationTags(tables, id);
    });
  }

  async function own(tables: Tables, id: string): Promise<ControlPolicy> {
    const policy = await controlPolicy(id, tables);
    if (!policy) throw refuse('control-policy-not-found', { policy: id });
    if (policy.awsManaged) throw refuse('control-policy-managed', { policy: id });
    return policy;
  }

  async function targetExists(tables: Tables, target: string): Promise<boolean> {
    if (target === (await get(tables)).rootId) return true;
    const units = await tables.selectFrom('identity_unit').select('id').where('id', '=', target).execute();
    if (units.length > 0) return true;
    const account = await tables
      .selectFrom('identity_account')
      .select('parent_id')
      .where('id', '=', target)
      .executeTakeFirst();
    return account !== undefined && account.parent_id !== NO_PARENT;
  }

  async function attachControlPolicy(
    _permit: Permit<'organizations:AttachPolicy'>,
    id: string,
    target: string,
  ): Promise<void> {
    await store.write(async (tables) => {
      const policy = await controlPolicy(id, tables);
      if (!policy) throw refuse('control-policy-not-found', { policy: id });
      if (!(await targetExists(tables, target))) throw refuse('target-not-found', { target });
      const there = (await controlPoliciesOn(target, tables)).filter(({ type }) => type === policy.type);
      if (there.some((one) => one.id === id)) throw refuse('control-policy-attached', { policy: id, target });
      if (there.length >= POLICIES_PER_TARGET_MAX) {
        throw refuse('limit-exceeded', { what: 'policies attached to the target', limit: POLICIES_PER_TARGET_MAX });
      }
      await tables.insertInto('identity_control_attachment').values({ policy_id: id, target_id: target }).execute();
    });
  }

  async function detachControlPolicy(
    _permit: Permit<'organizations:DetachPolicy'>,
    id: string,
    target: string,
  ): Promise<void> {
    await store.write(async (tables) => {
      const policy = await controlPolicy(id, tables);
      if (!policy) throw refuse('control-policy-not-found', { policy: id });
      if (!(await targetExists(tables, target))) throw refuse('target-not-found', { target });
      const there = (await controlPoliciesOn(target, tables)).filter(({ type }) => type === policy.type);
      if (!there.some((one) => one.id === id)) throw refuse('control-policy-not-attached', { policy: id, target });
      // Every level needs a service control policy that allows something (1.3).
      if (policy.type === 'SERVICE_CONTROL_POLICY' && there.length === 1)
        throw refuse('control-policy-last', { target });
      await tables
        .deleteFrom('identity_control_attachment')
        .where('policy_id', '=', id)
        .where('target_id', '=', target)
        .execute();
    });
  }

  return {
    controlPolicy,
    listControlPolicies,
    controlPoliciesOn,
    targetsOf,
    createControlPolicy,
    updateControlPolicy,
    deleteControlPolicy,
    attachControlPolicy,
    detachControlPolicy,
  };
}

interface ControlPolicyRow {
  readonly id: string;
  readonly type: string;
  readonly name: string;
  readonly description: string;
  readonly document: string;
}
