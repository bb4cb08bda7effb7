/** The table of instances: what queries need as columns, the rest as one document. No other folder names it. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from '../db/db.ts';
import type { AccountId, InstanceId, Region } from '../ids.ts';
import type { InstanceRecord, InstanceState } from './instances.ts';
import type { RootReplacement } from './root-replacement.ts';

export interface InstancesTables {
  instances: InstanceRow;
  root_replacements: ReplacementRow;
}

interface ReplacementRow {
  id: string;
  owner_id: AccountId;
  region: Region;
  instance_id: InstanceId;
  state: RootReplacement['state'];
  started_at: number;
  completed_at: number | null;
  /** JSON of the record's other members. */
  document: string;
}

interface InstanceRow {
  id: InstanceId;
  owner_id: AccountId;
  region: Region;
  reservation_id: string;
  state: InstanceState;
  launch_time: number;
  terminated_at: number | null;
  /** JSON of the record's other members. */
  document: string;
  /** The newest 64 KiB of console output, sealed under the installation's root key. */
  console: Uint8Array | null;
  console_at: number | null;
  /** Sealed under the installation's root key. */
  user_data: Uint8Array | null;
}

export const instancesMigrations: readonly Migration[] = [
  {
    id: 'instances-0001',
    async up(schema: Kysely<unknown>) {
      await sql
        .raw(
          `create table instances (
            id text primary key, owner_id text not null, region text not null, reservation_id text not null,
            state text not null, launch_time integer not null, terminated_at integer, document text not null,
            console blob, console_at integer)`,
        )
        .execute(schema);
      for (const columns of ['owner_id, region', 'reservation_id', 'state']) {
        const name = columns.split(',')[0];
        await sql.raw(`create index instances_${name} on instances (${columns})`).execute(schema);
      }
    },
  },
  {
    id: 'instances-0002',
    async up(schema: Kysely<unknown>) {
      await sql.raw('alter table instances add column user_data blob').execute(schema);
    },
  },
  {
    id: 'instances-0003',
    async up(schema: Kysely<unknown>) {
      await sql
        .raw(
          `create table root_replacements (
            id text primary key, owner_id text not null, region text not null, instance_id text not null,
            state text not null, started_at integer not null, completed_at integer, document text not null)`,
        )
        .execute(schema);
      await sql.raw('create index root_replacements_instance on root_replacements (instance_id)').execute(schema);
      await sql.raw('create index root_replacements_owner on root_replacements (owner_id, region)').execute(schema);
    },
  },
];

type Queries = Kysely<InstancesTables>;

const RECORD_COLUMNS = [
  'id',
  'owner_id',
  'region',
  'reservation_id',
  'state',
  'launch_time',
  'terminated_at',
  'document',
] as const;

export function selectInstances(queries: Queries) {
  return queries.selectFrom('instances').select(RECORD_COLUMNS);
}

export async function findInstance(queries: Queries, id: string): Promise<InstanceRecord | undefined> {
  const row = await selectInstances(queries)
    .where('id', '=', id as InstanceId)
    .executeTakeFirst();
  return row && recordOf(row);
}

export function recordOf(row: Pick<InstanceRow, (typeof RECORD_COLUMNS)[number]>): InstanceRecord {
  return {
    ...(JSON.parse(row.document) as Omit<InstanceRecord, 'launchTime' | 'terminatedAt'>),
    id: row.id,
    ownerId: row.owner_id,
    region: row.region,
    reservationId: row.reservation_id,
    state: row.state,
    launchTime: new Date(row.launch_time),
    ...(row.terminated_at === null ? {} : { terminatedAt: new Date(row.terminated_at) }),
  };
}

export async function insertInstance(queries: Queries, record: InstanceRecord): Promise<void> {
  await queries
    .insertInto('instances')
    .values({ id: record.id, ...columnsOf(record), console: null, console_at: null, user_data: null })
    .execute();
}

export async function replaceInstance(queries: Queries, record: InstanceRecord): Promise<void> {
  await queries.updateTable('instances').set(columnsOf(record)).where('id', '=', record.id).execute();
}

function columnsOf(record: InstanceRecord) {
  const { id: _, ownerId, region, reservationId, state, launchTime, terminatedAt, ...rest } = record;
  return {
    owner_id: ownerId,
    region,
    reservation_id: reservationId,
    state,
    launch_time: launchTime.getTime(),
    terminated_at: terminatedAt?.getTime() ?? null,
    document: JSON.stringify(rest),
  };
}

// Replacements of root volumes ----------------------------------------------------------------------------------------

export const selectReplacements = (queries: Queries) => queries.selectFrom('root_replacements').selectAll();

export async function findReplacement(queries: Queries, id: string): Promise<RootReplacement | undefined> {
  const row = await selectReplacements(queries).where('id', '=', id).executeTakeFirst();
  return row && replacementOf(row);
}

export function replacementOf(row: ReplacementRow): RootReplacement {
  return {
    ...(JSON.parse(row.document) as Omit<RootReplacement, 'startedAt' | 'completedAt'>),
    id: row.id,
    ownerId: row.owner_id,
    region: row.region,
    instanceId: row.instance_id,
    state: row.state,
    startedAt: new Date(row.started_at),
    ...(row.completed_at === null ? {} : { completedAt: new Date(row.completed_at) }),
  };
}

export async function insertReplacement(queries: Queries, task: RootReplacement): Promise<void> {
  await queries
    .insertInto('root_replacements')
    .values({ id: task.id, ...replacementColumns(task) })
    .execute();
}

export async function replaceReplacement(queries: Queries, task: RootReplacement): Promise<void> {
  await queries.updateTable('root_replacements').set(replacementColumns(task)).where('id', '=', task.id).execute();
}

function replacementColumns(task: RootReplacement) {
  const { id: _, ownerId, region, instanceId, state, startedAt, completedAt, ...rest } = task;
  return {
    owner_id: ownerId,
    region,
    instance_id: instanceId,
    state,
    started_at: startedAt.getTime(),
    completed_at: completedAt?.getTime() ?? null,
    document: JSON.stringify(rest),
  };
}
