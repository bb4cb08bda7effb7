/** Rules of security groups: authorize, revoke, describe. */
import type {
  AuthorizeSecurityGroupEgressCommand,
  AuthorizeSecurityGroupIngressCommand,
  DescribeSecurityGroupRulesCommand,
  IpPermission,
  RevokeSecurityGroupEgressCommand,
  RevokeSecurityGroupIngressCommand,
  SecurityGroupRule as ShownRule,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { ec2Arn } from '../../ids.ts';
import { isIpv4Range, isIpv6Range } from '../../network/cidr.ts';
import type { NewRule, RulePeer, SecurityGroupRecord, SecurityGroupRule } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeTagsOnCreate, dryRun, refuseUnsupported } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  unsupportedParameter,
} from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { groupNotFound, type InstanceDeps, showTags } from './instance-shapes.ts';
import { page } from './paging.ts';
import { useGroup } from './security-groups.ts';
import { tagSpecifications } from './tag-specifications.ts';

const PROTOCOLS = ['tcp', 'udp', 'icmp', 'icmpv6'];
const NUMBERS: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', '17': 'udp', '58': 'icmpv6', all: '-1' };
const RULES_MAX = 60;

/** The two spellings of a request: permissions, or the members of one rule. */
interface RuleInput {
  readonly IpPermissions?: readonly IpPermission[] | undefined;
  readonly CidrIp?: string | undefined;
  readonly IpProtocol?: string | undefined;
  readonly FromPort?: number | undefined;
  readonly ToPort?: number | undefined;
  readonly SourceSecurityGroupName?: string | undefined;
  readonly SourceSecurityGroupOwnerId?: string | undefined;
}

const SINGLE = [
  'CidrIp',
  'IpProtocol',
  'FromPort',
  'ToPort',
  'SourceSecurityGroupName',
  'SourceSecurityGroupOwnerId',
] as const satisfies readonly (keyof RuleInput)[];

function rulesOf(input: RuleInput, egress: boolean, groups: readonly SecurityGroupRecord[]): NewRule[] {
  const single = SINGLE.find((name) => input[name] !== undefined);
  if (input.IpPermissions?.length && single !== undefined) {
    const member = single.slice(0, 1).toLowerCase() + single.slice(1);
    throw invalidParameterCombination(`The parameter 'ipPermissions' may not be used in combination with '${member}'`);
  }
  const permissions = input.IpPermissions?.length ? input.IpPermissions : [oneRule(input)];
  return permissions.flatMap((permission) => rulesOfPermission(permission, egress, groups));
}

function oneRule(input: RuleInput): IpPermission {
  const { IpProtocol, FromPort, ToPort, CidrIp, SourceSecurityGroupName: GroupName } = input;
  const UserId = input.SourceSecurityGroupOwnerId;
  return {
    ...(IpProtocol === undefined ? {} : { IpProtocol }),
    ...(FromPort === undefined ? {} : { FromPort }),
    ...(ToPort === undefined ? {} : { ToPort }),
    ...(CidrIp === undefined ? {} : { IpRanges: [{ CidrIp }] }),
    ...(GroupName === undefined
      ? {}
      : { UserIdGroupPairs: [{ GroupName, ...(UserId === undefined ? {} : { UserId }) }] }),
  };
}

function rulesOfPermission(
  permission: IpPermission,
  egress: boolean,
  groups: readonly SecurityGroupRecord[],
): NewRule[] {
  if (permission.PrefixListIds?.length) throw unsupportedParameter('IpPermissions.PrefixListIds');
  const ports = portsOf(permission);
  const rule = (peer: RulePeer, description: string | undefined): NewRule => ({
    ...ports,
    egress,
    peer,
    ...(description ? { description } : {}),
  });
  const rules = [
    ...(permission.IpRanges ?? []).map(({ CidrIp, Description }) => {
      if (!CidrIp || !isIpv4Range(CidrIp)) throw invalidParameterValue(`CIDR block ${CidrIp} is malformed`);
      return rule({ kind: 'cidr-ipv4', value: CidrIp }, Description);
    }),
    ...(permission.Ipv6Ranges ?? []).map(({ CidrIpv6, Description }) => {
      if (!CidrIpv6 || !isIpv6Range(CidrIpv6)) throw invalidParameterValue(`CIDR block ${CidrIpv6} is malformed`);
      return rule({ kind: 'cidr-ipv6', value: CidrIpv6 }, Description);
    }),
    ...(permission.UserIdGroupPairs ?? []).map((pair) => {
      refuseUnsupported(pair, ['PeeringStatus', 'VpcPeeringConnectionId'], 'IpPermissions.Groups.');
      const { GroupId, GroupName, UserId, VpcId, Description } = pair;
      const group = groups.find((each) => (GroupId ? each.id === GroupId : each.name === GroupName));
      const elsewhere = group && ((UserId && UserId !== group.accountId) || (VpcId && VpcId !== group.vpcId));
      if (!group || elsewhere) throw groupNotFound(GroupId ?? GroupName ?? '');
      return rule({ kind: 'group', value: group.id }, Description);
    }),
  ];
  if (rules.length === 0) throw missingParameter('ipRanges');
  return rules;
}

function portsOf({ IpProtocol, FromPort, ToPort }: IpPermission): Pick<NewRule, 'protocol' | 'fromPort' | 'toPort'> {
  if (!IpProtocol) throw missingParameter('ipProtocol');
  const lower = IpProtocol.toLowerCase();
  const protocol = NUMBERS[lower] ?? lower;
  if (protocol === '-1') return { protocol, fromPort: -1, toPort: -1 };
  const isNumber = /^\d{1,3}$/.test(protocol) && Number(protocol) <= 255;
  if (!PROTOCOLS.includes(protocol) && !isNumber) {
    throw invalidParameterValue(`Invalid value '${IpProtocol}' for IP protocol. Unknown protocol.`);
  }
  if (isNumber) return { protocol, fromPort: -1, toPort: -1 };
  if (FromPort === undefined || ToPort === undefined) {
    throw invalidParameterValue('Invalid value for portRange. Must specify both from and to ports with TCP/UDP.');
  }
  const inRange = (port: number) => port >= -1 && port <= 65_535;
  if (!inRange(FromPort) || !inRange(ToPort) || (protocol !== 'icmp' && protocol !== 'icmpv6' && FromPort > ToPort)) {
    throw invalidParameterValue(`Invalid TCP/UDP port range (${FromPort}:${ToPort})`);
  }
  return { protocol, fromPort: FromPort, toPort: ToPort };
}

function showRule(group: SecurityGroupRecord, rule: SecurityGroupRule, tags: readonly Tag[]): ShownRule {
  const { kind, value } = rule.peer;
  return {
    SecurityGroupRuleId: rule.id,
    SecurityGroupRuleArn: ec2Arn(group.region, group.accountId, 'security-group-rule', rule.id),
    GroupId: group.id,
    GroupOwnerId: group.accountId,
    IsEgress: rule.egress,
    IpProtocol: rule.protocol,
    FromPort: rule.fromPort,
    ToPort: rule.toPort,
    ...(kind === 'cidr-ipv4' ? { CidrIpv4: value } : {}),
    ...(kind === 'cidr-ipv6' ? { CidrIpv6: value } : {}),
    ...(kind === 'group'
      ? { ReferencedGroupInfo: { GroupId: value, UserId: group.accountId, VpcId: group.vpcId } }
      : {}),
    ...(rule.description === undefined ? {} : { Description: rule.description }),
    Tags: showTags(tags),
  };
}

async function addRules(
  deps: InstanceDeps,
  call: Call,
  action: 'ec2:AuthorizeSecurityGroupIngress' | 'ec2:AuthorizeSecurityGroupEgress',
  input: Parameters<ReturnType<typeof authorizeSecurityGroupIngress>>[1],
) {
  const tags = tagSpecifications(input.TagSpecifications, ['security-group-rule']).get('security-group-rule') ?? [];
  const { group, permit } = await useGroup(deps, call, action, input);
  const resource = { arn: ec2Arn(call.region, group.accountId, 'security-group-rule', '*') };
  await authorizeTagsOnCreate(deps.authorizer, call, action.slice('ec2:'.length), [{ resource, tags }]);
  const groups = await deps.network.groups(group.accountId, group.region);
  const rules = rulesOf(input, action === 'ec2:AuthorizeSecurityGroupEgress', groups);
  dryRun(input);
  if (group.rules.length + rules.length > 2 * RULES_MAX) {
    throw ec2Error('RulesPerSecurityGroupLimitExceeded', 'The maximum number of rules per security group is reached.');
  }
  const added = await deps.db.write(async (tx) => {
    const made = await deps.network.addRules(tx, permit, rules);
    for (const { id } of made) {
      await deps.tags.put(tx, group.accountId, group.region, 'security-group-rule', id, tags);
    }
    return made;
  });
  return { Return: true, SecurityGroupRules: added.map((rule) => showRule(group, rule, tags)) };
}

export const authorizeSecurityGroupIngress =
  (deps: InstanceDeps): OperationOf<AuthorizeSecurityGroupIngressCommand> =>
  (call, input) =>
    addRules(deps, call, 'ec2:AuthorizeSecurityGroupIngress', input);

export const authorizeSecurityGroupEgress =
  (deps: InstanceDeps): OperationOf<AuthorizeSecurityGroupEgressCommand> =>
  (call, input) =>
    addRules(deps, call, 'ec2:AuthorizeSecurityGroupEgress', input);

async function removeRules(
  deps: InstanceDeps,
  call: Call,
  action: 'ec2:RevokeSecurityGroupIngress' | 'ec2:RevokeSecurityGroupEgress',
  input: Parameters<ReturnType<typeof revokeSecurityGroupIngress>>[1],
) {
  const { group, permit } = await useGroup(deps, call, action, input);
  const ids = input.SecurityGroupRuleIds;
  const groups = await deps.network.groups(group.accountId, group.region);
  const egress = action === 'ec2:RevokeSecurityGroupEgress';
  const rules = ids?.length ? { ids } : { like: rulesOf(input, egress, groups) };
  dryRun(input);
  await deps.db.write((tx) => deps.network.removeRules(tx, permit, rules));
  return { Return: true };
}

export const revokeSecurityGroupIngress =
  (deps: InstanceDeps): OperationOf<RevokeSecurityGroupIngressCommand> =>
  (call, input) =>
    removeRules(deps, call, 'ec2:RevokeSecurityGroupIngress', input);

export const revokeSecurityGroupEgress =
  (deps: InstanceDeps): OperationOf<RevokeSecurityGroupEgressCommand> =>
  (call, input) =>
    removeRules(deps, call, 'ec2:RevokeSecurityGroupEgress', input);

interface RuleOfGroup {
  readonly group: SecurityGroupRecord;
  readonly rule: SecurityGroupRule;
}

const FILTERS: FilterReaders<RuleOfGroup> = {
  'group-id': ({ group }) => group.id,
  'security-group-rule-id': ({ rule }) => rule.id,
};

export const describeSecurityGroupRules =
  (deps: InstanceDeps): OperationOf<DescribeSecurityGroupRulesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeSecurityGroupRules');
    dryRun(input);
    const groups = await deps.network.groups(call.caller.accountId, call.region);
    const all = groups.flatMap((group) => group.rules.map((rule): RuleOfGroup => ({ group, rule })));
    const ids = input.SecurityGroupRuleIds;
    const missing = ids?.find((id) => !all.some(({ rule }) => rule.id === id));
    if (missing !== undefined) {
      throw ec2Error('InvalidSecurityGroupRuleId.NotFound', `The security group rule ID '${missing}' does not exist`);
    }
    const asked = all.filter(({ rule }) => !ids?.length || ids.includes(rule.id));
    const found = await deps.tags.of(
      call.caller.accountId,
      call.region,
      asked.map(({ rule }) => rule.id),
    );
    const tags = ({ rule }: RuleOfGroup): readonly Tag[] => found.get(rule.id) ?? [];
    const { items, NextToken } = page(asked.filter(compileFilters(input.Filters, FILTERS, tags)), input, {
      operation: 'DescribeSecurityGroupRules',
      key: ({ rule }) => rule.id,
      ids: { parameter: 'securityGroupRuleIds', given: ids },
    });
    return {
      SecurityGroupRules: items.map((each) => showRule(each.group, each.rule, tags(each))),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };
