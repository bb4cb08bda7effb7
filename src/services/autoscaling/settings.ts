/** What CreateAutoScalingGroup and UpdateAutoScalingGroup say of a group, checked. */
import type { CreateAutoScalingGroupType, LaunchTemplateSpecification } from '@aws-sdk/client-auto-scaling';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { GroupSettings, GroupTemplate, Place } from '../../auto-scaling/auto-scaling.ts';
import { ensureLinkedRole, findLinkedRole, linkedRoleName } from '../../identity/linked-roles.ts';
import { type Arn, isEc2Id } from '../../ids.ts';
import { type AutoScalingServiceDeps, validation } from './autoscaling.ts';

const SERVICE = 'autoscaling.amazonaws.com';
const ROLE_DESCRIPTION =
  'Default Service-Linked Role enables access to AWS Services and Resources used or managed by Auto Scaling';
export const GRACE_SECONDS = { create: 0, max: 7200 } as const;

type Given = Pick<
  CreateAutoScalingGroupType,
  | 'AvailabilityZoneDistribution'
  | 'AvailabilityZoneImpairmentPolicy'
  | 'AvailabilityZones'
  | 'CapacityRebalance'
  | 'CapacityReservationSpecification'
  | 'DefaultCooldown'
  | 'DesiredCapacityType'
  | 'HealthCheckGracePeriod'
  | 'HealthCheckType'
  | 'LaunchTemplate'
  | 'MaxInstanceLifetime'
  | 'MinSize'
  | 'MaxSize'
  | 'NewInstancesProtectedFromScaleIn'
  | 'ServiceLinkedRoleARN'
  | 'TerminationPolicies'
  | 'VPCZoneIdentifier'
>;
export const GIVEN = [
  'AutoScalingGroupName',
  'AvailabilityZoneDistribution',
  'AvailabilityZoneImpairmentPolicy',
  'AvailabilityZones',
  'CapacityRebalance',
  'CapacityReservationSpecification',
  'DefaultCooldown',
  'DesiredCapacity',
  'DesiredCapacityType',
  'HealthCheckGracePeriod',
  'HealthCheckType',
  'LaunchTemplate',
  'MaxInstanceLifetime',
  'MinSize',
  'MaxSize',
  'NewInstancesProtectedFromScaleIn',
  'ServiceLinkedRoleARN',
  'TerminationPolicies',
  'VPCZoneIdentifier',
] as const;

/** No scaling policy waits for it; AWS's value where none is given. */
export const COOLDOWN_SECONDS = 300;

/** Settings that may be spelt out as what they are without being given, as Terraform does, and nothing else. */
export function refuseWithoutEffect(input: Partial<Given>): void {
  const unsupported = (name: string) => validation(`The parameter ${name} is not supported.`);
  if (input.HealthCheckType !== undefined && input.HealthCheckType !== 'EC2') {
    throw validation(`HealthCheckType ${input.HealthCheckType} is not supported: Ingot checks the health of EC2 only.`);
  }
  const spread = input.AvailabilityZoneDistribution?.CapacityDistributionStrategy;
  if ((spread ?? 'balanced-best-effort') !== 'balanced-best-effort') throw unsupported('AvailabilityZoneDistribution');
  const impairment = input.AvailabilityZoneImpairmentPolicy;
  if (
    impairment?.ZonalShiftEnabled ||
    (impairment?.ImpairedZoneHealthCheckBehavior ?? 'ReplaceUnhealthy') !== 'ReplaceUnhealthy'
  ) {
    throw unsupported('AvailabilityZoneImpairmentPolicy');
  }
  const reserved = input.CapacityReservationSpecification;
  if ((reserved?.CapacityReservationPreference ?? 'default') !== 'default' || reserved?.CapacityReservationTarget) {
    throw unsupported('CapacityReservationSpecification');
  }
  if ((input.DefaultCooldown ?? COOLDOWN_SECONDS) !== COOLDOWN_SECONDS) throw unsupported('DefaultCooldown');
  if (input.NewInstancesProtectedFromScaleIn) throw unsupported('NewInstancesProtectedFromScaleIn');
  if (input.CapacityRebalance) throw unsupported('CapacityRebalance');
  if (input.MaxInstanceLifetime) throw unsupported('MaxInstanceLifetime');
  if ((input.DesiredCapacityType ?? 'units') !== 'units') throw unsupported('DesiredCapacityType');
  if (input.TerminationPolicies?.some((policy) => policy !== 'Default')) throw unsupported('TerminationPolicies');
}

export function graceOf({ HealthCheckGracePeriod: seconds }: Partial<Given>): number | undefined {
  if (seconds !== undefined && (seconds < 0 || seconds > GRACE_SECONDS.max)) {
    throw validation(`HealthCheckGracePeriod must be between 0 and ${GRACE_SECONDS.max} seconds.`);
  }
  return seconds;
}

/** Condition keys that say what a group would be. */
export function sizeContext(input: Partial<Given>): ConditionValues {
  return {
    ...(input.MinSize === undefined ? {} : { 'autoscaling:MinSize': input.MinSize }),
    ...(input.MaxSize === undefined ? {} : { 'autoscaling:MaxSize': input.MaxSize }),
    ...(input.LaunchTemplate
      ? { 'autoscaling:LaunchTemplateVersionSpecified': input.LaunchTemplate.Version !== undefined }
      : {}),
  };
}

/** Zones or subnets, or both where they agree; `undefined` where neither is given. */
export async function placesOf(
  deps: AutoScalingServiceDeps,
  call: Call,
  input: Partial<Given>,
): Promise<Pick<GroupSettings, 'places' | 'subnetIds'> | undefined> {
  const zones = input.AvailabilityZones ?? [];
  const subnetIds = (input.VPCZoneIdentifier ?? '').replace(/\s/g, '');
  if (zones.length === 0 && subnetIds === '') return undefined;
  const { subnets } = await deps.network.defaults(call.caller.accountId, call.region);
  for (const zone of zones) {
    if (!subnets.some((subnet) => subnet.zone === zone)) throw validation(`Invalid availability zone: [${zone}]`);
  }
  const asPlace = ({ id, zone }: { readonly id: string; readonly zone: string }): Place => ({ subnetId: id, zone });
  if (subnetIds === '') {
    return { places: subnets.filter(({ zone }) => zones.includes(zone)).map(asPlace), subnetIds };
  }
  const places = subnetIds.split(',').map((id) => {
    const subnet = subnets.find((each) => each.id === id);
    if (!subnet) throw validation(`The subnet ID '${id}' does not exist`);
    return asPlace(subnet);
  });
  const outside = places.find(({ zone }) => zones.length > 0 && !zones.includes(zone));
  if (outside) {
    throw validation(`The subnet ${outside.subnetId} is not in one of the availability zones ${zones.join(', ')}.`);
  }
  return { places, subnetIds };
}

/** The template by id or by name; its version stays as given, for it is looked up at each launch (LT-15). */
export async function templateOf(
  deps: AutoScalingServiceDeps,
  call: Call,
  given: LaunchTemplateSpecification,
): Promise<GroupTemplate> {
  const { LaunchTemplateId: id, LaunchTemplateName: name, Version: version = '$Default' } = given;
  if ((id === undefined) === (name === undefined)) {
    throw validation('Valid requests must contain either launchTemplateId or LaunchTemplateName');
  }
  if (id !== undefined && !isEc2Id(id, 'lt')) {
    throw validation(`The specified launch template ID ${id} is malformed.`);
  }
  const named = id === undefined ? { name: name! } : { id };
  const template = await deps.launchTemplates.find(call.caller.accountId, call.region, named);
  if (!template) {
    const which = id === undefined ? `name ${name}` : `ID ${id}`;
    throw validation(`The specified launch template, with template ${which}, does not exist.`);
  }
  return { id: template.id, name: template.name, version };
}

/** The role given, which the caller must be allowed to pass; else the service's own, made where it is not there yet. */
export async function roleArnOf(deps: AutoScalingServiceDeps, call: Call, given: string | undefined): Promise<Arn> {
  if (given !== undefined) {
    const role = await findLinkedRole(deps.roles, SERVICE, given);
    if (role?.accountId !== call.caller.accountId) {
      throw validation('ARN specified for Service-Linked Role does not exist.');
    }
    if (role.arn !== linkedRoleName(role.accountId, SERVICE).arn) {
      const via: Call = { ...call, viaService: SERVICE, invokedBy: SERVICE };
      const resource = { arn: role.arn, tags: role.tags };
      await deps.authorizer.authorize(via, 'iam:PassRole', resource, { 'iam:PassedToService': SERVICE });
    }
    return role.arn;
  }
  return (await ensureLinkedRole(deps, call, SERVICE, ROLE_DESCRIPTION)).arn;
}
