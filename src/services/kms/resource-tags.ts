/** TagResource, UntagResource and ListResourceTags (kms §20). */
import type { ListResourceTagsCommand, Tag, TagResourceCommand, UntagResourceCommand } from '@aws-sdk/client-kms';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { KeyTag } from '../../keys/tags.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { type Kms, note, permitted } from './kms.ts';
import { pageMembers, pageOf, pageRequest } from './paging.ts';
import { tagEntry } from './shapes.ts';

const LIST = 'ListResourceTags';

/** @throws {ApiError} ValidationException for keys and values that are too long (20.1, 20.2). */
export function readTags(tags: readonly Tag[]): KeyTag[] {
  const constraints = new Constraints();
  for (const [index, tag] of tags.entries()) {
    constraints.length(`tags.${index + 1}.member.tagKey`, tag.TagKey, 1, 128);
    constraints.length(`tags.${index + 1}.member.tagValue`, tag.TagValue, 0, 256);
  }
  constraints.enforce();
  return tags.map((tag) => ({ key: tag.TagKey!, value: tag.TagValue! }));
}

/** aws:RequestTag/… and aws:TagKeys. */
export function tagConditions(tags: readonly KeyTag[]): ConditionValues {
  if (tags.length === 0) return {};
  return {
    ...Object.fromEntries(tags.map((tag) => [`aws:RequestTag/${tag.key}`, tag.value])),
    'aws:TagKeys': tags.map((tag) => tag.key),
  };
}

export const tagResource =
  (kms: Kms): OperationOf<TagResourceCommand> =>
  async (call, input) => {
    const tags = readTags(input.Tags ?? []);
    note(call, false, { keyId: input.KeyId, tags: tags.map((tag) => ({ tagKey: tag.key, tagValue: tag.value })) });
    const request = { conditions: tagConditions(tags) };
    const { permit } = await permitted(kms, call, 'kms:TagResource', input.KeyId!, request);
    await kms.keys.tagKey(permit, tags);
    return {};
  };

export const untagResource =
  (kms: Kms): OperationOf<UntagResourceCommand> =>
  async (call, input) => {
    const tagKeys = input.TagKeys ?? [];
    const constraints = new Constraints();
    for (const [index, key] of tagKeys.entries()) constraints.length(`tagKeys.${index + 1}.member`, key, 1, 128);
    constraints.enforce();
    note(call, false, { keyId: input.KeyId, tagKeys });
    const request = { conditions: { 'aws:TagKeys': tagKeys } };
    const { permit } = await permitted(kms, call, 'kms:UntagResource', input.KeyId!, request);
    await kms.keys.untagKey(permit, tagKeys);
    return {};
  };

export const listResourceTags =
  (kms: Kms): OperationOf<ListResourceTagsCommand> =>
  async (call, input) => {
    const request = pageRequest(LIST, input, { max: 50, usual: 50 });
    note(call, true, { keyId: input.KeyId });
    const { permit } = await permitted(kms, call, 'kms:ListResourceTags', input.KeyId!);
    const page = pageOf(await kms.keys.listKeyTags(permit), request);
    return { Tags: page.items.map(tagEntry), ...pageMembers(LIST, page) };
  };
