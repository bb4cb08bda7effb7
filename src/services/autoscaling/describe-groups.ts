/** DescribeAutoScalingGroups, DescribeAutoScalingInstances and DescribeScalingActivities. */
import type {
  DescribeAutoScalingGroupsCommand,
  DescribeAutoScalingInstancesCommand,
  DescribeScalingActivitiesCommand,
} from '@aws-sdk/client-auto-scaling';
import type { GroupRecord } from '../../auto-scaling/auto-scaling.ts';
import type { OperationOf } from '../operation.ts';
import { type AutoScalingServiceDeps, authorizeAny, page, refuseAllBut, validation } from './autoscaling.ts';
import { showActivity, showGroup, showInstance } from './shapes.ts';

const INSTANCES = { usual: 50, max: 50 };
const ACTIVITIES = { usual: 100, max: 100 };

type Reader = (group: GroupRecord) => readonly string[];

/** `tag-key`, `tag-value` and `tag:KEY`. */
function filterReader(name: string | undefined): Reader {
  if (name === 'tag-key') return ({ tags }) => tags.map(({ Key }) => Key);
  if (name === 'tag-value') return ({ tags }) => tags.map(({ Value }) => Value);
  if (name?.startsWith('tag:')) {
    return ({ tags }) => tags.filter(({ Key }) => `tag:${Key}` === name).map(({ Value }) => Value);
  }
  throw validation(`Filter type ${name} is not correct. Allowed Filter types are: tag-key tag-value tag:<key>`);
}

/** Names that are not there are passed over, as AWS does. */
export const describeAutoScalingGroups =
  (deps: AutoScalingServiceDeps): OperationOf<DescribeAutoScalingGroupsCommand> =>
  async (call, input) => {
    const honoured = ['AutoScalingGroupNames', 'Filters', 'IncludeInstances', 'MaxRecords', 'NextToken'] as const;
    refuseAllBut(input, honoured);
    await authorizeAny(deps, call, 'autoscaling:DescribeAutoScalingGroups');
    const names = input.AutoScalingGroupNames ?? [];
    const filters = (input.Filters ?? []).map(({ Name, Values = [] }) => ({ read: filterReader(Name), Values }));
    const found = (await deps.autoScaling.list(call.caller.accountId, call.region))
      .filter(({ name }) => names.length === 0 || names.includes(name))
      .filter((group) => filters.every(({ read, Values }) => read(group).some((value) => Values.includes(value))));
    const { items, ...next } = page(found, ({ name }) => name, input);
    const members = input.IncludeInstances === false ? [] : await deps.autoScaling.members(items);
    const shown = items.map((group) =>
      showGroup(
        group,
        members.filter(({ groupId }) => groupId === group.id),
      ),
    );
    return { AutoScalingGroups: shown, ...next };
  };

export const describeAutoScalingInstances =
  (deps: AutoScalingServiceDeps): OperationOf<DescribeAutoScalingInstancesCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['InstanceIds', 'MaxRecords', 'NextToken']);
    await authorizeAny(deps, call, 'autoscaling:DescribeAutoScalingInstances');
    const ids: readonly string[] = input.InstanceIds ?? [];
    const groups = await deps.autoScaling.list(call.caller.accountId, call.region);
    const members = (await deps.autoScaling.members(groups)).filter(
      ({ instanceId }) => ids.length === 0 || ids.includes(instanceId),
    );
    const { items, ...next } = page(members, ({ instanceId }) => instanceId, input, INSTANCES);
    const groupOf = (id: string) => groups.find((group) => group.id === id)!;
    return { AutoScalingInstances: items.map((member) => showInstance(member, groupOf(member.groupId))), ...next };
  };

export const describeScalingActivities =
  (deps: AutoScalingServiceDeps): OperationOf<DescribeScalingActivitiesCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['ActivityIds', 'AutoScalingGroupName', 'MaxRecords', 'NextToken']);
    await authorizeAny(deps, call, 'autoscaling:DescribeScalingActivities');
    const { ActivityIds: ids = [], AutoScalingGroupName: name } = input;
    const groups = (await deps.autoScaling.list(call.caller.accountId, call.region)).filter(
      (group) => name === undefined || group.name === name,
    );
    if (name !== undefined && groups.length === 0) {
      throw validation(`AutoScalingGroup name not found - AutoScalingGroup ${name} not found`);
    }
    const activities = (await deps.autoScaling.activities(groups)).filter(
      ({ id }) => ids.length === 0 || ids.includes(id),
    );
    const { items, ...next } = page(activities, ({ id }) => id, input, ACTIVITIES);
    const groupOf = (id: string) => groups.find((group) => group.id === id)!;
    return { Activities: items.map((activity) => showActivity(activity, groupOf(activity.groupId))), ...next };
  };
