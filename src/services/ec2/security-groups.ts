/** Security groups. Machines are cut off from each other and from the host, so rules are kept and have nothing to stop. */
import type {
  CreateSecurityGroupCommand,
  DeleteSecurityGroupCommand,
  DescribeSecurityGroupsCommand,
  IpPermission,
  SecurityGroup,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ec2Arn } from '../../ids.ts';
import type { SecurityGroupRecord, SecurityGroupRule } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne, authorizeTagsOnCreate, dryRun, requestTagContext } from './common.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { groupNotFound, type InstanceDeps, showTags } from './instance-shapes.ts';
import { page } from './paging.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';

const NAME = /^[A-Za-z0-9. _\-:/()#,@[\]+=&;{}!$*]{1,255}$/;

const FILTERS: FilterReaders<SecurityGroupRecord> = {
  description: (group) => group.description,
  'group-id': (group) => group.id,
  'group-name': (group) => group.name,
  'ip-permission.cidr': (group) => peers(group, false, 'cidr-ipv4'),
  'ip-permission.group-id': (group) => peers(group, false, 'group'),
  'egress.ip-permission.cidr': (group) => peers(group, true, 'cidr-ipv4'),
  'owner-id': (group) => group.accountId,
  'vpc-id': (group) => group.vpcId,
};

function peers(group: SecurityGroupRecord, egress: boolean, kind: string): string[] {
  return group.rules.filter((rule) => rule.egress === egress && rule.peer.kind === kind).map((rule) => rule.peer.value);
}

export const describeSecurityGroups =
  (deps: InstanceDeps): OperationOf<DescribeSecurityGroupsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeSecurityGroups');
    dryRun(input);
    const { accountId } = call.caller;
    const groups = await deps.network.groups(accountId, call.region);
    const missingId = input.GroupIds?.find((id) => !groups.some((group) => group.id === id));
    const missing = missingId ?? input.GroupNames?.find((name) => !groups.some((group) => group.name === name));
    if (missing !== undefined) throw groupNotFound(missing);
    const asked = groups.filter(
      ({ id, name }) =>
        (!input.GroupIds?.length || input.GroupIds.includes(id)) &&
        (!input.GroupNames?.length || input.GroupNames.includes(name)),
    );
    const found = await deps.tags.of(
      accountId,
      call.region,
      asked.map((group) => group.id),
    );
    const tags = (group: SecurityGroupRecord): readonly Tag[] => found.get(group.id) ?? [];
    const { items, NextToken } = page(asked.filter(compileFilters(input.Filters, FILTERS, tags)), input, {
      operation: 'DescribeSecurityGroups',
      key: (group) => group.id,
      ids: { parameter: 'groupIds', given: input.GroupIds },
    });
    return {
      SecurityGroups: items.map((group) => showGroup(group, tags(group))),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };

function showGroup(group: SecurityGroupRecord, tags: readonly Tag[]): SecurityGroup {
  return {
    GroupId: group.id,
    GroupName: group.name,
    Description: group.description,
    OwnerId: group.accountId,
    VpcId: group.vpcId,
    SecurityGroupArn: ec2Arn(group.region, group.accountId, 'security-group', group.id),
    IpPermissions: showPermissions(
      group,
      group.rules.filter((rule) => !rule.egress),
    ),
    IpPermissionsEgress: showPermissions(
      group,
      group.rules.filter((rule) => rule.egress),
    ),
    Tags: showTags(tags),
  };
}

/** Rules for the same ports are one permission with several peers. */
function showPermissions(group: SecurityGroupRecord, rules: readonly SecurityGroupRule[]): IpPermission[] {
  const byPorts = Map.groupBy(rules, (rule) => `${rule.protocol} ${rule.fromPort} ${rule.toPort}`);
  return [...byPorts.values()].map((same) => {
    const { protocol, fromPort, toPort } = same[0]!;
    const of = (kind: string) => same.filter((rule) => rule.peer.kind === kind);
    const note = (rule: SecurityGroupRule) => (rule.description === undefined ? {} : { Description: rule.description });
    return {
      IpProtocol: protocol,
      ...(protocol === '-1' ? {} : { FromPort: fromPort, ToPort: toPort }),
      IpRanges: of('cidr-ipv4').map((rule) => ({ CidrIp: rule.peer.value, ...note(rule) })),
      Ipv6Ranges: of('cidr-ipv6').map((rule) => ({ CidrIpv6: rule.peer.value, ...note(rule) })),
      PrefixListIds: [],
      UserIdGroupPairs: of('group').map((rule) => ({
        GroupId: rule.peer.value,
        UserId: group.accountId,
        ...note(rule),
      })),
    };
  });
}

export const createSecurityGroup =
  (deps: InstanceDeps): OperationOf<CreateSecurityGroupCommand> =>
  async (call, input) => {
    const { GroupName: name, Description: description } = input;
    if (!name) throw missingParameter('groupName');
    if (!description) throw missingParameter('groupDescription');
    if (!NAME.test(name) || name.startsWith('sg-')) {
      throw invalidParameterValue(
        `Invalid value '${name}' for groupName. It must be 1 to 255 characters and not start with 'sg-'.`,
      );
    }
    if (!NAME.test(description)) throw invalidParameterValue('Invalid value for groupDescription.');
    const { accountId } = call.caller;
    const { vpcId } = await deps.network.defaults(accountId, call.region);
    const tags = tagSpecifications(input.TagSpecifications, ['security-group']).get('security-group') ?? [];
    const resource = { arn: ec2Arn(call.region, accountId, 'security-group', '*') };
    const permit = await authorizeOne(
      deps.authorizer,
      call,
      'ec2:CreateSecurityGroup',
      resource,
      requestTagContext(tags),
    );
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateSecurityGroup', [{ resource, tags }]);
    dryRun(input);
    if (input.VpcId && input.VpcId !== vpcId) {
      throw ec2Error('InvalidVpcID.NotFound', `The vpc ID '${input.VpcId}' does not exist`);
    }
    const group = { accountId, region: call.region, vpcId, name, description };
    const { id } = await deps.db.write(async (tx) => {
      const made = await deps.network.createGroup(tx, permit, group);
      await deps.tags.put(tx, accountId, call.region, 'security-group', made.id, tags);
      return made;
    });
    const SecurityGroupArn = ec2Arn(call.region, accountId, 'security-group', id);
    return { GroupId: id, SecurityGroupArn, Tags: showTags(tags) };
  };

export const deleteSecurityGroup =
  (deps: InstanceDeps): OperationOf<DeleteSecurityGroupCommand> =>
  async (call, input) => {
    const { group, permit } = await useGroup(deps, call, 'ec2:DeleteSecurityGroup', input);
    dryRun(input);
    await deps.db.write(async (tx) => {
      await deps.network.deleteGroup(tx, permit);
      await deps.tags.removeAll(tx, group.accountId, group.region, group.id);
    });
    return { Return: true, GroupId: group.id };
  };

/** By id or by name; denied comes before not found. */
export async function useGroup<Action extends string>(
  deps: InstanceDeps,
  call: Call,
  action: Action,
  input: { readonly GroupId?: string | undefined; readonly GroupName?: string | undefined },
): Promise<{ readonly group: SecurityGroupRecord; readonly permit: Permit<Action> }> {
  const { GroupId: id, GroupName: name } = input;
  if (!id && !name) throw missingParameter('GroupId');
  const { accountId } = call.caller;
  const groups = await deps.network.groups(accountId, call.region);
  const group = groups.find((each) => (id ? each.id === id : each.name === name));
  const tags = group && (await deps.tags.of(accountId, call.region, [group.id])).get(group.id);
  const arn = ec2Arn(call.region, accountId, 'security-group', group?.id ?? id ?? '*');
  const context = group ? { 'ec2:Vpc': ec2Arn(call.region, accountId, 'vpc', group.vpcId) } : {};
  const permit = await authorizeOne(deps.authorizer, call, action, { arn, tags: tagRecord(tags ?? []) }, context);
  if (!group) throw groupNotFound(id ?? name ?? '');
  return { group, permit };
}
