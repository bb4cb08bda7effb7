/** What the methods of this module share. */

import type { Audit } from '../audit/audit.ts';
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { KeyAccess } from './access.ts';
import type { Rates } from './rates.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import type { KeyStore } from './store.ts';
import type { KeyUses } from './usage.ts';

export interface KeyParts {
  readonly store: KeyStore;
  readonly access: KeyAccess;
  readonly uses: KeyUses;
  /** Absent where no rates are imposed. */
  readonly rates?: Rates;
  readonly rootKey: RootKey;
  /** Seals the tokens that clients hold. */
  readonly tokenKeys: RootKey;
  readonly principals: PolicyPrincipals;
  readonly jobs: Jobs;
  readonly audit: Audit;
  readonly clock: () => Date;
}

export const DAY_MS = 86_400_000;

/** The key that was authorized. It may have been deleted since. */
export async function permittedKey(store: KeyStore, permit: Permit): Promise<KeyRecord> {
  const key = await store.byArn(permit.resource);
  if (!key) throw refuse('key-not-found', { arn: permit.resource });
  return key;
}

/** The call a permit was given for; operations that act in the caller's name cannot be system work. */
export function callOf(permit: Permit): Call {
  if (!permit.call) throw new Error(`${permit.action} needs a caller`);
  return permit.call;
}
