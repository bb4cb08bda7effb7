/** IAM's named things and their ARNs: users, groups, roles, instance profiles, customer managed policies. */
import { type AccountId, type Arn, formatArn, parseArn } from '../ids.ts';
import type { Tables } from './store.ts';
import type { IdentityTables } from './tables.ts';

export type Tagging = Readonly<Record<string, string>>;

export interface Entity {
  /** Unique id (2.8). */
  readonly id: string;
  readonly accountId: AccountId;
  readonly name: string;
  /** Begins and ends with `/`. */
  readonly path: string;
  readonly arn: Arn;
  readonly createdAt: Date;
}
export interface User extends Entity {
  readonly boundaryArn?: Arn;
  readonly tags: Tagging;
}
export type Group = Entity;
export interface Role extends Entity {
  readonly boundaryArn?: Arn;
  readonly tags: Tagging;
  readonly description: string;
  readonly maxSessionSeconds: number;
  /** As stored: principals are unique ids. */
  readonly trustPolicy: string;
  readonly linkedService?: string;
}
export interface InstanceProfile extends Entity {
  readonly roleId?: string;
  readonly tags: Tagging;
}

export type EntityType = 'user' | 'group' | 'role' | 'instance-profile' | 'policy';

export function entityArn(account: AccountId | 'aws', type: EntityType, path: string, name: string): Arn {
  return formatArn({ service: 'iam', region: '', account, resource: `${type}${path}${name}` });
}

export interface EntityName {
  readonly accountId: AccountId;
  readonly type: EntityType;
  readonly path: string;
  readonly name: string;
}

/** The parts of an IAM ARN such as `arn:aws:iam::123456789012:role/ops/deploy`. */
export function parseEntityArn(arn: string): EntityName | undefined {
  const parts = parseArn(arn);
  if (parts?.partition !== 'aws' || parts.service !== 'iam' || parts.region !== '') return undefined;
  const match = /^(user|group|role|instance-profile|policy)(\/(?:.*\/)?)([^/]+)$/s.exec(parts.resource);
  if (!match) return undefined;
  const [, type, path, name] = match as unknown as [string, EntityType, string, string];
  return { accountId: parts.account as AccountId, type, path, name };
}

/** Names are unique ignoring case (15.9). */
export function nameKey(name: string): string {
  return name.toLowerCase();
}

type NamedTable = 'identity_user' | 'identity_group' | 'identity_role' | 'identity_instance_profile';

export async function findRow<Table extends NamedTable>(
  tables: Tables,
  table: Table,
  account: string,
  name: string,
): Promise<IdentityTables[Table] | undefined> {
  const rows = await tables
    .selectFrom(table as NamedTable)
    .selectAll()
    .where('account_id', '=', account)
    .where('name_key', '=', nameKey(name))
    .execute();
  return rows[0] as IdentityTables[Table] | undefined;
}

interface EntityRow {
  readonly id: string;
  readonly account_id: string;
  readonly name: string;
  readonly path: string;
  readonly created_at: number;
}

function entityOf(row: EntityRow, type: EntityType): Entity {
  const accountId = row.account_id as AccountId;
  return {
    id: row.id,
    accountId,
    name: row.name,
    path: row.path,
    arn: entityArn(accountId, type, row.path, row.name),
    createdAt: new Date(row.created_at),
  };
}

export function userOf(row: IdentityTables['identity_user']): User {
  return {
    ...entityOf(row, 'user'),
    ...(row.boundary_arn === null ? {} : { boundaryArn: row.boundary_arn as Arn }),
    tags: JSON.parse(row.tags) as Tagging,
  };
}

export function groupOf(row: IdentityTables['identity_group']): Group {
  return entityOf(row, 'group');
}

export function roleOf(row: IdentityTables['identity_role']): Role {
  return {
    ...entityOf(row, 'role'),
    ...(row.boundary_arn === null ? {} : { boundaryArn: row.boundary_arn as Arn }),
    tags: JSON.parse(row.tags) as Tagging,
    description: row.description,
    maxSessionSeconds: row.max_session_seconds,
    trustPolicy: row.trust_policy,
    ...(row.linked_service === null ? {} : { linkedService: row.linked_service }),
  };
}

export function instanceProfileOf(row: IdentityTables['identity_instance_profile']): InstanceProfile {
  return {
    ...entityOf(row, 'instance-profile'),
    ...(row.role_id === null ? {} : { roleId: row.role_id }),
    tags: JSON.parse(row.tags) as Tagging,
  };
}
