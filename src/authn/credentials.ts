/** What authentication asks of whoever keeps access keys; `identity/` implements it. */
import type { Caller } from '../authz/caller.ts';
import type { SecretKey } from '../crypto/secret-key.ts';

/** One access key, with all that its signature amounts to. */
export interface Credential {
  /** The 40-character secret access key in UTF-8. It never changes under its access key id. */
  readonly secret: SecretKey;
  /** An inactive key is answered as an unknown one (authorization-and-wire 10.13). */
  readonly status: 'active' | 'inactive';
  readonly caller: Caller;
  /** Present with temporary credentials, which are worth nothing without their token (10.7). */
  readonly session?: CredentialSession;
}

export interface CredentialSession {
  readonly expiresAt: Date;
  /** Whether `token` is the one that was issued with this access key; compares in constant time. */
  tokenMatches(token: string): boolean;
}

export interface CredentialStore {
  /** The credential behind an access key id, or `undefined` where there is none (any more). */
  find(accessKeyId: string): Promise<Credential | undefined>;
}
