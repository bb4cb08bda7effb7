import type { DescribeReplaceRootVolumeTasksCommand } from '@aws-sdk/client-ec2';
import { isEc2Id } from '../../ids.ts';
import type { RootReplacement } from '../../instances/root-replacement.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { ec2Error } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { page } from './paging.ts';
import { showReplacement } from './replace-root-volume.ts';

const FILTERS: FilterReaders<RootReplacement> = { 'instance-id': (task) => task.instanceId };

export const describeReplaceRootVolumeTasks =
  (deps: InstanceDeps): OperationOf<DescribeReplaceRootVolumeTasksCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeReplaceRootVolumeTasks');
    dryRun(input);
    const { accountId } = call.caller;
    const ids = input.ReplaceRootVolumeTaskIds ?? [];
    for (const id of ids) {
      if (isEc2Id(id, 'replacevol')) continue;
      throw ec2Error('InvalidReplaceRootVolumeTaskId.Malformed', `Invalid id: "${id}" (expecting "replacevol-...")`);
    }
    const known = await deps.instances.listReplacements(accountId, call.region);
    const missing = ids.find((id) => !known.some((task) => task.id === id));
    if (missing !== undefined) throw replacementNotFound(missing);
    const asked = ids.length > 0 ? known.filter(({ id }) => ids.includes(id)) : known;
    const tags = await deps.tags.of(
      accountId,
      call.region,
      asked.map(({ id }) => id),
    );
    const tagsOf = (task: RootReplacement) => tags.get(task.id) ?? [];
    const { items, NextToken } = page(asked.filter(compileFilters(input.Filters, FILTERS, tagsOf)), input, {
      operation: 'DescribeReplaceRootVolumeTasks',
      key: (task) => task.id,
      min: 1,
      ids: { parameter: 'replaceRootVolumeTaskIdsSet', given: input.ReplaceRootVolumeTaskIds },
    });
    return {
      ReplaceRootVolumeTasks: items.map((task) => showReplacement(task, tagsOf(task))),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

export function replacementNotFound(id: string) {
  return ec2Error('InvalidReplaceRootVolumeTaskId.NotFound', `The task ID '${id}' does not exist`);
}
