/** Tables of KMS keys. No other folder names them. */
import { type Generated, sql } from 'kysely';
import type { Migration } from '../db/db.ts';

export interface KeysTables {
  keys_key: {
    arn: string;
    key_id: string;
    account_id: string;
    region: string;
    manager: string;
    spec: string;
    usage: string;
    origin: string;
    multi_region: number;
    state: string;
    description: string;
    created_at: number;
    deletion_at: number | null;
    /** Empty where the key never had material (kms 3.2). */
    current_material_id: string;
    policy: string;
    rotation_enabled: number;
    rotation_period_days: number;
    rotation_next_at: number | null;
    rotation_revision: number;
    /** Region of the primary key; null on single-Region keys. */
    primary_region: string | null;
    /** Waiting time that begins when the last replica is gone (kms 18.8); null but in PendingReplicaDeletion. */
    deletion_window_days: number | null;
    /** Since when uses are recorded. */
    usage_since: Generated<number>;
  };
  keys_material: {
    key_arn: string;
    material_id: string;
    /** 0 for the first material, then counting up. */
    version: number;
    rotation: string | null;
    created_at: number;
    /** Empty while imported material is not there. */
    sealed: Uint8Array;
    /** 1 while imported material waits for the rotation that makes it current (kms 16.8). */
    pending: Generated<number>;
    /** IMPORTED or PENDING_IMPORT; null on material that Ingot made. */
    import_state: string | null;
    expiration_model: string | null;
    valid_to: number | null;
    description: string | null;
    /** Sealed digest of imported material, which stays when the material goes (kms 17.7). */
    digest: Uint8Array | null;
  };
  keys_alias: {
    account_id: string;
    region: string;
    name: string;
    key_arn: string;
    created_at: number;
    updated_at: number;
  };
  keys_grant: {
    key_arn: string;
    grant_id: string;
    name: string | null;
    grantee: string;
    retiring: string | null;
    /** Named by GranteeServicePrincipal and RetiringServicePrincipal (kms 15.4). */
    grantee_is_service: Generated<number>;
    retiring_is_service: Generated<number>;
    issuing_account: string;
    operations: string;
    constraints: string;
    created_at: number;
    /** Digest over all parameters, for grants with a name (kms 15.8). */
    fingerprint: string | null;
  };
  keys_tag: { key_arn: string; tag_key: string; tag_value: string };
  /** The last cryptographic operation with a key (kms 3.8). */
  keys_usage: { key_arn: string; operation: string; used_at: number; request_id: string; event_id: string | null };
  /** One sealed message that only the installation's own root key opens. */
  keys_root_check: { id: number; sealed: Uint8Array };
}

export const keysMigrations: readonly Migration[] = [
  {
    id: 'keys-0001',
    async up(schema) {
      const db = schema.schema;
      await db
        .createTable('keys_key')
        .addColumn('arn', 'text', (c) => c.primaryKey())
        .addColumn('key_id', 'text', (c) => c.notNull())
        .addColumn('account_id', 'text', (c) => c.notNull())
        .addColumn('region', 'text', (c) => c.notNull())
        .addColumn('manager', 'text', (c) => c.notNull())
        .addColumn('spec', 'text', (c) => c.notNull())
        .addColumn('usage', 'text', (c) => c.notNull())
        .addColumn('origin', 'text', (c) => c.notNull())
        .addColumn('multi_region', 'integer', (c) => c.notNull())
        .addColumn('state', 'text', (c) => c.notNull())
        .addColumn('description', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addColumn('deletion_at', 'integer')
        .addColumn('current_material_id', 'text', (c) => c.notNull())
        .addColumn('policy', 'text', (c) => c.notNull())
        .addColumn('rotation_enabled', 'integer', (c) => c.notNull())
        .addColumn('rotation_period_days', 'integer', (c) => c.notNull())
        .addColumn('rotation_next_at', 'integer')
        .addColumn('rotation_revision', 'integer', (c) => c.notNull())
        .execute();
      // A multi-Region key has one id in several Regions.
      await db.createIndex('keys_key_by_id').unique().on('keys_key').columns(['region', 'key_id']).execute();
      await db.createIndex('keys_key_by_account').on('keys_key').columns(['account_id', 'region', 'key_id']).execute();

      await db
        .createTable('keys_material')
        .addColumn('key_arn', 'text', (c) => c.notNull().references('keys_key.arn').onDelete('cascade'))
        .addColumn('material_id', 'text', (c) => c.notNull())
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('rotation', 'text')
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addColumn('sealed', 'blob', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_material_primary', ['key_arn', 'material_id'])
        .execute();

      await db
        .createTable('keys_alias')
        .addColumn('account_id', 'text', (c) => c.notNull())
        .addColumn('region', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('key_arn', 'text', (c) => c.notNull().references('keys_key.arn').onDelete('cascade'))
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addColumn('updated_at', 'integer', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_alias_primary', ['account_id', 'region', 'name'])
        .execute();
      await db.createIndex('keys_alias_by_key').on('keys_alias').column('key_arn').execute();

      await db
        .createTable('keys_grant')
        .addColumn('key_arn', 'text', (c) => c.notNull().references('keys_key.arn').onDelete('cascade'))
        .addColumn('grant_id', 'text', (c) => c.notNull())
        .addColumn('name', 'text')
        .addColumn('grantee', 'text', (c) => c.notNull())
        .addColumn('retiring', 'text')
        .addColumn('issuing_account', 'text', (c) => c.notNull())
        .addColumn('operations', 'text', (c) => c.notNull())
        .addColumn('constraints', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addColumn('fingerprint', 'text')
        .addPrimaryKeyConstraint('keys_grant_primary', ['key_arn', 'grant_id'])
        .execute();
      await db.createIndex('keys_grant_by_grantee').on('keys_grant').columns(['key_arn', 'grantee']).execute();
      await db.createIndex('keys_grant_by_retiring').on('keys_grant').column('retiring').execute();
      await db.createIndex('keys_grant_by_fingerprint').on('keys_grant').columns(['key_arn', 'fingerprint']).execute();

      await db
        .createTable('keys_tag')
        .addColumn('key_arn', 'text', (c) => c.notNull().references('keys_key.arn').onDelete('cascade'))
        .addColumn('tag_key', 'text', (c) => c.notNull())
        .addColumn('tag_value', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('keys_tag_primary', ['key_arn', 'tag_key'])
        .execute();

      await db
        .createTable('keys_root_check')
        .addColumn('id', 'integer', (c) => c.primaryKey())
        .addColumn('sealed', 'blob', (c) => c.notNull())
        .execute();
    },
  },
  {
    id: 'keys-0002',
    async up(schema) {
      const db = schema.schema;
      await db.alterTable('keys_key').addColumn('primary_region', 'text').execute();
      await db.alterTable('keys_key').addColumn('deletion_window_days', 'integer').execute();
      await db
        .alterTable('keys_key')
        .addColumn('usage_since', 'integer', (c) => c.notNull().defaultTo(0))
        .execute();
      await sql`update keys_key set usage_since = ${Date.now()}`.execute(schema);

      await db
        .alterTable('keys_material')
        .addColumn('pending', 'integer', (c) => c.notNull().defaultTo(0))
        .execute();
      await db.alterTable('keys_material').addColumn('import_state', 'text').execute();
      await db.alterTable('keys_material').addColumn('expiration_model', 'text').execute();
      await db.alterTable('keys_material').addColumn('valid_to', 'integer').execute();
      await db.alterTable('keys_material').addColumn('description', 'text').execute();
      await db.alterTable('keys_material').addColumn('digest', 'blob').execute();

      await db
        .createTable('keys_usage')
        .addColumn('key_arn', 'text', (c) => c.primaryKey().references('keys_key.arn').onDelete('cascade'))
        .addColumn('operation', 'text', (c) => c.notNull())
        .addColumn('used_at', 'integer', (c) => c.notNull())
        .addColumn('request_id', 'text', (c) => c.notNull())
        .execute();
    },
  },
  {
    id: 'keys-0003',
    async up(schema) {
      await schema.schema.alterTable('keys_usage').addColumn('event_id', 'text').execute();
    },
  },
  {
    id: 'keys-0004',
    async up(schema) {
      for (const column of ['grantee_is_service', 'retiring_is_service']) {
        await schema.schema
          .alterTable('keys_grant')
          .addColumn(column, 'integer', (c) => c.notNull().defaultTo(0))
          .execute();
      }
    },
  },
];
