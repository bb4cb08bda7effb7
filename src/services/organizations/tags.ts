/** TagResource, UntagResource, ListTagsForResource: of accounts, units, the root and policies. */
import type * as aws from '@aws-sdk/client-organizations';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeManagement,
  type OrganizationsDeps,
  organizationsError,
  page,
  tagContext,
  tagsOf,
  withinTagLimit,
} from './organizations.ts';

async function arnOf({ identity: { organizations } }: OrganizationsDeps, id: string): Promise<Arn | undefined> {
  const { id: organization, rootId, managementAccount } = await organizations.get();
  if (id === rootId) return `arn:aws:organizations::${managementAccount}:root/${organization}/${rootId}` as Arn;
  if (/^\d{12}$/.test(id)) return (await organizations.member(id))?.arn;
  if (id.startsWith('ou-')) return (await organizations.units()).find((unit) => unit.id === id)?.arn;
  const policy = await organizations.controlPolicy(id);
  return policy?.awsManaged ? undefined : policy?.arn;
}

const notFound = () =>
  organizationsError(
    'TargetNotFoundException',
    "We can't find a root, OU, account, or policy with the TargetId that you specified.",
  );

export const tagResource =
  (deps: OrganizationsDeps): OperationOf<aws.TagResourceCommand> =>
  async (call, input) => {
    const id = input.ResourceId ?? '';
    const arn = await arnOf(deps, id);
    const added = tagsOf(input.Tags);
    const permit = await authorizeManagement(deps, call, 'organizations:TagResource', arn ?? '*', tagContext(added));
    if (!arn) throw notFound();
    await deps.identity.organizationTags.setTags(permit, id, (before) => withinTagLimit({ ...before, ...added }));
    return {};
  };

export const untagResource =
  (deps: OrganizationsDeps): OperationOf<aws.UntagResourceCommand> =>
  async (call, input) => {
    const id = input.ResourceId ?? '';
    const arn = await arnOf(deps, id);
    const removed = new Set(input.TagKeys);
    const context = removed.size > 0 ? { 'aws:TagKeys': [...removed] } : {};
    const permit = await authorizeManagement(deps, call, 'organizations:UntagResource', arn ?? '*', context);
    if (!arn) throw notFound();
    await deps.identity.organizationTags.setTags(permit, id, (before) =>
      Object.fromEntries(Object.entries(before).filter(([key]) => !removed.has(key))),
    );
    return {};
  };

export const listTagsForResource =
  (deps: OrganizationsDeps): OperationOf<aws.ListTagsForResourceCommand> =>
  async (call, input) => {
    const id = input.ResourceId ?? '';
    const arn = await arnOf(deps, id);
    await authorizeManagement(deps, call, 'organizations:ListTagsForResource', arn ?? '*');
    if (!arn) throw notFound();
    const tags = Object.entries(await deps.identity.organizationTags.tagsOf(id));
    const { items, ...rest } = page(tags, input.NextToken === undefined ? {} : { NextToken: input.NextToken });
    return { Tags: items.map(([Key, Value]) => ({ Key, Value })), ...rest };
  };
