/** Tags of KMS keys (kms §20). */
import type { Permit } from '../authz/permit.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import { refuse } from './refusals.ts';
import { requireState } from './states.ts';
import { readKey } from './store.ts';

export interface KeyTag {
  readonly key: string;
  readonly value: string;
}

const TAGS_PER_KEY_MAX = 50;

/** @throws {Refusal} `tags-duplicate`, `tags-too-many` or `tags-reserved` (20.2). */
export function requireTags(tags: readonly KeyTag[]): void {
  if (tags.some((tag) => tag.key.toLowerCase().startsWith('aws:'))) throw refuse('tags-reserved');
  if (new Set(tags.map((tag) => tag.key)).size !== tags.length) throw refuse('tags-duplicate');
  if (tags.length > TAGS_PER_KEY_MAX) throw refuse('tags-too-many', { limit: TAGS_PER_KEY_MAX });
}

export function tagMethods({ store }: KeyParts) {
  return {
    async tagKey(permit: Permit<'kms:TagResource'>, tags: readonly KeyTag[]): Promise<void> {
      requireTags(tags);
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'TagResource');
        const names = new Set([...Object.keys(key.tags), ...tags.map((tag) => tag.key)]);
        if (names.size > TAGS_PER_KEY_MAX) throw refuse('tags-too-many', { limit: TAGS_PER_KEY_MAX });
        for (const tag of tags) {
          await tables
            .insertInto('keys_tag')
            .values({ key_arn: key.arn, tag_key: tag.key, tag_value: tag.value })
            .onConflict((conflict) => conflict.columns(['key_arn', 'tag_key']).doUpdateSet({ tag_value: tag.value }))
            .execute();
        }
        store.changed(tx, key.arn);
      });
    },

    async untagKey(permit: Permit<'kms:UntagResource'>, tagKeys: readonly string[]): Promise<void> {
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'UntagResource');
        if (tagKeys.length > 0) {
          await tables
            .deleteFrom('keys_tag')
            .where('key_arn', '=', key.arn)
            .where('tag_key', 'in', [...tagKeys])
            .execute();
        }
        store.changed(tx, key.arn);
      });
    },

    /** Tags ordered by key. */
    async listKeyTags(permit: Permit<'kms:ListResourceTags'>): Promise<readonly KeyTag[]> {
      const { tags } = await permittedKey(store, permit);
      return Object.entries(tags)
        .map(([key, value]) => ({ key, value }))
        .sort((a, b) => (a.key < b.key ? -1 : 1));
    },
  };
}
