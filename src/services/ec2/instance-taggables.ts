import type { Call } from '../../authz/caller.ts';
import { ec2Arn } from '../../ids.ts';
import { replacementNotFound } from './describe-replace-root-volume-tasks.ts';
import { ec2Error, instanceNotFound } from './errors.ts';
import { groupNotFound, type InstanceDeps, ownInstance } from './instance-shapes.ts';
import type { Taggable } from './tag-resources.ts';

/** What of instances and networks can be tagged, by id prefix. */
export function instanceTaggables(
  deps: Pick<InstanceDeps, 'instances' | 'network' | 'keyPairs'>,
): Readonly<
  Record<
    'i' | 'eni' | 'key' | 'sg' | 'sgr' | 'subnet' | 'vpc' | 'igw' | 'rtb' | 'acl' | 'dopt' | 'replacevol',
    Taggable
  >
> {
  const taggable = (resourceType: string, exists: Taggable['exists'], notFound: Taggable['notFound']): Taggable => ({
    resourceType,
    arn: (call, id) => ec2Arn(call.region, call.caller.accountId, resourceType, id),
    exists,
    notFound,
  });
  const defaults = (call: Call) => deps.network.defaults(call.caller.accountId, call.region);
  const groups = (call: Call) => deps.network.groups(call.caller.accountId, call.region);
  const gone = (code: string, what: string) => (id: string) => ec2Error(code, `The ${what} ID '${id}' does not exist`);
  return {
    i: taggable(
      'instance',
      async (call, id) => (await ownInstance(deps, call, id)) !== undefined,
      (id) => instanceNotFound([id]),
    ),
    eni: taggable(
      'network-interface',
      async (call, id) =>
        (await deps.network.interfaces(call.caller.accountId, call.region)).some((link) => link.id === id),
      gone('InvalidNetworkInterfaceID.NotFound', 'networkInterface'),
    ),
    key: taggable(
      'key-pair',
      async (call, id) => (await deps.keyPairs.list(call.caller.accountId, call.region)).some((pair) => pair.id === id),
      (id) => ec2Error('InvalidKeyPair.NotFound', `The key pair '${id}' does not exist`),
    ),
    sg: taggable(
      'security-group',
      async (call, id) => (await groups(call)).some((each) => each.id === id),
      groupNotFound,
    ),
    sgr: taggable(
      'security-group-rule',
      async (call, id) => (await groups(call)).some((group) => group.rules.some((rule) => rule.id === id)),
      gone('InvalidSecurityGroupRuleId.NotFound', 'security group rule'),
    ),
    subnet: taggable(
      'subnet',
      async (call, id) => (await defaults(call)).subnets.some((each) => each.id === id),
      gone('InvalidSubnetID.NotFound', 'subnet'),
    ),
    vpc: taggable('vpc', async (call, id) => (await defaults(call)).vpcId === id, gone('InvalidVpcID.NotFound', 'vpc')),
    igw: taggable(
      'internet-gateway',
      async (call, id) => (await defaults(call)).internetGatewayId === id,
      gone('InvalidInternetGatewayID.NotFound', 'internetGateway'),
    ),
    rtb: taggable(
      'route-table',
      async (call, id) => (await defaults(call)).routeTableId === id,
      gone('InvalidRouteTableID.NotFound', 'routeTable'),
    ),
    acl: taggable(
      'network-acl',
      async (call, id) => (await defaults(call)).networkAclId === id,
      gone('InvalidNetworkAclID.NotFound', 'networkAcl'),
    ),
    replacevol: taggable(
      'replace-root-volume-task',
      async (call, id) =>
        (await deps.instances.listReplacements(call.caller.accountId, call.region)).some((task) => task.id === id),
      replacementNotFound,
    ),
    dopt: taggable(
      'dhcp-options',
      async (call, id) => (await defaults(call)).dhcpOptionsId === id,
      gone('InvalidDhcpOptionID.NotFound', 'dhcpOption'),
    ),
  };
}
