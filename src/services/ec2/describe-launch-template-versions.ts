import type { DescribeLaunchTemplateVersionsRequest, DescribeLaunchTemplateVersionsResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { LaunchTemplateRecord, LaunchTemplateVersionRecord } from '../../launch-templates/launch-templates.ts';
import { authorizeAny, dryRun, refuseAllBut } from './common.ts';
import { invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import {
  dataOf,
  type LaunchTemplateDeps,
  selectedVersion,
  templateName,
  templateNotFound,
  versionNotFound,
  versionNumber,
} from './launch-template-access.ts';
import { versionShape } from './launch-template-shapes.ts';
import { page } from './paging.ts';

interface Row {
  readonly template: LaunchTemplateRecord;
  readonly version: LaunchTemplateVersionRecord;
}

const data = ({ version }: Row) => dataOf(version);

const FILTERS: FilterReaders<Row> = {
  'create-time': ({ version }) => version.createTime,
  'ebs-optimized': (row) => data(row).EbsOptimized,
  'http-endpoint': (row) => data(row).MetadataOptions?.HttpEndpoint,
  'host-resource-group-arn': (row) => data(row).Placement?.HostResourceGroupArn,
  'http-tokens': (row) => data(row).MetadataOptions?.HttpTokens,
  'iam-instance-profile': (row) => data(row).IamInstanceProfile?.Arn ?? data(row).IamInstanceProfile?.Name,
  'image-id': (row) => data(row).ImageId,
  'instance-type': (row) => data(row).InstanceType,
  'is-default-version': ({ template, version }) => version.number === template.defaultVersion,
  'kernel-id': (row) => data(row).KernelId,
  'license-configuration-arn': (row) =>
    (data(row).LicenseSpecifications ?? []).flatMap(({ LicenseConfigurationArn: arn }) => (arn ? [arn] : [])),
  'network-card-index': (row) =>
    (data(row).NetworkInterfaces ?? []).flatMap(({ NetworkCardIndex: at }) => (at === undefined ? [] : [String(at)])),
  'ram-disk-id': (row) => data(row).RamDiskId,
};

/** Newest first. */
const KEY_TOP = 9_999_999_999;
const keyOf = ({ template, version }: Row) => `${template.id} ${String(KEY_TOP - version.number).padStart(10, '0')}`;

export const describeLaunchTemplateVersions =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: DescribeLaunchTemplateVersionsRequest): Promise<DescribeLaunchTemplateVersionsResult> => {
    refuseAllBut({ ...input, ResolveAlias: input.ResolveAlias || undefined }, [
      'DryRun',
      'LaunchTemplateId',
      'LaunchTemplateName',
      'Versions',
      'MinVersion',
      'MaxVersion',
      'NextToken',
      'MaxResults',
      'Filters',
      'IncludeManagedResources',
    ]);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeLaunchTemplateVersions');
    dryRun(input);
    const rows =
      input.LaunchTemplateId || input.LaunchTemplateName
        ? await ofOne(deps, call, input)
        : await ofAll(deps, call, input);
    const matches = compileFilters(input.Filters, FILTERS);
    const { items, NextToken } = page(rows.filter(matches), input, {
      operation: 'DescribeLaunchTemplateVersions',
      key: keyOf,
      min: 1,
      max: 200,
    });
    return {
      LaunchTemplateVersions: items.map(({ template, version }) => versionShape(template, version)),
      ...(NextToken ? { NextToken } : {}),
    };
  };

async function ofOne(
  { launchTemplates }: LaunchTemplateDeps,
  call: Call,
  input: DescribeLaunchTemplateVersionsRequest,
): Promise<Row[]> {
  const name = templateName(input);
  const template = await launchTemplates.find(call.caller.accountId, call.region, name);
  if (!template) throw templateNotFound(name);
  const versions = await launchTemplates.versions(template.id);
  if (input.Versions?.length) {
    if (input.MinVersion || input.MaxVersion) {
      throw invalidParameterCombination('Versions cannot be used together with MinVersion or MaxVersion.');
    }
    const wanted = new Set(input.Versions.map((selector) => selectedVersion(template, selector)));
    for (const number of wanted) {
      if (!versions.some((version) => version.number === number)) throw versionNotFound(number, template.id);
    }
    return versions.filter(({ number }) => wanted.has(number)).map((version) => ({ template, version }));
  }
  const min = input.MinVersion ? versionNumber(input.MinVersion) : 1;
  const max = input.MaxVersion ? versionNumber(input.MaxVersion) : Number.POSITIVE_INFINITY;
  return versions.filter(({ number }) => number >= min && number <= max).map((version) => ({ template, version }));
}

/** Without a template: the latest or default version of every one. */
async function ofAll(
  { launchTemplates }: LaunchTemplateDeps,
  call: Call,
  input: DescribeLaunchTemplateVersionsRequest,
): Promise<Row[]> {
  if (!input.Versions?.length) throw missingParameter('LaunchTemplateId');
  const rows = new Map<string, Row>();
  for (const template of await launchTemplates.list(call.caller.accountId, call.region)) {
    for (const selector of input.Versions) {
      if (selector !== '$Latest' && selector !== '$Default') {
        throw invalidParameterValue('Without a launch template, only $Latest and $Default can be given as versions.');
      }
      const version = await launchTemplates.version(template.id, selectedVersion(template, selector));
      if (version) rows.set(keyOf({ template, version }), { template, version });
    }
  }
  return [...rows.values()];
}
