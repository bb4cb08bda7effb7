import type { DescribeImageReferencesCommand, ImageReference, ResourceTypeRequest } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { ec2Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { invalidParameterCombination, invalidParameterValue, missingParameter, requireImageId } from './errors.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { launchTemplateArn } from './launch-template-access.ts';
import { page } from './paging.ts';

const IMAGES_MAX = 10;
/** Versions of a template that are looked through, counted from the newest. */
const VERSION_DEPTH = 10;
const KNOWN_TYPES = [
  'ec2:Instance',
  'ec2:LaunchTemplate',
  'ssm:Parameter',
  'imagebuilder:ImageRecipe',
  'imagebuilder:ContainerRecipe',
];

/** The caller's own resources that name the images. Systems Manager and Image Builder have no resources here. */
export const describeImageReferences =
  (deps: InstanceDeps): OperationOf<DescribeImageReferencesCommand> =>
  async (call, input) => {
    const { ImageIds: ids, ResourceTypes: types, IncludeAllResourceTypes: all } = input;
    if (!ids?.length) throw missingParameter('ImageIds');
    if (ids.length > IMAGES_MAX) throw invalidParameterValue(`At most ${IMAGES_MAX} image ids can be specified.`);
    for (const id of ids) requireImageId(id);
    if (all && types?.length) {
      throw invalidParameterCombination('Specify either IncludeAllResourceTypes or ResourceTypes, and not both.');
    }
    if (!all && !types?.length) throw missingParameter('IncludeAllResourceTypes or ResourceTypes');
    for (const { ResourceType: type } of types ?? []) {
      if (!type || !KNOWN_TYPES.includes(type))
        throw invalidParameterValue(`Value (${type}) for parameter resourceType is invalid.`);
    }
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeImageReferences');
    dryRun(input);
    const optionsOf = (type: string) => (all ? {} : types?.find((each) => each.ResourceType === type));
    const found: ImageReference[] = [];
    const forInstances = optionsOf('ec2:Instance');
    if (forInstances) found.push(...(await instancesWith(deps, call, ids, forInstances)));
    const forTemplates = optionsOf('ec2:LaunchTemplate');
    if (forTemplates) found.push(...(await templatesWith(deps, call, ids, forTemplates)));
    const { items, NextToken } = page(found, input, {
      operation: 'DescribeImageReferences',
      key: (each) => `${each.ImageId} ${each.Arn}`,
      min: 1,
    });
    return { ImageReferences: items, ...(NextToken !== undefined && { NextToken }) };
  };

function option(options: ResourceTypeRequest, name: string): readonly string[] | undefined {
  for (const { OptionName } of options.ResourceTypeOptions ?? []) {
    if (OptionName !== name) throw invalidParameterValue(`Value (${OptionName}) for parameter optionName is invalid.`);
  }
  return options.ResourceTypeOptions?.find((each) => each.OptionName === name)?.OptionValues;
}

async function instancesWith(
  deps: InstanceDeps,
  call: Call,
  ids: readonly string[],
  options: ResourceTypeRequest,
): Promise<ImageReference[]> {
  const states = option(options, 'state-name');
  const instances = await deps.instances.list(call.caller.accountId, call.region);
  return instances
    .filter(({ imageId, state }) => ids.includes(imageId) && (states?.includes(state) ?? state !== 'terminated'))
    .map(({ id, imageId, ownerId, region }) => ({
      ImageId: imageId,
      ResourceType: 'ec2:Instance',
      Arn: ec2Arn(region, ownerId, 'instance', id),
    }));
}

async function templatesWith(
  deps: InstanceDeps,
  call: Call,
  ids: readonly string[],
  options: ResourceTypeRequest,
): Promise<ImageReference[]> {
  const given = option(options, 'version-depth');
  const depth = given?.[0] === undefined ? VERSION_DEPTH : Number(given[0]);
  if (!Number.isInteger(depth) || depth < 1)
    throw invalidParameterValue(`Value (${given?.[0]}) for parameter version-depth is invalid.`);
  const found: ImageReference[] = [];
  for (const template of await deps.launchTemplates.list(call.caller.accountId, call.region)) {
    const versions = (await deps.launchTemplates.versions(template.id)).slice(-depth);
    const named = new Set(versions.map(({ data }) => data.ImageId).filter((id) => typeof id === 'string'));
    for (const ImageId of ids) {
      if (!named.has(ImageId)) continue;
      const Arn = launchTemplateArn(template.region, template.ownerId, template.id);
      found.push({ ImageId, ResourceType: 'ec2:LaunchTemplate', Arn });
    }
  }
  return found;
}
