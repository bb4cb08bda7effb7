/** Tags as requests give them: CreateTags, DeleteTags and the TagSpecifications of everything that makes something. */
import type { Tag as RequestTag, TagSpecification } from '@aws-sdk/client-ec2';
import { TAGS_PER_RESOURCE_MAX, type Tag, type TagRefusalReason } from '../../tags/tags.ts';
import { ec2Error, invalidParameterValue, type RefusalTable } from './errors.ts';

const KEY_LENGTH_MAX = 128;
const VALUE_LENGTH_MAX = 256;

/** Checks keys, values, count and duplicates. A tag without a value has the empty one. */
export function checkTags(tags: readonly RequestTag[]): Tag[] {
  const seen = new Set<string>();
  const checked = tags.map(({ Key, Value }) => {
    if (Key === undefined || Key === '') throw invalidParameterValue('Tag key cannot be null or empty.');
    checkTagKey(Key);
    if (seen.has(Key)) throw invalidParameterValue(`Duplicate tag key '${Key}' specified.`);
    seen.add(Key);
    const value = Value ?? '';
    if ([...value].length > VALUE_LENGTH_MAX) {
      throw invalidParameterValue(`Tag value exceeds the maximum length of ${VALUE_LENGTH_MAX} characters`);
    }
    return { Key, Value: value };
  });
  if (checked.length > TAGS_PER_RESOURCE_MAX) throw tagLimitExceeded();
  return checked;
}

export function checkTagKey(key: string): void {
  if (/^aws:/i.test(key)) {
    throw invalidParameterValue(`Tag keys starting with 'aws:' are reserved for internal use`);
  }
  if ([...key].length > KEY_LENGTH_MAX) {
    throw invalidParameterValue(`Tag key exceeds the maximum length of ${KEY_LENGTH_MAX} characters`);
  }
}

const tagLimitExceeded = () =>
  ec2Error('TagLimitExceeded', 'The maximum number of Tags for a resource has been reached.');

export const tagRefusals: RefusalTable<TagRefusalReason> = { 'tag-limit': tagLimitExceeded };

/** The tags of each resource type, for example `tags.get('volume')`. Throws for types the operation does not make. */
export function tagSpecifications(
  specifications: readonly TagSpecification[] | undefined,
  allowed: readonly string[],
): ReadonlyMap<string, Tag[]> {
  const given = new Map<string, RequestTag[]>();
  for (const { ResourceType, Tags } of specifications ?? []) {
    if (!ResourceType) throw invalidParameterValue('Tag specification resource type must have a value');
    if (!allowed.includes(ResourceType)) {
      throw invalidParameterValue(`'${ResourceType}' is not a valid taggable resource type for this operation.`);
    }
    if (given.has(ResourceType)) {
      throw invalidParameterValue(`The tag specification of resource type '${ResourceType}' is given twice.`);
    }
    given.set(ResourceType, Tags ?? []);
  }
  return new Map([...given].map(([type, tags]) => [type, checkTags(tags)]));
}
