/** Identity policies: managed ones with their versions, and what users, groups and roles have of them. */

import { checkPolicy } from '../../policy/document.ts';
import type { Permit } from '../authz/permit.ts';
import type { AccountId, Arn } from '../ids.ts';
import { nameKey, type Tagging } from './entities.ts';
import { MANAGED_POLICIES } from './managed-policies.ts';
import { createOwnerPolicies, policySize } from './owner-policies.ts';
import { boundedBy, requireTarget } from './ownership.ts';
import { refuse } from './refusals.ts';
import type { Store, Tables } from './store.ts';
import type { IdentityTables } from './tables.ts';
import { newUniqueId } from './unique-ids.ts';

export interface IdentityPolicy {
  readonly arn: Arn;
  readonly id: string;
  readonly name: string;
  readonly path: string;
  readonly description: string;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  /** `v1`, `v2`, … */
  readonly defaultVersion: string;
  readonly tags: Tagging;
  readonly awsManaged: boolean;
}
export interface PolicyVersion {
  readonly version: string;
  readonly isDefault: boolean;
  readonly document: string;
  readonly createdAt: Date;
}

const VERSIONS_MAX = 5;
const MANAGED_CHARACTERS_MAX = 6144;

export type { OwnerType } from './ownership.ts';

export type Policies = ReturnType<typeof createPolicies>;

export function createPolicies(store: Store) {
  async function customerRow(tables: Tables, arn: string): Promise<IdentityTables['identity_policy'] | undefined> {
    return (await tables.selectFrom('identity_policy').selectAll().where('arn', '=', arn).execute())[0];
  }

  async function own(tables: Tables, permit: Permit): Promise<IdentityTables['identity_policy']> {
    requireTarget(permit, 'policy');
    const row = await customerRow(tables, permit.resource);
    if (!row) throw refuse('no-such-entity', { type: 'policy', name: permit.resource });
    return row;
  }

  return {
    ...createOwnerPolicies(store),

    async get(arn: string): Promise<IdentityPolicy | undefined> {
      const managed = MANAGED_POLICIES.get(arn);
      if (managed) return managedView(managed);
      const row = await customerRow(store.read(), arn);
      return row && customerView(row);
    },

    async list(account: AccountId, scope: 'All' | 'AWS' | 'Local', pathPrefix = '/'): Promise<IdentityPolicy[]> {
      const rows = await store
        .read()
        .selectFrom('identity_policy')
        .selectAll()
        .where('account_id', '=', account)
        .orderBy('name_key')
        .execute();
      const local = scope === 'AWS' ? [] : rows.map(customerView);
      const managed = scope === 'Local' ? [] : [...MANAGED_POLICIES.values()].map(managedView);
      return [...local, ...managed].filter((policy) => policy.path.startsWith(pathPrefix));
    },

    async create(
      permit: Permit<'iam:CreatePolicy'>,
      wanted: { document: string; description: string; tags: Tagging },
    ): Promise<IdentityPolicy> {
      const { accountId, name, path } = requireTarget(permit, 'policy');
      checkManaged(wanted.document);
      return store.write(async (tables) => {
        const taken = await tables
          .selectFrom('identity_policy')
          .select('arn')
          .where('account_id', '=', accountId)
          .where('name_key', '=', nameKey(name))
          .execute();
        if (taken.length > 0) throw refuse('entity-exists', { type: 'policy', name });
        const now = store.clock().getTime();
        const row = {
          arn: permit.resource,
          id: newUniqueId('ANPA'),
          account_id: accountId,
          name,
          name_key: nameKey(name),
          path,
          description: wanted.description,
          created_at: now,
          updated_at: now,
          default_version: 1,
          last_version: 1,
          tags: JSON.stringify(wanted.tags),
        };
        await tables.insertInto('identity_policy').values(row).execute();
        await tables
          .insertInto('identity_policy_version')
          .values({ policy_arn: row.arn, version: 1, document: wanted.document, created_at: now })
          .execute();
        return customerView(row);
      });
    },

    async remove(permit: Permit<'iam:DeletePolicy'>): Promise<void> {
      await store.write(async (tables) => {
        const { arn, default_version } = await own(tables, permit);
        const attached = await tables
          .selectFrom('identity_attachment')
          .select('owner_id')
          .where('policy_arn', '=', arn)
          .execute();
        const bounded = (await boundedBy(tables, arn)).length;
        if (attached.length + bounded > 0) {
          throw refuse('delete-conflict', { detail: 'Cannot delete a policy attached to entities.', whole: true });
        }
        const versions = await tables
          .selectFrom('identity_policy_version')
          .select('version')
          .where('policy_arn', '=', arn)
          .execute();
        if (versions.some((row) => row.version !== default_version)) {
          throw refuse('delete-conflict', {
            detail:
              'This policy has more than one version. Before you delete a policy, you must delete the policy versions.',
            whole: true,
          });
        }
        await tables.deleteFrom('identity_policy').where('arn', '=', arn).execute();
      });
    },

    async versions(arn: string): Promise<PolicyVersion[] | undefined> {
      const managed = MANAGED_POLICIES.get(arn);
      if (managed) {
        const { version, document, createdAt } = managed;
        return [{ version, isDefault: true, document, createdAt }];
      }
      const tables = store.read();
      const policy = await customerRow(tables, arn);
      if (!policy) return undefined;
      const rows = await tables
        .selectFrom('identity_policy_version')
        .selectAll()
        .where('policy_arn', '=', arn)
        .orderBy('version', 'desc')
        .execute();
      return rows.map((row) => ({
        version: `v${row.version}`,
        isDefault: row.version === policy.default_version,
        document: row.document,
        createdAt: new Date(row.created_at),
      }));
    },

    async createVersion(
      permit: Permit<'iam:CreatePolicyVersion'>,
      document: string,
      setAsDefault: boolean,
    ): Promise<PolicyVersion> {
      checkManaged(document);
      return store.write(async (tables) => {
        const policy = await own(tables, permit);
        const there = await tables
          .selectFrom('identity_policy_version')
          .select('version')
          .where('policy_arn', '=', policy.arn)
          .execute();
        if (there.length >= VERSIONS_MAX)
          throw refuse('limit-exceeded', { what: 'VersionsPerPolicy', limit: VERSIONS_MAX });
        const version = policy.last_version + 1;
        const now = store.clock().getTime();
        await tables
          .insertInto('identity_policy_version')
          .values({ policy_arn: policy.arn, version, document, created_at: now })
          .execute();
        await tables
          .updateTable('identity_policy')
          .set({
            last_version: version,
            updated_at: now,
            default_version: setAsDefault ? version : policy.default_version,
          })
          .where('arn', '=', policy.arn)
          .execute();
        return { version: `v${version}`, isDefault: setAsDefault, document, createdAt: new Date(now) };
      });
    },

    async deleteVersion(permit: Permit<'iam:DeletePolicyVersion'>, version: string): Promise<void> {
      await store.write(async (tables) => {
        const policy = await own(tables, permit);
        const number = versionNumber(version);
        if (number === policy.default_version) {
          throw refuse('delete-conflict', { detail: 'Cannot delete the default version of a policy.', whole: true });
        }
        const result = await tables
          .deleteFrom('identity_policy_version')
          .where('policy_arn', '=', policy.arn)
          .where('version', '=', number)
          .execute();
        if (Number(result[0]?.numDeletedRows ?? 0) === 0) {
          throw refuse('no-such-entity', { type: 'policy version', name: version, policy: policy.arn });
        }
      });
    },

    async setDefaultVersion(permit: Permit<'iam:SetDefaultPolicyVersion'>, version: string): Promise<void> {
      await store.write(async (tables) => {
        const policy = await own(tables, permit);
        const number = versionNumber(version);
        const there = await tables
          .selectFrom('identity_policy_version')
          .select('version')
          .where('policy_arn', '=', policy.arn)
          .where('version', '=', number)
          .execute();
        if (there.length === 0)
          throw refuse('no-such-entity', { type: 'policy version', name: version, policy: policy.arn });
        await tables
          .updateTable('identity_policy')
          .set({ default_version: number, updated_at: store.clock().getTime() })
          .where('arn', '=', policy.arn)
          .execute();
      });
    },

    /** `change` sees the tags as they are; nothing comes in between. */
    async setTags(
      permit: Permit<'iam:TagPolicy' | 'iam:UntagPolicy'>,
      change: (before: Tagging) => Tagging,
    ): Promise<void> {
      await store.write(async (tables) => {
        const { arn, tags } = await own(tables, permit);
        await tables
          .updateTable('identity_policy')
          .set({ tags: JSON.stringify(change(JSON.parse(tags) as Tagging)) })
          .where('arn', '=', arn)
          .execute();
      });
    },

    /** Document of the default version; of policies that AWS or the account manages. */
    async documentOf(arn: string): Promise<string | undefined> {
      const managed = MANAGED_POLICIES.get(arn);
      if (managed) return managed.document;
      const rows = await store
        .read()
        .selectFrom('identity_policy')
        .innerJoin('identity_policy_version', (join) =>
          join
            .onRef('identity_policy_version.policy_arn', '=', 'identity_policy.arn')
            .onRef('identity_policy_version.version', '=', 'identity_policy.default_version'),
        )
        .select('document')
        .where('arn', '=', arn)
        .execute();
      return rows[0]?.document;
    },
  };
}

/** White space does not count toward IAM's size limits. */
function checkManaged(document: string): void {
  checkPolicy(document, 'identity');
  if (policySize(document) > MANAGED_CHARACTERS_MAX) {
    throw refuse('limit-exceeded', { what: 'PolicySize', limit: MANAGED_CHARACTERS_MAX });
  }
}

function versionNumber(version: string): number {
  return Number(/^v(\d{1,9})$/.exec(version)?.[1] ?? -1);
}

function managedView(policy: NonNullable<ReturnType<typeof MANAGED_POLICIES.get>>): IdentityPolicy {
  const { arn, id, name, path, description, createdAt, version } = policy;
  const dates = { createdAt, updatedAt: createdAt };
  return { arn, id, name, path, description, ...dates, defaultVersion: version, tags: {}, awsManaged: true };
}

function customerView(row: IdentityTables['identity_policy']): IdentityPolicy {
  return {
    arn: row.arn as Arn,
    id: row.id,
    name: row.name,
    path: row.path,
    description: row.description,
    createdAt: new Date(row.created_at),
    updatedAt: new Date(row.updated_at),
    defaultVersion: `v${row.default_version}`,
    tags: JSON.parse(row.tags) as Tagging,
    awsManaged: false,
  };
}
