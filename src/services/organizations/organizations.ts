/** What Organizations' operations share: who may ask, and the shapes of answers. */
import type { Tag } from '@aws-sdk/client-organizations';
import type { Authorizer, ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import type { ControlPolicy } from '../../identity/control-policies.ts';
import type { Tagging } from '../../identity/entities.ts';
import type { Identity } from '../../identity/identity.ts';
import type { Account, Unit } from '../../identity/organization.ts';
import type { Arn } from '../../ids.ts';

export interface OrganizationsDeps {
  readonly identity: Identity;
  readonly authorizer: Authorizer;
}

export function organizationsError(code: string, message: string, members: Record<string, unknown> = {}): ApiError {
  return new ApiError(code, message, { members });
}

export function invalidInput(message: string, reason = 'INVALID_PATTERN'): ApiError {
  return organizationsError('InvalidInputException', message, { Reason: reason });
}

/** Authorizes an operation that only the management account may call. */
export async function authorizeManagement<Action extends `organizations:${string}`>(
  deps: OrganizationsDeps,
  call: Call,
  action: Action,
  arn: Arn | '*' = '*',
  context: ConditionValues = {},
): Promise<Permit<Action>> {
  const permit = await deps.authorizer.authorize(call, action, { arn }, context);
  const { managementAccount } = await deps.identity.organizations.get();
  await requireMember(deps, call);
  if (call.caller.accountId !== managementAccount) {
    throw organizationsError('AccessDeniedException', "You don't have permissions to access this resource.");
  }
  return permit;
}

/** An account that has left knows of no organization. */
export async function requireMember(deps: OrganizationsDeps, call: Call): Promise<void> {
  if (await deps.identity.organizations.member(call.caller.accountId)) return;
  throw organizationsError('AWSOrganizationsNotInUseException', 'Your account is not a member of an organization.');
}

export function shownAccount(account: Account, managementAccount: string) {
  return {
    Id: account.id,
    Arn: account.arn,
    Email: account.email,
    Name: account.name,
    Status: account.closedAt ? ('SUSPENDED' as const) : ('ACTIVE' as const),
    State: account.closedAt ? ('SUSPENDED' as const) : ('ACTIVE' as const),
    JoinedMethod: account.id === managementAccount ? ('INVITED' as const) : ('CREATED' as const),
    JoinedTimestamp: account.joinedAt,
  };
}

export function shownUnit(unit: Unit) {
  return { Id: unit.id, Arn: unit.arn, Name: unit.name };
}

export function shownPolicySummary(policy: ControlPolicy) {
  return {
    Id: policy.id,
    Arn: policy.arn,
    Name: policy.name,
    Description: policy.description,
    Type: policy.type,
    AwsManaged: policy.awsManaged,
  };
}

/** Tags of a request: keys unique, at most 50. */
export function tagsOf(tags: readonly Tag[] | undefined): Tagging {
  const result: Record<string, string> = {};
  for (const { Key, Value = '' } of tags ?? []) {
    if (!Key || Key.length > 128 || Value.length > 256) throw invalidInput('You provided an invalid tag.');
    if (/^aws:/i.test(Key))
      throw invalidInput('You provided a tag key with a reserved prefix.', 'INVALID_SYSTEM_TAGS_PARAMETER');
    if (Object.hasOwn(result, Key)) throw invalidInput('You provided duplicate tag keys.', 'DUPLICATE_TAG_KEY');
    result[Key] = Value;
  }
  return withinTagLimit(result);
}

export function withinTagLimit(tags: Tagging): Tagging {
  if (Object.keys(tags).length <= TAGS_MAX) return tags;
  throw organizationsError('ConstraintViolationException', 'You have exceeded the number of tags allowed.', {
    Reason: 'MAX_TAG_LIMIT_EXCEEDED',
  });
}

const TAGS_MAX = 50;

export function tagContext(tags: Tagging): ConditionValues {
  const keys = Object.keys(tags);
  if (keys.length === 0) return {};
  return { 'aws:TagKeys': keys, ...Object.fromEntries(keys.map((key) => [`aws:RequestTag/${key}`, tags[key]!])) };
}

export interface PageInput {
  readonly NextToken?: string | undefined;
  readonly MaxResults?: number | undefined;
}

/** One page in the order given. A token is opaque: how many items came before. */
export function page<Item>(items: readonly Item[], input: PageInput): { items: Item[]; NextToken?: string } {
  const limit = input.MaxResults ?? 20;
  if (limit < 1 || limit > 20) throw invalidInput('MaxResults must be between 1 and 20.', 'MAX_VALUE_EXCEEDED');
  const start = input.NextToken === undefined ? 0 : readToken(input.NextToken);
  const end = start + limit;
  return {
    items: items.slice(start, end),
    ...(end < items.length ? { NextToken: Buffer.from(`t1:${end}`).toString('base64url') } : {}),
  };
}

function readToken(token: string): number {
  const match = /^t1:(\d{1,9})$/.exec(Buffer.from(token, 'base64url').toString());
  if (!match) throw invalidInput('You provided an invalid pagination token.', 'INVALID_NEXT_TOKEN');
  return Number(match[1]);
}
