/** CreateTags, DeleteTags, DescribeTags. What can be tagged is handed in by id prefix. */
import type {
  CreateTagsRequest,
  DeleteTagsRequest,
  DescribeTagsRequest,
  DescribeTagsResult,
  ResourceType,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { ApiError } from '../../errors.ts';
import { type Arn, isEc2Id } from '../../ids.ts';
import type { Tag } from '../../tags/tags.ts';
import { authorizeAny, authorizeOne, dryRun, type Ec2Deps, type Ec2Part, requestTagContext } from './common.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters } from './filters.ts';
import { page } from './paging.ts';
import { checkTagKey, checkTags, tagRefusals } from './tag-specifications.ts';

/** One kind of resource that carries tags. */
export interface Taggable {
  /** As in DescribeTags: `image`, `volume`, … */
  readonly resourceType: string;
  /** ARN the resource has, or would have if it existed. */
  arn(call: Call, id: string): Arn;
  /** Whether it exists and the caller may see it. */
  exists(call: Call, id: string): Promise<boolean>;
  notFound(id: string): ApiError;
}

export interface TagDeps extends Ec2Deps {
  /** By id prefix without hyphen: `ami`, `snap`, `vol`, `i`, `lt`, … */
  readonly taggable: Readonly<Record<string, Taggable>>;
}

const RESOURCES_MAX = 1000;

interface Target {
  readonly id: string;
  readonly kind: Taggable;
  readonly arn: Arn;
  readonly tags: readonly Tag[];
}

/** The resources named, each once. Whether they exist is asked after authorization, by {@link requireExisting}. */
async function targets(deps: TagDeps, call: Call, resources: readonly string[] | undefined): Promise<Target[]> {
  if (!resources?.length) throw missingParameter('ResourceId');
  if (resources.length > RESOURCES_MAX) {
    throw ec2Error('RequestResourceCountExceeded', `At most ${RESOURCES_MAX} resources can be tagged in one call.`);
  }
  const ids = [...new Set(resources)];
  const existing = await deps.tags.of(call.caller.accountId, call.region, ids);
  return ids.map((id) => {
    const prefix = id.slice(0, id.lastIndexOf('-'));
    const kind = Object.hasOwn(deps.taggable, prefix) ? deps.taggable[prefix] : undefined;
    if (!kind || !isEc2Id(id, prefix)) throw ec2Error('InvalidID', `The ID '${id}' is not valid`);
    return { id, kind, arn: kind.arn(call, id), tags: existing.get(id) ?? [] };
  });
}

async function requireExisting(call: Call, found: readonly Target[]): Promise<void> {
  for (const { id, kind } of found) {
    if (!(await kind.exists(call, id))) throw kind.notFound(id);
  }
}

export const tagRecord = (tags: readonly Tag[]): Record<string, string> =>
  Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value]));

const createTags = (deps: TagDeps) => async (call: Call, input: CreateTagsRequest) => {
  if (!input.Tags?.length) throw missingParameter('Tag');
  const tags = checkTags(input.Tags);
  const found = await targets(deps, call, input.Resources);
  for (const { arn, tags: existing } of found) {
    const resource = { arn, tags: tagRecord(existing) };
    await authorizeOne(deps.authorizer, call, 'ec2:CreateTags', resource, requestTagContext(tags));
  }
  dryRun(input);
  await requireExisting(call, found);
  await deps.db.write(async (tx) => {
    for (const { id, kind } of found) {
      await deps.tags.put(tx, call.caller.accountId, call.region, kind.resourceType, id, tags);
    }
  });
  return {};
};

const deleteTags = (deps: TagDeps) => async (call: Call, input: DeleteTagsRequest) => {
  const named = (input.Tags ?? []).map(({ Key, Value }) => {
    if (!Key) throw invalidParameterValue('Tag key cannot be null or empty.');
    checkTagKey(Key);
    return Value === undefined ? { Key } : { Key, Value };
  });
  const found = await targets(deps, call, input.Resources);
  for (const { arn, tags: existing } of found) {
    const resource = { arn, tags: tagRecord(existing) };
    const context = named.length > 0 ? { 'aws:TagKeys': named.map(({ Key }) => Key) } : {};
    await authorizeOne(deps.authorizer, call, 'ec2:DeleteTags', resource, context);
  }
  dryRun(input);
  await requireExisting(call, found);
  await deps.db.write(async (tx) => {
    for (const { id, tags: existing } of found) {
      // Without tags every one goes, but those that AWS put there (LT-14).
      const going = named.length > 0 ? named : existing.filter(({ Key }) => !Key.startsWith('aws:'));
      await deps.tags.remove(tx, call.caller.accountId, call.region, id, going);
    }
  });
  return {};
};

const describeTags =
  (deps: TagDeps) =>
  async (call: Call, input: DescribeTagsRequest): Promise<DescribeTagsResult> => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeTags');
    dryRun(input);
    type Row = Awaited<ReturnType<typeof deps.tags.list>>[number];
    const matches = compileFilters<Row>(
      input.Filters,
      {
        key: (row) => row.tag.Key,
        value: (row) => row.tag.Value,
        'resource-id': (row) => row.resourceId,
        'resource-type': (row) => row.resourceType,
      },
      (row) => [row.tag],
    );
    const rows = (await deps.tags.list(call.caller.accountId, call.region)).filter(matches);
    const { items, NextToken } = page(rows, input, {
      operation: 'DescribeTags',
      key: (row) => `${row.resourceId} ${row.tag.Key}`,
    });
    const Tags = items.map(({ resourceId, resourceType, tag }) => ({
      ...tag,
      ResourceId: resourceId,
      ResourceType: resourceType as ResourceType,
    }));
    return { Tags, ...(NextToken ? { NextToken } : {}) };
  };

export function tagOperations(deps: TagDeps): Ec2Part {
  return {
    operations: { CreateTags: createTags(deps), DeleteTags: deleteTags(deps), DescribeTags: describeTags(deps) },
    refusals: tagRefusals,
  };
}
