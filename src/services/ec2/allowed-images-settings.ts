/** Allowed AMIs of one account and region (SH-34 to SH-36). */
import type {
  DisableAllowedImagesSettingsRequest,
  DisableAllowedImagesSettingsResult,
  EnableAllowedImagesSettingsRequest,
  EnableAllowedImagesSettingsResult,
  GetAllowedImagesSettingsRequest,
  GetAllowedImagesSettingsResult,
  ImageCriterionRequest,
  ReplaceImageCriteriaInAllowedImagesSettingsRequest,
  ReplaceImageCriteriaInAllowedImagesSettingsResult,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { isAccountId } from '../../ids.ts';
import type { ImageCriterion } from '../../images/allowed-images.ts';
import { authorizeAny, dryRun, refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import type { ImageDeps } from './image-access.ts';

const CRITERIA_MAX = 10;
const PROVIDERS_MAX = 200;
const NAMES_MAX = 50;
const PRODUCT_CODES_MAX = 50;
const PROVIDER_ALIASES = ['amazon', 'aws-marketplace', 'aws-backup-vault', 'none'];

export const enableAllowedImagesSettings =
  (deps: ImageDeps) =>
  async (call: Call, input: EnableAllowedImagesSettingsRequest): Promise<EnableAllowedImagesSettingsResult> => {
    const permit = await authorizeAny(deps.authorizer, call, 'ec2:EnableAllowedImagesSettings');
    dryRun(input);
    const state = input.AllowedImagesSettingsState;
    if (!state) throw missingParameter('AllowedImagesSettingsState');
    if (state !== 'enabled' && state !== 'audit-mode') {
      throw invalidParameterValue(`Value (${state}) for parameter allowedImagesSettingsState is invalid.`);
    }
    const { accountId } = call.caller;
    await deps.db.write((tx) => deps.images.allowed.setState(tx, permit, accountId, call.region, state));
    return { AllowedImagesSettingsState: state };
  };

export const disableAllowedImagesSettings =
  (deps: ImageDeps) =>
  async (call: Call, input: DisableAllowedImagesSettingsRequest): Promise<DisableAllowedImagesSettingsResult> => {
    const permit = await authorizeAny(deps.authorizer, call, 'ec2:DisableAllowedImagesSettings');
    dryRun(input);
    const { accountId } = call.caller;
    await deps.db.write((tx) => deps.images.allowed.setState(tx, permit, accountId, call.region, 'disabled'));
    return { AllowedImagesSettingsState: 'disabled' };
  };

export const getAllowedImagesSettings =
  (deps: ImageDeps) =>
  async (call: Call, input: GetAllowedImagesSettingsRequest): Promise<GetAllowedImagesSettingsResult> => {
    await authorizeAny(deps.authorizer, call, 'ec2:GetAllowedImagesSettings');
    dryRun(input);
    const { state, criteria } = await deps.images.allowed.settings(call.caller.accountId, call.region);
    return {
      State: state,
      ManagedBy: 'account',
      ImageCriteria: criteria.map((criterion) => ({
        ...(criterion.providers && { ImageProviders: [...criterion.providers] }),
        ...(criterion.names && { ImageNames: [...criterion.names] }),
        ...(criterion.marketplaceProductCodes && { MarketplaceProductCodes: [...criterion.marketplaceProductCodes] }),
        ...(criterion.daysSinceCreatedMax !== undefined && {
          CreationDateCondition: { MaximumDaysSinceCreated: criterion.daysSinceCreatedMax },
        }),
        ...(criterion.daysSinceDeprecatedMax !== undefined && {
          DeprecationTimeCondition: { MaximumDaysSinceDeprecated: criterion.daysSinceDeprecatedMax },
        }),
      })),
    };
  };

export const replaceImageCriteriaInAllowedImagesSettings =
  (deps: ImageDeps) =>
  async (
    call: Call,
    input: ReplaceImageCriteriaInAllowedImagesSettingsRequest,
  ): Promise<ReplaceImageCriteriaInAllowedImagesSettingsResult> => {
    const permit = await authorizeAny(deps.authorizer, call, 'ec2:ReplaceImageCriteriaInAllowedImagesSettings');
    dryRun(input);
    const asked = input.ImageCriteria ?? [];
    if (asked.length > CRITERIA_MAX) {
      throw ec2Error('ResourceLimitExceeded', `At most ${CRITERIA_MAX} image criteria can be specified.`);
    }
    const criteria = asked.map(criterionOf);
    const { accountId } = call.caller;
    await deps.db.write((tx) => deps.images.allowed.replaceCriteria(tx, permit, accountId, call.region, criteria));
    return { ReturnValue: true };
  };

function criterionOf(asked: ImageCriterionRequest): ImageCriterion {
  refuseAllBut(
    asked,
    ['CreationDateCondition', 'DeprecationTimeCondition', 'ImageNames', 'ImageProviders', 'MarketplaceProductCodes'],
    'ImageCriterion.',
  );
  const providers = listOf('ImageProviders', asked.ImageProviders, PROVIDERS_MAX);
  for (const provider of providers ?? []) {
    if (isAccountId(provider) || PROVIDER_ALIASES.includes(provider)) continue;
    throw invalidParameterValue(`Value (${provider}) for parameter ImageProviders is invalid.`);
  }
  if (providers?.includes('none') && providers.length > 1) {
    throw invalidParameterCombination("The image provider 'none' cannot be combined with other image providers.");
  }
  const names = listOf('ImageNames', asked.ImageNames, NAMES_MAX);
  const codes = listOf('MarketplaceProductCodes', asked.MarketplaceProductCodes, PRODUCT_CODES_MAX);
  const created = asked.CreationDateCondition?.MaximumDaysSinceCreated;
  const deprecated = asked.DeprecationTimeCondition?.MaximumDaysSinceDeprecated;
  for (const days of [created, deprecated]) {
    if (days !== undefined && days < 0) throw invalidParameterValue(`Invalid value '${days}' for a number of days.`);
  }
  const criterion: ImageCriterion = {
    ...(providers && { providers }),
    ...(names && { names }),
    ...(codes && { marketplaceProductCodes: codes }),
    ...(created !== undefined && { daysSinceCreatedMax: created }),
    ...(deprecated !== undefined && { daysSinceDeprecatedMax: deprecated }),
  };
  if (Object.keys(criterion).length === 0) throw invalidParameterValue('An image criterion must not be empty.');
  return criterion;
}

function listOf(name: string, values: readonly string[] | undefined, max: number): readonly string[] | undefined {
  if (!values?.length) return undefined;
  if (values.length > max) throw invalidParameterValue(`At most ${max} values can be specified for ${name}.`);
  return values;
}
