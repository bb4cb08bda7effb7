/**
 * Grants (kms §15). Who may create one, and how strict a grantee's own grant must be (15.9, 15.10), is judged when the
 * permit is given; here grants are checked for form, kept, found and ended.
 */

import type { Permit } from '../authz/permit.ts';
import { encodeFields, type Fields } from '../crypto/fields.ts';
import { equalInConstantTime, sha256Hex } from '../crypto/hash.ts';
import { randomBytes } from '../crypto/random.ts';
import type { Tx } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';
import { type Arn, rootArn } from '../ids.ts';
import { encodeContext } from './ciphertext.ts';
import { callOf, type KeyParts, permittedKey } from './parts.ts';
import type { GrantConstraints, GrantRecord, Page, PageRequest } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';
import { grantOf, readKey } from './store.ts';

const GRANTS_PER_KEY_MAX = 50_000;
const TOKEN_FIELDS: Fields = [['purpose', 'kms-grant-token']];
const TOKEN_SALT_BYTES = 16;

/** To one grantee, and retired by at most one: a principal, or a service by the name of its service principal. */
export type NewGrant = {
  readonly name?: string;
  readonly operations: readonly string[];
  readonly constraints: GrantConstraints;
} & (
  | {
      /** Principal ARN, or a service principal where a service makes the grant. */
      readonly granteePrincipal: string;
      readonly granteeServicePrincipal?: undefined;
    }
  | { readonly granteeServicePrincipal: string; readonly granteePrincipal?: undefined }
) &
  (
    | { readonly retiringPrincipal?: string; readonly retiringServicePrincipal?: undefined }
    | { readonly retiringServicePrincipal: string; readonly retiringPrincipal?: undefined }
  );

/** Records a new grant where it is needed, in the transaction that makes it: no crash leaves a grant nobody knows. */
export type KeepGrant = (tx: Tx, grantId: string) => Promise<void>;

export interface GrantFilter {
  readonly grantId?: string;
  readonly granteePrincipal?: string;
  readonly granteeServicePrincipal?: string;
}

/** Who may retire the grants that are asked for. */
export type Retiring =
  | { readonly retiringPrincipal: string; readonly retiringServicePrincipal?: undefined }
  | { readonly retiringServicePrincipal: string; readonly retiringPrincipal?: undefined };

/** A grant with its principals as callers know them. */
export interface ShownGrant extends Omit<GrantRecord, 'issuingAccount'> {
  readonly issuingAccount: Arn;
}

export function grantMethods({ store, principals, tokenKeys, clock }: KeyParts) {
  /** @throws {Refusal} `principal-invalid` for a principal that does not exist (15.4). */
  async function storablePrincipal(permit: Permit, principal: string): Promise<string> {
    // EC2 grants to itself and to the principal of one instance; neither is a principal that identity knows.
    if (permit.call?.viaService !== undefined && isServicePrincipal(principal)) return principal;
    const stored = await principals.canonicalizePrincipal(principal);
    if (stored === undefined) throw refuse('principal-invalid', { arn: principal });
    return stored;
  }

  /** Opaque, different every time, and good as long as its grant is (15.7). */
  function newGrantToken(keyArn: Arn, grantId: string): string {
    const text = JSON.stringify({ keyArn, grantId, salt: Buffer.from(randomBytes(TOKEN_SALT_BYTES)).toString('hex') });
    return Buffer.from(tokenKeys.seal(Buffer.from(text), TOKEN_FIELDS)).toString('base64');
  }

  async function show(grant: GrantRecord): Promise<ShownGrant> {
    return {
      ...grant,
      grantee: isServicePrincipal(grant.grantee) ? grant.grantee : await principals.displayPrincipal(grant.grantee),
      ...(grant.retiring === undefined
        ? {}
        : {
            retiring: isServicePrincipal(grant.retiring)
              ? grant.retiring
              : await principals.displayPrincipal(grant.retiring),
          }),
      issuingAccount: rootArn(grant.issuingAccount),
    };
  }

  async function endGrant(permit: Permit, grantId: string, dryRun: boolean): Promise<void> {
    await store.write(async (tables, tx) => {
      const { numDeletedRows } = await tables
        .deleteFrom('keys_grant')
        .where('key_arn', '=', permit.resource)
        .where('grant_id', '=', grantId)
        .executeTakeFirst();
      if (numDeletedRows === 0n) throw refuse('grant-not-found', { grantId });
      if (dryRun) throw refuse('dry-run');
      store.changed(tx, permit.resource);
    });
  }

  return {
    /** Equal parameters with an equal name answer the grant there is (15.8). */
    async createGrant(
      permit: Permit<'kms:CreateGrant'>,
      grant: NewGrant,
      options: { readonly dryRun?: boolean; readonly keep?: KeepGrant } = {},
    ): Promise<{ grantId: string; grantToken: string }> {
      const grantee = grant.granteeServicePrincipal ?? (await storablePrincipal(permit, grant.granteePrincipal));
      const retiring =
        grant.retiringServicePrincipal ??
        (grant.retiringPrincipal === undefined ? undefined : await storablePrincipal(permit, grant.retiringPrincipal));
      const issuingAccount = callOf(permit).caller.accountId;
      const fingerprint =
        grant.name === undefined ? null : fingerprintOf(grant.name, grant, { grantee, retiring, issuingAccount });
      return store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'CreateGrant');
        if (fingerprint !== null) {
          const known = await tables
            .selectFrom('keys_grant')
            .select('grant_id')
            .where('key_arn', '=', key.arn)
            .where('fingerprint', '=', fingerprint)
            .executeTakeFirst();
          if (known && options.dryRun) throw refuse('dry-run');
          if (known) return { grantId: known.grant_id, grantToken: newGrantToken(key.arn, known.grant_id) };
        }
        const { count } = await tables
          .selectFrom('keys_grant')
          .select((e) => e.fn.countAll<number>().as('count'))
          .where('key_arn', '=', key.arn)
          .executeTakeFirstOrThrow();
        if (count >= GRANTS_PER_KEY_MAX) throw refuse('grant-limit', { arn: key.arn, limit: GRANTS_PER_KEY_MAX });
        if (options.dryRun) throw refuse('dry-run');
        const grantId = Buffer.from(randomBytes(32)).toString('hex');
        await tables
          .insertInto('keys_grant')
          .values({
            key_arn: key.arn,
            grant_id: grantId,
            name: grant.name ?? null,
            grantee,
            grantee_is_service: grant.granteeServicePrincipal === undefined ? 0 : 1,
            retiring: retiring ?? null,
            retiring_is_service: grant.retiringServicePrincipal === undefined ? 0 : 1,
            issuing_account: issuingAccount,
            operations: JSON.stringify([...new Set(grant.operations)]),
            constraints: JSON.stringify(grant.constraints),
            created_at: clock().getTime(),
            fingerprint,
          })
          .execute();
        await options.keep?.(tx, grantId);
        store.changed(tx, key.arn);
        return { grantId, grantToken: newGrantToken(key.arn, grantId) };
      });
    },

    /** What a grant token stands for. @throws {Refusal} `grant-token-invalid` where Ingot did not issue it. */
    readGrantToken(token: string): { keyArn: Arn; grantId: string } {
      const bytes = Buffer.from(token, 'base64');
      if (!equalInConstantTime(Buffer.from(bytes.toString('base64')), Buffer.from(token))) {
        throw refuse('grant-token-invalid');
      }
      try {
        const { keyArn, grantId } = JSON.parse(Buffer.from(tokenKeys.open(bytes, TOKEN_FIELDS)).toString()) as {
          keyArn: Arn;
          grantId: string;
        };
        return { keyArn, grantId };
      } catch (cause) {
        if (cause instanceof IntegrityError) throw refuse('grant-token-invalid', {}, { cause });
        throw cause;
      }
    },

    async findGrant(keyArn: Arn, grantId: string): Promise<GrantRecord | undefined> {
      const row = await store
        .read()
        .selectFrom('keys_grant')
        .selectAll()
        .where('key_arn', '=', keyArn)
        .where('grant_id', '=', grantId)
        .executeTakeFirst();
      return row && grantOf(row);
    },

    /** Works in every state of the key (5.2). @throws {Refusal} `grant-not-found` */
    async retireGrant(
      permit: Permit<'kms:RetireGrant'>,
      grantId: string,
      options: { readonly dryRun?: boolean } = {},
    ): Promise<void> {
      await endGrant(permit, grantId, options.dryRun ?? false);
    },

    /** Works in every state of the key (5.2). @throws {Refusal} `grant-not-found` */
    async revokeGrant(
      permit: Permit<'kms:RevokeGrant'>,
      grantId: string,
      options: { readonly dryRun?: boolean } = {},
    ): Promise<void> {
      await endGrant(permit, grantId, options.dryRun ?? false);
    },

    async listGrants(
      permit: Permit<'kms:ListGrants'>,
      filter: GrantFilter,
      page: PageRequest,
    ): Promise<Page<ShownGrant>> {
      const key = await permittedKey(store, permit);
      let query = store
        .read()
        .selectFrom('keys_grant')
        .selectAll()
        .where('key_arn', '=', key.arn)
        .where('grant_id', '>', page.after ?? '')
        .orderBy('grant_id')
        .limit(page.limit + 1);
      if (filter.grantId !== undefined) query = query.where('grant_id', '=', filter.grantId);
      if (filter.granteePrincipal !== undefined) {
        const stored = await principals.canonicalizePrincipal(filter.granteePrincipal);
        query = query
          .where('grantee', 'in', [filter.granteePrincipal, ...(stored === undefined ? [] : [stored])])
          .where('grantee_is_service', '=', 0);
      }
      if (filter.granteeServicePrincipal !== undefined) {
        query = query.where('grantee', '=', filter.granteeServicePrincipal).where('grantee_is_service', '=', 1);
      }
      return pageOf(await query.execute(), page.limit, show);
    },

    /**
     * Grants in the Region that this principal may retire, on keys of any account (15.15). A service is nobody's own:
     * an account learns of what a service may retire on the account's keys.
     */
    async listRetirableGrants(
      permit: Permit<'kms:ListRetirableGrants'>,
      { retiringPrincipal, retiringServicePrincipal }: Retiring,
      page: PageRequest,
    ): Promise<Page<ShownGrant>> {
      const stored =
        retiringServicePrincipal ?? (await principals.canonicalizePrincipal(retiringPrincipal)) ?? retiringPrincipal;
      const { region, caller } = callOf(permit);
      let query = store
        .read()
        .selectFrom('keys_grant')
        .innerJoin('keys_key', 'keys_key.arn', 'keys_grant.key_arn')
        .selectAll('keys_grant')
        .where('keys_key.region', '=', region)
        .where('keys_grant.retiring', '=', stored)
        .where('keys_grant.retiring_is_service', '=', retiringServicePrincipal === undefined ? 0 : 1)
        .where('keys_grant.grant_id', '>', page.after ?? '')
        .orderBy('keys_grant.grant_id')
        .limit(page.limit + 1);
      if (retiringServicePrincipal !== undefined) query = query.where('keys_key.account_id', '=', caller.accountId);
      return pageOf(await query.execute(), page.limit, show);
    },
  };
}

async function pageOf(
  rows: readonly Parameters<typeof grantOf>[0][],
  limit: number,
  show: (grant: GrantRecord) => Promise<ShownGrant>,
): Promise<Page<ShownGrant>> {
  const items = await Promise.all(rows.slice(0, limit).map((row) => show(grantOf(row))));
  return { items, ...(rows.length > limit ? { next: items.at(-1)!.grantId } : {}) };
}

/** `ec2.eu-west-1.amazonaws.com`, or the principal by which EC2 acts for one instance. */
function isServicePrincipal(principal: string): boolean {
  return (
    /^[a-z0-9.-]+\.amazonaws\.com$/.test(principal) ||
    /^arn:aws:sts::\d{12}:assumed-role\/aws:ec2-infrastructure\/i-[0-9a-f]+$/.test(principal)
  );
}

function fingerprintOf(
  name: string,
  grant: NewGrant,
  stored: { grantee: string; retiring: string | undefined; issuingAccount: string },
): string {
  const { encryptionContextSubset: subset, encryptionContextEquals: equals, sourceArn } = grant.constraints;
  return sha256Hex(
    encodeFields([
      ['name', name],
      ['grantee', stored.grantee],
      ['retiring', stored.retiring ?? ''],
      ['issuer', stored.issuingAccount],
      ...[...new Set(grant.operations)].sort().map((operation) => ['operation', operation] as const),
      ['subset', subset ? encodeContext(subset) : 'none'],
      ['equals', equals ? encodeContext(equals) : 'none'],
      // Named only where they are given: grants made without them keep their fingerprints.
      ...(sourceArn === undefined ? [] : [['source-arn', sourceArn] as const]),
      ...(grant.granteeServicePrincipal === undefined ? [] : [['grantee-is', 'service'] as const]),
      ...(grant.retiringServicePrincipal === undefined ? [] : [['retiring-is', 'service'] as const]),
    ]),
  );
}
