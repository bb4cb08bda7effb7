/** What every EC2 operation does the same way: authorize each resource, stop a dry run, refuse what is not honoured. */
import type { Authorizer, ConditionValue, ConditionValues, ResourceRef } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { Db } from '../../db/db.ts';
import type { Tag, Tags } from '../../tags/tags.ts';
import type { OperationTable } from '../operation.ts';
import { ec2Error, type RefusalTable, unsupportedParameter } from './errors.ts';

/** What every table of EC2 operations is made from; each adds the domain modules it needs. */
export interface Ec2Deps {
  readonly authorizer: Authorizer;
  /** Opens the transactions that domain methods join. */
  readonly db: Pick<Db, 'write'>;
  readonly tags: Tags;
}

/** One group of EC2 operations with the words for its own domain's refusals. `ec2Service` joins the groups. */
export interface Ec2Part {
  readonly operations: OperationTable;
  readonly refusals?: RefusalTable<string>;
}

/** One resource that a call touches; each must be allowed (authorization-and-wire 3.5). */
export interface ResourceCheck {
  readonly resource: ResourceRef;
  readonly context?: ConditionValues;
}

/** Condition values every EC2 decision has (7.2), and ec2:ResourceTag beside aws:ResourceTag. */
function withEc2Keys(call: Call, check: ResourceCheck): ConditionValues {
  const values: Record<string, ConditionValue | undefined> = { 'ec2:Region': call.region };
  for (const [key, value] of Object.entries(check.resource.tags ?? {})) values[`ec2:ResourceTag/${key}`] = value;
  return { ...values, ...check.context };
}

/** Authorizes one resource. Throws `Denied`. */
export function authorizeOne<Action extends string>(
  authorizer: Authorizer,
  call: Call,
  action: Action,
  resource: ResourceRef,
  context: ConditionValues = {},
): Promise<Permit<Action>> {
  return authorizer.authorize(call, action, resource, withEc2Keys(call, { resource, context }));
}

/** Authorizes every resource in the order given, and gives the permits in that order. The first refusal is thrown. */
export async function authorizeAll<Action extends string>(
  authorizer: Authorizer,
  call: Call,
  action: Action,
  checks: readonly ResourceCheck[],
): Promise<Permit<Action>[]> {
  const permits: Permit<Action>[] = [];
  for (const { resource, context } of checks) {
    permits.push(await authorizeOne(authorizer, call, action, resource, context));
  }
  return permits;
}

/** For operations without resource-level permissions (3.4): Describe* and account settings. */
export function authorizeAny<Action extends string>(
  authorizer: Authorizer,
  call: Call,
  action: Action,
  context?: ConditionValues,
): Promise<Permit<Action>> {
  return authorizeOne(authorizer, call, action, { arn: '*' }, context);
}

/** aws:RequestTag/* and aws:TagKeys of a request that carries tags (5.6). */
export function requestTagContext(tags: readonly Tag[] | undefined): ConditionValues {
  if (!tags || tags.length === 0) return {};
  const values: Record<string, ConditionValue> = { 'aws:TagKeys': tags.map((tag) => tag.Key) };
  for (const tag of tags) values[`aws:RequestTag/${tag.Key}`] = tag.Value;
  return values;
}

/**
 * ec2:CreateTags on each new resource that the request tags, with ec2:CreateAction (P table 4.2). Call after the action
 * itself was authorized; resources without tags are passed over.
 */
export async function authorizeTagsOnCreate(
  authorizer: Authorizer,
  call: Call,
  createAction: string,
  tagged: readonly { readonly resource: ResourceRef; readonly tags: readonly Tag[] | undefined }[],
): Promise<void> {
  for (const { resource, tags } of tagged) {
    if (!tags || tags.length === 0) continue;
    const context = { ...requestTagContext(tags), 'ec2:CreateAction': createAction };
    await authorizeOne(authorizer, call, 'ec2:CreateTags', resource, context);
  }
}

/** Ends a dry run that was authorized (L-22). Call after authorization, before anything changes. */
export function dryRun(input: { readonly DryRun?: boolean | undefined }): void {
  if (input.DryRun) {
    throw ec2Error('DryRunOperation', 'Request would have succeeded, but DryRun flag is set.');
  }
}

/** Terraform sends empty text for members that are not set; EC2 takes it so. */
function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '' && !(Array.isArray(value) && value.length === 0);
}

/** Refuses, by name, parameters that are given and that Ingot does not honour. */
export function refuseUnsupported<Input extends object>(
  input: Input,
  names: readonly (keyof Input & string)[],
  path = '',
): void {
  for (const name of names) if (isGiven(input[name])) throw unsupportedParameter(path + name);
}

/** Refuses, by name, every given parameter but the honoured ones: new members of the SDK's shape are refused too. */
export function refuseAllBut<Input extends object>(
  input: Input,
  honoured: readonly (keyof Input & string)[],
  path = '',
): void {
  for (const [name, value] of Object.entries(input)) {
    if (isGiven(value) && !honoured.includes(name as keyof Input & string)) throw unsupportedParameter(path + name);
  }
}
