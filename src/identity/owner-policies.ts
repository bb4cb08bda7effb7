/** What users, groups and roles have of policies: inline ones, and attachments of managed ones. */
import { checkPolicy } from '../../policy/document.ts';
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Arn } from '../ids.ts';
import { type Entity, parseEntityArn, type Role } from './entities.ts';
import { attach, boundedBy, detach, findOwner, type OwnerType, ownerById, requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';

/** Sum over the inline policies of one owner, without white space. */
const INLINE_CHARACTERS_MAX: Readonly<Record<'user' | 'group' | 'role', number>> = {
  user: 2048,
  group: 5120,
  role: 10_240,
};

/** Policies that only service-linked roles have, from the start. */
const SERVICE_ROLE_POLICIES = 'arn:aws:iam::aws:policy/aws-service-role/';

/** Characters without white space, which are what counts. */
export function policySize(document: string): number {
  return document.replace(/\s/g, '').length;
}

export function createOwnerPolicies(store: Store) {
  /** The user, group or role a permit names. Policies of service-linked roles are the service's. */
  async function owner(tables: Tables, permit: Permit): Promise<Entity & { type: OwnerType }> {
    const type = parseEntityArn(permit.resource)?.type as OwnerType;
    const { accountId, name } = requireTarget(permit, type);
    const found = await findOwner(tables, type, accountId, name);
    if (!found) throw refuse('no-such-entity', { type, name });
    if (type === 'role' && (found as Role).linkedService !== undefined) throw refuse('unmodifiable-entity', { name });
    return { ...found, type };
  }

  return {
    async putInline(
      permit: Permit<'iam:PutUserPolicy' | 'iam:PutGroupPolicy' | 'iam:PutRolePolicy'>,
      name: string,
      document: string,
    ): Promise<void> {
      checkPolicy(document, 'identity');
      await store.write(async (tables) => {
        const { id, type } = await owner(tables, permit);
        const rows = await tables.selectFrom('identity_inline_policy').selectAll().where('owner_id', '=', id).execute();
        const others = rows.filter((row) => row.name !== name).reduce((sum, row) => sum + policySize(row.document), 0);
        const limit = INLINE_CHARACTERS_MAX[type];
        if (others + policySize(document) > limit)
          throw refuse('limit-exceeded', { what: `${type} policy size`, limit });
        await tables
          .insertInto('identity_inline_policy')
          .values({ owner_id: id, name, document })
          .onConflict((conflict) => conflict.columns(['owner_id', 'name']).doUpdateSet({ document }))
          .execute();
      });
    },

    async deleteInline(
      permit: Permit<'iam:DeleteUserPolicy' | 'iam:DeleteGroupPolicy' | 'iam:DeleteRolePolicy'>,
      name: string,
    ): Promise<void> {
      await store.write(async (tables) => {
        const { id, type } = await owner(tables, permit);
        const result = await tables
          .deleteFrom('identity_inline_policy')
          .where('owner_id', '=', id)
          .where('name', '=', name)
          .execute();
        if (Number(result[0]?.numDeletedRows ?? 0) === 0) {
          throw refuse('no-such-entity', { type: `${type} policy`, name });
        }
      });
    },

    /** Names and documents of the inline policies of a user, group or role. */
    async inlineOf(ownerId: string): Promise<{ name: string; document: string }[]> {
      return store
        .read()
        .selectFrom('identity_inline_policy')
        .select(['name', 'document'])
        .where('owner_id', '=', ownerId)
        .orderBy('name')
        .execute();
    },

    async attach(
      permit: Permit<'iam:AttachUserPolicy' | 'iam:AttachGroupPolicy' | 'iam:AttachRolePolicy'>,
      policy: Arn,
    ): Promise<void> {
      await store.write(async (tables) => {
        const to = await owner(tables, permit);
        if (policy.startsWith(SERVICE_ROLE_POLICIES)) throw refuse('service-role-policy', { policy });
        await attach(tables, to, policy);
      });
    },

    async detach(
      permit: Permit<'iam:DetachUserPolicy' | 'iam:DetachGroupPolicy' | 'iam:DetachRolePolicy'>,
      policy: string,
    ): Promise<void> {
      await store.write(async (tables) => detach(tables, await owner(tables, permit), policy));
    },

    async attachedTo(ownerId: string): Promise<{ arn: Arn; name: string }[]> {
      const rows = await store
        .read()
        .selectFrom('identity_attachment')
        .selectAll()
        .where('owner_id', '=', ownerId)
        .orderBy('policy_name')
        .execute();
      return rows.map((row) => ({ arn: row.policy_arn as Arn, name: row.policy_name }));
    },

    /** Users, groups and roles of the account that have the policy attached. */
    async ownersOf(account: AccountId, policy: string): Promise<{ type: OwnerType; entity: Entity }[]> {
      const tables = store.read();
      const rows = await tables
        .selectFrom('identity_attachment')
        .select('owner_id')
        .where('policy_arn', '=', policy)
        .execute();
      const owners: { type: OwnerType; entity: Entity }[] = [];
      for (const { owner_id: id } of rows) {
        const found = await ownerById(tables, id);
        if (found?.entity.accountId === account) owners.push(found);
      }
      return owners;
    },

    /** Users and roles whose permissions boundary the policy is. */
    async boundedBy(account: AccountId, policy: string): Promise<{ type: OwnerType; entity: Entity }[]> {
      return (await boundedBy(store.read(), policy)).filter(({ entity }) => entity.accountId === account);
    },
  };
}
