/** {@link CredentialStore} over access keys and sessions, cached until identity changes. */
import type { Credential, CredentialStore } from '../authn/credentials.ts';
import type { Caller } from '../authz/caller.ts';
import { equalInConstantTime, sha256 } from '../crypto/hash.ts';
import { SecretKey } from '../crypto/secret-key.ts';
import { type AccountId, type Arn, rootArn } from '../ids.ts';
import { openSecret } from './access-keys.ts';
import { roleOf, userOf } from './entities.ts';
import { accountIsClosed } from './memberships.ts';
import type { Policies } from './policies.ts';
import type { SessionDetails } from './sessions.ts';
import { cacheOf, type Store } from './store.ts';
import type { IdentityTables } from './tables.ts';

const CREDENTIALS_CACHED_MAX = 10_000;

export function createCredentialStore(store: Store, policies: Policies): CredentialStore {
  const cache = cacheOf<Credential>(store, CREDENTIALS_CACHED_MAX);

  /** Principals of a closed account are nobody. */
  async function find(accessKeyId: string): Promise<Credential | undefined> {
    const found = await (accessKeyId.startsWith('ASIA') ? temporary(accessKeyId) : longTerm(accessKeyId));
    return found && (await accountIsClosed(store.read(), found.caller.accountId)) ? undefined : found;
  }

  async function longTerm(accessKeyId: string): Promise<Credential | undefined> {
    const rows = await store
      .read()
      .selectFrom('identity_access_key')
      .selectAll()
      .where('id', '=', accessKeyId)
      .execute();
    const row = rows[0];
    if (!row) return undefined;
    const caller = await longTermCaller(row.owner_id, row.account_id as AccountId, accessKeyId);
    if (!caller) return undefined;
    const secret = SecretKey.take(openSecret(store.rootKey, accessKeyId, row.sealed_secret));
    return { secret, status: row.status === 'Active' ? 'active' : 'inactive', caller };
  }

  async function longTermCaller(ownerId: string, accountId: AccountId, accessKeyId: string) {
    if (ownerId === accountId) return rootCaller(accountId, accessKeyId);
    const rows = await store.read().selectFrom('identity_user').selectAll().where('id', '=', ownerId).execute();
    return rows[0] && userCaller(rows[0], accessKeyId);
  }

  async function temporary(accessKeyId: string): Promise<Credential | undefined> {
    const rows = await store
      .read()
      .selectFrom('identity_session')
      .selectAll()
      .where('access_key_id', '=', accessKeyId)
      .execute();
    const row = rows[0];
    if (!row) return undefined;
    const details = JSON.parse(row.details) as SessionDetails;
    const caller = await sessionCaller(row, details);
    if (!caller) return undefined;
    const digest = row.token_digest;
    return {
      secret: SecretKey.take(openSecret(store.rootKey, accessKeyId, row.sealed_secret)),
      status: 'active',
      caller,
      session: {
        expiresAt: new Date(row.expires_at),
        tokenMatches: (token) => equalInConstantTime(sha256(token), digest),
      },
    };
  }

  async function sessionCaller(
    row: IdentityTables['identity_session'],
    details: SessionDetails,
  ): Promise<Caller | undefined> {
    const session = {
      name: details.name,
      kind: details.kind,
      issuedAt: new Date(row.issued_at),
      expiresAt: new Date(row.expires_at),
      policies: [...details.policies, ...(await documentsOf(details.policyArns))],
      ...(details.sourceIdentity === undefined ? {} : { sourceIdentity: details.sourceIdentity }),
    };
    if (details.kind === 'get-session-token') {
      const caller = await longTermCaller(row.owner_id, row.account_id as AccountId, row.access_key_id);
      return caller && { ...caller, session };
    }
    const roles = await store.read().selectFrom('identity_role').selectAll().where('id', '=', row.owner_id).execute();
    if (!roles[0]) return undefined;
    const role = roleOf(roles[0]);
    return {
      accountId: role.accountId,
      type: 'AssumedRole',
      arn: `arn:aws:sts::${role.accountId}:assumed-role/${role.name}/${details.name}` as Arn,
      principalArn: role.arn,
      userId: `${role.id}:${details.name}`,
      uniqueId: role.id,
      accessKeyId: row.access_key_id,
      tags: { ...role.tags, ...details.tags },
      session,
    };
  }

  /** A session policy that was deleted since allows nothing; leaving it out would widen the session. */
  async function documentsOf(arns: readonly string[]): Promise<string[]> {
    return Promise.all(arns.map(async (arn) => (await policies.documentOf(arn)) ?? ALLOWS_NOTHING));
  }

  return {
    async find(accessKeyId) {
      return cache.get(accessKeyId, () => find(accessKeyId));
    },
  };
}

const ALLOWS_NOTHING = JSON.stringify({ Version: '2012-10-17', Statement: [] });

function rootCaller(accountId: AccountId, accessKeyId: string): Caller {
  const arn = rootArn(accountId);
  return {
    accountId,
    type: 'Account',
    arn,
    principalArn: arn,
    userId: accountId,
    uniqueId: accountId,
    accessKeyId,
    tags: {},
  };
}

function userCaller(row: IdentityTables['identity_user'], accessKeyId: string): Caller {
  const user = userOf(row);
  return {
    accountId: user.accountId,
    type: 'User',
    arn: user.arn,
    principalArn: user.arn,
    userId: user.id,
    uniqueId: user.id,
    userName: user.name,
    accessKeyId,
    tags: user.tags,
  };
}
