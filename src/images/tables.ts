/**
 * Rows of images. What queries ask for is in columns; the rest of a record is one JSON document. Launch permissions and
 * the snapshots of an image have rows of their own, because they are looked up from the other side.
 */
import type { Kysely, Selectable } from 'kysely';
import { sql } from 'kysely';
import type { Migration } from '../db/db.ts';
import type { AccountId, ImageId, Region } from '../ids.ts';
import type { ImageRecord, ImageState, LaunchPermission } from './images.ts';
import { usageReportMigration } from './usage-reports.ts';

export interface ImageTables {
  image: {
    id: string;
    region: string;
    owner_id: string;
    name: string;
    state: ImageState;
    /** 0 or 1: launch permission for the group `all`. */
    public: number;
    created_at: number;
    last_launched_at: number | null;
    /** {@link ImageDocument} as JSON. */
    document: string;
  };
  image_launch_permission: {
    image_id: string;
    region: string;
    kind: Exclude<LaunchPermission['kind'], 'group'>;
    value: string;
  };
  image_snapshot: { image_id: string; snapshot_id: string; root: number };
  image_allowed_settings: {
    account_id: string;
    region: string;
    state: 'enabled' | 'audit-mode' | 'disabled';
    /** JSON list of criteria. */
    criteria: string;
  };
  image_block_public_access: { account_id: string; region: string; state: 'block-new-sharing' | 'unblocked' };
}

/** The part of a record that no query asks for; dates as epoch milliseconds. */
type ImageDocument = Omit<
  ImageRecord,
  | 'id'
  | 'region'
  | 'ownerId'
  | 'name'
  | 'state'
  | 'public'
  | 'creationDate'
  | 'lastLaunchedAt'
  | 'deprecateAt'
  | 'deregistrationProtection'
> & {
  readonly deprecateAt?: number;
  readonly protection: ImageRecord['deregistrationProtection']['mode'];
  readonly coolsDownAt?: number;
};

export const imagesMigrations: readonly Migration[] = [
  {
    id: 'images-0001',
    up: async ({ schema }: Kysely<unknown>) => {
      await schema
        .createTable('image')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('owner_id', 'text', (column) => column.notNull())
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('public', 'integer', (column) => column.notNull())
        .addColumn('created_at', 'integer', (column) => column.notNull())
        .addColumn('last_launched_at', 'integer')
        .addColumn('document', 'text', (column) => column.notNull())
        .execute();
      await schema.createIndex('image_owner').on('image').columns(['region', 'owner_id', 'id']).execute();
      await schema.createIndex('image_public').on('image').columns(['region', 'public', 'id']).execute();
      await schema
        .createIndex('image_name')
        .unique()
        .on('image')
        .columns(['region', 'owner_id', 'name'])
        .where(sql.ref('state'), '!=', sql.lit('deregistered'))
        .execute();
      await schema
        .createTable('image_launch_permission')
        .addColumn('image_id', 'text', (column) => column.notNull().references('image.id'))
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('value', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('image_launch_permission_key', ['image_id', 'kind', 'value'])
        .execute();
      await schema
        .createIndex('image_launch_permission_value')
        .on('image_launch_permission')
        .columns(['region', 'kind', 'value', 'image_id'])
        .execute();
      await schema
        .createTable('image_snapshot')
        .addColumn('image_id', 'text', (column) => column.notNull().references('image.id'))
        .addColumn('snapshot_id', 'text', (column) => column.notNull())
        .addColumn('root', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('image_snapshot_key', ['image_id', 'snapshot_id'])
        .execute();
      await schema.createIndex('image_snapshot_snapshot').on('image_snapshot').columns(['snapshot_id']).execute();
      await schema
        .createTable('image_block_public_access')
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('image_block_public_access_key', ['account_id', 'region'])
        .execute();
    },
  },
  {
    id: 'images-0002',
    up: async ({ schema }: Kysely<unknown>) => {
      await schema
        .createIndex('image_pending')
        .on('image')
        .columns(['region', 'owner_id'])
        .where(sql.ref('state'), '=', sql.lit('pending'))
        .execute();
    },
  },
  {
    id: 'images-0003',
    up: async ({ schema }: Kysely<unknown>) => {
      await schema
        .createTable('image_allowed_settings')
        .addColumn('account_id', 'text', (column) => column.notNull())
        .addColumn('region', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('criteria', 'text', (column) => column.notNull())
        .addPrimaryKeyConstraint('image_allowed_settings_key', ['account_id', 'region'])
        .execute();
    },
  },
  usageReportMigration,
];

export function recordOf(row: Selectable<ImageTables['image']>): ImageRecord {
  const { deprecateAt, protection, coolsDownAt, ...document }: ImageDocument = JSON.parse(row.document);
  return {
    ...document,
    id: row.id as ImageId,
    region: row.region as Region,
    ownerId: row.owner_id as AccountId,
    name: row.name,
    state: row.state,
    public: row.public === 1,
    creationDate: new Date(row.created_at),
    ...(row.last_launched_at === null ? {} : { lastLaunchedAt: new Date(row.last_launched_at) }),
    ...(deprecateAt === undefined ? {} : { deprecateAt: new Date(deprecateAt) }),
    deregistrationProtection: {
      mode: protection,
      ...(coolsDownAt === undefined ? {} : { coolsDownAt: new Date(coolsDownAt) }),
    },
  };
}

export function rowOf(record: ImageRecord): Selectable<ImageTables['image']> {
  const {
    id,
    region,
    ownerId,
    name,
    state,
    public: isPublic,
    creationDate,
    lastLaunchedAt,
    deprecateAt,
    deregistrationProtection,
    ...rest
  } = record;
  const document: ImageDocument = {
    ...rest,
    ...(deprecateAt ? { deprecateAt: deprecateAt.getTime() } : {}),
    protection: deregistrationProtection.mode,
    ...(deregistrationProtection.coolsDownAt ? { coolsDownAt: deregistrationProtection.coolsDownAt.getTime() } : {}),
  };
  return {
    id,
    region,
    owner_id: ownerId,
    name,
    state,
    public: isPublic ? 1 : 0,
    created_at: creationDate.getTime(),
    last_launched_at: lastLaunchedAt ? lastLaunchedAt.getTime() : null,
    document: JSON.stringify(document),
  };
}

/** Snapshots that the record's devices name, each once. */
export function snapshotRowsOf(record: ImageRecord): Selectable<ImageTables['image_snapshot']>[] {
  const rows = new Map<string, Selectable<ImageTables['image_snapshot']>>();
  for (const { deviceName, ebs } of record.blockDeviceMappings) {
    if (!ebs?.snapshotId) continue;
    const root = deviceName === record.rootDeviceName || rows.get(ebs.snapshotId)?.root === 1;
    rows.set(ebs.snapshotId, { image_id: record.id, snapshot_id: ebs.snapshotId, root: root ? 1 : 0 });
  }
  return [...rows.values()];
}
