/** Aliases (kms §12): names of one account and Region, each for one key. */
import type { Permit } from '../authz/permit.ts';
import { type AccountId, type KeyId, parseArn, type Region } from '../ids.ts';
import { aliasArn, EBS_ALIAS } from './identifiers.ts';
import { isSymmetric } from './key-specs.ts';
import { callOf, type KeyParts } from './parts.ts';
import type { AliasRecord, KeyRecord, Page, PageRequest } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';
import { readKey } from './store.ts';

const ALIASES_PER_KEY_MAX = 50;

/** An alias as ListAliases shows it; a predefined one may have no key yet (12.9). */
export type ListedAlias = AliasRecord | Pick<AliasRecord, 'name' | 'arn'>;

/** @throws {Refusal} `alias-prefix`, `alias-reserved` or `alias-name-invalid` (12.1 to 12.3). */
export function requireAliasName(name: string): void {
  if (!name.startsWith('alias/')) throw refuse('alias-prefix', { alias: name });
  if (name.startsWith('alias/aws/')) throw refuse('alias-reserved', { alias: name });
  if (!/^alias\/[a-zA-Z0-9/_-]+$/.test(name) || name.length > 256) throw refuse('alias-name-invalid', { alias: name });
}

/** An alias goes from key to key of one type only (12.6). */
function kindOf(key: KeyRecord): 'symmetric' | 'hmac' | 'asymmetric' {
  if (isSymmetric(key)) return 'symmetric';
  return key.usage === 'GENERATE_VERIFY_MAC' ? 'hmac' : 'asymmetric';
}

/** Scope and name out of the alias ARN that a permit was given for. */
function aliasOf(permit: Permit): { account: AccountId; region: Region; name: string } {
  const parts = parseArn(permit.resource);
  if (!parts) throw new Error(`${permit.resource} is no alias ARN`);
  return { account: parts.account as AccountId, region: parts.region as Region, name: parts.resource };
}

export function aliasMethods({ store, clock }: KeyParts) {
  return {
    /** Permits on the alias and on its key (12.7). */
    async createAlias(alias: Permit<'kms:CreateAlias'>, target: Permit<'kms:CreateAlias'>): Promise<void> {
      const { account, region, name } = aliasOf(alias);
      requireAliasName(name);
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, target.resource);
        if (!key) throw refuse('key-not-found', { arn: target.resource });
        requireState(key, 'CreateAlias');
        const known = await tables
          .selectFrom('keys_alias')
          .select('name')
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('name', '=', name)
          .executeTakeFirst();
        if (known) throw refuse('alias-exists', { arn: alias.resource });
        if (key.aliases.length >= ALIASES_PER_KEY_MAX) throw refuse('alias-limit', { arn: key.arn });
        const now = clock().getTime();
        await tables
          .insertInto('keys_alias')
          .values({ account_id: account, region, name, key_arn: key.arn, created_at: now, updated_at: now })
          .execute();
        store.changed(tx, key.arn);
      });
    },

    /** Permits on the alias, on the key it leaves and on the key it goes to. */
    async updateAlias(
      alias: Permit<'kms:UpdateAlias'>,
      from: Permit<'kms:UpdateAlias'>,
      to: Permit<'kms:UpdateAlias'>,
    ): Promise<void> {
      const { account, region, name } = aliasOf(alias);
      requireAliasName(name);
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, to.resource);
        if (!key) throw refuse('key-not-found', { arn: to.resource });
        requireState(key, 'UpdateAlias');
        const current = await readKey(tables, from.resource);
        if (current && (kindOf(current) !== kindOf(key) || current.usage !== key.usage)) {
          throw refuse('alias-other-kind', { arn: alias.resource });
        }
        if (from.resource !== to.resource && key.aliases.length >= ALIASES_PER_KEY_MAX) {
          throw refuse('alias-limit', { arn: key.arn });
        }
        // The alias must still be on the key whose permit was given.
        const { numUpdatedRows } = await tables
          .updateTable('keys_alias')
          .set({ key_arn: key.arn, updated_at: clock().getTime() })
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('name', '=', name)
          .where('key_arn', '=', from.resource)
          .executeTakeFirst();
        if (numUpdatedRows === 0n) throw refuse('alias-not-found', { arn: alias.resource });
        store.changed(tx, from.resource);
        store.changed(tx, key.arn);
      });
    },

    async deleteAlias(alias: Permit<'kms:DeleteAlias'>, target: Permit<'kms:DeleteAlias'>): Promise<void> {
      const { account, region, name } = aliasOf(alias);
      requireAliasName(name);
      await store.write(async (tables, tx) => {
        const { numDeletedRows } = await tables
          .deleteFrom('keys_alias')
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('name', '=', name)
          .where('key_arn', '=', target.resource)
          .executeTakeFirst();
        if (numDeletedRows === 0n) throw refuse('alias-not-found', { arn: alias.resource });
        store.changed(tx, target.resource);
      });
    },

    /** Aliases of the caller's account in the Region, those of one key if `keyId` is given, ordered by name. */
    async listAliases(
      permit: Permit<'kms:ListAliases'>,
      keyId: KeyId | undefined,
      page: PageRequest,
    ): Promise<Page<ListedAlias>> {
      const call = callOf(permit);
      const scope = { account: call.caller.accountId, region: call.region };
      let query = store
        .read()
        .selectFrom('keys_alias')
        .innerJoin('keys_key', 'keys_key.arn', 'keys_alias.key_arn')
        .select(['keys_alias.name', 'keys_key.key_id', 'keys_alias.created_at', 'keys_alias.updated_at'])
        .where('keys_alias.account_id', '=', scope.account)
        .where('keys_alias.region', '=', scope.region)
        .where('keys_alias.name', '>', page.after ?? '')
        .orderBy('keys_alias.name')
        .limit(page.limit + 1);
      if (keyId !== undefined) query = query.where('keys_key.key_id', '=', keyId);
      const found: ListedAlias[] = (await query.execute()).map((row) => ({
        name: row.name,
        arn: aliasArn(scope, row.name),
        keyId: row.key_id as KeyId,
        createdAt: new Date(row.created_at),
        updatedAt: new Date(row.updated_at),
      }));
      if (keyId === undefined && (page.after ?? '') < EBS_ALIAS && !found.some(({ name }) => name === EBS_ALIAS)) {
        // The predefined alias is listed before its key is made; if it exists beyond this page it sorts last and is cut.
        const made = await store.byAlias(scope.account, scope.region, EBS_ALIAS);
        if (!made) found.push({ name: EBS_ALIAS, arn: aliasArn(scope, EBS_ALIAS) });
        found.sort((a, b) => (a.name < b.name ? -1 : 1));
      }
      const items = found.slice(0, page.limit);
      return { items, ...(found.length > page.limit ? { next: items.at(-1)!.name } : {}) };
    },
  };
}
