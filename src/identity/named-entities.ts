/**
 * What users, groups, roles and instance profiles have in common: a name that is unique in the account ignoring case, a
 * path, tags, a permissions boundary, and policies in the way of their deletion. Each kind has a table of its own.
 */
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Arn } from '../ids.ts';
import {
  findRow,
  type Group,
  groupOf,
  type InstanceProfile,
  instanceProfileOf,
  nameKey,
  type Role,
  roleOf,
  type Tagging,
  type User,
  userOf,
} from './entities.ts';
import { checkBoundary, requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import type { IdentityTables } from './tables.ts';
import { newUniqueId } from './unique-ids.ts';

interface Kinds {
  readonly user: { readonly table: 'identity_user'; readonly shown: User };
  readonly group: { readonly table: 'identity_group'; readonly shown: Group };
  readonly role: { readonly table: 'identity_role'; readonly shown: Role };
  readonly 'instance-profile': { readonly table: 'identity_instance_profile'; readonly shown: InstanceProfile };
}
export type NamedType = keyof Kinds;
/** As the names of actions have them. */
interface Titles {
  readonly user: 'User';
  readonly group: 'Group';
  readonly role: 'Role';
  readonly 'instance-profile': 'InstanceProfile';
}
type Shown<Type extends NamedType> = Kinds[Type]['shown'];
type Row<Type extends NamedType> = IdentityTables[Kinds[Type]['table']];

/** Of what a caller may choose: the columns besides those that every kind has. */
type OwnColumns<Type extends NamedType> = Omit<
  Row<Type>,
  'id' | 'account_id' | 'name' | 'name_key' | 'path' | 'created_at'
>;

interface Kind<Type extends NamedType> {
  readonly table: Kinds[Type]['table'];
  readonly prefix: Parameters<typeof newUniqueId>[0];
  /** In "User with name x already exists." */
  readonly title: string;
  readonly shown: (row: Row<Type>) => Shown<Type>;
}

const KINDS: { readonly [Type in NamedType]: Kind<Type> } = {
  user: { table: 'identity_user', prefix: 'AIDA', title: 'User', shown: userOf },
  group: { table: 'identity_group', prefix: 'AGPA', title: 'Group', shown: groupOf },
  role: { table: 'identity_role', prefix: 'AROA', title: 'Role', shown: roleOf },
  'instance-profile': {
    table: 'identity_instance_profile',
    prefix: 'AIPA',
    title: 'Instance Profile',
    shown: instanceProfileOf,
  },
};

/** The query builder knows one table at a time: all kinds have the columns of a user that are used here. */
type AnyTable = 'identity_user';

export type NamedEntities<Type extends NamedType> = ReturnType<typeof namedEntities<Type>>;

/** `guard` refuses what the account may not change. */
export function namedEntities<Type extends NamedType>(
  store: Store,
  type: Type,
  guard: (entity: Shown<Type>) => void = () => {},
) {
  const { prefix, title, shown } = KINDS[type];
  const table = KINDS[type].table as AnyTable;
  const show = (row: unknown) => shown(row as Row<Type>);

  async function find(tables: Tables, account: AccountId, name: string): Promise<Shown<Type> | undefined> {
    const row = await findRow(tables, table, account, name);
    return row && show(row);
  }

  async function require(tables: Tables, account: AccountId, name: string): Promise<Shown<Type>> {
    const found = await find(tables, account, name);
    if (!found) throw refuse('no-such-entity', { type: type.replace('-', ' '), name });
    return found;
  }

  /** What the permit names, guarded or not. */
  function named(tables: Tables, permit: Permit): Promise<Shown<Type>> {
    const { accountId, name } = requireTarget(permit, type);
    return require(tables, accountId, name);
  }

  async function target(tables: Tables, permit: Permit): Promise<Shown<Type>> {
    const entity = await named(tables, permit);
    guard(entity);
    return entity;
  }

  async function set(tables: Tables, id: string, columns: Partial<Row<Type>>): Promise<void> {
    if (Object.keys(columns).length === 0) return;
    const change = columns as Partial<IdentityTables[AnyTable]>;
    await tables.updateTable(table).set(change).where('id', '=', id).execute();
  }

  return {
    find,
    require,
    named,
    target,
    set,

    lookUp: (account: AccountId, name: string): Promise<Shown<Type> | undefined> => find(store.read(), account, name),

    async byId(id: string, tables: Tables = store.read()): Promise<Shown<Type> | undefined> {
      const row = await tables.selectFrom(table).selectAll().where('id', '=', id).executeTakeFirst();
      return row && show(row);
    },

    async list(account: AccountId, pathPrefix = '/'): Promise<Shown<Type>[]> {
      const query = store.read().selectFrom(table).selectAll().where('account_id', '=', account).orderBy('name_key');
      return (await query.execute()).filter((row) => row.path.startsWith(pathPrefix)).map(show);
    },

    async insert(tables: Tables, permit: Permit, columns: OwnColumns<Type>): Promise<Shown<Type>> {
      const { accountId, name, path } = requireTarget(permit, type);
      if (await find(tables, accountId, name)) throw refuse('entity-exists', { type: title, name });
      const boundary = 'boundary_arn' in columns ? (columns.boundary_arn as Arn | null) : null;
      if (boundary !== null) await checkBoundary(tables, accountId, boundary);
      const row = {
        id: newUniqueId(prefix),
        account_id: accountId,
        name,
        name_key: nameKey(name),
        path,
        created_at: store.clock().getTime(),
        ...columns,
      };
      await tables
        .insertInto(table)
        .values(row as never)
        .execute();
      return show(row);
    },

    async rename(permit: Permit<`iam:Update${Titles[Type]}`>, change: { name?: string; path?: string }): Promise<void> {
      await store.write(async (tables) => {
        const entity = await target(tables, permit);
        const name = change.name ?? entity.name;
        const holder = await find(tables, entity.accountId, name);
        if (holder && holder.id !== entity.id) throw refuse('entity-exists', { type: title, name });
        await tables
          .updateTable(table)
          .set({ name, name_key: nameKey(name), path: change.path ?? entity.path })
          .where('id', '=', entity.id)
          .execute();
      });
    },

    /** Policies must go first; one may be the entity's own for ever. */
    async requireNoPolicies(tables: Tables, id: string, own?: Arn): Promise<void> {
      const inline = await tables
        .selectFrom('identity_inline_policy')
        .select('name')
        .where('owner_id', '=', id)
        .executeTakeFirst();
      if (inline) throw refuse('delete-conflict', { detail: 'must delete policies first.' });
      const attached = await tables
        .selectFrom('identity_attachment')
        .select('policy_arn')
        .where('owner_id', '=', id)
        .execute();
      if (attached.some(({ policy_arn }) => policy_arn !== own)) {
        throw refuse('delete-conflict', { detail: 'must detach all policies first.' });
      }
    },

    async remove(tables: Tables, id: string): Promise<void> {
      await tables.deleteFrom(table).where('id', '=', id).execute();
    },
  };
}

/** Of kinds that have tags: `change` sees the tags as they are; nothing comes in between. */
export function tagged<Type extends 'user' | 'role' | 'instance-profile'>(store: Store, entities: NamedEntities<Type>) {
  return {
    async setTags(
      permit: Permit<`iam:${'Tag' | 'Untag'}${Titles[Type]}`>,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const { id, tags } = await entities.target(tables, permit);
        await entities.set(tables, id, { tags: JSON.stringify(change(tags)) } as Partial<Row<Type>>);
      });
    },
  };
}

/** Of kinds that have a permissions boundary. */
export function bounded<Type extends 'user' | 'role'>(store: Store, entities: NamedEntities<Type>) {
  return {
    async setBoundary(
      permit: Permit<`iam:${'Put' | 'Delete'}${Titles[Type]}PermissionsBoundary`>,
      boundary: Arn | undefined,
    ): Promise<void> {
      await store.write(async (tables) => {
        const { id, accountId } = await entities.target(tables, permit);
        if (boundary) await checkBoundary(tables, accountId, boundary);
        await entities.set(tables, id, { boundary_arn: boundary ?? null } as Partial<Row<Type>>);
      });
    },
  };
}
