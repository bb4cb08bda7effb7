/** What users, groups and roles have in common: they are named by a permit and own policies. */
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Arn } from '../ids.ts';
import {
  type Entity,
  type EntityName,
  type EntityType,
  findRow,
  groupOf,
  parseEntityArn,
  roleOf,
  userOf,
} from './entities.ts';
import { MANAGED_POLICIES } from './managed-policies.ts';
import { refuse } from './refusals.ts';
import type { Tables } from './store.ts';

const ATTACHMENTS_MAX = 20;

export type OwnerType = 'user' | 'group' | 'role';

/** The entity a permit was given for. A permit for something else is a bug of the service. */
export function requireTarget(permit: Permit, type: EntityType): EntityName {
  const target = parseEntityArn(permit.resource);
  if (target?.type !== type)
    throw new Error(`${permit.action} was authorized on ${permit.resource}, which is no ${type}`);
  return target;
}

/** Name of an AWS managed policy, or of a customer managed one of the account. */
export async function policyName(tables: Tables, account: AccountId, arn: string): Promise<string | undefined> {
  const managed = MANAGED_POLICIES.get(arn);
  if (managed) return managed.name;
  const rows = await tables
    .selectFrom('identity_policy')
    .select('name')
    .where('arn', '=', arn)
    .where('account_id', '=', account)
    .execute();
  return rows[0]?.name;
}

export async function checkBoundary(tables: Tables, account: AccountId, arn: Arn): Promise<void> {
  if ((await policyName(tables, account, arn)) === undefined) throw refuse('policy-not-attachable', { policy: arn });
}

/** Attaches a managed policy; attaching it again changes nothing. */
export async function attach(tables: Tables, owner: Entity, policy: Arn): Promise<void> {
  const name = await policyName(tables, owner.accountId, policy);
  if (name === undefined) throw refuse('policy-not-attachable', { policy });
  const attached = await tables
    .selectFrom('identity_attachment')
    .select('policy_arn')
    .where('owner_id', '=', owner.id)
    .execute();
  if (attached.some((row) => row.policy_arn === policy)) return;
  if (attached.length >= ATTACHMENTS_MAX) {
    throw refuse('limit-exceeded', { what: 'PoliciesPerEntity', limit: ATTACHMENTS_MAX });
  }
  await tables
    .insertInto('identity_attachment')
    .values({ owner_id: owner.id, policy_arn: policy, policy_name: name })
    .execute();
}

export async function detach(tables: Tables, owner: Entity, policy: string): Promise<void> {
  const result = await tables
    .deleteFrom('identity_attachment')
    .where('owner_id', '=', owner.id)
    .where('policy_arn', '=', policy)
    .execute();
  if (Number(result[0]?.numDeletedRows ?? 0) === 0) throw refuse('no-such-entity', { type: 'policy', name: policy });
}

export async function findOwner(
  tables: Tables,
  type: OwnerType,
  account: AccountId,
  name: string,
): Promise<Entity | undefined> {
  if (type === 'user') {
    const row = await findRow(tables, 'identity_user', account, name);
    return row && userOf(row);
  }
  if (type === 'group') {
    const row = await findRow(tables, 'identity_group', account, name);
    return row && groupOf(row);
  }
  const row = await findRow(tables, 'identity_role', account, name);
  return row && roleOf(row);
}

export async function ownerById(tables: Tables, id: string): Promise<{ type: OwnerType; entity: Entity } | undefined> {
  const prefix = id.slice(0, 4);
  if (prefix === 'AIDA') {
    const rows = await tables.selectFrom('identity_user').selectAll().where('id', '=', id).execute();
    return rows[0] && { type: 'user', entity: userOf(rows[0]) };
  }
  if (prefix === 'AGPA') {
    const rows = await tables.selectFrom('identity_group').selectAll().where('id', '=', id).execute();
    return rows[0] && { type: 'group', entity: groupOf(rows[0]) };
  }
  const rows = await tables.selectFrom('identity_role').selectAll().where('id', '=', id).execute();
  return rows[0] && { type: 'role', entity: roleOf(rows[0]) };
}

/** The users and roles, of any account, whose permissions boundary the policy is. */
export async function boundedBy(
  tables: Tables,
  arn: string,
): Promise<{ readonly type: OwnerType; readonly entity: Entity }[]> {
  const users = await tables.selectFrom('identity_user').selectAll().where('boundary_arn', '=', arn).execute();
  const roles = await tables.selectFrom('identity_role').selectAll().where('boundary_arn', '=', arn).execute();
  return [
    ...users.map((row) => ({ type: 'user' as const, entity: userOf(row) })),
    ...roles.map((row) => ({ type: 'role' as const, entity: roleOf(row) })),
  ];
}
