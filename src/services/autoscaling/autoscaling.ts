/** What every operation of Auto Scaling does the same way: find the group, authorize, refuse what is not honoured. */

import type { Authorizer, ConditionValue, ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { AutoScaling, Ec2ForGroups, GroupRecord, GroupTag } from '../../auto-scaling/auto-scaling.ts';
import { groupArn } from '../../auto-scaling/auto-scaling.ts';
import type { Db } from '../../db/db.ts';
import { ApiError } from '../../errors.ts';
import type { Identity } from '../../identity/identity.ts';
import type { LaunchTemplates } from '../../launch-templates/launch-templates.ts';
import type { Network } from '../../network/network.ts';

export interface AutoScalingServiceDeps {
  readonly authorizer: Authorizer;
  readonly db: Pick<Db, 'write'>;
  readonly autoScaling: AutoScaling;
  readonly ec2: Pick<Ec2ForGroups, 'check'>;
  readonly launchTemplates: LaunchTemplates;
  readonly network: Network;
  readonly roles: Identity['roles'];
}

export function validation(message: string): ApiError {
  return new ApiError('ValidationError', message);
}

/** A parameter of AWS that Ingot does not honour: refused by name, never ignored. */
export function refuseAllBut<Input extends object>(input: Input, honoured: readonly (keyof Input & string)[]): void {
  for (const [name, value] of Object.entries(input)) {
    const given = value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0);
    if (given && !honoured.includes(name as keyof Input & string)) {
      throw validation(`The parameter ${name} is not supported.`);
    }
  }
}

export function groupNotFound(name: string | undefined): ApiError {
  return validation(`AutoScalingGroup name not found - AutoScalingGroup '${name}' not found`);
}

/** `autoscaling:ResourceTag/…` beside `aws:ResourceTag/…`. */
function tagsFor(tags: readonly GroupTag[]): { tags: Record<string, string>; context: ConditionValues } {
  const record = Object.fromEntries(tags.map(({ Key, Value }) => [Key, Value]));
  const context = Object.fromEntries(tags.map(({ Key, Value }) => [`autoscaling:ResourceTag/${Key}`, Value]));
  return { tags: record, context };
}

export function requestTags(tags: readonly { readonly Key: string; readonly Value?: string }[]): ConditionValues {
  if (tags.length === 0) return {};
  const values: Record<string, ConditionValue> = { 'aws:TagKeys': tags.map(({ Key }) => Key) };
  for (const { Key, Value } of tags) if (Value !== undefined) values[`aws:RequestTag/${Key}`] = Value;
  return values;
}

/** The caller's group by its name, authorized for `action`; denied comes before not found. */
export async function useGroup<Action extends `autoscaling:${string}`>(
  deps: AutoScalingServiceDeps,
  call: Call,
  action: Action,
  name: string | undefined,
  context: ConditionValues = {},
): Promise<{ readonly group: GroupRecord; readonly permit: Permit<Action> }> {
  const { accountId } = call.caller;
  const group = name === undefined ? undefined : await deps.autoScaling.find(accountId, call.region, name);
  const arn = group?.arn ?? groupArn(call.region, accountId, '*', name ?? '');
  const { tags, context: tagContext } = tagsFor(group?.tags ?? []);
  const permit = await deps.authorizer.authorize(call, action, { arn, tags }, { ...tagContext, ...context });
  if (!group) throw groupNotFound(name);
  return { group, permit };
}

/** For operations without resource-level permissions: the Describes. */
export function authorizeAny<Action extends `autoscaling:${string}`>(
  deps: AutoScalingServiceDeps,
  call: Call,
  action: Action,
): Promise<Permit<Action>> {
  return deps.authorizer.authorize(call, action, { arn: '*' });
}

export interface PageInput {
  readonly MaxRecords?: number | undefined;
  readonly NextToken?: string | undefined;
}

/** One page, in the order given. A token is opaque: the key of the last item shown. */
export function page<Item>(
  items: readonly Item[],
  keyOf: (item: Item) => string,
  input: PageInput,
  sizes: { readonly usual: number; readonly max: number } = { usual: 50, max: 100 },
): { readonly items: readonly Item[]; readonly NextToken?: string } {
  const { usual, max } = sizes;
  const size = input.MaxRecords ?? usual;
  if (size < 1 || size > max) {
    throw validation(
      `1 validation error detected: Value '${size}' at 'maxRecords' failed to satisfy constraint: Member must have value between 1 and ${max}`,
    );
  }
  let from = 0;
  if (input.NextToken !== undefined) {
    const last = Buffer.from(input.NextToken, 'base64url').toString();
    from = items.findIndex((item) => keyOf(item) === last) + 1;
    if (from === 0) throw new ApiError('InvalidNextToken', 'The NextToken value is not valid.');
  }
  const shown = items.slice(from, from + size);
  if (from + size >= items.length) return { items: shown };
  return { items: shown, NextToken: Buffer.from(keyOf(shown.at(-1)!)).toString('base64url') };
}
