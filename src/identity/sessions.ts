/**
 * Temporary credentials: an access key id, a secret and an opaque session token that belong together.
 *
 * Sessions are rows, not self-contained tokens: authentication asks by access key id alone, a deleted role ends its
 * sessions at once, and tokens stay short. Secrets are sealed; of a token only the digest is kept. Expired rows stay a
 * day, so that their holder is told that they expired, and are then removed by the next session made.
 */

import { checkPolicy } from '../../policy/document.ts';
import type { CallerSession } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import { sha256 } from '../crypto/hash.ts';
import type { AccountId } from '../ids.ts';
import { sealSecret } from './access-keys.ts';
import type { Role, Tagging } from './entities.ts';
import type { Store } from './store.ts';
import type { IdentityTables } from './tables.ts';
import { newAccessKeyId, newSecretAccessKey, newSessionToken } from './unique-ids.ts';

export interface TemporaryCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
  readonly expiresAt: Date;
}

/** What a session knows besides its role or user. */
export interface SessionDetails {
  readonly kind: CallerSession['kind'];
  readonly name: string;
  /** Session policy documents (14.5). */
  readonly policies: readonly string[];
  /** Managed policies used as session policies; their current versions count. */
  readonly policyArns: readonly string[];
  readonly tags: Tagging;
  readonly transitiveTagKeys: readonly string[];
  readonly sourceIdentity?: string;
}

const EXPIRED_KEPT_MS = 24 * 3600_000;

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(store: Store) {
  async function insert(
    owner: { id: string; accountId: AccountId },
    details: SessionDetails,
    durationSeconds: number,
  ): Promise<TemporaryCredentials> {
    const accessKeyId = newAccessKeyId('ASIA', owner.accountId);
    const secretAccessKey = newSecretAccessKey();
    const sessionToken = newSessionToken();
    const now = store.clock().getTime();
    // Expiry is told in whole seconds, and kept as it is told.
    const expiresAt = Math.floor(now / 1000) * 1000 + durationSeconds * 1000;
    // A new session changes nothing that any cache holds.
    await store.db.write(async (tx) => {
      const tables = tx.as<SessionTables>();
      await tables
        .deleteFrom('identity_session')
        .where('expires_at', '<', now - EXPIRED_KEPT_MS)
        .execute();
      await tables
        .insertInto('identity_session')
        .values({
          access_key_id: accessKeyId,
          owner_id: owner.id,
          account_id: owner.accountId,
          sealed_secret: sealSecret(store.rootKey, accessKeyId, secretAccessKey),
          token_digest: sha256(sessionToken),
          issued_at: now,
          expires_at: expiresAt,
          details: JSON.stringify(details),
        })
        .execute();
    });
    return { accessKeyId, secretAccessKey, sessionToken, expiresAt: new Date(expiresAt) };
  }

  return {
    /** A session of a role whose trust policy and caller were found to allow it (14.4). */
    async assumeRole(
      permit: Permit<'sts:AssumeRole'>,
      role: Role,
      session: Omit<SessionDetails, 'kind'>,
      durationSeconds: number,
    ): Promise<TemporaryCredentials> {
      if (permit.resource !== role.arn) throw new Error(`the permit is for ${permit.resource}, not for ${role.arn}`);
      for (const policy of session.policies) checkPolicy(policy, 'identity');
      return insert(role, { kind: 'assume-role', ...session }, durationSeconds);
    },

    /** Temporary credentials of a user or of an account's root user, which need no permission (14.7). */
    sessionToken: (
      owner: { id: string; accountId: AccountId },
      durationSeconds: number,
    ): Promise<TemporaryCredentials> => {
      const details = { name: '', policies: [], policyArns: [], tags: {}, transitiveTagKeys: [] };
      return insert(owner, { kind: 'get-session-token', ...details }, durationSeconds);
    },

    /** A session as it was made, for role chaining (transitive tags, source identity). */
    async details(accessKeyId: string): Promise<SessionDetails | undefined> {
      const rows = await store
        .read()
        .selectFrom('identity_session')
        .select('details')
        .where('access_key_id', '=', accessKeyId)
        .execute();
      return rows[0] && (JSON.parse(rows[0].details) as SessionDetails);
    },
  };
}

type SessionTables = Pick<IdentityTables, 'identity_session'>;
