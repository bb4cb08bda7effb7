/** CreateOrUpdateTags, DeleteTags and DescribeTags. */
import type {
  CreateOrUpdateTagsCommand,
  DeleteTagsCommand,
  DescribeTagsCommand,
  Tag,
} from '@aws-sdk/client-auto-scaling';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { GroupTag } from '../../auto-scaling/auto-scaling.ts';
import { ApiError } from '../../errors.ts';
import type { OperationOf } from '../operation.ts';
import {
  type AutoScalingServiceDeps,
  authorizeAny,
  page,
  refuseAllBut,
  requestTags,
  useGroup,
  validation,
} from './autoscaling.ts';
import { showTags } from './shapes.ts';

const TAGS_MAX = 50;
const GROUP = 'auto-scaling-group';

/** Tags of a request that are all for the group of this name. */
export function readTags(tags: readonly Tag[] | undefined, group: string): GroupTag[] {
  const read = new Map<string, GroupTag>();
  for (const { Key, Value = '', PropagateAtLaunch = false, ResourceId, ResourceType } of tags ?? []) {
    if (!Key || Key.length > 128 || Value.length > 256) throw validation('The key or value of a tag is not valid.');
    if (/^aws:/i.test(Key)) {
      throw validation(`Tag keys starting with 'aws:' are reserved for internal use`);
    }
    if ((ResourceId ?? group) !== group || (ResourceType ?? GROUP) !== GROUP) {
      throw validation(`A tag of the group ${group} names the resource ${ResourceType} ${ResourceId}.`);
    }
    read.set(Key, { Key, Value, PropagateAtLaunch });
  }
  if (read.size > TAGS_MAX) throw tooMany();
  return [...read.values()];
}

const tooMany = () => new ApiError('LimitExceeded', `A group has at most ${TAGS_MAX} tags.`);

/** The tags by the group they are for. */
function byGroup(tags: readonly Tag[] | undefined): Map<string, Tag[]> {
  const groups = new Map<string, Tag[]>();
  for (const tag of tags ?? []) {
    if (!tag.ResourceId) throw validation('A tag must name the group that it is for as its ResourceId.');
    groups.set(tag.ResourceId, [...(groups.get(tag.ResourceId) ?? []), tag]);
  }
  return groups;
}

/** Authorizes every group before the first is changed, and changes all or none. */
async function changeTags(
  deps: AutoScalingServiceDeps,
  call: Call,
  action: 'autoscaling:CreateOrUpdateTags' | 'autoscaling:DeleteTags',
  tags: readonly Tag[] | undefined,
  change: (before: readonly GroupTag[], given: readonly Tag[], group: string) => readonly GroupTag[],
): Promise<void> {
  const permits: { name: string; given: readonly Tag[]; permit: Permit<typeof action> }[] = [];
  for (const [name, given] of byGroup(tags)) {
    const context = requestTags(
      given.map(({ Key, Value }) => ({ Key: Key ?? '', ...(Value === undefined ? {} : { Value }) })),
    );
    const { permit } = await useGroup(deps, call, action, name, context);
    permits.push({ name, given, permit });
  }
  await deps.db.write(async (tx) => {
    for (const { name, given, permit } of permits) {
      await deps.autoScaling.setTags(tx, permit, (before) => change(before, given, name));
    }
  });
}

/** Instances that are there keep the tags they got when they were launched. */
export const createOrUpdateTags =
  (deps: AutoScalingServiceDeps): OperationOf<CreateOrUpdateTagsCommand> =>
  async (call, input) => {
    await changeTags(deps, call, 'autoscaling:CreateOrUpdateTags', input.Tags, (before, given, name) => {
      const added = readTags(given, name);
      const kept = before.filter(({ Key }) => !added.some((tag) => tag.Key === Key));
      if (kept.length + added.length > TAGS_MAX) throw tooMany();
      return [...kept, ...added];
    });
    return {};
  };

export const deleteTags =
  (deps: AutoScalingServiceDeps): OperationOf<DeleteTagsCommand> =>
  async (call, input) => {
    await changeTags(deps, call, 'autoscaling:DeleteTags', input.Tags, (before, given) =>
      before.filter(
        (tag) => !given.some(({ Key, Value }) => Key === tag.Key && (Value === undefined || Value === tag.Value)),
      ),
    );
    return {};
  };

const READERS: Readonly<Record<string, (tag: GroupTag, group: string) => string>> = {
  'auto-scaling-group': (_tag, group) => group,
  key: ({ Key }) => Key,
  value: ({ Value }) => Value,
  'propagate-at-launch': ({ PropagateAtLaunch }) => String(PropagateAtLaunch),
};

export const describeTags =
  (deps: AutoScalingServiceDeps): OperationOf<DescribeTagsCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['Filters', 'MaxRecords', 'NextToken']);
    await authorizeAny(deps, call, 'autoscaling:DescribeTags');
    const filters = (input.Filters ?? []).map(({ Name = '', Values = [] }) => {
      const read = Object.hasOwn(READERS, Name) ? READERS[Name] : undefined;
      if (!read)
        throw validation(
          `Filter type ${Name} is not correct. Allowed Filter types are: ${Object.keys(READERS).join(' ')}`,
        );
      return { read, Values };
    });
    const groups = await deps.autoScaling.list(call.caller.accountId, call.region);
    const found = groups.flatMap((group) =>
      showTags(group).filter((_shown, index) =>
        filters.every(({ read, Values }) => Values.includes(read(group.tags[index]!, group.name))),
      ),
    );
    const { items, ...next } = page(found, ({ ResourceId, Key }) => `${ResourceId}:${Key}`, input);
    return { Tags: [...items], ...next };
  };
