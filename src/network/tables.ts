/** Tables of the network objects. No other folder names these tables. */
import { type Kysely, sql } from 'kysely';
import type { Migration } from '../db/db.ts';
import type { AccountId, InstanceId, Region } from '../ids.ts';
import type { RulePeer } from './network.ts';

export interface NetworkTables {
  default_networks: { account_id: AccountId; region: Region; document: string };
  security_groups: {
    id: string;
    account_id: AccountId;
    region: Region;
    vpc_id: string;
    name: string;
    description: string;
  };
  security_group_rules: {
    id: string;
    group_id: string;
    egress: 0 | 1;
    protocol: string;
    from_port: number;
    to_port: number;
    peer_kind: RulePeer['kind'];
    peer: string;
    description: string | null;
  };
  network_interfaces: {
    id: string;
    account_id: AccountId;
    region: Region;
    vpc_id: string;
    subnet_id: string;
    zone: string;
    private_ip: string;
    mac: string;
    /** JSON array. */
    group_ids: string;
    description: string;
    created_at: number;
    instance_id: InstanceId;
    attachment_id: string;
    delete_on_termination: 0 | 1;
  };
  key_pairs: {
    id: string;
    account_id: AccountId;
    region: Region;
    name: string;
    type: 'rsa' | 'ed25519';
    fingerprint: string;
    /** OpenSSH line. */
    public_key: string;
    created_at: number;
  };
}

const STATEMENTS = [
  `create table default_networks (
    account_id text not null, region text not null, document text not null, primary key (account_id, region))`,
  `create table security_groups (
    id text primary key, account_id text not null, region text not null, vpc_id text not null, name text not null,
    description text not null, unique (account_id, region, vpc_id, name))`,
  `create table security_group_rules (
    id text primary key, group_id text not null references security_groups (id) on delete cascade,
    egress integer not null, protocol text not null, from_port integer not null, to_port integer not null,
    peer_kind text not null, peer text not null, description text,
    unique (group_id, egress, protocol, from_port, to_port, peer_kind, peer))`,
  `create table network_interfaces (
    id text primary key, account_id text not null, region text not null, vpc_id text not null, subnet_id text not null,
    zone text not null, private_ip text not null, mac text not null, group_ids text not null,
    description text not null, created_at integer not null, instance_id text not null, attachment_id text not null,
    delete_on_termination integer not null, unique (subnet_id, private_ip))`,
  'create index network_interfaces_owner on network_interfaces (account_id, region)',
  'create index network_interfaces_instance on network_interfaces (instance_id)',
  `create table key_pairs (
    id text primary key, account_id text not null, region text not null, name text not null, type text not null,
    fingerprint text not null, public_key text not null, created_at integer not null,
    unique (account_id, region, name))`,
];

export const networkMigrations: readonly Migration[] = [
  {
    id: 'network-0001',
    async up(schema: Kysely<unknown>) {
      for (const statement of STATEMENTS) await sql.raw(statement).execute(schema);
    },
  },
];
