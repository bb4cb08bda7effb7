/** What every IAM operation does the same way: names, ARNs, authorization, tags, paging, encoded documents. */
import type { Tag } from '@aws-sdk/client-iam';
import type { Authorizer, ConditionValue, ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import type { Entity, EntityType, Tagging } from '../../identity/entities.ts';
import { entityArn } from '../../identity/entities.ts';
import type { Identity } from '../../identity/identity.ts';
import type { AccountId, Arn, Region } from '../../ids.ts';

export interface Iam {
  readonly identity: Identity;
  readonly authorizer: Authorizer;
  /** What a service still uses its role for, by region: names or ARNs. */
  usesOfLinkedRole(arn: Arn): Promise<readonly { readonly region: Region; readonly resources: readonly string[] }[]>;
}

export function validation(message: string): ApiError {
  return new ApiError('ValidationError', message);
}

const NAME_LENGTH_MAX = { user: 64, role: 64, group: 128, 'instance-profile': 128, policy: 128 } as const;
const MEMBER = {
  user: 'userName',
  role: 'roleName',
  group: 'groupName',
  'instance-profile': 'instanceProfileName',
  policy: 'policyName',
} as const;

export function requireName(name: string | undefined, type: EntityType): string {
  const member = MEMBER[type];
  if (!name)
    throw validation(
      `1 validation error detected: Value at '${member}' failed to satisfy constraint: Member must not be null`,
    );
  if (!/^[\w+=,.@-]+$/.test(name)) {
    throw validation(
      `The specified value for ${member} is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-`,
    );
  }
  if (name.length > NAME_LENGTH_MAX[type]) {
    throw validation(
      `1 validation error detected: Value '${name}' at '${member}' failed to satisfy constraint: Member must have length less than or equal to ${NAME_LENGTH_MAX[type]}`,
    );
  }
  return name;
}

export function requirePath(path: string | undefined): string {
  if (path === undefined) return '/';
  if (path.length > 512 || !/^(?:\/|\/[\u0021-\u007e]+\/)$/.test(path) || path.includes('*')) {
    throw validation(
      'The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.',
    );
  }
  return path;
}

/** ARN of an existing entity, or the one a name would have, so that a denial comes before "not found". */
export function arnOf(found: Entity | undefined, account: AccountId, type: EntityType, name: string): Arn {
  return found?.arn ?? entityArn(account, type, '/', name);
}

export interface Target {
  readonly arn: Arn | '*';
  readonly tags?: Tagging;
}

/** Authorizes in the caller's own account: IAM knows no other. */
export async function authorize<Action extends `iam:${string}`>(
  iam: Iam,
  call: Call,
  action: Action,
  target: Target,
  context: ConditionValues = {},
): Promise<Permit<Action>> {
  // Credentials of GetSessionToken cannot call IAM without MFA (14.7).
  if (call.caller.session?.kind === 'get-session-token') {
    throw new ApiError('InvalidClientTokenId', 'The security token included in the request is invalid', {
      status: 403,
    });
  }
  const resourceTags = Object.entries(target.tags ?? {}).map(([key, value]) => [`iam:ResourceTag/${key}`, value]);
  const resource = { arn: target.arn, ...(target.tags ? { tags: target.tags } : {}) };
  return iam.authorizer.authorize(call, action, resource, { ...Object.fromEntries(resourceTags), ...context });
}

/** Authorizes on a user, group, role or instance profile of the caller's account that may be missing. */
export async function authorizeOn<Action extends `iam:${string}`>(
  iam: Iam,
  call: Call,
  action: Action,
  type: 'user' | 'group' | 'role' | 'instance-profile',
  name: string,
  context?: ConditionValues,
): Promise<Permit<Action>> {
  const account = call.caller.accountId;
  const found = await lookUp(iam, account, type, name);
  const tags = found && 'tags' in found ? (found.tags as Tagging) : undefined;
  const target = { arn: arnOf(found, account, type, name), ...(tags ? { tags } : {}) };
  return authorize(iam, call, action, target, context);
}

export function lookUp(
  iam: Iam,
  account: AccountId,
  type: 'user' | 'group' | 'role' | 'instance-profile',
  name: string,
) {
  const { users, groups, roles, instanceProfiles } = iam.identity;
  const modules = { user: users, group: groups, role: roles, 'instance-profile': instanceProfiles };
  return modules[type].lookUp(account, name);
}

/** A name that was authorized and is not there (15.6). */
export function noSuchEntity(message: string): ApiError {
  return new ApiError('NoSuchEntity', message, { status: 404 });
}

/** Tags of a request: keys unique ignoring case, at most 50. */
export function tagsOf(tags: readonly Tag[] | undefined): Tagging {
  const result = new Map<string, string>();
  const keys = new Set<string>();
  for (const { Key, Value } of tags ?? []) {
    if (!Key || Key.length > 128 || (Value ?? '').length > 256) throw validation('Invalid tag key or value.');
    if (/^aws:/i.test(Key)) {
      throw new ApiError('InvalidInput', 'Tag keys that begin with aws: are reserved for internal use.');
    }
    if (keys.has(Key.toLowerCase())) {
      throw new ApiError('InvalidInput', 'Duplicate tag keys found. Please note that Tag keys are case insensitive.');
    }
    keys.add(Key.toLowerCase());
    result.set(Key, Value ?? '');
  }
  if (keys.size > 50) throw tooManyTags();
  return Object.fromEntries(result);
}

function tooManyTags(): ApiError {
  return new ApiError('LimitExceeded', 'The number of tags has reached the maximum limit.', { status: 409 });
}

/** The tags after adding some; a key that differs only in case is replaced. */
export function withTags(before: Tagging, added: Tagging): Tagging {
  const replaced = new Set(Object.keys(added).map((key) => key.toLowerCase()));
  const kept = Object.entries(before).filter(([key]) => !replaced.has(key.toLowerCase()));
  const after = { ...Object.fromEntries(kept), ...added };
  if (Object.keys(after).length > 50) throw tooManyTags();
  return after;
}

export function withoutTags(before: Tagging, keys: readonly string[]): Tagging {
  const removed = new Set(keys.map((key) => key.toLowerCase()));
  return Object.fromEntries(Object.entries(before).filter(([key]) => !removed.has(key.toLowerCase())));
}

export function tagContext(tags: Tagging): ConditionValues {
  const keys = Object.keys(tags);
  if (keys.length === 0) return {};
  const values: Record<string, ConditionValue> = { 'aws:TagKeys': keys };
  for (const key of keys) values[`aws:RequestTag/${key}`] = tags[key]!;
  return values;
}

export function shownTags(tags: Tagging): { Key: string; Value: string }[] {
  return Object.entries(tags).map(([Key, Value]) => ({ Key, Value }));
}

/** Policy documents are answered URL-encoded by RFC 3986 (15.5). */
export function encodeDocument(document: string): string {
  return encodeURIComponent(document).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

export interface PageInput {
  readonly Marker?: string | undefined;
  readonly MaxItems?: number | undefined;
}

/** One page of a list in the order of its keys (15.12). A marker is opaque: the key of the last item shown. */
export function page<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  input: PageInput,
): { items: Item[]; IsTruncated: boolean; Marker?: string } {
  const limit = input.MaxItems ?? 100;
  if (limit < 1 || limit > 1000) {
    throw validation(
      `1 validation error detected: Value '${limit}' at 'maxItems' failed to satisfy constraint: Member must have value between 1 and 1000`,
    );
  }
  const keyed = items.map((item) => ({ item, key: keyOf(item) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const after = input.Marker === undefined ? undefined : readMarker(input.Marker);
  const rest = after === undefined ? keyed : keyed.filter(({ key }) => key > after);
  const shown = rest.slice(0, limit);
  const more = rest.length > limit;
  return {
    items: shown.map(({ item }) => item),
    IsTruncated: more,
    ...(more ? { Marker: Buffer.from(`m1:${shown.at(-1)!.key}`).toString('base64url') } : {}),
  };
}

function readMarker(marker: string): string {
  const text = Buffer.from(marker, 'base64url').toString();
  if (!text.startsWith('m1:')) throw validation('Invalid Marker.');
  return text.slice(3);
}
