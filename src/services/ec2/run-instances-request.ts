/** What RunInstances asks for, checked: parameters and references first, authorization afterwards (L-28, RI-7). */
import type { InstanceNetworkInterfaceSpecification, RunInstancesRequest } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { isEc2Id } from '../../ids.ts';
import type { ImageRecord } from '../../images/images.ts';
import { DEFAULT_INSTANCE_TYPE, type InstanceType, instanceType } from '../../instances/instance-types.ts';
import type { SecurityGroupRecord, SubnetRecord } from '../../network/network.ts';
import { refuseAllBut } from './common.ts';
import {
  ec2Error,
  imageNotFound,
  imageNotLaunchable,
  imageUnavailable,
  invalidParameterCombination,
  invalidParameterValue,
  requireImageId,
  unsupportedParameter,
} from './errors.ts';
import { groupNotFound, type InstanceDeps } from './instance-shapes.ts';

const INSTANCES_MAX = 100;
const ARCHITECTURES = ['x86_64', 'i386'];

const HONOURED = [
  'BlockDeviceMappings',
  'ClientToken',
  'CreditSpecification',
  'DisableApiStop',
  'DisableApiTermination',
  'DryRun',
  'EbsOptimized',
  'EnclaveOptions',
  'HibernationOptions',
  'IamInstanceProfile',
  'ImageId',
  'InstanceInitiatedShutdownBehavior',
  'InstanceMarketOptions',
  'InstanceType',
  'KeyName',
  'LaunchTemplate',
  'MaxCount',
  'MetadataOptions',
  'MinCount',
  'Monitoring',
  'NetworkInterfaces',
  'Placement',
  'PrivateIpAddress',
  'SecurityGroupIds',
  'SecurityGroups',
  'SubnetId',
  'TagSpecifications',
  'UserData',
] as const;

/** Leaves out what clients send without a value: empty strings, and structures of nothing but these. */
export function withoutEmpty<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(withoutEmpty) as Value;
  if (typeof value !== 'object' || value === null || value instanceof Date || value instanceof Uint8Array) return value;
  const kept = Object.entries(value)
    .map(([name, member]) => [name, name === 'NoDevice' || name === 'Value' ? member : withoutEmpty(member)] as const)
    .filter(
      ([name, member]) => name === 'NoDevice' || name === 'Value' || (member !== '' && !isEmptyStructure(member)),
    );
  return Object.fromEntries(kept) as Value;
}

function isEmptyStructure(value: unknown): boolean {
  return typeof value === 'object' && value?.constructor === Object && Object.keys(value).length === 0;
}

/** Refuses by name what has no effect here, where it asks for more than there is. */
export function refuseWithoutEffect(input: RunInstancesRequest): void {
  refuseAllBut(input, [...HONOURED]);
  if (input.EbsOptimized) throw unsupportedParameter('EbsOptimized');
  if (input.Monitoring?.Enabled) throw unsupportedParameter('Monitoring.Enabled');
  if (input.EnclaveOptions?.Enabled) throw unsupportedParameter('EnclaveOptions.Enabled');
  if (input.HibernationOptions?.Configured) throw unsupportedParameter('HibernationOptions.Configured');
  refuseThrottling(input);
  const { Placement } = input;
  if (Placement) {
    refuseAllBut(Placement, ['AvailabilityZone', 'Tenancy'], 'Placement.');
    if (Placement.Tenancy && Placement.Tenancy !== 'default') throw unsupportedParameter('Placement.Tenancy');
  }
  const behavior = input.InstanceInitiatedShutdownBehavior;
  if (behavior !== undefined && behavior !== 'stop' && behavior !== 'terminate') {
    throw invalidParameterValue(`Invalid value '${behavior}' for instanceInitiatedShutdownBehavior.`);
  }
  const token = input.ClientToken;
  if (token !== undefined && !/^[\x20-\x7e]{1,64}$/.test(token)) {
    throw invalidParameterValue('Invalid value for clientToken: at most 64 ASCII characters.');
  }
}

/** Nothing throttles a burstable instance here, which is what `unlimited` means; `standard` is not to be had. */
function refuseThrottling({ CreditSpecification, InstanceType }: RunInstancesRequest): void {
  if (!CreditSpecification) return;
  if (!requireType(InstanceType).burstable) {
    throw invalidParameterCombination(`CreditSpecification has no meaning for instance type '${InstanceType}'.`);
  }
  if (CreditSpecification.CpuCredits !== 'unlimited') throw unsupportedParameter('CreditSpecification.CpuCredits');
}

export function requireCount(input: RunInstancesRequest): number {
  const min = input.MinCount ?? 0;
  const max = input.MaxCount ?? 0;
  if (min < 1) throw invalidParameterValue(`Value (${min}) for parameter minCount is invalid. Expecting at least 1.`);
  if (max < min) {
    throw invalidParameterCombination(`The parameter minCount (${min}) is larger than maxCount (${max}).`);
  }
  if (min > INSTANCES_MAX) {
    throw ec2Error('InstanceLimitExceeded', `At most ${INSTANCES_MAX} instances can be launched in one call.`);
  }
  return Math.min(max, INSTANCES_MAX);
}

export function requireType(name: string | undefined): InstanceType {
  const type = instanceType(name ?? DEFAULT_INSTANCE_TYPE);
  if (!type) throw invalidParameterValue(`Invalid value '${name}' for InstanceType.`);
  return type;
}

/** Exists, may be launched by the caller, and is available, in this order (SH-20, L-11). */
export async function requireImage(deps: InstanceDeps, call: Call, id: string | undefined): Promise<ImageRecord> {
  requireImageId(id);
  const image = await deps.images.find(call.region, id);
  if (!image) throw imageNotFound([id]);
  if (image.state === 'deregistered') throw imageUnavailable(id);
  if (!(await deps.images.mayLaunch(image, call.caller.accountId))) throw imageNotLaunchable([id]);
  if (image.state !== 'available') throw imageUnavailable(id);
  return image;
}

export function requireFit(image: ImageRecord, type: InstanceType): void {
  if (!ARCHITECTURES.includes(image.architecture)) {
    throw invalidParameterValue(
      `The architecture 'x86_64' of the specified instance type does not match the architecture '${image.architecture}' of the specified AMI. Specify an instance type and an AMI that have matching architectures, and try again.`,
    );
  }
  if (image.virtualizationType !== 'hvm') {
    throw invalidParameterCombination(
      `Virtualization type '${image.virtualizationType}' is required for instances of type '${type.name}'. Ensure that you are using an AMI with virtualization type 'hvm'.`,
    );
  }
  if (image.bootMode === 'uefi' && !type.bootModes.includes('uefi')) {
    throw invalidParameterCombination(`Boot mode 'uefi' of the AMI is not supported by instance type '${type.name}'.`);
  }
  refuseWithoutDevices(image);
}

/** What an image wants of its machine and no machine here has: it is not launched without it in silence (L-16). */
export function refuseWithoutDevices({ id, tpmSupport, uefiData }: ImageRecord): void {
  if (tpmSupport)
    throw ec2Error('Unsupported', `The image '${id}' needs a TPM (${tpmSupport}), which no instance has.`);
  if (uefiData) {
    const text = `The image '${id}' has UefiData, and the variables of a machine's firmware cannot be given to it.`;
    throw ec2Error('Unsupported', text);
  }
}

export interface Placement {
  readonly subnet: SubnetRecord;
  readonly groups: readonly SecurityGroupRecord[];
  readonly privateIp?: string;
  readonly description: string;
  readonly deleteOnTermination: boolean;
}

/** Subnet, groups and address, given directly or in the one network interface. */
export async function requirePlacement(
  deps: InstanceDeps,
  call: Call,
  input: RunInstancesRequest,
  count: number,
): Promise<Placement> {
  const link = primaryInterface(deps, input);
  const { accountId } = call.caller;
  const network = await deps.network.defaults(accountId, call.region);
  const subnetId = link?.SubnetId ?? input.SubnetId;
  const zone = input.Placement?.AvailabilityZone;
  if (zone !== undefined && !network.subnets.some((subnet) => subnet.zone === zone)) {
    throw invalidParameterValue(`Invalid availability zone: [${zone}]`);
  }
  const subnet =
    subnetId === undefined
      ? network.subnets.find((each) => zone === undefined || each.zone === zone)
      : network.subnets.find((each) => each.id === subnetId);
  if (!subnet) throw ec2Error('InvalidSubnetID.NotFound', `The subnet ID '${subnetId}' does not exist`);
  if (zone !== undefined && subnet.zone !== zone) {
    throw invalidParameterCombination(`The subnet ${subnet.id} is not in the availability zone ${zone}.`);
  }
  const privateIp = link?.PrivateIpAddress ?? input.PrivateIpAddress;
  if (privateIp !== undefined && count > 1) {
    throw invalidParameterCombination('A private IP address can be specified for one instance only.');
  }
  return {
    subnet,
    groups: await requireGroups(deps, call, input, link),
    ...(privateIp === undefined ? {} : { privateIp }),
    description: link?.Description ?? '',
    deleteOnTermination: link?.DeleteOnTermination ?? true,
  };
}

function primaryInterface(
  deps: InstanceDeps,
  input: RunInstancesRequest,
): InstanceNetworkInterfaceSpecification | undefined {
  const links = input.NetworkInterfaces ?? [];
  const [link] = links;
  if (!link) return undefined;
  if (links.length > 1) {
    throw ec2Error('AttachmentLimitExceeded', 'An instance has one network interface.');
  }
  refuseAllBut(
    link,
    [
      'AssociatePublicIpAddress',
      'DeleteOnTermination',
      'Description',
      'DeviceIndex',
      'Groups',
      'NetworkCardIndex',
      'PrivateIpAddress',
      'SubnetId',
    ],
    'NetworkInterface.',
  );
  // A guest is reached where the operator lets all of them be reached.
  const { AssociatePublicIpAddress: wanted } = link;
  if (wanted !== undefined && wanted !== deps.guestsAreReached) {
    throw unsupportedParameter('NetworkInterface.AssociatePublicIpAddress');
  }
  if ((link.NetworkCardIndex ?? 0) !== 0) throw unsupportedParameter('NetworkInterface.NetworkCardIndex');
  if ((link.DeviceIndex ?? 0) !== 0) throw invalidParameterValue('The network interface has DeviceIndex 0.');
  if (input.SubnetId || input.SecurityGroupIds?.length || input.SecurityGroups?.length) {
    throw invalidParameterCombination(
      'Network interfaces and an instance-level subnet ID may not be specified on the same request',
    );
  }
  return link;
}

async function requireGroups(
  deps: InstanceDeps,
  call: Call,
  input: RunInstancesRequest,
  link: InstanceNetworkInterfaceSpecification | undefined,
): Promise<SecurityGroupRecord[]> {
  const groups = await deps.network.groups(call.caller.accountId, call.region);
  const ids = link?.Groups ?? input.SecurityGroupIds ?? [];
  const names = input.SecurityGroups ?? [];
  const byId = ids.map((id) => {
    if (!isEc2Id(id, 'sg')) throw ec2Error('InvalidGroupId.Malformed', `Invalid id: "${id}" (expecting "sg-...")`);
    const group = groups.find((each) => each.id === id);
    if (!group) throw groupNotFound(id);
    return group;
  });
  const byName = names.map((name) => {
    const group = groups.find((each) => each.name === name);
    if (!group) throw groupNotFound(name);
    return group;
  });
  const given = [...new Set([...byId, ...byName])];
  return given.length > 0 ? given : groups.filter((group) => group.name === 'default');
}
