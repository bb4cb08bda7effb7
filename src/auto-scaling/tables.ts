/** The tables of Auto Scaling: what queries need as columns, the rest as one document. No other folder names them. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from '../db/db.ts';
import type { AccountId, InstanceId, Region } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import {
  type ActivityRecord,
  type ActivityStatus,
  type GroupRecord,
  groupArn,
  type MemberRecord,
} from './auto-scaling.ts';

/** What only the job knows of a group. */
export interface GroupProgress {
  /** Grows with every change a user makes; the job of an earlier one ends. */
  readonly generation: number;
  /** Launches that failed since the last one that did not. */
  readonly failures: number;
  /** No launches before, in epoch ms. */
  readonly retryAt?: number;
  /** Why the next activities begin, until they have begun. */
  readonly because?: string;
}

export type StoredGroup = GroupRecord & GroupProgress;

export interface AutoScalingTables {
  auto_scaling_group: {
    id: string;
    account_id: AccountId;
    region: Region;
    name: string;
    role_arn: string;
    created_at: number;
    /** JSON of the record's other members. */
    document: string;
  };
  auto_scaling_member: {
    instance_id: InstanceId;
    group_id: string;
    launched_at: number;
    /** JSON of the record's other members. */
    document: string;
  };
  auto_scaling_activity: {
    id: string;
    group_id: string;
    status: ActivityStatus;
    started_at: number;
    ended_at: number | null;
    /** JSON of the record's other members. */
    document: string;
  };
}

export const autoScalingMigrations: readonly Migration[] = [
  {
    id: 'autoscaling-0001',
    async up(schema: Kysely<unknown>) {
      for (const statement of [
        `create table auto_scaling_group (
          id text primary key, account_id text not null, region text not null, name text not null,
          role_arn text not null, created_at integer not null, document text not null)`,
        'create unique index auto_scaling_group_name on auto_scaling_group (account_id, region, name)',
        'create index auto_scaling_group_role on auto_scaling_group (role_arn)',
        `create table auto_scaling_member (
          instance_id text primary key, group_id text not null, launched_at integer not null, document text not null)`,
        'create index auto_scaling_member_group on auto_scaling_member (group_id)',
        `create table auto_scaling_activity (
          id text primary key, group_id text not null, status text not null, started_at integer not null,
          ended_at integer, document text not null)`,
        'create index auto_scaling_activity_group on auto_scaling_activity (group_id, started_at)',
      ]) {
        await sql.raw(statement).execute(schema);
      }
    },
  },
];

export type Queries = Kysely<AutoScalingTables>;

export function groupOf(row: AutoScalingTables['auto_scaling_group']): StoredGroup {
  const { id, account_id: accountId, region, name } = row;
  return {
    ...(JSON.parse(row.document) as Omit<StoredGroup, 'createdAt'>),
    id,
    arn: groupArn(region, accountId, id, name),
    accountId,
    region,
    name,
    createdAt: new Date(row.created_at),
  };
}

function groupColumns({ id, arn: _, accountId, region, name, createdAt, ...rest }: StoredGroup) {
  return {
    id,
    account_id: accountId,
    region,
    name,
    role_arn: rest.serviceLinkedRoleArn,
    created_at: createdAt.getTime(),
    document: JSON.stringify(rest),
  };
}

export async function findGroup(queries: Queries, id: string): Promise<StoredGroup | undefined> {
  const row = await queries.selectFrom('auto_scaling_group').selectAll().where('id', '=', id).executeTakeFirst();
  return row && groupOf(row);
}

export async function insertGroup(queries: Queries, group: StoredGroup): Promise<void> {
  await queries.insertInto('auto_scaling_group').values(groupColumns(group)).execute();
}

export async function replaceGroup(queries: Queries, group: StoredGroup): Promise<void> {
  await queries.updateTable('auto_scaling_group').set(groupColumns(group)).where('id', '=', group.id).execute();
}

export async function removeGroup(queries: Queries, id: string): Promise<void> {
  await queries.deleteFrom('auto_scaling_activity').where('group_id', '=', id).execute();
  await queries.deleteFrom('auto_scaling_group').where('id', '=', id).execute();
}

export async function membersOf(queries: Queries, groupIds: readonly string[]): Promise<MemberRecord[]> {
  const rows = await queries
    .selectFrom('auto_scaling_member')
    .selectAll()
    .where('group_id', 'in', groupIds)
    .orderBy('launched_at')
    .orderBy('instance_id')
    .execute();
  return rows.map((row) => ({
    ...(JSON.parse(row.document) as Omit<MemberRecord, 'launchedAt'>),
    instanceId: row.instance_id,
    groupId: row.group_id,
    launchedAt: new Date(row.launched_at),
  }));
}

export async function putMember(queries: Queries, member: MemberRecord): Promise<void> {
  const { instanceId, groupId, launchedAt, ...rest } = member;
  const columns = { group_id: groupId, launched_at: launchedAt.getTime(), document: JSON.stringify(rest) };
  await queries
    .insertInto('auto_scaling_member')
    .values({ instance_id: instanceId, ...columns })
    .onConflict((conflict) => conflict.column('instance_id').doUpdateSet(columns))
    .execute();
}

export async function removeMember(queries: Queries, id: InstanceId): Promise<void> {
  await queries.deleteFrom('auto_scaling_member').where('instance_id', '=', id).execute();
}

export async function activitiesOf(
  queries: Queries,
  groupIds: readonly string[],
  only: 'all' | 'unfinished' = 'all',
): Promise<ActivityRecord[]> {
  let query = queries
    .selectFrom('auto_scaling_activity')
    .selectAll()
    .where('group_id', 'in', groupIds)
    .orderBy('started_at', 'desc')
    .orderBy('id');
  if (only === 'unfinished') query = query.where('ended_at', 'is', null);
  else query = query.limit(LIMITS.autoScalingActivitiesTold);
  const rows = await query.execute();
  return rows.map((row) => ({
    ...(JSON.parse(row.document) as Omit<ActivityRecord, 'startedAt' | 'endedAt'>),
    id: row.id,
    groupId: row.group_id,
    status: row.status,
    startedAt: new Date(row.started_at),
    ...(row.ended_at === null ? {} : { endedAt: new Date(row.ended_at) }),
  }));
}

export async function insertActivity(queries: Queries, activity: ActivityRecord): Promise<void> {
  await queries
    .insertInto('auto_scaling_activity')
    .values({ id: activity.id, ...activityColumns(activity) })
    .execute();
}

/** Replaces the activity if it still has the status `from`; tells whether it had. */
export async function moveActivity(queries: Queries, from: ActivityStatus, activity: ActivityRecord): Promise<boolean> {
  const { numUpdatedRows } = await queries
    .updateTable('auto_scaling_activity')
    .set(activityColumns(activity))
    .where('id', '=', activity.id)
    .where('status', '=', from)
    .executeTakeFirstOrThrow();
  return numUpdatedRows > 0n;
}

function activityColumns({ id: _, groupId, status, startedAt, endedAt, ...rest }: ActivityRecord) {
  return {
    group_id: groupId,
    status,
    started_at: startedAt.getTime(),
    ended_at: endedAt?.getTime() ?? null,
    document: JSON.stringify(rest),
  };
}

export interface Keeping {
  readonly beforeMs: number;
  readonly kept: number;
}

/** What ended before this time is to be forgotten: at `beforeMs`, or so long ago that it is not among the newest kept. */
async function forgottenBefore(queries: Queries, groupId: string, { beforeMs, kept }: Keeping): Promise<number> {
  const last = await queries
    .selectFrom('auto_scaling_activity')
    .select('ended_at')
    .where('group_id', '=', groupId)
    .where('ended_at', 'is not', null)
    .orderBy('ended_at', 'desc')
    .offset(kept)
    .limit(1)
    .executeTakeFirst();
  return Math.max(beforeMs, (last?.ended_at ?? -1) + 1);
}

export async function hasActivitiesToForget(queries: Queries, groupId: string, keeping: Keeping): Promise<boolean> {
  const found = await queries
    .selectFrom('auto_scaling_activity')
    .select('id')
    .where('group_id', '=', groupId)
    .where('ended_at', '<', await forgottenBefore(queries, groupId, keeping))
    .limit(1)
    .executeTakeFirst();
  return found !== undefined;
}

export async function forgetActivities(queries: Queries, groupId: string, keeping: Keeping): Promise<void> {
  await queries
    .deleteFrom('auto_scaling_activity')
    .where('group_id', '=', groupId)
    .where('ended_at', '<', await forgottenBefore(queries, groupId, keeping))
    .execute();
}
