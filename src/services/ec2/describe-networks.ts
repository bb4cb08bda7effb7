/** The default VPC and what hangs on it. Each account has one in every region, made when it is first looked at. */
import type {
  DescribeDhcpOptionsCommand,
  DescribeInternetGatewaysCommand,
  DescribeNetworkAclsCommand,
  DescribeRouteTablesCommand,
  DescribeSubnetsCommand,
  DescribeVpcAttributeCommand,
  DescribeVpcsCommand,
} from '@aws-sdk/client-ec2';
import { ec2Arn } from '../../ids.ts';
import { parseIpv4Range } from '../../network/cidr.ts';
import type { DefaultNetwork, SubnetRecord } from '../../network/network.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOne, dryRun } from './common.ts';
import { describe } from './describe-owned.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';
import { type InstanceDeps, showTags } from './instance-shapes.ts';

/** AWS keeps the first four addresses of a subnet and the last. */
const RESERVED_ADDRESSES = 5;

export const describeVpcs =
  (deps: InstanceDeps): OperationOf<DescribeVpcsCommand> =>
  async (call, input) => {
    const { items, tags, next } = await describe(deps, call, input, (network) => [network], {
      operation: 'DescribeVpcs',
      ids: input.VpcIds,
      idsParameter: 'vpcSet',
      idOf: (network: DefaultNetwork) => network.vpcId,
      filters: {
        cidr: (network) => network.cidr,
        'cidr-block-association.cidr-block': (network) => network.cidr,
        'dhcp-options-id': (network) => network.dhcpOptionsId,
        'is-default': () => true,
        isDefault: () => true,
        'owner-id': (network) => network.accountId,
        state: () => 'available',
        'vpc-id': (network) => network.vpcId,
      },
      notFound: vpcNotFound,
    });
    return {
      Vpcs: items.map((network) => ({
        VpcId: network.vpcId,
        CidrBlock: network.cidr,
        CidrBlockAssociationSet: [
          {
            AssociationId: network.vpcId.replace('vpc-', 'vpc-cidr-assoc-'),
            CidrBlock: network.cidr,
            CidrBlockState: { State: 'associated' as const },
          },
        ],
        DhcpOptionsId: network.dhcpOptionsId,
        InstanceTenancy: 'default' as const,
        IsDefault: true,
        OwnerId: network.accountId,
        State: 'available' as const,
        Tags: showTags(tags(network)),
      })),
      ...next,
    };
  };

export const vpcNotFound = (id: string) => ec2Error('InvalidVpcID.NotFound', `The vpc ID '${id}' does not exist`);

export const subnetNotFound = (id: string) =>
  ec2Error('InvalidSubnetID.NotFound', `The subnet ID '${id}' does not exist`);

export const describeVpcAttribute =
  (deps: InstanceDeps): OperationOf<DescribeVpcAttributeCommand> =>
  async (call, input) => {
    const { VpcId, Attribute } = input;
    if (!VpcId) throw missingParameter('vpcId');
    const resource = { arn: ec2Arn(call.region, call.caller.accountId, 'vpc', VpcId) };
    await authorizeOne(deps.authorizer, call, 'ec2:DescribeVpcAttribute', resource, {
      'ec2:Attribute': Attribute,
    });
    dryRun(input);
    const { vpcId } = await deps.network.defaults(call.caller.accountId, call.region);
    if (vpcId !== VpcId) throw vpcNotFound(VpcId);
    switch (Attribute) {
      case 'enableDnsSupport':
        return { VpcId, EnableDnsSupport: { Value: false } };
      case 'enableDnsHostnames':
        return { VpcId, EnableDnsHostnames: { Value: false } };
      case 'enableNetworkAddressUsageMetrics':
        return { VpcId, EnableNetworkAddressUsageMetrics: { Value: false } };
      default:
        throw invalidParameterValue(`Invalid value '${String(Attribute)}' for attribute.`);
    }
  };

export const describeSubnets =
  (deps: InstanceDeps): OperationOf<DescribeSubnetsCommand> =>
  async (call, input) => {
    const { vpcId } = await deps.network.defaults(call.caller.accountId, call.region);
    const { items, network, tags, next } = await describe(deps, call, input, (all) => all.subnets, {
      operation: 'DescribeSubnets',
      ids: input.SubnetIds,
      idsParameter: 'subnetSet',
      idOf: (subnet: SubnetRecord) => subnet.id,
      filters: {
        'availability-zone': (subnet) => subnet.zone,
        availabilityZone: (subnet) => subnet.zone,
        'availability-zone-id': (subnet) => subnet.zoneId,
        availabilityZoneId: (subnet) => subnet.zoneId,
        cidr: (subnet) => subnet.cidr,
        cidrBlock: (subnet) => subnet.cidr,
        'cidr-block': (subnet) => subnet.cidr,
        'default-for-az': () => true,
        defaultForAz: () => true,
        'map-public-ip-on-launch': () => deps.guestsAreReached,
        'owner-id': () => call.caller.accountId,
        state: () => 'available',
        'subnet-id': (subnet) => subnet.id,
        'vpc-id': () => vpcId,
      },
      notFound: subnetNotFound,
    });
    const used = await deps.network.interfaces(call.caller.accountId, call.region);
    return {
      Subnets: items.map((subnet) => ({
        SubnetId: subnet.id,
        SubnetArn: ec2Arn(call.region, network.accountId, 'subnet', subnet.id),
        VpcId: network.vpcId,
        OwnerId: network.accountId,
        AvailabilityZone: subnet.zone,
        AvailabilityZoneId: subnet.zoneId,
        CidrBlock: subnet.cidr,
        AvailableIpAddressCount:
          (parseIpv4Range(subnet.cidr)?.size ?? 0) -
          RESERVED_ADDRESSES -
          used.filter((each) => each.subnetId === subnet.id).length,
        DefaultForAz: true,
        MapPublicIpOnLaunch: deps.guestsAreReached,
        AssignIpv6AddressOnCreation: false,
        Ipv6Native: false,
        Ipv6CidrBlockAssociationSet: [],
        State: 'available' as const,
        Tags: showTags(tags(subnet)),
      })),
      ...next,
    };
  };

export const describeRouteTables =
  (deps: InstanceDeps): OperationOf<DescribeRouteTablesCommand> =>
  async (call, input) => {
    const { items, tags, next } = await describe(deps, call, input, (network) => [network], {
      operation: 'DescribeRouteTables',
      ids: input.RouteTableIds,
      idsParameter: 'routeTableIdSet',
      idOf: (network: DefaultNetwork) => network.routeTableId,
      filters: {
        'association.main': () => true,
        'association.route-table-id': (network) => network.routeTableId,
        'association.subnet-id': () => undefined,
        'owner-id': (network) => network.accountId,
        'route-table-id': (network) => network.routeTableId,
        'vpc-id': (network) => network.vpcId,
      },
      notFound: (id) => ec2Error('InvalidRouteTableID.NotFound', `The routeTable ID '${id}' does not exist`),
    });
    return {
      RouteTables: items.map((network) => ({
        RouteTableId: network.routeTableId,
        VpcId: network.vpcId,
        OwnerId: network.accountId,
        Associations: [
          {
            Main: true,
            RouteTableAssociationId: network.routeTableId.replace('rtb-', 'rtbassoc-'),
            RouteTableId: network.routeTableId,
            AssociationState: { State: 'associated' as const },
          },
        ],
        PropagatingVgws: [],
        Routes: [
          {
            DestinationCidrBlock: network.cidr,
            GatewayId: 'local',
            Origin: 'CreateRouteTable' as const,
            State: 'active' as const,
          },
          {
            DestinationCidrBlock: '0.0.0.0/0',
            GatewayId: network.internetGatewayId,
            Origin: 'CreateRoute' as const,
            // Machines are cut off from the world.
            State: 'blackhole' as const,
          },
        ],
        Tags: showTags(tags(network)),
      })),
      ...next,
    };
  };

export const describeInternetGateways =
  (deps: InstanceDeps): OperationOf<DescribeInternetGatewaysCommand> =>
  async (call, input) => {
    const { items, tags, next } = await describe(deps, call, input, (network) => [network], {
      operation: 'DescribeInternetGateways',
      ids: input.InternetGatewayIds,
      idsParameter: 'internetGatewayIdSet',
      idOf: (network: DefaultNetwork) => network.internetGatewayId,
      filters: {
        'attachment.state': () => 'available',
        'attachment.vpc-id': (network) => network.vpcId,
        'internet-gateway-id': (network) => network.internetGatewayId,
        'owner-id': (network) => network.accountId,
      },
      notFound: (id) => ec2Error('InvalidInternetGatewayID.NotFound', `The internetGateway ID '${id}' does not exist`),
    });
    return {
      InternetGateways: items.map((network) => ({
        InternetGatewayId: network.internetGatewayId,
        OwnerId: network.accountId,
        Attachments: [{ State: 'available' as 'attached', VpcId: network.vpcId }],
        Tags: showTags(tags(network)),
      })),
      ...next,
    };
  };

export const describeNetworkAcls =
  (deps: InstanceDeps): OperationOf<DescribeNetworkAclsCommand> =>
  async (call, input) => {
    const { items, tags, next } = await describe(deps, call, input, (network) => [network], {
      operation: 'DescribeNetworkAcls',
      ids: input.NetworkAclIds,
      idsParameter: 'networkAclIdSet',
      idOf: (network: DefaultNetwork) => network.networkAclId,
      filters: {
        'association.subnet-id': (network) => network.subnets.map((subnet) => subnet.id),
        default: () => true,
        'network-acl-id': (network) => network.networkAclId,
        'owner-id': (network) => network.accountId,
        'vpc-id': (network) => network.vpcId,
      },
      notFound: (id) => ec2Error('InvalidNetworkAclID.NotFound', `The networkAcl ID '${id}' does not exist`),
    });
    const entry = (Egress: boolean, RuleNumber: number, RuleAction: 'allow' | 'deny') => ({
      CidrBlock: '0.0.0.0/0',
      Egress,
      Protocol: '-1',
      RuleAction,
      RuleNumber,
    });
    return {
      NetworkAcls: items.map((network) => ({
        NetworkAclId: network.networkAclId,
        VpcId: network.vpcId,
        OwnerId: network.accountId,
        IsDefault: true,
        Associations: network.subnets.map((subnet) => ({
          NetworkAclAssociationId: subnet.id.replace('subnet-', 'aclassoc-'),
          NetworkAclId: network.networkAclId,
          SubnetId: subnet.id,
        })),
        Entries: [true, false].flatMap((egress) => [entry(egress, 100, 'allow'), entry(egress, 32_767, 'deny')]),
        Tags: showTags(tags(network)),
      })),
      ...next,
    };
  };

export const describeDhcpOptions =
  (deps: InstanceDeps): OperationOf<DescribeDhcpOptionsCommand> =>
  async (call, input) => {
    const { items, tags, next } = await describe(deps, call, input, (network) => [network], {
      operation: 'DescribeDhcpOptions',
      ids: input.DhcpOptionsIds,
      idsParameter: 'dhcpOptionsSet',
      idOf: (network: DefaultNetwork) => network.dhcpOptionsId,
      filters: {
        'dhcp-options-id': (network) => network.dhcpOptionsId,
        'owner-id': (network) => network.accountId,
      },
      notFound: (id) => ec2Error('InvalidDhcpOptionID.NotFound', `The dhcpOption ID '${id}' does not exist`),
    });
    return {
      DhcpOptions: items.map((network) => ({
        DhcpOptionsId: network.dhcpOptionsId,
        OwnerId: network.accountId,
        DhcpConfigurations: [],
        Tags: showTags(tags(network)),
      })),
      ...next,
    };
  };
