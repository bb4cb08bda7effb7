/**
 * The one organization of an installation: management account, root, organizational units, member accounts, and the
 * control policies attached to them (authorization-and-wire 1.3, 1.4).
 */

import { type Permit, systemPermit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type AccountId, type Arn, rootArn } from '../ids.ts';
import { arnIn, attachFullAccess, createControlPolicies } from './control-policies.ts';
import type { Tagging } from './entities.ts';
import { createMemberships, NO_PARENT } from './memberships.ts';
import { putOrganizationTags, removeOrganizationTags } from './organization-tags.ts';
import { refuse } from './refusals.ts';
import type { createRoles } from './roles.ts';
import type { Store, Tables } from './store.ts';
import type { IdentityTables } from './tables.ts';
import { lowerId, newAccountId } from './unique-ids.ts';

export interface Account {
  readonly id: AccountId;
  readonly arn: Arn;
  readonly name: string;
  readonly email: string;
  readonly alias?: string;
  readonly parentId: string;
  readonly joinedAt: Date;
  readonly closedAt?: Date;
}
export interface Organization {
  readonly id: string;
  readonly arn: Arn;
  readonly rootId: string;
  readonly managementAccount: AccountId;
  readonly createdAt: Date;
}
export interface Unit {
  readonly id: string;
  readonly arn: Arn;
  readonly parentId: string;
  readonly name: string;
}
export interface AccountRequest {
  readonly id: string;
  /** Absent where it failed. */
  readonly accountId?: AccountId;
  readonly failure?: AccountFailure;
  readonly accountName: string;
  readonly requestedAt: Date;
}
/** Why an account was not made. */
export type AccountFailure = 'EMAIL_ALREADY_EXISTS' | 'ACCOUNT_LIMIT_EXCEEDED';

export const ACCESS_ROLE = 'OrganizationAccountAccessRole';
const ACCOUNTS_MAX = 10_000;

export type Organizations = ReturnType<typeof createOrganizations>;

export function createOrganizations(store: Store, roles: ReturnType<typeof createRoles>) {
  /** Absent only before the first start has finished. */
  async function get(tables: Tables = store.read()): Promise<Organization> {
    const row = (await tables.selectFrom('identity_organization').selectAll().execute())[0];
    if (!row) throw new Error('the installation has no organization yet: bootstrap() has not run');
    return {
      id: row.id,
      arn: arnIn(row.management_account, `organization/${row.id}`),
      rootId: row.root_id,
      managementAccount: row.management_account as AccountId,
      createdAt: new Date(row.created_at),
    };
  }

  function accountOf(organization: Organization, row: AccountRow): Account {
    return {
      id: row.id as AccountId,
      arn: arnIn(organization.managementAccount, `account/${organization.id}/${row.id}`),
      name: row.name,
      email: row.email,
      ...(row.alias === null ? {} : { alias: row.alias }),
      parentId: row.parent_id,
      joinedAt: new Date(row.joined_at),
      ...(row.closed_at === null ? {} : { closedAt: new Date(row.closed_at) }),
    };
  }

  /** Any account of the installation, also one that has left the organization. */
  async function account(id: string): Promise<Account | undefined> {
    const rows = await store.read().selectFrom('identity_account').selectAll().where('id', '=', id).execute();
    return rows[0] && accountOf(await get(), rows[0]);
  }

  /** An account of the organization. */
  async function member(id: string): Promise<Account | undefined> {
    const found = await account(id);
    return found?.parentId === NO_PARENT ? undefined : found;
  }

  /** Those of the organization, or of one parent in it. */
  async function accounts(parentId?: string): Promise<Account[]> {
    const organization = await get();
    let query = store.read().selectFrom('identity_account').selectAll().where('parent_id', '!=', NO_PARENT);
    query = query.orderBy('joined_at').orderBy('id');
    if (parentId !== undefined) query = query.where('parent_id', '=', parentId);
    return (await query.execute()).map((row) => accountOf(organization, row));
  }

  async function units(parentId?: string): Promise<Unit[]> {
    const organization = await get();
    let query = store.read().selectFrom('identity_unit').selectAll().orderBy('id');
    if (parentId !== undefined) query = query.where('parent_id', '=', parentId);
    return (await query.execute()).map((row) => unitOf(organization, row));
  }

  function unitOf(organization: Organization, row: { id: string; parent_id: string; name: string }): Unit {
    const arn = arnIn(organization.managementAccount, `ou/${organization.id}/${row.id}`);
    return { id: row.id, arn, parentId: row.parent_id, name: row.name };
  }

  async function insertAccount(tables: Tables, id: AccountId, name: string, email: string, parent: string) {
    const joinedAt = store.clock().getTime();
    await tables
      .insertInto('identity_account')
      .values({ id, name, email, alias: null, parent_id: parent, joined_at: joinedAt, closed_at: null })
      .execute();
  }

  async function failureOf(tables: Tables, email: string): Promise<AccountFailure | undefined> {
    const taken = await tables.selectFrom('identity_account').select('id').where('email', '=', email).execute();
    if (taken.length > 0) return 'EMAIL_ALREADY_EXISTS';
    const count = await tables
      .selectFrom('identity_account')
      .select((e) => e.fn.countAll<number>().as('n'))
      .execute();
    return (count[0]?.n ?? 0) >= ACCOUNTS_MAX ? 'ACCOUNT_LIMIT_EXCEEDED' : undefined;
  }

  async function freshAccountId(tables: Tables): Promise<AccountId> {
    for (;;) {
      const id = newAccountId();
      const taken = await tables.selectFrom('identity_account').select('id').where('id', '=', id).execute();
      if (taken.length === 0) return id;
    }
  }

  /** The management account, the organization and its root, for a database that has none. */
  async function found(full: Tx, name: string, email: string): Promise<Organization> {
    const tables = store.within(full);
    const id = await freshAccountId(tables);
    const rootId = `r-${lowerId(4)}`;
    await insertAccount(tables, id, name, email, rootId);
    const createdAt = store.clock().getTime();
    await tables
      .insertInto('identity_organization')
      .values({ id: `o-${lowerId(10)}`, root_id: rootId, management_account: id, created_at: createdAt })
      .execute();
    await attachFullAccess(tables, rootId);
    await attachFullAccess(tables, id);
    return get(tables);
  }

  /** Makes a member account with its access role, which trusts the management account; or says why not. */
  async function createAccount(
    _permit: Permit<'organizations:CreateAccount'>,
    wanted: { name: string; email: string; roleName?: string; tags?: Tagging },
  ): Promise<AccountRequest> {
    return store.write(async (tables, full) => {
      const failure = await failureOf(tables, wanted.email);
      const accountId = failure ? undefined : await addAccount(tables, full, wanted);
      const row = {
        id: `car-${lowerId(32)}`,
        account_id: accountId ?? null,
        failure: failure ?? null,
        name: wanted.name,
        requested_at: store.clock().getTime(),
      };
      await tables.insertInto('identity_account_request').values(row).execute();
      return requestOf(row);
    });
  }

  async function addAccount(
    tables: Tables,
    full: Tx,
    wanted: { name: string; email: string; roleName?: string; tags?: Tagging },
  ): Promise<AccountId> {
    const organization = await get(tables);
    const id = await freshAccountId(tables);
    await insertAccount(tables, id, wanted.name, wanted.email, organization.rootId);
    await putOrganizationTags(tables, id, wanted.tags ?? {});
    await attachFullAccess(tables, id);
    const roleArn = `arn:aws:iam::${id}:role/${wanted.roleName ?? ACCESS_ROLE}`;
    const why = 'a new account is entered from the management account';
    await roles.createIn(full, systemPermit('iam:CreateRole', roleArn, why), {
      trustPolicy: trustOf(rootArn(organization.managementAccount)),
      description: '',
      maxSessionSeconds: 3600,
      tags: {},
    });
    await roles.attachIn(full, systemPermit('iam:AttachRolePolicy', roleArn, why), ADMINISTRATOR);
    return id;
  }

  async function accountRequest(id: string): Promise<AccountRequest | undefined> {
    const rows = await store.read().selectFrom('identity_account_request').selectAll().where('id', '=', id).execute();
    return rows[0] && requestOf(rows[0]);
  }

  /** Newest first. */
  async function accountRequests(): Promise<AccountRequest[]> {
    const rows = await store
      .read()
      .selectFrom('identity_account_request')
      .selectAll()
      .orderBy('requested_at', 'desc')
      .orderBy('id')
      .execute();
    return rows.map(requestOf);
  }

  /** Root or unit ids from the organization's root down to the account's parent. */
  async function pathTo(parentId: string, tables: Tables = store.read()): Promise<string[]> {
    const path: string[] = [];
    let at: string | undefined = parentId;
    while (at !== undefined && path.length < 16) {
      path.unshift(at);
      if (at.startsWith('r-')) break;
      const rows: { parent_id: string }[] = await tables
        .selectFrom('identity_unit')
        .select('parent_id')
        .where('id', '=', at)
        .execute();
      at = rows[0]?.parent_id;
    }
    return path;
  }

  async function parentExists(tables: Tables, id: string): Promise<boolean> {
    if (id === (await get(tables)).rootId) return true;
    return (await tables.selectFrom('identity_unit').select('id').where('id', '=', id).execute()).length > 0;
  }

  async function moveAccount(
    _permit: Permit<'organizations:MoveAccount'>,
    move: { accountId: string; from: string; to: string },
  ): Promise<void> {
    await store.write(async (tables) => {
      const rows = await tables.selectFrom('identity_account').selectAll().where('id', '=', move.accountId).execute();
      if (!rows[0] || rows[0].parent_id === NO_PARENT) throw refuse('account-not-found', { account: move.accountId });
      if (rows[0].parent_id !== move.from) throw refuse('source-parent-wrong', { parent: move.from });
      if (!(await parentExists(tables, move.to))) throw refuse('parent-not-found', { parent: move.to });
      await tables
        .updateTable('identity_account')
        .set({ parent_id: move.to })
        .where('id', '=', move.accountId)
        .execute();
    });
  }

  async function createUnit(
    _permit: Permit<'organizations:CreateOrganizationalUnit'>,
    wanted: { parentId: string; name: string; tags?: Tagging },
  ): Promise<Unit> {
    return store.write(async (tables) => {
      const organization = await get(tables);
      if (!(await parentExists(tables, wanted.parentId))) throw refuse('parent-not-found', { parent: wanted.parentId });
      await unitNameIsFree(tables, wanted.parentId, wanted.name);
      const id = `ou-${organization.rootId.slice(2)}-${lowerId(8)}`;
      const row = { id, parent_id: wanted.parentId, name: wanted.name };
      await tables.insertInto('identity_unit').values(row).execute();
      await attachFullAccess(tables, id);
      await putOrganizationTags(tables, id, wanted.tags ?? {});
      return unitOf(organization, row);
    });
  }

  async function unitNameIsFree(tables: Tables, parentId: string, name: string): Promise<void> {
    const taken = await tables
      .selectFrom('identity_unit')
      .select('id')
      .where('parent_id', '=', parentId)
      .where('name', '=', name)
      .execute();
    if (taken.length > 0) throw refuse('unit-name-taken', { name });
  }

  async function renameUnit(
    _permit: Permit<'organizations:UpdateOrganizationalUnit'>,
    id: string,
    name: string,
  ): Promise<Unit> {
    return store.write(async (tables) => {
      const row = (await tables.selectFrom('identity_unit').selectAll().where('id', '=', id).execute())[0];
      if (!row) throw refuse('unit-not-found', { unit: id });
      if (row.name !== name) await unitNameIsFree(tables, row.parent_id, name);
      await tables.updateTable('identity_unit').set({ name }).where('id', '=', id).execute();
      return unitOf(await get(tables), { ...row, name });
    });
  }

  async function deleteUnit(_permit: Permit<'organizations:DeleteOrganizationalUnit'>, id: string): Promise<void> {
    await store.write(async (tables) => {
      if (!(await tables.selectFrom('identity_unit').select('id').where('id', '=', id).execute())[0]) {
        throw refuse('unit-not-found', { unit: id });
      }
      const accountsIn = await tables.selectFrom('identity_account').select('id').where('parent_id', '=', id).execute();
      const unitsIn = await tables.selectFrom('identity_unit').select('id').where('parent_id', '=', id).execute();
      if (accountsIn.length + unitsIn.length > 0) throw refuse('unit-not-empty', { unit: id });
      await tables.deleteFrom('identity_control_attachment').where('target_id', '=', id).execute();
      await tables.deleteFrom('identity_unit').where('id', '=', id).execute();
      await removeOrganizationTags(tables, id);
    });
  }

  async function setAlias(
    permit: Permit<'iam:CreateAccountAlias' | 'iam:DeleteAccountAlias'>,
    accountId: AccountId,
    alias: string,
  ): Promise<void> {
    await store.write(async (tables) => {
      const holder = await tables.selectFrom('identity_account').select('id').where('alias', '=', alias).execute();
      if (permit.action === 'iam:DeleteAccountAlias') {
        if (holder[0]?.id !== accountId) throw refuse('no-such-entity', { type: 'account alias', name: alias });
      } else if (holder[0]) throw refuse('entity-exists', { type: 'account alias', name: alias });
      await tables
        .updateTable('identity_account')
        .set({ alias: permit.action === 'iam:DeleteAccountAlias' ? null : alias })
        .where('id', '=', accountId)
        .execute();
    });
  }

  return {
    get,
    account,
    member,
    accounts,
    units,
    found,
    createAccount,
    accountRequest,
    accountRequests,
    pathTo,
    moveAccount,
    createUnit,
    renameUnit,
    deleteUnit,
    setAlias,
    ...createMemberships(store, async (tables) => (await get(tables)).managementAccount),
    ...createControlPolicies(store, get),
  };
}

function requestOf(row: IdentityTables['identity_account_request']): AccountRequest {
  return {
    id: row.id,
    ...(row.account_id === null ? {} : { accountId: row.account_id as AccountId }),
    ...(row.failure === null ? {} : { failure: row.failure as AccountFailure }),
    accountName: row.name,
    requestedAt: new Date(row.requested_at),
  };
}

interface AccountRow {
  readonly id: string;
  readonly name: string;
  readonly email: string;
  readonly alias: string | null;
  readonly parent_id: string;
  readonly joined_at: number;
  readonly closed_at: number | null;
}

const ADMINISTRATOR = 'arn:aws:iam::aws:policy/AdministratorAccess' as Arn;

function trustOf(principal: Arn): string {
  return JSON.stringify({
    Version: '2012-10-17',
    Statement: [{ Effect: 'Allow', Principal: { AWS: principal }, Action: 'sts:AssumeRole' }],
  });
}
