/**
 * Asking for permission on a key: the one place that gathers what a decision about a KMS key looks at (key policy,
 * grants, attributes, encryption context, the service that forwards the call).
 */
import type { Authorizer, ConditionValues, GrantView, ResourceRef } from '../authz/authorizer.ts';
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import { type AccountId, type Arn, rootArn } from '../ids.ts';
import type { EncryptionContext } from './on-behalf.ts';
import type { GrantConstraints, GrantRecord, KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import type { KeyStore } from './store.ts';

export type KmsAction = `kms:${string}`;

export interface AccessRequest {
  /** Encryption context of the request, or the constraint's pairs for CreateGrant. */
  readonly encryptionContext?: EncryptionContext;
  /** Alias name by which the request named the key. */
  readonly requestAlias?: string;
  /** Further condition keys of the operation (kms 24). */
  readonly conditions?: ConditionValues;
  readonly proposedGrant?: { readonly operations: readonly string[] } & GrantConstraints;
  /** Judge by this grant instead of those made to the caller: RetireGrant. */
  readonly grant?: GrantRecord;
}

export class KeyAccess {
  readonly #authorizer: Authorizer;
  readonly #store: KeyStore;

  constructor(authorizer: Authorizer, store: KeyStore) {
    this.#authorizer = authorizer;
    this.#store = store;
  }

  /** @throws {Denied} */
  async authorize<Action extends KmsAction>(
    call: Call,
    action: Action,
    key: KeyRecord,
    request: AccessRequest = {},
  ): Promise<Permit<Action>> {
    const grants = request.grant ? [request.grant] : await this.#store.grantsTo(key, namesOf(call));
    const resource: ResourceRef = {
      arn: key.arn,
      accountId: key.accountId,
      tags: key.tags,
      policy: key.policy,
      kind: 'kms-key',
      grants: grants.map(viewOf),
      awsManaged: key.manager === 'AWS',
      ...(request.encryptionContext ? { encryptionContext: request.encryptionContext } : {}),
      ...(request.proposedGrant ? { proposedGrant: request.proposedGrant } : {}),
    };
    return this.#authorizer.authorize(call, action, resource, {
      ...callConditions(call),
      ...keyConditions(key),
      ...contextConditions(request.encryptionContext),
      ...(request.requestAlias === undefined ? {} : { 'kms:RequestAlias': request.requestAlias }),
      ...request.conditions,
    });
  }

  /**
   * What a key that does not exist answers: in the caller's own account that there is none, elsewhere what a key
   * answers that admits nobody, so that nobody learns which keys another account has (kms 2.11).
   */
  async refuseMissing(call: Call, action: KmsAction, arn: Arn, account: AccountId): Promise<never> {
    if (account !== call.caller.accountId) {
      await this.#authorizer.authorize(
        call,
        action,
        { arn, accountId: account, kind: 'kms-key', policy: NOBODY, tags: {}, grants: [] },
        callConditions(call),
      );
    }
    throw refuse('key-not-found', { arn });
  }

  /** An action without resource-level permissions, or on an alias: identity policies decide (kms 12.7, 24). */
  authorizeIdentity<Action extends KmsAction>(
    call: Call,
    action: Action,
    arn: Arn | '*',
    conditions: ConditionValues = {},
  ): Promise<Permit<Action>> {
    return this.#authorizer.authorize(call, action, { arn }, { ...callConditions(call), ...conditions });
  }

  /** Whether the caller may put the policy of a key that has `policy` (kms 14.7). */
  async mayPutPolicy(
    call: Call,
    key: Pick<KeyRecord, 'arn' | 'accountId' | 'tags' | 'spec' | 'usage' | 'origin' | 'multiRegion' | 'aliases'>,
    policy: string,
  ): Promise<boolean> {
    const resource: ResourceRef = { arn: key.arn, accountId: key.accountId, tags: key.tags, policy, kind: 'kms-key' };
    const conditions = { ...callConditions(call), ...keyConditions(key) };
    return (await this.#authorizer.decide(call, 'kms:PutKeyPolicy', resource, conditions)).allowed;
  }
}

const NOBODY = JSON.stringify({ Version: '2012-10-17', Statement: [] });

/** Every name under which a grant can be made to this caller. */
function namesOf({ caller }: Call): string[] {
  return [caller.uniqueId, caller.arn, caller.principalArn, caller.accountId, rootArn(caller.accountId)];
}

function viewOf(grant: GrantRecord): GrantView {
  return {
    grantId: grant.grantId,
    granteePrincipal: grant.grantee,
    operations: grant.operations,
    issuingAccount: grant.issuingAccount,
    ...(grant.retiring === undefined ? {} : { retiringPrincipal: grant.retiring }),
    ...grant.constraints,
  };
}

/** kms:CallerAccount and kms:ViaService (authorization-and-wire 6.11). */
export function callConditions(call: Call): ConditionValues {
  return { 'kms:CallerAccount': call.caller.accountId, 'kms:ViaService': call.viaService };
}

/** Attributes of a key, or of the key that CreateKey is to make (kms 24.1). */
export function keyConditions(
  key: Pick<KeyRecord, 'spec' | 'usage' | 'origin' | 'multiRegion' | 'aliases'> &
    Partial<Pick<KeyRecord, 'region' | 'related'>>,
): ConditionValues {
  return {
    'kms:KeySpec': key.spec,
    'kms:KeyUsage': key.usage,
    'kms:KeyOrigin': key.origin,
    'kms:MultiRegion': key.multiRegion,
    'kms:MultiRegionKeyType': key.related && (key.related.primaryRegion === key.region ? 'PRIMARY' : 'REPLICA'),
    'kms:CustomerMasterKeySpec': key.spec,
    'kms:CustomerMasterKeyUsage': key.usage,
    'kms:ResourceAliases': key.aliases.length > 0 ? key.aliases : undefined,
  };
}

function contextConditions(context: EncryptionContext = {}): ConditionValues {
  const pairs = Object.entries(context);
  if (pairs.length === 0) return {};
  return {
    ...Object.fromEntries(pairs.map(([name, value]) => [`kms:EncryptionContext:${name}`, value])),
    'kms:EncryptionContextKeys': pairs.map(([name]) => name),
  };
}
