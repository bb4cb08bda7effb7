import type { DescribeLaunchTemplatesRequest, DescribeLaunchTemplatesResult } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { LaunchTemplateRecord } from '../../launch-templates/launch-templates.ts';
import { authorizeAny, dryRun } from './common.ts';
import { ec2Error } from './errors.ts';
import { compileFilters } from './filters.ts';
import type { LaunchTemplateDeps } from './launch-template-access.ts';
import { templateName } from './launch-template-access.ts';
import { templateShape } from './launch-template-shapes.ts';
import { page } from './paging.ts';

const MISSING = 'At least one of the launch templates specified in the request does not exist.';

export const describeLaunchTemplates =
  (deps: LaunchTemplateDeps) =>
  async (call: Call, input: DescribeLaunchTemplatesRequest): Promise<DescribeLaunchTemplatesResult> => {
    const { LaunchTemplateIds: ids = [], LaunchTemplateNames: names = [] } = input;
    for (const id of ids) templateName({ LaunchTemplateId: id });
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeLaunchTemplates');
    dryRun(input);
    const { accountId } = call.caller;
    const all = await deps.launchTemplates.list(accountId, call.region);
    if (ids.some((id) => !all.some((template) => template.id === id))) {
      throw ec2Error('InvalidLaunchTemplateId.NotFound', MISSING);
    }
    if (names.some((name) => !all.some((template) => template.name === name))) {
      throw ec2Error('InvalidLaunchTemplateName.NotFoundException', MISSING);
    }
    const asked = all.filter(
      ({ id, name }) => (ids.length === 0 && names.length === 0) || ids.includes(id) || names.includes(name),
    );
    const tags = await deps.tags.of(
      accountId,
      call.region,
      asked.map(({ id }) => id),
    );
    const matches = compileFilters<LaunchTemplateRecord>(
      input.Filters,
      { 'create-time': ({ createTime }) => createTime, 'launch-template-name': ({ name }) => name },
      ({ id }) => tags.get(id) ?? [],
    );
    const { items, NextToken } = page(asked.filter(matches), input, {
      operation: 'DescribeLaunchTemplates',
      key: ({ id }) => id,
      min: 1,
      max: 200,
      ids: { parameter: 'launchTemplateIds', given: ids },
    });
    return {
      LaunchTemplates: items.map((template) => templateShape(template, tags.get(template.id))),
      ...(NextToken ? { NextToken } : {}),
    };
  };
