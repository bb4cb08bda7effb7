/** How the tables of volumes and snapshots are made, step by step. What their columns mean is in `tables.ts`. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from '../db/db.ts';

const SNAPSHOTS = `create table snapshots (
  id text primary key,
  sequence integer not null unique,
  region text not null,
  owner_id text not null,
  origin text not null,
  volume_id text not null,
  volume_size_gib integer not null,
  state text not null,
  state_message text,
  progress text not null,
  start_time integer not null,
  completion_time integer,
  description text not null,
  encrypted integer not null,
  aws_managed_key integer not null,
  storage_tier text not null,
  public integer not null,
  kms_key_arn text,
  data_key_id text,
  wrapped_key blob,
  context_id text,
  map_root text,
  source_root text,
  parent_id text,
  frozen_through text,
  upload text,
  upload_timeout_ms integer
)`;

const VOLUMES = `create table volumes (
  id text primary key,
  region text not null,
  owner_id text not null,
  availability_zone text not null,
  size_gib integer not null,
  snapshot_id text,
  state text not null,
  create_time integer not null,
  volume_type text not null,
  iops integer,
  throughput integer,
  multi_attach integer not null,
  encrypted integer not null,
  aws_managed_key integer not null,
  kms_key_arn text,
  data_key_id text,
  wrapped_key blob,
  context_id text,
  grant_id text,
  base_root text,
  base_kms_key_arn text,
  base_data_key_id text,
  base_wrapped_key blob,
  base_context_id text,
  frozen text not null,
  overlay text
)`;

const OTHERS = [
  'create index snapshots_owner on snapshots (region, owner_id)',
  'create index snapshots_volume on snapshots (volume_id)',
  `create index snapshots_public on snapshots (region) where public = 1`,
  `create table snapshot_permissions (
    snapshot_id text not null references snapshots (id) on delete cascade,
    account_id text not null,
    primary key (snapshot_id, account_id)
  )`,
  'create index snapshot_permissions_account on snapshot_permissions (account_id)',
  'create index volumes_owner on volumes (region, owner_id)',
  `create table volume_attachments (
    volume_id text not null references volumes (id) on delete cascade,
    instance_id text not null,
    device text not null,
    state text not null,
    attach_time integer not null,
    delete_on_termination integer not null,
    grant_id text,
    primary key (volume_id, instance_id)
  )`,
  `create table ebs_defaults (
    account_id text not null,
    region text not null,
    encryption_by_default integer not null,
    kms_key_id text,
    snapshot_block_public_access text not null,
    primary key (account_id, region)
  )`,
  'create table direct_token_key (id integer primary key check (id = 1), sealed blob not null)',
];

const LIFECYCLE = [
  'alter table snapshots add column completion_minutes integer',
  'alter table snapshots add column purpose text',
  'alter table snapshots add column restored_until integer',
  'alter table volumes add column source_volume_id text',
  'alter table volumes add column auto_enable_io integer not null default 0',
  `create table snapshot_locks (
    snapshot_id text primary key references snapshots (id) on delete cascade,
    mode text not null,
    created_at integer not null,
    cool_off_hours integer,
    duration_days integer,
    expires_at integer
  )`,
  `create table snapshot_tierings (
    snapshot_id text primary key references snapshots (id) on delete cascade,
    operation text not null,
    tiered_at integer not null
  )`,
  `create table fast_snapshot_restores (
    snapshot_id text not null references snapshots (id) on delete cascade,
    account_id text not null,
    region text not null,
    availability_zone text not null,
    enabled_at integer not null,
    primary key (snapshot_id, account_id, availability_zone)
  )`,
  'create index fast_snapshot_restores_account on fast_snapshot_restores (region, account_id)',
  `create table volume_modifications (
    volume_id text primary key references volumes (id) on delete cascade,
    original text not null,
    target text not null,
    modified_at integer not null
  )`,
];

const running = (statements: readonly string[]) => async (schema: Kysely<unknown>) => {
  for (const statement of statements) await sql.raw(statement).execute(schema);
};

export const volumesMigrations: readonly Migration[] = [
  { id: 'volumes-0001', up: running([SNAPSHOTS, VOLUMES, ...OTHERS]) },
  { id: 'volumes-0002', up: running(LIFECYCLE) },
  {
    id: 'volumes-0003',
    async up(schema: Kysely<unknown>) {
      await sql`create table copy_grants (
        grant_id text primary key,
        snapshot_id text not null,
        key_arn text not null,
        region text not null
      )`.execute(schema);
    },
  },
];
