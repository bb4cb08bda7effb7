/**
 * Attributes of the default network. None of them is a setting here: what they say of it is so and stays so, and asking
 * for anything else is refused by name. Clients that set a network up ask for what it is already.
 */
import type { ModifySubnetAttributeCommand, ModifyVpcAttributeCommand } from '@aws-sdk/client-ec2';
import { ec2Arn } from '../../ids.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeOne, refuseAllBut } from './common.ts';
import { subnetNotFound, vpcNotFound } from './describe-networks.ts';
import { invalidParameterCombination, missingParameter, unsupportedParameter } from './errors.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { tagRecord } from './tag-resources.ts';

/** The one attribute that a request gives, as EC2 wants it, must say what is so. */
function requireAsItIs<Input extends object>(
  input: Input,
  facts: Readonly<Partial<Record<keyof Input, unknown>>>,
): void {
  const given = Object.entries(facts).filter(([name]) => input[name as keyof Input] !== undefined);
  const [first, second] = given;
  if (!first) throw missingParameter('attribute');
  if (second) throw invalidParameterCombination(`Only one of ${first[0]} and ${second[0]} can be modified at a time.`);
  const [name, fact] = first;
  const asked: unknown = input[name as keyof Input];
  const value = typeof asked === 'object' && asked !== null && 'Value' in asked ? asked.Value : asked;
  if (value !== fact) throw unsupportedParameter(`${name} ${String(value)}`);
}

/** There is no resolver, and guests have no public names. */
const VPC_ATTRIBUTES = {
  EnableDnsSupport: false,
  EnableDnsHostnames: false,
  EnableNetworkAddressUsageMetrics: false,
} as const satisfies Partial<Record<keyof InputOf<ModifyVpcAttributeCommand>, boolean>>;

export const modifyVpcAttribute =
  (deps: InstanceDeps): OperationOf<ModifyVpcAttributeCommand> =>
  async (call, input) => {
    const { VpcId: id } = input;
    if (!id) throw missingParameter('vpcId');
    refuseAllBut(input, ['VpcId', 'EnableDnsSupport', 'EnableDnsHostnames', 'EnableNetworkAddressUsageMetrics']);
    requireAsItIs(input, VPC_ATTRIBUTES);
    const arn = ec2Arn(call.region, call.caller.accountId, 'vpc', id);
    const tags = (await deps.tags.of(call.caller.accountId, call.region, [id])).get(id) ?? [];
    await authorizeOne(deps.authorizer, call, 'ec2:ModifyVpcAttribute', { arn, tags: tagRecord(tags) });
    const { vpcId } = await deps.network.defaults(call.caller.accountId, call.region);
    if (vpcId !== id) throw vpcNotFound(id);
    return {};
  };

export const modifySubnetAttribute =
  (deps: InstanceDeps): OperationOf<ModifySubnetAttributeCommand> =>
  async (call, input) => {
    const { SubnetId: id } = input;
    if (!id) throw missingParameter('subnetId');
    refuseAllBut(input, [
      'SubnetId',
      'AssignIpv6AddressOnCreation',
      'EnableDns64',
      'EnableResourceNameDnsAAAARecordOnLaunch',
      'EnableResourceNameDnsARecordOnLaunch',
      'MapCustomerOwnedIpOnLaunch',
      'MapPublicIpOnLaunch',
      'PrivateDnsHostnameTypeOnLaunch',
    ]);
    requireAsItIs(input, {
      AssignIpv6AddressOnCreation: false,
      EnableDns64: false,
      EnableResourceNameDnsAAAARecordOnLaunch: false,
      EnableResourceNameDnsARecordOnLaunch: false,
      MapCustomerOwnedIpOnLaunch: false,
      MapPublicIpOnLaunch: deps.guestsAreReached,
      PrivateDnsHostnameTypeOnLaunch: 'ip-name',
    });
    const arn = ec2Arn(call.region, call.caller.accountId, 'subnet', id);
    const tags = (await deps.tags.of(call.caller.accountId, call.region, [id])).get(id) ?? [];
    await authorizeOne(deps.authorizer, call, 'ec2:ModifySubnetAttribute', { arn, tags: tagRecord(tags) });
    const { subnets } = await deps.network.defaults(call.caller.accountId, call.region);
    if (!subnets.some((subnet) => subnet.id === id)) throw subnetNotFound(id);
    return {};
  };
