/** Recycle Bin: retention rules for deleted snapshots and images (ec2-encryption L-9). */
import { type Authorizer, Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { Db } from '../../db/db.ts';
import { ApiError, Refusal } from '../../errors.ts';
import { type Arn, formatArn } from '../../ids.ts';
import type {
  BinnedType,
  RecycleBin,
  RecycleBinRefusalReason,
  RuleRecord,
  RuleTag,
} from '../../recycle-bin/recycle-bin.ts';
import type { OperationTable, Service } from '../operation.ts';
import type { ResourceTagShape, RuleInput, RuleShape } from './shapes.ts';

export interface RbinDeps {
  readonly authorizer: Authorizer;
  readonly db: Pick<Db, 'write'>;
  readonly bin: RecycleBin;
}

const RETENTION_DAYS_MAX = 365;
const UNLOCK_DELAY_DAYS = { min: 7, max: 30 };
const LIST_MAX = 1000;
const LOCK_STATES = ['locked', 'pending_unlock', 'unlocked'];
const TAGS_MAX = 50;
const EXCLUDED_MAX = 5;
const DESCRIPTION = /^[\S ]{0,255}$/;
const IDENTIFIER = /^[0-9a-zA-Z]{11}$/;

function failure(code: string, status: number, message: string, Reason: string, cause?: unknown): ApiError {
  return new ApiError(code, message, { status, members: { Reason }, cause });
}
const invalid = (message: string) => failure('ValidationException', 400, message, 'INVALID_PARAMETER_VALUE');
const notFound = (id: string) =>
  failure('ResourceNotFoundException', 404, `The retention rule ${id} does not exist.`, 'RULE_NOT_FOUND');

const arnOf = (call: Call, id: string): Arn =>
  formatArn({ service: 'rbin', region: call.region, account: call.caller.accountId, resource: `rule/${id}` });

export function rbinService({ authorizer, db, bin }: RbinDeps): Service {
  /** The caller's rule, authorized for `action`; denied comes before not found. */
  const use = async <Action extends string>(
    call: Call,
    action: Action,
    id: string | undefined,
  ): Promise<{ rule: RuleRecord; permit: Permit<Action> }> => {
    if (!id || !IDENTIFIER.test(id)) throw invalid(`The rule identifier ${id ?? ''} is not valid.`);
    const permit = await authorizer.authorize(call, action, { arn: arnOf(call, id) });
    const rule = await bin.findRule(call.caller.accountId, call.region, id);
    if (!rule) throw notFound(id);
    return { rule, permit };
  };

  const operations = {
    async CreateRule(call: Call, input: RuleInput) {
      if (input.Tags?.length) throw invalid('The parameter Tags is not supported.');
      const rule = {
        resourceType: resourceTypeOf(input.ResourceType),
        description: descriptionOf(input.Description) ?? '',
        retentionDays: retentionOf(input) ?? 0,
        tags: tagsOf(input.ResourceTags, TAGS_MAX) ?? [],
        excluded: tagsOf(input.ExcludeResourceTags, EXCLUDED_MAX) ?? [],
        ...(input.LockConfiguration && { unlockDelayDays: unlockDelayOf(input) }),
      };
      if (rule.tags.length > 0 && rule.excluded.length > 0) {
        throw invalid('ResourceTags and ExcludeResourceTags cannot be specified together.');
      }
      const permit = await authorizer.authorize(
        call,
        'rbin:CreateRule',
        { arn: arnOf(call, '*') },
        { 'rbin:Request/ResourceType': rule.resourceType },
      );
      return shapeOf(
        call,
        await db.write((tx) => bin.createRule(tx, permit, call.caller.accountId, call.region, rule)),
      );
    },
    async GetRule(call: Call, input: RuleInput) {
      const { rule } = await use(call, 'rbin:GetRule', input.Identifier);
      return shapeOf(call, rule);
    },
    async ListRules(call: Call, input: RuleInput) {
      const type = resourceTypeOf(input.ResourceType);
      await authorizer.authorize(call, 'rbin:ListRules', { arn: arnOf(call, '*') });
      if (input.MaxResults !== undefined && (input.MaxResults < 1 || input.MaxResults > LIST_MAX)) {
        throw invalid(`MaxResults must be between 1 and ${LIST_MAX}.`);
      }
      if (input.LockState !== undefined && !LOCK_STATES.includes(input.LockState)) {
        throw invalid(`The lock state ${input.LockState} is not valid.`);
      }
      if (input.NextToken !== undefined) {
        throw failure('ValidationException', 400, 'The pagination token is not valid.', 'INVALID_PAGE_TOKEN');
      }
      const wanted = tagsOf(input.ResourceTags, TAGS_MAX) ?? [];
      const excluded = tagsOf(input.ExcludeResourceTags, EXCLUDED_MAX) ?? [];
      const holds = (tags: readonly RuleTag[], each: RuleTag) =>
        tags.some(({ key, value }) => key === each.key && (each.value === undefined || value === each.value));
      const rules = (await bin.listRules(call.caller.accountId, call.region)).filter(
        (rule) =>
          rule.resourceType === type &&
          (input.LockState === undefined || lockStateOf(rule) === input.LockState) &&
          wanted.every((each) => holds(rule.tags, each)) &&
          excluded.every((each) => holds(rule.excluded, each)),
      );
      // An account has at most 250 rules: they are one page.
      return {
        Rules: rules.map((rule) => {
          const { Identifier, Description, RetentionPeriod, LockState, RuleArn } = shapeOf(call, rule);
          return { Identifier, Description, RetentionPeriod, LockState, RuleArn };
        }),
      };
    },
    async UpdateRule(call: Call, input: RuleInput) {
      const retentionDays = retentionOf(input);
      const description = descriptionOf(input.Description);
      const tags = tagsOf(input.ResourceTags, TAGS_MAX);
      const excluded = tagsOf(input.ExcludeResourceTags, EXCLUDED_MAX);
      const resourceType = input.ResourceType === undefined ? undefined : resourceTypeOf(input.ResourceType);
      const { rule, permit } = await use(call, 'rbin:UpdateRule', input.Identifier);
      if ((tags ?? rule.tags).length > 0 && (excluded ?? rule.excluded).length > 0) {
        throw invalid('ResourceTags and ExcludeResourceTags cannot be specified together.');
      }
      const change = {
        ...(resourceType && { resourceType }),
        ...(retentionDays !== undefined && { retentionDays }),
        ...(description !== undefined && { description }),
        ...(tags && { tags }),
        ...(excluded && { excluded }),
      };
      return shapeOf(call, await db.write((tx) => bin.updateRule(tx, permit, rule, change)));
    },
    async DeleteRule(call: Call, input: RuleInput) {
      const { rule, permit } = await use(call, 'rbin:DeleteRule', input.Identifier);
      await db.write((tx) => bin.deleteRule(tx, permit, rule));
      return {};
    },
    async LockRule(call: Call, input: RuleInput) {
      const days = unlockDelayOf(input);
      const { rule, permit } = await use(call, 'rbin:LockRule', input.Identifier);
      return shapeOf(call, await db.write((tx) => bin.lockRule(tx, permit, rule, days)));
    },
    async UnlockRule(call: Call, input: RuleInput) {
      const { rule, permit } = await use(call, 'rbin:UnlockRule', input.Identifier);
      return shapeOf(call, await db.write((tx) => bin.unlockRule(tx, permit, rule)));
    },
  } satisfies OperationTable;
  return { name: 'rbin', operations, translate };
}

const lockStateOf = (rule: RuleRecord) => rule.lock?.state ?? 'unlocked';

function shapeOf(call: Call, rule: RuleRecord): RuleShape {
  const tagShape = ({ key, value }: RuleTag): ResourceTagShape => ({
    ResourceTagKey: key,
    ...(value !== undefined && { ResourceTagValue: value }),
  });
  return {
    Identifier: rule.id,
    Description: rule.description,
    ResourceType: rule.resourceType,
    RetentionPeriod: { RetentionPeriodValue: rule.retentionDays, RetentionPeriodUnit: 'DAYS' },
    ResourceTags: rule.tags.map(tagShape),
    ExcludeResourceTags: rule.excluded.map(tagShape),
    Status: 'available',
    LockState: lockStateOf(rule),
    ...(rule.lock && {
      LockConfiguration: { UnlockDelay: { UnlockDelayValue: rule.lock.unlockDelayDays, UnlockDelayUnit: 'DAYS' } },
    }),
    ...(rule.lock?.endsAt && { LockEndTime: rule.lock.endsAt }),
    RuleArn: arnOf(call, rule.id),
  };
}

function resourceTypeOf(type: string | undefined): BinnedType {
  if (type === 'EBS_SNAPSHOT' || type === 'EC2_IMAGE') return type;
  if (type === 'EBS_VOLUME') throw invalid('Retention rules for EBS_VOLUME are not supported.');
  throw invalid(`The resource type ${type ?? ''} is not valid.`);
}

function descriptionOf(text: string | undefined): string | undefined {
  if (text !== undefined && !DESCRIPTION.test(text)) throw invalid('The description is not valid.');
  return text;
}

function retentionOf({ RetentionPeriod: period }: RuleInput): number | undefined {
  if (!period) return undefined;
  const { RetentionPeriodValue: days, RetentionPeriodUnit: unit } = period;
  if (unit !== 'DAYS') throw invalid(`The unit ${unit ?? ''} is not valid.`);
  if (days === undefined || days < 1 || days > RETENTION_DAYS_MAX) {
    throw invalid(`RetentionPeriodValue must be between 1 and ${RETENTION_DAYS_MAX}.`);
  }
  return days;
}

function unlockDelayOf({ LockConfiguration: configuration }: RuleInput): number {
  const { UnlockDelayValue: days, UnlockDelayUnit: unit } = configuration?.UnlockDelay ?? {};
  if (unit !== 'DAYS') throw invalid(`The unit ${unit ?? ''} is not valid.`);
  const { min, max } = UNLOCK_DELAY_DAYS;
  if (days === undefined || days < min || days > max)
    throw invalid(`UnlockDelayValue must be between ${min} and ${max}.`);
  return days;
}

function tagsOf(tags: readonly ResourceTagShape[] | undefined, max: number): RuleTag[] | undefined {
  if (!tags) return undefined;
  if (tags.length > max) throw invalid(`At most ${max} resource tags can be specified.`);
  return tags.map(({ ResourceTagKey: key, ResourceTagValue: value }) => {
    if (!key || key.length > 128 || (value?.length ?? 0) > 256) throw invalid('A resource tag is not valid.');
    return { key, ...(value !== undefined && { value }) };
  });
}

const REFUSALS: Readonly<Record<RecycleBinRefusalReason, (refusal: Refusal) => ApiError>> = {
  'rule-not-found': ({ facts }) => notFound(String(facts.ruleId)),
  'rule-locked': (cause) =>
    failure('ConflictException', 409, 'The retention rule is locked.', 'INVALID_RULE_STATE', cause),
  'rule-not-locked': (cause) =>
    failure('ConflictException', 409, 'The retention rule is not locked.', 'INVALID_RULE_STATE', cause),
  'rule-with-tags': () => invalid('A retention rule with resource tags cannot be locked.'),
  'rule-limit': ({ facts }) =>
    failure(
      'ServiceQuotaExceededException',
      402,
      `At most ${facts.max} retention rules can be created.`,
      'SERVICE_QUOTA_EXCEEDED',
    ),
};

function translate(error: unknown): Error | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof Denied) return new ApiError('AccessDeniedException', error.text, { status: 403, cause: error });
  if (!(error instanceof Refusal) || !Object.hasOwn(REFUSALS, error.reason)) return undefined;
  return REFUSALS[error.reason as RecycleBinRefusalReason](error);
}
