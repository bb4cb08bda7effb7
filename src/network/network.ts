/**
 * The network objects that clients of EC2 insist on. Every account has, in every region, one default VPC with a subnet
 * in each zone, made when it is first asked for. Instances get an interface with an address of their subnet.
 *
 * Machines are cut off from the host and from each other, so security groups and routes are kept and shown, and
 * nothing passes that they would have to stop. This file is the contract that instances and the services see.
 */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, InstanceId, Region } from '../ids.ts';

export interface SubnetRecord {
  readonly id: string;
  readonly zone: string;
  readonly zoneId: string;
  readonly cidr: string;
}

export interface DefaultNetwork {
  readonly accountId: AccountId;
  readonly region: Region;
  readonly vpcId: string;
  readonly cidr: string;
  readonly dhcpOptionsId: string;
  readonly internetGatewayId: string;
  readonly routeTableId: string;
  readonly networkAclId: string;
  readonly defaultGroupId: string;
  readonly subnets: readonly SubnetRecord[];
}

export interface SecurityGroupRecord {
  readonly id: string;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly vpcId: string;
  readonly name: string;
  readonly description: string;
  readonly rules: readonly SecurityGroupRule[];
}

/** Who a rule is about; exactly one kind. */
export type RulePeer =
  | { readonly kind: 'cidr-ipv4' | 'cidr-ipv6'; readonly value: string }
  | { readonly kind: 'group'; readonly value: string };

export interface NewRule {
  readonly egress: boolean;
  /** `tcp`, `udp`, `icmp`, `icmpv6`, a protocol number, or `-1` for all. */
  readonly protocol: string;
  readonly fromPort: number;
  readonly toPort: number;
  readonly peer: RulePeer;
  readonly description?: string;
}
export interface SecurityGroupRule extends NewRule {
  readonly id: string;
}

export interface InterfaceRecord {
  readonly id: string;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly vpcId: string;
  readonly subnetId: string;
  readonly zone: string;
  readonly privateIp: string;
  readonly mac: string;
  readonly groupIds: readonly string[];
  readonly description: string;
  readonly createdAt: Date;
  readonly instanceId: InstanceId;
  readonly attachmentId: string;
  readonly deleteOnTermination: boolean;
}

export interface NewInterface {
  readonly accountId: AccountId;
  readonly region: Region;
  readonly subnet: SubnetRecord;
  readonly instanceId: InstanceId;
  readonly groupIds: readonly string[];
  readonly description: string;
  readonly deleteOnTermination: boolean;
  /** A free one of the subnet where absent. */
  readonly privateIp?: string;
}

export type NetworkRefusalReason =
  | 'group-name-in-use'
  | 'group-not-found'
  | 'group-in-use'
  | 'group-is-default'
  | 'rule-exists'
  | 'rule-not-found'
  | 'address-in-use'
  | 'address-not-in-subnet'
  | 'addresses-exhausted';

export interface Network {
  /** Made on first use. */
  defaults(account: AccountId, region: Region): Promise<DefaultNetwork>;
  groups(account: AccountId, region: Region): Promise<SecurityGroupRecord[]>;
  createGroup(
    tx: Tx,
    permit: Permit<'ec2:CreateSecurityGroup'>,
    group: Pick<SecurityGroupRecord, 'accountId' | 'region' | 'vpcId' | 'name' | 'description'>,
  ): Promise<SecurityGroupRecord>;
  /** `id` must belong to the resource of `permit`. */
  deleteGroup(tx: Tx, permit: Permit<'ec2:DeleteSecurityGroup'>): Promise<void>;
  addRules(
    tx: Tx,
    permit: Permit<'ec2:AuthorizeSecurityGroupIngress' | 'ec2:AuthorizeSecurityGroupEgress'>,
    rules: readonly NewRule[],
  ): Promise<SecurityGroupRule[]>;
  /** By id, or by what they say; all of them or none. */
  removeRules(
    tx: Tx,
    permit: Permit<'ec2:RevokeSecurityGroupIngress' | 'ec2:RevokeSecurityGroupEgress'>,
    rules: { readonly ids: readonly string[] } | { readonly like: readonly NewRule[] },
  ): Promise<void>;
  interfaces(account: AccountId, region: Region): Promise<InterfaceRecord[]>;
  interfacesOf(instances: readonly InstanceId[]): Promise<InterfaceRecord[]>;
  createInterface(tx: Tx, request: NewInterface): Promise<InterfaceRecord>;
  setInterfaceGroups(tx: Tx, instance: InstanceId, groupIds: readonly string[]): Promise<void>;
  /** Removes the interface of an instance that is gone. */
  deleteInterfacesOf(tx: Tx, instance: InstanceId): Promise<void>;
}
