/** Instance types, where they are offered, and the credits that burstable ones do not need here. */
import type {
  DescribeInstanceCreditSpecificationsCommand,
  DescribeInstanceTypeOfferingsCommand,
  DescribeInstanceTypesCommand,
  InstanceTypeInfo,
} from '@aws-sdk/client-ec2';
import { INSTANCE_TYPES, type InstanceType, instanceType } from '../../instances/instance-types.ts';
import { zonesOf } from '../../network/regions.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun } from './common.ts';
import { instancesAskedFor } from './describe-instances.ts';
import { ec2Error, invalidParameterValue } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { page } from './paging.ts';

const FILTERS: FilterReaders<InstanceType> = {
  'burstable-performance-supported': (type) => type.burstable,
  'bare-metal': () => false,
  'current-generation': (type) => type.currentGeneration,
  'ebs-info.encryption-support': () => 'supported',
  'ebs-info.ebs-optimized-support': () => 'unsupported',
  'free-tier-eligible': () => false,
  hypervisor: (type) => type.hypervisor,
  'instance-storage-supported': () => false,
  'instance-type': (type) => type.name,
  'memory-info.size-in-mib': (type) => type.memoryMiB,
  'processor-info.supported-architecture': () => ['x86_64'],
  'supported-boot-mode': (type) => supportedBootModes(type),
  'supported-root-device-type': () => ['ebs'],
  'supported-usage-class': () => ['on-demand'],
  'supported-virtualization-type': () => ['hvm'],
  'vcpu-info.default-vcpus': (type) => type.vcpus,
};

const supportedBootModes = (type: InstanceType) =>
  type.bootModes.includes('uefi') ? (['legacy-bios', 'uefi'] as const) : (['legacy-bios'] as const);

export const describeInstanceTypes =
  (deps: InstanceDeps): OperationOf<DescribeInstanceTypesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceTypes');
    dryRun(input);
    const unknown = (input.InstanceTypes ?? []).filter((name) => !instanceType(name));
    if (unknown.length > 0) {
      throw ec2Error(
        'InvalidInstanceType',
        `The following supplied instance types do not exist: [${unknown.join(', ')}]`,
      );
    }
    const asked = INSTANCE_TYPES.filter(
      ({ name }) => !input.InstanceTypes?.length || input.InstanceTypes.some((wanted) => wanted === name),
    );
    const { items, NextToken } = page(asked.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeInstanceTypes',
      key: (type) => type.name,
      max: 100,
    });
    return { InstanceTypes: items.map(show), ...(NextToken === undefined ? {} : { NextToken }) };
  };

function show(type: InstanceType): InstanceTypeInfo {
  return {
    InstanceType: type.name as InstanceTypeInfo['InstanceType'],
    CurrentGeneration: type.currentGeneration,
    FreeTierEligible: false,
    SupportedUsageClasses: ['on-demand'],
    SupportedRootDeviceTypes: ['ebs'],
    SupportedVirtualizationTypes: ['hvm'],
    BareMetal: false,
    Hypervisor: type.hypervisor,
    ProcessorInfo: { SupportedArchitectures: ['x86_64'] },
    VCpuInfo: {
      DefaultVCpus: type.vcpus,
      DefaultCores: Math.max(1, type.vcpus / type.threadsPerCore),
      DefaultThreadsPerCore: type.threadsPerCore,
    },
    MemoryInfo: { SizeInMiB: type.memoryMiB },
    InstanceStorageSupported: false,
    EbsInfo: { EbsOptimizedSupport: 'unsupported', EncryptionSupport: 'supported', NvmeSupport: 'unsupported' },
    NetworkInfo: {
      MaximumNetworkInterfaces: type.interfacesMax,
      MaximumNetworkCards: 1,
      DefaultNetworkCardIndex: 0,
      Ipv4AddressesPerInterface: 1,
      Ipv6AddressesPerInterface: 0,
      Ipv6Supported: false,
      EnaSupport: 'unsupported',
      EfaSupported: false,
      EncryptionInTransitSupported: false,
    },
    PlacementGroupInfo: { SupportedStrategies: [] },
    HibernationSupported: false,
    BurstablePerformanceSupported: type.burstable,
    DedicatedHostsSupported: false,
    AutoRecoverySupported: false,
    SupportedBootModes: [...supportedBootModes(type)],
    NitroEnclavesSupport: 'unsupported',
    NitroTpmSupport: 'unsupported',
  };
}

/** Every type in every zone. */
export const describeInstanceTypeOfferings =
  (deps: InstanceDeps): OperationOf<DescribeInstanceTypeOfferingsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceTypeOfferings');
    dryRun(input);
    const LocationType = input.LocationType ?? 'region';
    const zones = zonesOf(call.region);
    const places = {
      region: [call.region as string],
      'availability-zone': zones.map((zone) => zone.name),
      'availability-zone-id': zones.map((zone) => zone.id),
      outpost: [],
    };
    const locations: readonly string[] | undefined = places[LocationType];
    if (!locations) throw invalidParameterValue(`Invalid value '${LocationType}' for locationType.`);
    const offerings = INSTANCE_TYPES.flatMap(({ name }) =>
      locations.map((Location) => ({
        InstanceType: name as InstanceTypeInfo['InstanceType'],
        LocationType,
        Location,
      })),
    );
    const matches = compileFilters<(typeof offerings)[number]>(input.Filters, {
      'instance-type': (offering) => offering.InstanceType,
      location: (offering) => offering.Location,
    });
    const { items, NextToken } = page(offerings.filter(matches), input, {
      operation: 'DescribeInstanceTypeOfferings',
      key: (offering) => `${offering.InstanceType} ${offering.Location}`,
    });
    return { InstanceTypeOfferings: items, ...(NextToken === undefined ? {} : { NextToken }) };
  };

/** Nothing throttles a burstable instance here, which is what `unlimited` means. */
export const describeInstanceCreditSpecifications =
  (deps: InstanceDeps): OperationOf<DescribeInstanceCreditSpecificationsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstanceCreditSpecifications');
    dryRun(input);
    const asked = await instancesAskedFor(deps, call, input.InstanceIds);
    const burstable = asked.filter(
      (record) => record.state !== 'terminated' && instanceType(record.instanceType)?.burstable,
    );
    const matches = compileFilters(input.Filters, { 'instance-id': (record: (typeof asked)[number]) => record.id });
    const { items, NextToken } = page(burstable.filter(matches), input, {
      operation: 'DescribeInstanceCreditSpecifications',
      key: (record) => record.id,
    });
    return {
      InstanceCreditSpecifications: items.map(({ id }) => ({ InstanceId: id, CpuCredits: 'unlimited' })),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };
