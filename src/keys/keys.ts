/**
 * KMS keys: their records and material, policies, aliases, grants and rotation, and what they seal (kms §2 to §21).
 *
 *     root key ──seals──▶ key material ──seals──▶ KMS ciphertext (a data key, or a caller's own bytes)
 *
 * Every method that acts on a key takes a `Permit` for the KMS action; the permit names the key. The KMS API and the
 * calls that EC2 and EBS make for their callers ({@link createKeysOnBehalf}) go through the same methods.
 */
import type { Audit } from '../audit/audit.ts';
import type { Authorizer } from '../authz/authorizer.ts';
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { PolicyPrincipals } from '../authz/policy-principals.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { Db } from '../db/db.ts';
import type { AccountId, Region } from '../ids.ts';
import type { Jobs } from '../jobs/jobs.ts';
import { KeyAccess } from './access.ts';
import { aliasMethods } from './aliases.ts';
import { cryptographyMethods } from './cryptography.ts';
import { deletionMethods } from './deletion.ts';
import { grantMethods } from './grants.ts';
import { findKey, type KeyName } from './identifiers.ts';
import { importMethods } from './imports.ts';
import { lifecycleMethods } from './lifecycle.ts';
import { multiRegionMethods } from './multi-region.ts';
import type { KeysOnBehalf } from './on-behalf.ts';
import { createKeysOnBehalf } from './on-behalf-calls.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import { policyMethods } from './policies.ts';
import { publicKeyMethods } from './public-key-methods.ts';
import { Rates } from './rates.ts';
import type { KeyRecord } from './records.ts';
import { checkRootKey } from './root-check.ts';
import { rotationMethods } from './rotation.ts';
import { KeyStore } from './store.ts';
import { tagMethods } from './tags.ts';
import { type KeyUse, KeyUses } from './usage.ts';

export interface KeysDeps {
  readonly db: Db;
  readonly rootKey: RootKey;
  /** Seals the tokens that clients hold. */
  readonly tokenKeys: RootKey;
  readonly authorizer: Authorizer;
  readonly audit: Audit;
  readonly principals: PolicyPrincipals;
  /** Deletion and rotation register their programs here: make the keys before `jobs.start()`. */
  readonly jobs: Jobs;
  readonly clock: () => Date;
  /** Imposes AWS's rates of calls (kms §28). */
  readonly throttled?: boolean;
}

export type Keys = ReturnType<typeof keysOf>;

/**
 * The keys of an installation, for the KMS API and for EC2 and EBS.
 * @throws {IntegrityError} where the root key is not the one that sealed what the database holds.
 */
export async function createKeys(deps: KeysDeps): Promise<{ keys: Keys; onBehalf: KeysOnBehalf }> {
  const store = new KeyStore(deps.db, deps.rootKey);
  await checkRootKey(store, deps.rootKey);
  const access = new KeyAccess(deps.authorizer, store);
  const uses = new KeyUses(store, deps.clock);
  const rates = deps.throttled ? { rates: new Rates(deps.clock) } : {};
  const keys = keysOf({ ...deps, store, access, uses, ...rates });
  return { keys, onBehalf: createKeysOnBehalf(keys, deps) };
}

function keysOf(parts: KeyParts) {
  const { rotation, methods } = rotationMethods(parts);
  return {
    access: parts.access,
    ...lifecycleMethods(parts, rotation),
    ...deletionMethods(parts),
    ...importMethods(parts),
    ...multiRegionMethods(parts, rotation),
    ...policyMethods(parts),
    ...cryptographyMethods(parts),
    ...publicKeyMethods(parts),
    ...aliasMethods(parts),
    ...grantMethods(parts),
    ...methods,
    ...tagMethods(parts),

    /** Whether rates of calls are imposed. */
    isThrottled: parts.rates !== undefined,
    /** Counts a call that has a rate of its own; free where none is imposed. @throws {Refusal} `throttled` */
    countCall(call: Call, operation: string): void {
      parts.rates?.countCall(call, operation);
    },

    /** Grows with every committed change of a key, its policy or its grants. */
    generation(): number {
      return parts.store.generation();
    },

    /** The key behind a name, or `undefined` where there is none. Not authorized. */
    find(name: KeyName, region: Region): Promise<KeyRecord | undefined> {
      return findKey(parts.store, name, region);
    },
    /** The last use of a key (3.8). */
    async lastUse(permit: Permit<'kms:GetKeyLastUsage'>): Promise<KeyUse | undefined> {
      return parts.uses.last(await permittedKey(parts.store, permit));
    },
    /** Whole days since the key was last used, for conditions. Not authorized. */
    trailingDaysWithoutUse(key: KeyRecord): Promise<number> {
      return parts.uses.trailingDays(key);
    },
    /** Writes the uses of keys that were noted: called now and then, and at the end. */
    flushUses(): Promise<void> {
      return parts.uses.flush();
    },
    /** The key behind an alias of one account. Not authorized. */
    findByAlias(account: AccountId, region: Region, alias: string): Promise<KeyRecord | undefined> {
      return parts.store.byAlias(account, region, alias);
    },
  };
}
