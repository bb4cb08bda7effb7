/**
 * Recycle Bin, version 2021-06-15, in the form in which the SDK's clients carry their schemas. The published client of
 * this service carries none, so that they are written here from AWS's public model.
 */
const SPACE = 'com.amazonaws.rbin';
const TEXT = 0;
const NUMBER = 1;
const TIME = 4;
/** A label of the path. */
const LABEL = [TEXT, 1] as const;

type Members = Readonly<Record<string, unknown>>;

/** The required members come first. */
const struct = (name: string, required: Members, optional: Members = {}) => {
  const members = { ...required, ...optional };
  return [3, SPACE, name, 0, Object.keys(members), Object.values(members), Object.keys(required).length] as const;
};
const list = (name: string, item: () => unknown) => [1, SPACE, name, 0, item] as const;
const failure = (name: string, httpError: number, error: 'client' | 'server' = 'client') =>
  [-3, SPACE, name, { error, httpError }, ['Message', 'Reason'], [TEXT, TEXT]] as const;
const operation = (name: string, method: string, path: string, status: number, input: unknown, output: unknown) =>
  [9, SPACE, name, { http: [method, path, status] }, () => input, () => output] as const;

export const ConflictException$ = failure('ConflictException', 409);
export const InternalServerException$ = failure('InternalServerException', 500, 'server');
export const ResourceNotFoundException$ = failure('ResourceNotFoundException', 404);
export const ServiceQuotaExceededException$ = failure('ServiceQuotaExceededException', 402);
export const ValidationException$ = failure('ValidationException', 400);

const Tag = struct('Tag', { Key: TEXT, Value: TEXT });
const ResourceTag = struct('ResourceTag', { ResourceTagKey: TEXT }, { ResourceTagValue: TEXT });
const UnlockDelay = struct('UnlockDelay', { UnlockDelayValue: NUMBER, UnlockDelayUnit: TEXT });
const RetentionPeriod = struct('RetentionPeriod', { RetentionPeriodValue: NUMBER, RetentionPeriodUnit: TEXT });
const LockConfiguration = struct('LockConfiguration', { UnlockDelay: () => UnlockDelay });
const TagList = list('TagList', () => Tag);
const TagKeyList = list('TagKeyList', () => TEXT);
const ResourceTags = list('ResourceTags', () => ResourceTag);
const tags = { ResourceTags: () => ResourceTags, ExcludeResourceTags: () => ResourceTags };
const RuleSummary = struct(
  'RuleSummary',
  {},
  { Identifier: TEXT, Description: TEXT, RetentionPeriod: () => RetentionPeriod, LockState: TEXT, RuleArn: TEXT },
);
const RuleSummaryList = list('RuleSummaryList', () => RuleSummary);
const rule = {
  Identifier: TEXT,
  Description: TEXT,
  ResourceType: TEXT,
  RetentionPeriod: () => RetentionPeriod,
  Status: TEXT,
  LockConfiguration: () => LockConfiguration,
  LockState: TEXT,
  LockEndTime: TIME,
  RuleArn: TEXT,
  ...tags,
};
const empty = (name: string) => struct(name, {});
const byIdentifier = (name: string, required: Members = {}, optional: Members = {}) =>
  struct(name, { Identifier: LABEL, ...required }, optional);

export const CreateRule$ = operation(
  'CreateRule',
  'POST',
  '/rules',
  201,
  struct(
    'CreateRuleRequest',
    { RetentionPeriod: () => RetentionPeriod, ResourceType: TEXT },
    { Description: TEXT, Tags: () => TagList, LockConfiguration: () => LockConfiguration, ...tags },
  ),
  struct('CreateRuleResponse', {}, { ...rule, Tags: () => TagList }),
);
export const DeleteRule$ = operation(
  'DeleteRule',
  'DELETE',
  '/rules/{Identifier}',
  204,
  byIdentifier('DeleteRuleRequest'),
  empty('DeleteRuleResponse'),
);
export const GetRule$ = operation(
  'GetRule',
  'GET',
  '/rules/{Identifier}',
  200,
  byIdentifier('GetRuleRequest'),
  struct('GetRuleResponse', {}, rule),
);
export const ListRules$ = operation(
  'ListRules',
  'POST',
  '/list-rules',
  200,
  struct('ListRulesRequest', { ResourceType: TEXT }, { MaxResults: NUMBER, NextToken: TEXT, LockState: TEXT, ...tags }),
  struct('ListRulesResponse', {}, { Rules: () => RuleSummaryList, NextToken: TEXT }),
);
export const ListTagsForResource$ = operation(
  'ListTagsForResource',
  'GET',
  '/tags/{ResourceArn}',
  200,
  struct('ListTagsForResourceRequest', { ResourceArn: LABEL }),
  struct('ListTagsForResourceResponse', {}, { Tags: () => TagList }),
);
export const LockRule$ = operation(
  'LockRule',
  'PATCH',
  '/rules/{Identifier}/lock',
  200,
  byIdentifier('LockRuleRequest', { LockConfiguration: () => LockConfiguration }),
  struct('LockRuleResponse', {}, rule),
);
export const TagResource$ = operation(
  'TagResource',
  'POST',
  '/tags/{ResourceArn}',
  201,
  struct('TagResourceRequest', { ResourceArn: LABEL, Tags: () => TagList }),
  empty('TagResourceResponse'),
);
export const UnlockRule$ = operation(
  'UnlockRule',
  'PATCH',
  '/rules/{Identifier}/unlock',
  200,
  byIdentifier('UnlockRuleRequest'),
  struct('UnlockRuleResponse', {}, rule),
);
export const UntagResource$ = operation(
  'UntagResource',
  'DELETE',
  '/tags/{ResourceArn}',
  204,
  struct('UntagResourceRequest', { ResourceArn: LABEL, TagKeys: [() => TagKeyList, { httpQuery: 'tagKeys' }] }),
  empty('UntagResourceResponse'),
);
export const UpdateRule$ = operation(
  'UpdateRule',
  'PATCH',
  '/rules/{Identifier}',
  200,
  byIdentifier(
    'UpdateRuleRequest',
    {},
    { RetentionPeriod: () => RetentionPeriod, Description: TEXT, ResourceType: TEXT, ...tags },
  ),
  struct('UpdateRuleResponse', {}, rule),
);
