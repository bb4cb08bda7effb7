/** The default networks, security groups and interfaces, over the tables of this folder. */
import type { Kysely } from 'kysely';
import { randomBytes } from '../crypto/random.ts';
import type { Db, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type AccountId, newEc2Id, type Region } from '../ids.ts';
import { ipv4Text, isUsableAddress, parseIpv4Range } from './cidr.ts';
import type {
  DefaultNetwork,
  InterfaceRecord,
  Network,
  NetworkRefusalReason,
  NewRule,
  RulePeer,
  SecurityGroupRecord,
  SecurityGroupRule,
  SubnetRecord,
} from './network.ts';
import { zonesOf } from './regions.ts';
import type { NetworkTables } from './tables.ts';

const VPC_CIDR = '172.31.0.0/16';
const ALL: Pick<NewRule, 'protocol' | 'fromPort' | 'toPort'> = { protocol: '-1', fromPort: -1, toPort: -1 };
const EVERYWHERE: RulePeer = { kind: 'cidr-ipv4', value: '0.0.0.0/0' };
const ADDRESS_TRIES = 64;

type Queries = Kysely<NetworkTables>;

export interface NetworkDeps {
  readonly db: Db;
  readonly clock: () => Date;
}

export function createNetwork({ db, clock }: NetworkDeps): Network {
  const reading = () => db.read<NetworkTables>();
  const writing = (tx: Tx) => tx.as<NetworkTables>();

  async function defaults(account: AccountId, region: Region): Promise<DefaultNetwork> {
    const known = await storedDefaults(reading(), account, region);
    if (known) return known;
    return db.write(async (tx) => {
      const queries = writing(tx);
      const meanwhile = await storedDefaults(queries, account, region);
      if (meanwhile) return meanwhile;
      const network = newDefaults(account, region);
      await queries
        .insertInto('default_networks')
        .values({ account_id: account, region, document: JSON.stringify(network) })
        .execute();
      const group = { id: network.defaultGroupId, accountId: account, region, vpcId: network.vpcId };
      await insertGroup(queries, { ...group, name: 'default', description: 'default VPC security group' });
      await insertRules(queries, network.defaultGroupId, [
        { ...ALL, egress: false, peer: { kind: 'group', value: network.defaultGroupId } },
        { ...ALL, egress: true, peer: EVERYWHERE },
      ]);
      return network;
    });
  }

  return {
    defaults,

    async groups(account, region) {
      await defaults(account, region);
      const rows = await reading()
        .selectFrom('security_groups')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('id')
        .execute();
      const rules = await reading()
        .selectFrom('security_group_rules')
        .innerJoin('security_groups', 'security_groups.id', 'security_group_rules.group_id')
        .selectAll('security_group_rules')
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('security_group_rules.id')
        .execute();
      const byGroup = Map.groupBy(rules, (rule) => rule.group_id);
      return rows.map((row) => groupRecord(row, byGroup.get(row.id) ?? []));
    },

    async createGroup(tx, _permit, group) {
      const queries = writing(tx);
      const taken = await queries
        .selectFrom('security_groups')
        .select('id')
        .where('account_id', '=', group.accountId)
        .where('region', '=', group.region)
        .where('vpc_id', '=', group.vpcId)
        .where('name', '=', group.name)
        .executeTakeFirst();
      if (taken) throw refusal('group-name-in-use', { name: group.name, vpcId: group.vpcId });
      const id = newEc2Id('sg');
      await insertGroup(queries, { ...group, id });
      const rules = await insertRules(queries, id, [{ ...ALL, egress: true, peer: EVERYWHERE }]);
      return { ...group, id, rules };
    },

    async deleteGroup(tx, permit) {
      const queries = writing(tx);
      const id = idOf(permit.resource);
      const group = await queries.selectFrom('security_groups').selectAll().where('id', '=', id).executeTakeFirst();
      if (!group) throw refusal('group-not-found', { groupId: id });
      if (group.name === 'default') throw refusal('group-is-default', { groupId: id });
      const named = await queries
        .selectFrom('security_group_rules')
        .select('group_id')
        .where('peer_kind', '=', 'group')
        .where('peer', '=', id)
        .where('group_id', '!=', id)
        .executeTakeFirst();
      const interfaces = await queries
        .selectFrom('network_interfaces')
        .select('group_ids')
        .where('account_id', '=', group.account_id)
        .where('region', '=', group.region)
        .execute();
      const used = interfaces.some((row) => (JSON.parse(row.group_ids) as string[]).includes(id));
      if (named || used) throw refusal('group-in-use', { groupId: id });
      await queries.deleteFrom('security_group_rules').where('group_id', '=', id).execute();
      await queries.deleteFrom('security_groups').where('id', '=', id).execute();
    },

    async addRules(tx, permit, rules) {
      return insertRules(writing(tx), idOf(permit.resource), rules);
    },

    async removeRules(tx, permit, rules) {
      const queries = writing(tx);
      const groupId = idOf(permit.resource);
      const egress = permit.action === 'ec2:RevokeSecurityGroupEgress' ? 1 : 0;
      const mine = queries
        .deleteFrom('security_group_rules')
        .where('group_id', '=', groupId)
        .where('egress', '=', egress);
      if ('ids' in rules) {
        for (const id of rules.ids) {
          const { numDeletedRows } = await mine.where('id', '=', id).executeTakeFirst();
          if (numDeletedRows === 0n) throw refusal('rule-not-found', { ruleId: id });
        }
        return;
      }
      for (const rule of rules.like) {
        const { numDeletedRows } = await mine
          .where('protocol', '=', rule.protocol)
          .where('from_port', '=', rule.fromPort)
          .where('to_port', '=', rule.toPort)
          .where('peer_kind', '=', rule.peer.kind)
          .where('peer', '=', rule.peer.value)
          .executeTakeFirst();
        if (numDeletedRows === 0n) throw refusal('rule-not-found', {});
      }
    },

    async interfaces(account, region) {
      const rows = await reading()
        .selectFrom('network_interfaces')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('id')
        .execute();
      return rows.map(interfaceRecord);
    },

    async interfacesOf(instances) {
      const found: InterfaceRecord[] = [];
      for (let at = 0; at < instances.length; at += 500) {
        const rows = await reading()
          .selectFrom('network_interfaces')
          .selectAll()
          .where('instance_id', 'in', instances.slice(at, at + 500))
          .execute();
        found.push(...rows.map(interfaceRecord));
      }
      return found;
    },

    async createInterface(tx, request) {
      const queries = writing(tx);
      const { accountId, region, subnet } = request;
      const network = await storedDefaults(queries, accountId, region);
      if (!network) throw new Error(`account ${accountId} has no network in ${region}`);
      const privateIp = await freeAddress(queries, subnet, request.privateIp);
      const row = {
        id: newEc2Id('eni'),
        account_id: accountId,
        region,
        vpc_id: network.vpcId,
        subnet_id: subnet.id,
        zone: subnet.zone,
        private_ip: privateIp,
        mac: newMac(),
        group_ids: JSON.stringify(request.groupIds),
        description: request.description,
        created_at: clock().getTime(),
        instance_id: request.instanceId,
        attachment_id: newEc2Id('eni-attach'),
        delete_on_termination: request.deleteOnTermination ? 1 : 0,
      } as const;
      await queries.insertInto('network_interfaces').values(row).execute();
      return interfaceRecord(row);
    },

    async setInterfaceGroups(tx, instance, groupIds) {
      await writing(tx)
        .updateTable('network_interfaces')
        .set({ group_ids: JSON.stringify(groupIds) })
        .where('instance_id', '=', instance)
        .execute();
    },
    async deleteInterfacesOf(tx, instance) {
      await writing(tx).deleteFrom('network_interfaces').where('instance_id', '=', instance).execute();
    },
  };
}

async function storedDefaults(
  queries: Queries,
  account: AccountId,
  region: Region,
): Promise<DefaultNetwork | undefined> {
  const row = await queries
    .selectFrom('default_networks')
    .select('document')
    .where('account_id', '=', account)
    .where('region', '=', region)
    .executeTakeFirst();
  return row && (JSON.parse(row.document) as DefaultNetwork);
}

function newDefaults(accountId: AccountId, region: Region): DefaultNetwork {
  return {
    accountId,
    region,
    vpcId: newEc2Id('vpc'),
    cidr: VPC_CIDR,
    dhcpOptionsId: newEc2Id('dopt'),
    internetGatewayId: newEc2Id('igw'),
    routeTableId: newEc2Id('rtb'),
    networkAclId: newEc2Id('acl'),
    defaultGroupId: newEc2Id('sg'),
    subnets: zonesOf(region).map(({ name, id }, index) => ({
      id: newEc2Id('subnet'),
      zone: name,
      zoneId: id,
      cidr: `172.31.${index * 16}.0/20`,
    })),
  };
}

async function insertGroup(queries: Queries, group: Omit<SecurityGroupRecord, 'rules'>): Promise<void> {
  const { id, accountId, region, vpcId, name, description } = group;
  await queries
    .insertInto('security_groups')
    .values({ id, account_id: accountId, region, vpc_id: vpcId, name, description })
    .execute();
}

async function insertRules(queries: Queries, groupId: string, rules: readonly NewRule[]): Promise<SecurityGroupRule[]> {
  const inserted: SecurityGroupRule[] = [];
  for (const rule of rules) {
    const id = newEc2Id('sgr');
    const { numInsertedOrUpdatedRows } = await queries
      .insertInto('security_group_rules')
      .values({
        id,
        group_id: groupId,
        egress: rule.egress ? 1 : 0,
        protocol: rule.protocol,
        from_port: rule.fromPort,
        to_port: rule.toPort,
        peer_kind: rule.peer.kind,
        peer: rule.peer.value,
        description: rule.description ?? null,
      })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirst();
    if (numInsertedOrUpdatedRows === 0n) {
      const { protocol, fromPort, toPort, peer } = rule;
      throw refusal('rule-exists', { groupId, protocol, fromPort, toPort, peer: peer.value });
    }
    inserted.push({ ...rule, id });
  }
  return inserted;
}

async function freeAddress(queries: Queries, subnet: SubnetRecord, wanted: string | undefined): Promise<string> {
  const range = parseIpv4Range(subnet.cidr)!;
  const isTaken = async (address: string) =>
    (await queries
      .selectFrom('network_interfaces')
      .select('id')
      .where('subnet_id', '=', subnet.id)
      .where('private_ip', '=', address)
      .executeTakeFirst()) !== undefined;
  if (wanted !== undefined) {
    if (!isUsableAddress(range, wanted))
      throw refusal('address-not-in-subnet', { address: wanted, subnetId: subnet.id });
    if (await isTaken(wanted)) throw refusal('address-in-use', { address: wanted });
    return wanted;
  }
  for (let tries = 0; tries < ADDRESS_TRIES; tries++) {
    const [high, low] = randomBytes(2) as unknown as [number, number];
    const address = ipv4Text(range.base + ((high * 256 + low) % range.size));
    if (isUsableAddress(range, address) && !(await isTaken(address))) return address;
  }
  throw refusal('addresses-exhausted', { subnetId: subnet.id });
}

/** Locally administered, unicast. */
function newMac(): string {
  const bytes = randomBytes(5);
  return ['0e', ...Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

function groupRecord(
  row: NetworkTables['security_groups'],
  rules: readonly NetworkTables['security_group_rules'][],
): SecurityGroupRecord {
  return {
    id: row.id,
    accountId: row.account_id,
    region: row.region,
    vpcId: row.vpc_id,
    name: row.name,
    description: row.description,
    rules: rules.map((rule) => ({
      id: rule.id,
      egress: rule.egress === 1,
      protocol: rule.protocol,
      fromPort: rule.from_port,
      toPort: rule.to_port,
      peer: { kind: rule.peer_kind, value: rule.peer },
      ...(rule.description === null ? {} : { description: rule.description }),
    })),
  };
}

function interfaceRecord(row: NetworkTables['network_interfaces']): InterfaceRecord {
  return {
    id: row.id,
    accountId: row.account_id,
    region: row.region,
    vpcId: row.vpc_id,
    subnetId: row.subnet_id,
    zone: row.zone,
    privateIp: row.private_ip,
    mac: row.mac,
    groupIds: JSON.parse(row.group_ids) as string[],
    description: row.description,
    createdAt: new Date(row.created_at),
    instanceId: row.instance_id,
    attachmentId: row.attachment_id,
    deleteOnTermination: row.delete_on_termination === 1,
  };
}

/** The id at the end of an ARN. */
function idOf(arn: string): string {
  return arn.slice(arn.lastIndexOf('/') + 1);
}

function refusal(reason: NetworkRefusalReason, facts: Refusal['facts']): Refusal<NetworkRefusalReason> {
  return new Refusal(reason, facts);
}
