/** How requests name launch templates and their versions (LT-6, LT-9), and permission to use the named one. */
import type { LaunchTemplateSpecification, RequestLaunchTemplateData } from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { ApiError } from '../../errors.ts';
import type { Idempotency } from '../../idempotency/idempotency.ts';
import { type AccountId, type Arn, ec2Arn, isEc2Id, type Region } from '../../ids.ts';
import type {
  LaunchTemplateRecord,
  LaunchTemplateRefusalReason,
  LaunchTemplates,
  LaunchTemplateVersionRecord,
  TemplateName,
} from '../../launch-templates/launch-templates.ts';
import { authorizeOne, type Ec2Deps } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  type RefusalTable,
} from './errors.ts';
import { tagRecord } from './tag-resources.ts';

export interface LaunchTemplateDeps extends Ec2Deps {
  readonly launchTemplates: LaunchTemplates;
  readonly idempotency: Idempotency;
  /** An unknown instance type is stored with a warning (LT-5). */
  readonly isInstanceType: (name: string) => boolean;
}

interface NamedTemplate {
  readonly LaunchTemplateId?: string | undefined;
  readonly LaunchTemplateName?: string | undefined;
}

export function launchTemplateArn(region: Region, owner: AccountId, id: string): Arn {
  return ec2Arn(region, owner, 'launch-template', id);
}

/** By id or by name, exactly one. */
export function templateName({ LaunchTemplateId: id, LaunchTemplateName: name }: NamedTemplate): TemplateName {
  if (id && name) {
    throw invalidParameterCombination(
      'Either provide launch template ID or launch template name to modify the template.',
    );
  }
  if (id) {
    if (!isEc2Id(id, 'lt')) {
      throw ec2Error('InvalidLaunchTemplateId.Malformed', `The specified launch template ID ${id} is malformed.`);
    }
    return { id };
  }
  if (name) return { name };
  throw missingParameter('LaunchTemplateId');
}

export function templateNotFound(name: TemplateName): ApiError {
  return 'id' in name
    ? ec2Error(
        'InvalidLaunchTemplateId.NotFound',
        `The specified launch template, with template ID ${name.id}, does not exist.`,
      )
    : ec2Error(
        'InvalidLaunchTemplateName.NotFoundException',
        `The specified launch template, with template name ${name.name}, does not exist.`,
      );
}

export function versionNotFound(version: string | number, id: string): ApiError {
  return ec2Error(
    'InvalidLaunchTemplateId.VersionNotFound',
    `Could not find the specified version ${version} for the launch template with ID ${id}.`,
  );
}

/** LT-12. */
export function tokenUsed(): ApiError {
  return ec2Error('IdempotentParameterMismatch', 'Client token already used before.');
}

/** Looks the template up and authorizes `action` on it; denied comes before not found. */
export async function useTemplate<Action extends string>(
  deps: LaunchTemplateDeps,
  call: Call,
  action: Action,
  input: NamedTemplate,
  context?: ConditionValues,
): Promise<{
  readonly template: LaunchTemplateRecord | undefined;
  readonly name: TemplateName;
  readonly permit: Permit<Action>;
}> {
  const name = templateName(input);
  const { accountId } = call.caller;
  const template = await deps.launchTemplates.find(accountId, call.region, name);
  const id = template?.id ?? ('id' in name ? name.id : '*');
  const tags = template && (await deps.tags.of(accountId, call.region, [template.id])).get(template.id);
  const resource = { arn: launchTemplateArn(call.region, accountId, id), tags: tagRecord(tags ?? []) };
  const permit = await authorizeOne(deps.authorizer, call, action, resource, context);
  return { template, name, permit };
}

/** `1`, `2`, …; anything else is `Invalid value for version: x` (LT-8). */
export function versionNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw invalidParameterValue(`Invalid value for version: ${text}`);
  return Number(text);
}

/** The number that a number, `$Latest`, `$Default` or nothing stands for (LT-6). It may name no existing version. */
export function selectedVersion(template: LaunchTemplateRecord, selector: string | undefined): number {
  if (selector === undefined || selector === '' || selector === '$Default') return template.defaultVersion;
  return selector === '$Latest' ? template.latestVersion : versionNumber(selector);
}

export async function requireVersion(
  launchTemplates: LaunchTemplates,
  template: LaunchTemplateRecord,
  selector: string | undefined,
): Promise<LaunchTemplateVersionRecord> {
  const number = selectedVersion(template, selector);
  const version = await launchTemplates.version(template.id, number);
  if (!version) throw versionNotFound(number, template.id);
  return version;
}

export interface ResolvedLaunchTemplate {
  readonly template: LaunchTemplateRecord;
  /** For ec2:LaunchTemplate. */
  readonly arn: Arn;
  /** A number also where the request said `$Latest` (LT-14). */
  readonly versionNumber: number;
  readonly data: RequestLaunchTemplateData;
}

/** What RunInstances uses of a template. Does not authorize: the launch does, with all its resources. */
export async function resolveLaunchTemplate(
  launchTemplates: LaunchTemplates,
  call: Call,
  specification: LaunchTemplateSpecification,
): Promise<ResolvedLaunchTemplate> {
  const name = templateName(specification);
  const template = await launchTemplates.find(call.caller.accountId, call.region, name);
  if (!template) throw templateNotFound(name);
  const version = await requireVersion(launchTemplates, template, specification.Version);
  return {
    template,
    arn: launchTemplateArn(template.region, template.ownerId, template.id),
    versionNumber: version.number,
    data: dataOf(version),
  };
}

/** The stored data as the SDK's shape: dates are dates again. */
export function dataOf(version: LaunchTemplateVersionRecord): RequestLaunchTemplateData {
  const data = version.data as RequestLaunchTemplateData;
  const validUntil: unknown = data.InstanceMarketOptions?.SpotOptions?.ValidUntil;
  if (typeof validUntil !== 'string') return data;
  const market = data.InstanceMarketOptions;
  return {
    ...data,
    InstanceMarketOptions: { ...market, SpotOptions: { ...market?.SpotOptions, ValidUntil: new Date(validUntil) } },
  };
}

export const launchTemplateRefusals: RefusalTable<LaunchTemplateRefusalReason> = {
  'template-name-in-use': () =>
    ec2Error('InvalidLaunchTemplateName.AlreadyExistsException', 'Launch template name already in use.'),
  'template-not-found': ({ facts }) => templateNotFound({ id: String(facts.templateId) }),
  'template-version-not-found': ({ facts }) => versionNotFound(String(facts.number), String(facts.templateId)),
  'template-default-version': () =>
    invalidParameterValue(
      'The default version cannot be deleted. Either specify another version as default or delete the launch template.',
    ),
  'template-limit': ({ facts }) =>
    ec2Error('ResourceLimitExceeded', `You have reached the limit of ${facts.max} launch templates.`),
  'template-version-limit': ({ facts }) =>
    ec2Error('ResourceLimitExceeded', `You have reached the limit of ${facts.max} versions of ${facts.templateId}.`),
};
