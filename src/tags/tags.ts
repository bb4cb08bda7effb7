/** Tags of EC2 resources: one small table, keyed by account, region and resource id. */
import type { Kysely } from 'kysely';
import type { Db, Migration, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { AccountId, Region } from '../ids.ts';

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

/** Resource type names as DescribeTags and TagSpecifications use them: `image`, `snapshot`, `volume`, `instance`, … */
export interface Tags {
  /** Tags the account put on each id. */
  of(account: AccountId, region: Region, ids: readonly string[]): Promise<Map<string, Tag[]>>;
  /** Every tagged resource of the account, for DescribeTags and tag filters. */
  list(account: AccountId, region: Region): Promise<{ resourceId: string; resourceType: string; tag: Tag }[]>;
  /** Adds and overwrites by key. Throws `Refusal<TagRefusalReason>` where the resource would have too many. */
  put(
    tx: Tx,
    account: AccountId,
    region: Region,
    resourceType: string,
    resourceId: string,
    tags: readonly Tag[],
  ): Promise<void>;
  /** A tag with a value is removed only if it has that value. */
  remove(
    tx: Tx,
    account: AccountId,
    region: Region,
    resourceId: string,
    tags: readonly { Key: string; Value?: string }[],
  ): Promise<void>;
  removeAll(tx: Tx, account: AccountId, region: Region, resourceId: string): Promise<void>;
}

export type TagRefusalReason = 'tag-limit';

/** Tags of one resource that users put there; `aws:` tags are not counted. */
export const TAGS_PER_RESOURCE_MAX = 50;
/** Ids in one query; more are asked for in several. */
const IDS_PER_QUERY = 1000;

export interface TagTables {
  ec2_tag: {
    account_id: string;
    region: string;
    resource_id: string;
    key: string;
    resource_type: string;
    value: string;
  };
}

export const tagMigrations: readonly Migration[] = [
  {
    id: 'tags-0001',
    up: async (schema: Kysely<unknown>) => {
      await schema.schema
        .createTable('ec2_tag')
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('resource_id', 'text', (column) => column.notNull())
        .addColumn('key', 'text', (column) => column.notNull())
        .addColumn('resource_type', 'text', (column) => column.notNull())
        .addColumn('value', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('ec2_tag_key', ['account_id', 'region', 'resource_id', 'key'])
        .execute();
    },
  },
];

export function createTags(db: Pick<Db, 'read'>): Tags {
  const mine = (query: Kysely<TagTables>, account: AccountId, region: Region) =>
    query.selectFrom('ec2_tag').where('account_id', '=', account).where('region', '=', region);

  return {
    async of(account, region, ids) {
      const found = new Map<string, Tag[]>();
      for (let at = 0; at < ids.length; at += IDS_PER_QUERY) {
        const rows = await mine(db.read<TagTables>(), account, region)
          .select(['resource_id', 'key', 'value'])
          .where('resource_id', 'in', ids.slice(at, at + IDS_PER_QUERY))
          .orderBy('resource_id')
          .orderBy('key')
          .execute();
        for (const row of rows) {
          const tags = found.get(row.resource_id);
          const tag = { Key: row.key, Value: row.value };
          if (tags) tags.push(tag);
          else found.set(row.resource_id, [tag]);
        }
      }
      return found;
    },

    async list(account, region) {
      const rows = await mine(db.read<TagTables>(), account, region)
        .select(['resource_id', 'resource_type', 'key', 'value'])
        .orderBy('resource_id')
        .orderBy('key')
        .execute();
      return rows.map((row) => ({
        resourceId: row.resource_id,
        resourceType: row.resource_type,
        tag: { Key: row.key, Value: row.value },
      }));
    },

    async put(tx, account, region, resourceType, resourceId, tags) {
      if (tags.length === 0) return;
      const rows = tags.map((tag) => ({
        account_id: account,
        region,
        resource_id: resourceId,
        key: tag.Key,
        resource_type: resourceType,
        value: tag.Value,
      }));
      await tx
        .as<TagTables>()
        .insertInto('ec2_tag')
        .values(rows)
        .onConflict((conflict) =>
          conflict
            .columns(['account_id', 'region', 'resource_id', 'key'])
            .doUpdateSet((row) => ({ value: row.ref('excluded.value') })),
        )
        .execute();
      const { count } = await mine(tx.as<TagTables>(), account, region)
        .select((row) => row.fn.countAll<number>().as('count'))
        .where('resource_id', '=', resourceId)
        .where('key', 'not like', 'aws:%')
        .executeTakeFirstOrThrow();
      if (count > TAGS_PER_RESOURCE_MAX) throw new Refusal<TagRefusalReason>('tag-limit', { resourceId, count });
    },

    async remove(tx, account, region, resourceId, tags) {
      for (const tag of tags) {
        let query = tx
          .as<TagTables>()
          .deleteFrom('ec2_tag')
          .where('account_id', '=', account)
          .where('region', '=', region)
          .where('resource_id', '=', resourceId)
          .where('key', '=', tag.Key);
        if (tag.Value !== undefined) query = query.where('value', '=', tag.Value);
        await query.execute();
      }
    },

    async removeAll(tx, account, region, resourceId) {
      await tx
        .as<TagTables>()
        .deleteFrom('ec2_tag')
        .where('account_id', '=', account)
        .where('region', '=', region)
        .where('resource_id', '=', resourceId)
        .execute();
    },
  };
}
