/** Tables of accounts, principals and policies. No other folder names them. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from '../db/db.ts';

export interface IdentityTables {
  identity_organization: { id: string; root_id: string; management_account: string; created_at: number };
  identity_account: {
    id: string;
    name: string;
    email: string;
    alias: string | null;
    /** Organization root or organizational unit it stands in; empty for an account that has left the organization. */
    parent_id: string;
    joined_at: number;
    closed_at: number | null;
  };
  /** Without account where it failed. */
  identity_account_request: {
    id: string;
    account_id: string | null;
    failure: string | null;
    name: string;
    requested_at: number;
  };
  identity_unit: { id: string; parent_id: string; name: string };
  /** Service and resource control policies. */
  identity_control_policy: {
    id: string;
    type: string;
    name: string;
    description: string;
    document: string;
    created_at: number;
  };
  identity_control_attachment: { policy_id: string; target_id: string };
  identity_user: {
    id: string;
    account_id: string;
    name: string;
    name_key: string;
    path: string;
    created_at: number;
    boundary_arn: string | null;
    tags: string;
  };
  identity_group: {
    id: string;
    account_id: string;
    name: string;
    name_key: string;
    path: string;
    created_at: number;
  };
  identity_group_member: { group_id: string; user_id: string };
  identity_role: {
    id: string;
    account_id: string;
    name: string;
    name_key: string;
    path: string;
    created_at: number;
    boundary_arn: string | null;
    tags: string;
    description: string;
    max_session_seconds: number;
    /** Principals as unique ids. */
    trust_policy: string;
    /** Service principal of a service-linked role. */
    linked_service: string | null;
  };
  /** `owner_id` is the unique id of a user, group or role. */
  identity_inline_policy: { owner_id: string; name: string; document: string };
  identity_attachment: { owner_id: string; policy_arn: string; policy_name: string };
  identity_policy: {
    arn: string;
    id: string;
    account_id: string;
    name: string;
    name_key: string;
    path: string;
    description: string;
    created_at: number;
    updated_at: number;
    default_version: number;
    last_version: number;
    tags: string;
  };
  identity_policy_version: { policy_arn: string; version: number; document: string; created_at: number };
  /** Tags of accounts, units, the root and control policies. */
  identity_organization_tags: { resource_id: string; tags: string };
  /** `subject_id` is a long-term access key, or a role's unique id. */
  identity_last_use: { subject_id: string; used_at: number; service: string; region: string };
  identity_access_key: {
    id: string;
    /** Unique id of the user, or the account id for the root user. */
    owner_id: string;
    account_id: string;
    status: string;
    sealed_secret: Uint8Array;
    created_at: number;
  };
  identity_session: {
    access_key_id: string;
    owner_id: string;
    account_id: string;
    sealed_secret: Uint8Array;
    token_digest: Uint8Array;
    issued_at: number;
    expires_at: number;
    details: string;
  };
  identity_instance_profile: {
    id: string;
    account_id: string;
    name: string;
    name_key: string;
    path: string;
    created_at: number;
    role_id: string | null;
    tags: string;
  };
}

/** A thing with a name in an account: names are unique ignoring case (15.9). */
function namedTable(db: Kysely<unknown>['schema'], name: string) {
  return db
    .createTable(name)
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('account_id', 'text', (c) => c.notNull().references('identity_account.id'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('name_key', 'text', (c) => c.notNull())
    .addColumn('path', 'text', (c) => c.notNull())
    .addColumn('created_at', 'integer', (c) => c.notNull())
    .addUniqueConstraint(`${name}_name`, ['account_id', 'name_key']);
}

export const identityMigrations: readonly Migration[] = [
  {
    id: 'identity-0001',
    async up(schema) {
      const db = schema.schema;
      await db
        .createTable('identity_organization')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('root_id', 'text', (c) => c.notNull())
        .addColumn('management_account', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .execute();
      await db
        .createTable('identity_account')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('email', 'text', (c) => c.notNull().unique())
        .addColumn('alias', 'text', (c) => c.unique())
        .addColumn('parent_id', 'text', (c) => c.notNull())
        .addColumn('joined_at', 'integer', (c) => c.notNull())
        .execute();
      await db
        .createTable('identity_account_request')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('account_id', 'text')
        .addColumn('failure', 'text')
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('requested_at', 'integer', (c) => c.notNull())
        .execute();
      await db
        .createTable('identity_unit')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('parent_id', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addUniqueConstraint('identity_unit_name', ['parent_id', 'name'])
        .execute();
      await db
        .createTable('identity_control_policy')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('type', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('description', 'text', (c) => c.notNull())
        .addColumn('document', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addUniqueConstraint('identity_control_policy_name', ['type', 'name'])
        .execute();
      await db
        .createTable('identity_control_attachment')
        .addColumn('policy_id', 'text', (c) => c.notNull())
        .addColumn('target_id', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('identity_control_attachment_primary', ['target_id', 'policy_id'])
        .execute();

      await namedTable(db, 'identity_user')
        .addColumn('boundary_arn', 'text')
        .addColumn('tags', 'text', (c) => c.notNull())
        .execute();
      await namedTable(db, 'identity_group').execute();
      await db
        .createTable('identity_group_member')
        .addColumn('group_id', 'text', (c) => c.notNull().references('identity_group.id'))
        .addColumn('user_id', 'text', (c) => c.notNull().references('identity_user.id'))
        .addPrimaryKeyConstraint('identity_group_member_primary', ['user_id', 'group_id'])
        .execute();
      await namedTable(db, 'identity_role')
        .addColumn('boundary_arn', 'text')
        .addColumn('tags', 'text', (c) => c.notNull())
        .addColumn('description', 'text', (c) => c.notNull())
        .addColumn('max_session_seconds', 'integer', (c) => c.notNull())
        .addColumn('trust_policy', 'text', (c) => c.notNull())
        .addColumn('linked_service', 'text')
        .execute();
      await namedTable(db, 'identity_instance_profile')
        .addColumn('role_id', 'text', (c) => c.references('identity_role.id'))
        .addColumn('tags', 'text', (c) => c.notNull())
        .execute();
      await db
        .createIndex('identity_instance_profile_role')
        .on('identity_instance_profile')
        .column('role_id')
        .execute();

      await db
        .createTable('identity_inline_policy')
        .addColumn('owner_id', 'text', (c) => c.notNull())
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('document', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('identity_inline_policy_primary', ['owner_id', 'name'])
        .execute();
      await db
        .createTable('identity_attachment')
        .addColumn('owner_id', 'text', (c) => c.notNull())
        .addColumn('policy_arn', 'text', (c) => c.notNull())
        .addColumn('policy_name', 'text', (c) => c.notNull())
        .addPrimaryKeyConstraint('identity_attachment_primary', ['owner_id', 'policy_arn'])
        .execute();
      await db.createIndex('identity_attachment_policy').on('identity_attachment').column('policy_arn').execute();
      await db
        .createTable('identity_policy')
        .addColumn('arn', 'text', (c) => c.primaryKey())
        .addColumn('id', 'text', (c) => c.notNull())
        .addColumn('account_id', 'text', (c) => c.notNull().references('identity_account.id'))
        .addColumn('name', 'text', (c) => c.notNull())
        .addColumn('name_key', 'text', (c) => c.notNull())
        .addColumn('path', 'text', (c) => c.notNull())
        .addColumn('description', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addColumn('updated_at', 'integer', (c) => c.notNull())
        .addColumn('default_version', 'integer', (c) => c.notNull())
        .addColumn('last_version', 'integer', (c) => c.notNull())
        .addColumn('tags', 'text', (c) => c.notNull())
        .addUniqueConstraint('identity_policy_name', ['account_id', 'name_key'])
        .execute();
      await db
        .createTable('identity_policy_version')
        .addColumn('policy_arn', 'text', (c) => c.notNull().references('identity_policy.arn').onDelete('cascade'))
        .addColumn('version', 'integer', (c) => c.notNull())
        .addColumn('document', 'text', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .addPrimaryKeyConstraint('identity_policy_version_primary', ['policy_arn', 'version'])
        .execute();

      await db
        .createTable('identity_access_key')
        .addColumn('id', 'text', (c) => c.primaryKey())
        .addColumn('owner_id', 'text', (c) => c.notNull())
        .addColumn('account_id', 'text', (c) => c.notNull().references('identity_account.id'))
        .addColumn('status', 'text', (c) => c.notNull())
        .addColumn('sealed_secret', 'blob', (c) => c.notNull())
        .addColumn('created_at', 'integer', (c) => c.notNull())
        .execute();
      await db.createIndex('identity_access_key_owner').on('identity_access_key').column('owner_id').execute();
      await db
        .createTable('identity_session')
        .addColumn('access_key_id', 'text', (c) => c.primaryKey())
        .addColumn('owner_id', 'text', (c) => c.notNull())
        .addColumn('account_id', 'text', (c) => c.notNull())
        .addColumn('sealed_secret', 'blob', (c) => c.notNull())
        .addColumn('token_digest', 'blob', (c) => c.notNull())
        .addColumn('issued_at', 'integer', (c) => c.notNull())
        .addColumn('expires_at', 'integer', (c) => c.notNull())
        .addColumn('details', 'text', (c) => c.notNull())
        .execute();
      await db.createIndex('identity_session_expiry').on('identity_session').column('expires_at').execute();
    },
  },
  {
    id: 'identity-0002',
    async up(schema) {
      await schema.schema
        .createTable('identity_organization_tags')
        .addColumn('resource_id', 'text', (c) => c.primaryKey())
        .addColumn('tags', 'text', (c) => c.notNull())
        .execute();
      await schema.schema
        .createTable('identity_last_use')
        .addColumn('subject_id', 'text', (c) => c.primaryKey())
        .addColumn('used_at', 'integer', (c) => c.notNull())
        .addColumn('service', 'text', (c) => c.notNull())
        .addColumn('region', 'text', (c) => c.notNull())
        .execute();
    },
  },
  {
    // Service-linked roles made before their services had a policy.
    id: 'identity-0003',
    async up(schema) {
      for (const [service, name] of [
        ['autoscaling.amazonaws.com', 'AutoScalingServiceRolePolicy'],
        ['spot.amazonaws.com', 'AWSEC2SpotServiceRolePolicy'],
      ]) {
        const arn = `arn:aws:iam::aws:policy/aws-service-role/${name}`;
        await sql`insert into identity_attachment (owner_id, policy_arn, policy_name)
          select id, ${arn}, ${name} from identity_role where linked_service = ${service}`.execute(schema);
      }
    },
  },
  {
    id: 'identity-0004',
    async up(schema) {
      await schema.schema.alterTable('identity_account').addColumn('closed_at', 'integer').execute();
    },
  },
];
