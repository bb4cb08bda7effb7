/** Spot instances by RunInstances: one-time requests without a price, launched by EC2 Spot in its role (P-15). */
import type { RunInstancesRequest } from '@aws-sdk/client-ec2';
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { ensureLinkedRole, linkedCaller, linkedRoleName } from '../../identity/linked-roles.ts';
import { type AccountId, type Arn, parseArn, type Region } from '../../ids.ts';
import { refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, unsupportedParameter } from './errors.ts';
import type { InstanceDeps } from './instance-shapes.ts';

const SERVICE = 'spot.amazonaws.com';

/** Whether a spot instance is asked for; refuses prices and interruptions, of which there are none here. */
export function isSpot({ InstanceMarketOptions: market, InstanceInitiatedShutdownBehavior }: RunInstancesRequest) {
  if (!market) return false;
  refuseAllBut(market, ['MarketType', 'SpotOptions'], 'InstanceMarketOptions.');
  const { MarketType, SpotOptions } = market;
  if (MarketType !== 'spot') {
    if (MarketType === undefined) {
      throw invalidParameterCombination('InstanceMarketOptions needs a MarketType.');
    }
    throw unsupportedParameter(`InstanceMarketOptions.MarketType ${MarketType}`);
  }
  const path = 'InstanceMarketOptions.SpotOptions.';
  if (SpotOptions) refuseAllBut(SpotOptions, ['InstanceInterruptionBehavior', 'SpotInstanceType'], path);
  // Nothing interrupts a spot instance here; ending it is what would be done.
  if ((SpotOptions?.InstanceInterruptionBehavior ?? 'terminate') !== 'terminate') {
    throw unsupportedParameter(`${path}InstanceInterruptionBehavior ${SpotOptions?.InstanceInterruptionBehavior}`);
  }
  if ((SpotOptions?.SpotInstanceType ?? 'one-time') !== 'one-time') {
    throw unsupportedParameter(`${path}SpotInstanceType ${SpotOptions?.SpotInstanceType}`);
  }
  if (InstanceInitiatedShutdownBehavior === 'stop') {
    throw invalidParameterValue('A Spot Instance of a one-time request terminates when it shuts down.');
  }
  return true;
}

/** The call in whose name the volumes are made. The role is made in the caller's name if it is not there yet. */
export async function spotCallOf(deps: InstanceDeps, call: Call): Promise<Call> {
  const { sourceIp: _, audit: __, ...rest } = call;
  try {
    const linked = { roles: deps.profiles.roles, authorizer: deps.authorizer };
    const role = await ensureLinkedRole(linked, call, SERVICE, 'Default EC2 Spot Service Linked Role');
    return { ...rest, caller: linkedCaller(role, 'EC2Spot', call.now), userAgent: SERVICE, invokedBy: SERVICE };
  } catch (cause) {
    if (!(cause instanceof Denied)) throw cause;
    throw ec2Error(
      'AuthFailure.ServiceLinkedRoleCreationNotPermitted',
      'The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.',
      { cause },
    );
  }
}

/** Spot instances that hold on to the role, by region; none where it is another service's. */
export async function spotUsesOfRole(
  { instances }: Pick<InstanceDeps, 'instances'>,
  regions: readonly Region[],
  arn: Arn,
): Promise<{ readonly region: Region; readonly resources: string[] }[]> {
  const account = parseArn(arn)!.account as AccountId;
  if (arn !== linkedRoleName(account, SERVICE).arn) return [];
  const uses = [];
  for (const region of regions) {
    const held = (await instances.list(account, region)).filter(
      ({ spot, state }) => spot && state !== 'terminated' && state !== 'shutting-down',
    );
    if (held.length > 0) uses.push({ region, resources: held.map(({ id }): string => id) });
  }
  return uses;
}
