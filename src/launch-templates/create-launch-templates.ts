/** {@link LaunchTemplates} on two tables: templates, and their versions, which are written once. */
import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { RootKey } from '../crypto/root-key.ts';
import type { Db, Migration, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, type LaunchTemplateId, newEc2Id, type Region } from '../ids.ts';
import type {
  LaunchTemplateRecord,
  LaunchTemplateRefusalReason,
  LaunchTemplates,
  LaunchTemplateVersionRecord,
} from './launch-templates.ts';
import { launchData, storedData, userDataMigration } from './user-data.ts';

export interface LaunchTemplateTables {
  launch_template: {
    id: string;
    region: string;
    owner_id: string;
    name: string;
    created_at: number;
    created_by: string;
    default_version: number;
    /** Highest number ever given (LT-7). */
    highest_version: number;
    /** 0 or 1; a deleted template frees its name and keeps its row. */
    deleted: number;
  };
  launch_template_version: {
    template_id: string;
    number: number;
    description: string | null;
    created_at: number;
    created_by: string;
    /** JSON, without the user data. */
    data: string;
    /** Sealed under the installation's root key. */
    user_data: Uint8Array | null;
  };
}

export const launchTemplateMigrations = (rootKey: RootKey): readonly Migration[] => [
  {
    id: 'launchtemplates-0001',
    up: async ({ schema }: Kysely<unknown>) => {
      await schema
        .createTable('launch_template')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('owner_id', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addColumn('default_version', 'integer', (column) => column.notNull())
        .addColumn('highest_version', 'integer', (column) => column.notNull())
        .addColumn('deleted', 'integer', (column) => column.notNull())
        .execute();
      await schema
        .createIndex('launch_template_name')
        .unique()
        .on('launch_template')
        .columns(['region', 'owner_id', 'name'])
        .where(sql.ref('deleted'), '=', sql.lit(0))
        .execute();
      await schema
        .createTable('launch_template_version')
        .addColumn('template_id', 'text', (column) => column.notNull().references('launch_template.id'))
        .addColumn('number', 'integer', (column) => column.notNull())
        .addColumn('description', 'text')
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('created_by', 'text', (column) => column.notNull())
        .addColumn('data', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('launch_template_version_key', ['template_id', 'number'])
        .execute();
    },
  },
  userDataMigration(rootKey),
];

/** Quotas of LT-16. */
const TEMPLATES_MAX = 5_000;
const VERSIONS_MAX = 10_000;

const refuse = (reason: LaunchTemplateRefusalReason, facts: Refusal['facts']) => new Refusal(reason, facts);

type TemplateRow = Selectable<LaunchTemplateTables['launch_template']> & { latest_version: number };

const templateOf = (row: TemplateRow): LaunchTemplateRecord => ({
  id: row.id as LaunchTemplateId,
  ownerId: row.owner_id as AccountId,
  region: row.region as Region,
  name: row.name,
  createTime: new Date(row.created_at),
  createdBy: row.created_by,
  defaultVersion: row.default_version,
  latestVersion: row.latest_version,
});

const versionOf = (
  rootKey: RootKey,
  row: Selectable<LaunchTemplateTables['launch_template_version']>,
): LaunchTemplateVersionRecord => ({
  templateId: row.template_id as LaunchTemplateId,
  number: row.number,
  ...(row.description === null ? {} : { description: row.description }),
  createTime: new Date(row.created_at),
  createdBy: row.created_by,
  data: launchData(rootKey, row),
});

/** Live templates with their latest version: the highest that still exists. */
const templates = (query: Kysely<LaunchTemplateTables>) =>
  query
    .selectFrom('launch_template')
    .selectAll()
    .select((row) =>
      row
        .selectFrom('launch_template_version')
        .select((version) => version.fn.max('number').as('latest'))
        .whereRef('launch_template_version.template_id', '=', 'launch_template.id')
        .$castTo<{ latest: number }>()
        .as('latest_version'),
    )
    .where('deleted', '=', 0)
    .$castTo<TemplateRow>();

export function createLaunchTemplates(deps: {
  readonly db: Db;
  readonly rootKey: RootKey;
  readonly clock: () => Date;
}): LaunchTemplates {
  const committed = () => deps.db.read<LaunchTemplateTables>();
  const inside = (tx: Tx) => tx.as<LaunchTemplateTables>();

  async function insertVersion(
    tx: Tx,
    id: LaunchTemplateId,
    number: number,
    createdBy: string,
    { description, data }: Pick<LaunchTemplateVersionRecord, 'description' | 'data'>,
  ): Promise<LaunchTemplateVersionRecord> {
    const row = {
      template_id: id,
      number,
      description: description ?? null,
      created_at: deps.clock().getTime(),
      created_by: createdBy,
      ...storedData(deps.rootKey, id, number, data),
    };
    await inside(tx).insertInto('launch_template_version').values(row).execute();
    return versionOf(deps.rootKey, row);
  }

  async function live(tx: Tx, id: LaunchTemplateId) {
    const row = await inside(tx)
      .selectFrom('launch_template')
      .selectAll()
      .where('id', '=', id)
      .where('deleted', '=', 0)
      .executeTakeFirst();
    if (!row) throw refuse('template-not-found', { templateId: id });
    return row;
  }

  return {
    async find(owner, region, name) {
      const select = templates(committed()).where('owner_id', '=', owner).where('region', '=', region);
      const row = await ('id' in name
        ? select.where('id', '=', name.id)
        : select.where('name', '=', name.name)
      ).executeTakeFirst();
      return row && templateOf(row);
    },
    async list(owner, region) {
      const rows = await templates(committed())
        .where('owner_id', '=', owner)
        .where('region', '=', region)
        .orderBy('id')
        .execute();
      return rows.map(templateOf);
    },
    async version(id, number) {
      const row = await committed()
        .selectFrom('launch_template_version')
        .selectAll()
        .where('template_id', '=', id)
        .where('number', '=', number)
        .executeTakeFirst();
      return row && versionOf(deps.rootKey, row);
    },
    async versions(id) {
      const rows = await committed()
        .selectFrom('launch_template_version')
        .selectAll()
        .where('template_id', '=', id)
        .orderBy('number')
        .execute();
      return rows.map((row) => versionOf(deps.rootKey, row));
    },

    async countByImage(region, image, depth) {
      const rows = await committed()
        .selectFrom('launch_template')
        .select((row) => ['owner_id', row.fn.countAll<number>().as('count')])
        .where('region', '=', region)
        .where('deleted', '=', 0)
        .where(({ exists, selectFrom }) =>
          exists(
            selectFrom(({ selectFrom: newest }) =>
              newest('launch_template_version')
                .select('data')
                .whereRef('launch_template_version.template_id', '=', 'launch_template.id')
                .orderBy('number', 'desc')
                .limit(depth)
                .as('newest'),
            )
              .select(sql.lit(1).as('one'))
              .where(sql`json_extract(newest.data, '$.ImageId')`, '=', image),
          ),
        )
        .groupBy('owner_id')
        .orderBy('owner_id')
        .execute();
      return new Map(rows.map((row) => [row.owner_id as AccountId, row.count]));
    },

    async create(tx, _permit, { ownerId, region, name, createdBy }, version) {
      const mine = inside(tx)
        .selectFrom('launch_template')
        .where('region', '=', region)
        .where('owner_id', '=', ownerId)
        .where('deleted', '=', 0);
      if (await mine.select('id').where('name', '=', name).executeTakeFirst()) {
        throw refuse('template-name-in-use', { name });
      }
      const { count } = await mine.select((row) => row.fn.countAll<number>().as('count')).executeTakeFirstOrThrow();
      if (count >= TEMPLATES_MAX) throw refuse('template-limit', { max: TEMPLATES_MAX });
      const row = {
        id: newEc2Id<LaunchTemplateId>('lt'),
        region,
        owner_id: ownerId,
        name,
        created_at: deps.clock().getTime(),
        created_by: createdBy,
        default_version: 1,
        highest_version: 1,
        deleted: 0,
      };
      await inside(tx).insertInto('launch_template').values(row).execute();
      const first = await insertVersion(tx, row.id, 1, createdBy, version);
      return { template: templateOf({ ...row, latest_version: 1 }), version: first };
    },
    async addVersion(tx, _permit, id, createdBy, version) {
      const { highest_version: highest } = await live(tx, id);
      const { count } = await inside(tx)
        .selectFrom('launch_template_version')
        .select((row) => row.fn.countAll<number>().as('count'))
        .where('template_id', '=', id)
        .executeTakeFirstOrThrow();
      if (count >= VERSIONS_MAX) throw refuse('template-version-limit', { templateId: id, max: VERSIONS_MAX });
      const number = highest + 1;
      await inside(tx).updateTable('launch_template').set({ highest_version: number }).where('id', '=', id).execute();
      return insertVersion(tx, id, number, createdBy, version);
    },
    async setDefault(tx, _permit, id, number) {
      await live(tx, id);
      const version = await inside(tx)
        .selectFrom('launch_template_version')
        .select('number')
        .where('template_id', '=', id)
        .where('number', '=', number)
        .executeTakeFirst();
      if (!version) throw refuse('template-version-not-found', { templateId: id, number });
      await inside(tx).updateTable('launch_template').set({ default_version: number }).where('id', '=', id).execute();
    },
    async delete(tx, _permit, id) {
      await live(tx, id);
      await inside(tx).deleteFrom('launch_template_version').where('template_id', '=', id).execute();
      await inside(tx).updateTable('launch_template').set({ deleted: 1 }).where('id', '=', id).execute();
    },
    async deleteVersions(tx, _permit, id, numbers) {
      const { default_version: defaultVersion } = await live(tx, id);
      if (numbers.includes(defaultVersion)) throw refuse('template-default-version', { templateId: id });
      if (numbers.length === 0) return;
      await inside(tx)
        .deleteFrom('launch_template_version')
        .where('template_id', '=', id)
        .where('number', 'in', [...numbers])
        .execute();
    },
  };
}
