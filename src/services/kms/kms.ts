/** What every operation of the KMS API does first: find the key that the caller named, and ask for permission on it. */
import { Denied } from '../../authz/authorizer.ts';
import { type Call, noteForAudit } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import type { AccessRequest, KmsAction } from '../../keys/access.ts';
import { EBS_ALIAS, readKeyName } from '../../keys/identifiers.ts';
import type { Keys } from '../../keys/keys.ts';
import type { KeyRecord } from '../../keys/records.ts';
import { refuse } from '../../keys/refusals.ts';
import { Constraints } from './constraints.ts';

export interface Kms {
  readonly keys: Keys;
  /** Whether Ingot serves a Region of this name. */
  readonly isRegion: (name: string) => boolean;
}

/** A key as a request named it. */
export interface Target {
  readonly key: KeyRecord;
  /** `alias/…` where the request named an alias, also by its ARN. */
  readonly requestAlias?: string;
  /** The ARN that a denial may name: another account's alias must not tell which key it is on. */
  readonly shownArn: string;
}

/** Which identifiers an operation accepts: `any`, or key id and key ARN only (2.3, 2.4). */
export type Accepts = 'any' | 'keys';

/** @throws {Denied} for what another account does not have, {@link Refusal} otherwise (2.6 to 2.11). */
export async function locate(
  { keys }: Kms,
  call: Call,
  action: KmsAction,
  identifier: string,
  accepts: Accepts = 'keys',
): Promise<Target> {
  new Constraints().length('keyId', identifier, 1, 2048).enforce();
  const scope = { account: call.caller.accountId, region: call.region };
  const name = readKeyName(identifier, scope);
  if (name.kind === 'alias' && accepts === 'keys') {
    throw new ApiError(
      identifier.startsWith('arn:') ? 'InvalidArnException' : 'NotFoundException',
      'Key Aliases are not supported for this operation',
    );
  }
  let key = await keys.find(name, call.region);
  if (name.kind === 'key') {
    key ??= await keys.access.refuseMissing(call, action, name.arn, name.account);
    return { key, shownArn: key.arn };
  }
  const own = name.account === scope.account;
  if (!key && own && name.alias === EBS_ALIAS && action === 'kms:DescribeKey') {
    // A predefined alias gets its key when it is first described (13.1).
    key = await keys.ebsManagedKey(scope.account, scope.region);
  }
  if (!key && own) throw refuse('alias-not-found', { arn: name.arn });
  key ??= await keys.access.refuseMissing(call, action, name.arn, name.account);
  return { key, requestAlias: name.alias, shownArn: own ? key.arn : name.arn };
}

/** @throws {Denied} */
export async function authorize<Action extends KmsAction>(
  { keys }: Kms,
  call: Call,
  action: Action,
  target: Target,
  request: AccessRequest = {},
): Promise<Permit<Action>> {
  const { key, requestAlias, shownArn } = target;
  const resource = { arn: key.arn, accountId: key.accountId, type: 'AWS::KMS::Key' };
  if (shownArn === key.arn) noteForAudit(call, { resources: [resource] });
  let permit: Permit<Action>;
  try {
    permit = await keys.access.authorize(call, action, key, {
      ...request,
      ...(requestAlias === undefined ? {} : { requestAlias }),
    });
  } catch (error) {
    if (!(error instanceof Denied) || shownArn === key.arn) throw error;
    throw new Denied(call, action, shownArn, error.decision);
  }
  if (shownArn !== key.arn) noteForAudit(call, { resources: [resource] });
  if (key.accountId !== call.caller.accountId) noteForAudit(call, { otherAccounts: [key.accountId] });
  return permit;
}

/** Both at once, for operations on one key. */
export async function permitted<Action extends KmsAction>(
  kms: Kms,
  call: Call,
  action: Action,
  identifier: string,
  request: AccessRequest = {},
  accepts: Accepts = 'keys',
): Promise<{ permit: Permit<Action>; key: KeyRecord }> {
  const target = await locate(kms, call, action, identifier, accepts);
  return { permit: await authorize(kms, call, action, target, request), key: target.key };
}

/** Says what the audit record shows of the request and, where CloudTrail shows it, of the answer (26.2, 26.3). */
export function note(
  call: Call,
  readOnly: boolean,
  requestParameters: Readonly<Record<string, unknown>> | null,
  responseElements: unknown = null,
): void {
  noteForAudit(call, { readOnly, requestParameters, responseElements });
}

/** Which key material a symmetric operation used (26.5). */
export function noteMaterial(call: Call, keyMaterialId: string | undefined): void {
  if (keyMaterialId !== undefined) noteForAudit(call, { additionalEventData: { keyMaterialId } });
}

/** Dates inside audit records, as CloudTrail writes KMS's: `Nov 2, 2021, 11:25:25 PM` (26.3). */
export function auditDate(date: Date): string {
  return date.toLocaleString('en-US', {
    timeZone: 'UTC',
    year: 'numeric',
    month: 'short',
    day: 'numeric',
    hour: 'numeric',
    minute: '2-digit',
    second: '2-digit',
  });
}

const GRANT_TOKENS_MAX = 10;

/** Grants work at once, so a token adds nothing; one that Ingot did not issue is refused (8.13, 15.11). */
export function checkGrantTokens({ keys }: Kms, tokens: readonly string[] | undefined): void {
  if (!tokens) return;
  const constraints = new Constraints().length('grantTokens', tokens, 0, GRANT_TOKENS_MAX);
  for (const [index, token] of tokens.entries()) constraints.length(`grantTokens.${index + 1}.member`, token, 1, 8192);
  constraints.enforce();
  for (const token of tokens) keys.readGrantToken(token);
}

/** @throws {ApiError} ValidationException, or InvalidGrantIdException for what is no grant id (15.13). */
export function checkGrantId(id: string | undefined): void {
  if (id === undefined) return;
  new Constraints().length('grantId', id, 1, 128).enforce();
  if (!/^[0-9a-f]{64}$/.test(id)) throw new ApiError('InvalidGrantIdException', `The grant ID ${id} is not valid.`);
}
