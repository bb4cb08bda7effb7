/** Tables of the storage: map pages, uploads and the progress of sealing jobs, all in compact binary rows. */
import type { Generated } from 'kysely';
import { sql } from 'kysely';
import type { Migration } from '../../db/db.ts';

export interface StorageTables {
  /** Map pages by content. */
  storage_pages: {
    id: Uint8Array;
    level: number;
    bytes: Uint8Array;
    /** Number of the collection that was running or the next to run when the page was last saved. */
    touched: number;
  };
  /** One row: the number of the latest garbage collection. */
  storage_collection: { only: 1; number: number };
  /** Acknowledged blocks of direct uploads, many to a row; later rows win. */
  storage_uploads: {
    seq: Generated<number>;
    upload: string;
    /** Block index divided by REGION_BLOCKS, so that an upload can be joined piece by piece. */
    region: number;
    entries: Uint8Array;
  };
  /** Leaves that a sealing job has finished; their pages are saved. */
  storage_job_leaves: { job: string; leaf: number; page: Uint8Array; block_count: number };
  /** Results of sealing jobs that are not yet recorded elsewhere. */
  storage_jobs: { job: string; root: string };
}

export const storageMigrations: readonly Migration[] = [
  {
    id: 'storage-0001',
    async up(schema) {
      await schema.schema
        .createTable('storage_pages')
        .addColumn('id', 'blob', (column) => column.primaryKey())
        .addColumn('level', 'integer', (column) => column.notNull())
        .addColumn('bytes', 'blob', (column) => column.notNull())
        .addColumn('touched', 'integer', (column) => column.notNull())
        .execute();
      await schema.schema
        .createTable('storage_collection')
        .addColumn('only', 'integer', (column) => column.primaryKey())
        .addColumn('number', 'integer', (column) => column.notNull())
        .execute();
      await sql`insert into storage_collection (only, number) values (1, 0)`.execute(schema);
      await schema.schema
        .createTable('storage_uploads')
        .addColumn('seq', 'integer', (column) => column.primaryKey().autoIncrement())
        .addColumn('upload', 'text', (column) => column.notNull())
        .addColumn('region', 'integer', (column) => column.notNull())
        .addColumn('entries', 'blob', (column) => column.notNull())
        .execute();
      await schema.schema
        .createIndex('storage_uploads_by_place')
        .on('storage_uploads')
        .columns(['upload', 'region', 'seq'])
        .execute();
      await schema.schema
        .createTable('storage_job_leaves')
        .addColumn('job', 'text', (column) => column.notNull())
        .addColumn('leaf', 'integer', (column) => column.notNull())
        .addColumn('page', 'blob', (column) => column.notNull())
        .addColumn('block_count', 'integer', (column) => column.notNull())
        .addPrimaryKeyConstraint('storage_job_leaves_key', ['job', 'leaf'])
        .modifyEnd(sql`without rowid`)
        .execute();
      await schema.schema
        .createTable('storage_jobs')
        .addColumn('job', 'text', (column) => column.primaryKey())
        .addColumn('root', 'text', (column) => column.notNull())
        .execute();
    },
  },
];
