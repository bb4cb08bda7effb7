/** Image usage reports of the caller's own images: made, listed, read and deleted. */
import type {
  CreateImageUsageReportCommand,
  DeleteImageUsageReportCommand,
  DescribeImageUsageReportEntriesCommand,
  DescribeImageUsageReportsCommand,
  ImageUsageReport,
  ImageUsageResourceTypeRequest,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { type AccountId, ec2Arn, isAccountId, isEc2Id } from '../../ids.ts';
import {
  USAGE_TYPES,
  type UsageEntry,
  type UsageReport,
  type UsageScope,
  type UsageType,
  VERSION_DEPTH,
} from '../../images/usage-reports.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeAny,
  authorizeOne,
  authorizeTagsOnCreate,
  dryRun,
  refuseAllBut,
  requestTagContext,
} from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters } from './filters.ts';
import { type ImageDeps, useOwnImage } from './image-access.ts';
import { page } from './paging.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';

const KIND = 'image-usage-report';
const ACCOUNTS_MAX = 200;
const VERSION_DEPTH_MAX = 10_000;

const reportArn = (call: Call, id: string) => ec2Arn(call.region, call.caller.accountId, KIND, id);
export const reportNotFound = (id: string) =>
  ec2Error('InvalidImageUsageReportId.NotFound', `The image usage report ID '${id}' does not exist`);

function requireReportId(id: string | undefined): asserts id is string {
  if (!id) throw missingParameter('ReportId');
  if (!isEc2Id(id, 'amiur')) {
    throw ec2Error('InvalidImageUsageReportId.Malformed', `Invalid id: "${id}" (expecting "amiur-...")`);
  }
}

export const createImageUsageReport =
  (deps: ImageDeps): OperationOf<CreateImageUsageReportCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['ImageId', 'DryRun', 'ResourceTypes', 'AccountIds', 'ClientToken', 'TagSpecifications']);
    if (!input.ResourceTypes?.length) throw missingParameter('ResourceTypes');
    const scopes = input.ResourceTypes.map(scopeOf);
    const accounts = accountsOf(input.AccountIds);
    const tags = tagSpecifications(input.TagSpecifications, [KIND]).get(KIND) ?? [];
    const resource = { arn: reportArn(call, '*') };
    // A dry run ends when the report is allowed, too.
    const { image } = await useOwnImage(deps, call, 'ec2:CreateImageUsageReport', { ImageId: input.ImageId });
    const permit = await authorizeOne(
      deps.authorizer,
      call,
      'ec2:CreateImageUsageReport',
      resource,
      requestTagContext(tags),
    );
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateImageUsageReport', [{ resource, tags }]);
    dryRun(input);

    const { accountId: ownerId } = call.caller;
    const { region } = call;
    const hash = await hashParameters(input);
    const use = input.ClientToken && {
      account: ownerId,
      region,
      action: 'ec2:CreateImageUsageReport',
      token: input.ClientToken,
    };
    const ReportId = await deps.db.write(async (tx) => {
      const before = use && (await deps.idempotency.find(use, tx));
      if (before) {
        if (before.parametersHash === hash) return before.resultId;
        throw ec2Error(
          'IdempotentParameterMismatch',
          'Parameters on this idempotent request are inconsistent with parameters used in previous request(s).',
        );
      }
      const { id } = await deps.images.usageReports.create(tx, permit, {
        ownerId,
        region,
        imageId: image.id,
        scopes,
        ...(accounts && { accounts }),
      });
      await deps.tags.put(tx, ownerId, region, KIND, id, tags);
      if (use) await deps.idempotency.remember(tx, use, hash, id);
      return id;
    });
    return { ReportId };
  };

function scopeOf({ ResourceType, ResourceTypeOptions: options = [] }: ImageUsageResourceTypeRequest): UsageScope {
  const type = USAGE_TYPES.find((each): each is UsageType => each === ResourceType);
  if (!type) throw invalidParameterValue(`Value (${ResourceType}) for parameter resourceType is invalid.`);
  if (type !== 'ec2:LaunchTemplate') {
    if (options.length === 0) return { type };
    throw invalidParameterCombination(`ResourceTypeOptions cannot be specified for the resource type ${type}.`);
  }
  let versionDepth = VERSION_DEPTH;
  for (const { OptionName: name, OptionValues: values } of options) {
    if (name !== 'version-depth') throw invalidParameterValue(`Value (${name}) for parameter optionName is invalid.`);
    versionDepth = Number(values?.[0]);
    if (values?.length !== 1 || !Number.isInteger(versionDepth) || versionDepth < 1 || versionDepth > VERSION_DEPTH_MAX)
      throw invalidParameterValue(`Value (${values?.join(', ')}) for parameter version-depth is invalid.`);
  }
  return { type, versionDepth };
}

function accountsOf(given: readonly string[] | undefined): AccountId[] | undefined {
  if (!given?.length) return undefined;
  if (given.length > ACCOUNTS_MAX) throw invalidParameterValue(`At most ${ACCOUNTS_MAX} account ids can be specified.`);
  return given.map((id) => {
    if (isAccountId(id)) return id;
    throw ec2Error('InvalidUserID.Malformed', `Invalid user id: "${id}"`);
  });
}

interface Asked {
  readonly ReportIds?: readonly string[] | undefined;
  readonly ImageIds?: readonly string[] | undefined;
}

/** The caller's reports that the ids choose. Throws for report ids that are none of them. */
async function reportsAskedFor(deps: ImageDeps, call: Call, { ReportIds, ImageIds }: Asked): Promise<UsageReport[]> {
  const own = await deps.images.usageReports.list(call.caller.accountId, call.region);
  for (const id of ReportIds ?? []) if (!own.some((report) => report.id === id)) throw reportNotFound(id);
  return own.filter(
    ({ id, imageId }) =>
      (!ReportIds?.length || ReportIds.includes(id)) && (!ImageIds?.length || ImageIds.includes(imageId)),
  );
}

export const describeImageUsageReports =
  (deps: ImageDeps): OperationOf<DescribeImageUsageReportsCommand> =>
  async (call, input) => {
    for (const id of input.ReportIds ?? []) requireReportId(id);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeImageUsageReports');
    dryRun(input);
    const reports = await reportsAskedFor(deps, call, input);
    const ids = reports.map(({ id }) => id);
    const tags = await deps.tags.of(call.caller.accountId, call.region, ids);
    const matches = compileFilters<UsageReport>(
      input.Filters,
      { 'creation-time': ({ createdAt }) => createdAt, state: ({ state }) => state },
      ({ id }) => tags.get(id) ?? [],
    );
    const { items, NextToken } = page(reports.filter(matches), input, {
      operation: 'DescribeImageUsageReports',
      key: ({ id }) => id,
      min: 1,
    });
    const shape = (report: UsageReport): ImageUsageReport => ({
      ReportId: report.id,
      ImageId: report.imageId,
      ResourceTypes: report.scopes.map(({ type, versionDepth }) => ({
        ResourceType: type,
        ...(versionDepth === undefined
          ? {}
          : { ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: [String(versionDepth)] }] }),
      })),
      ...(report.accounts ? { AccountIds: [...report.accounts] } : {}),
      State: report.state,
      ...(report.state === 'error' ? { StateReason: 'The report could not be created.' } : {}),
      CreationTime: report.createdAt,
      ExpirationTime: report.expiresAt,
      Tags: tags.get(report.id) ?? [],
    });
    return { ImageUsageReports: items.map(shape), ...(NextToken === undefined ? {} : { NextToken }) };
  };

export const describeImageUsageReportEntries =
  (deps: ImageDeps): OperationOf<DescribeImageUsageReportEntriesCommand> =>
  async (call, input) => {
    for (const id of input.ReportIds ?? []) requireReportId(id);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeImageUsageReportEntries');
    dryRun(input);
    const rows = (await reportsAskedFor(deps, call, input)).flatMap((report) =>
      report.entries.map((entry) => ({ report, entry })),
    );
    const matches = compileFilters<{ readonly report: UsageReport; readonly entry: UsageEntry }>(input.Filters, {
      'account-id': ({ entry }) => entry.accountId,
      'creation-time': ({ report }) => report.createdAt,
      'resource-type': ({ entry }) => entry.type,
    });
    const { items, NextToken } = page(rows.filter(matches), input, {
      operation: 'DescribeImageUsageReportEntries',
      key: ({ report, entry }) => `${report.id} ${entry.accountId} ${entry.type}`,
      min: 1,
    });
    return {
      ImageUsageReportEntries: items.map(({ report, entry }) => ({
        ResourceType: entry.type,
        ReportId: report.id,
        UsageCount: entry.count,
        AccountId: entry.accountId,
        ImageId: report.imageId,
        ReportCreationTime: report.createdAt,
      })),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

export const deleteImageUsageReport =
  (deps: ImageDeps): OperationOf<DeleteImageUsageReportCommand> =>
  async (call, input) => {
    const { ReportId: id } = input;
    requireReportId(id);
    const { accountId } = call.caller;
    const tags = (await deps.tags.of(accountId, call.region, [id])).get(id) ?? [];
    const permit = await authorizeOne(deps.authorizer, call, 'ec2:DeleteImageUsageReport', {
      arn: reportArn(call, id),
      tags: tagRecord(tags),
    });
    dryRun(input);
    const own = await deps.images.usageReports.list(accountId, call.region);
    if (!own.some((report) => report.id === id)) throw reportNotFound(id);
    await deps.db.write((tx) => deps.images.usageReports.delete(tx, permit, accountId, call.region));
    return { Return: true };
  };
