/** DescribeRegions, DescribeAvailabilityZones, DescribeAccountAttributes. */
import type {
  DescribeAccountAttributesCommand,
  DescribeAvailabilityZonesCommand,
  DescribeRegionsCommand,
} from '@aws-sdk/client-ec2';
import type { Region } from '../../ids.ts';
import { isRegion, REGIONS, type Zone, zonesOf } from '../../network/regions.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, type Ec2Deps } from './common.ts';
import { ec2Error, invalidParameterValue } from './errors.ts';
import { compileFilters } from './filters.ts';
import type { InstanceDeps } from './instance-shapes.ts';

const endpointOf = (region: Region) => `ec2.${region}.amazonaws.com`;
const OPT_IN = 'opt-in-not-required';

export const describeRegions =
  (deps: Ec2Deps): OperationOf<DescribeRegionsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeRegions');
    dryRun(input);
    const unknown = input.RegionNames?.find((name) => !isRegion(name));
    if (unknown !== undefined) {
      throw invalidParameterValue(`Invalid region names provided: ${unknown}`);
    }
    const matches = compileFilters<Region>(input.Filters, {
      endpoint: endpointOf,
      'opt-in-status': () => OPT_IN,
      'region-name': (region) => region,
    });
    const asked = REGIONS.filter((region) => !input.RegionNames?.length || input.RegionNames.includes(region));
    return {
      Regions: asked
        .filter(matches)
        .map((region) => ({ RegionName: region, Endpoint: endpointOf(region), OptInStatus: OPT_IN })),
    };
  };

export const describeAvailabilityZones =
  (deps: Ec2Deps): OperationOf<DescribeAvailabilityZonesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeAvailabilityZones');
    dryRun(input);
    const zones = zonesOf(call.region);
    for (const name of input.ZoneNames ?? []) {
      if (!zones.some((zone) => zone.name === name)) {
        throw invalidParameterValue(`Invalid availability zone: [${name}]`);
      }
    }
    for (const id of input.ZoneIds ?? []) {
      if (!zones.some((zone) => zone.id === id)) throw invalidParameterValue(`Invalid availability zone-id: [${id}]`);
    }
    const matches = compileFilters<Zone>(input.Filters, {
      'group-name': () => call.region,
      'opt-in-status': () => OPT_IN,
      'region-name': () => call.region,
      state: () => 'available',
      'zone-id': (zone) => zone.id,
      'zone-name': (zone) => zone.name,
      'zone-type': () => 'availability-zone',
    });
    const asked = zones.filter(
      ({ name, id }) =>
        (!input.ZoneNames?.length || input.ZoneNames.includes(name)) &&
        (!input.ZoneIds?.length || input.ZoneIds.includes(id)),
    );
    return {
      AvailabilityZones: asked.filter(matches).map((zone) => ({
        ZoneName: zone.name,
        ZoneId: zone.id,
        RegionName: call.region,
        State: 'available' as const,
        OptInStatus: OPT_IN,
        GroupName: call.region,
        NetworkBorderGroup: call.region,
        ZoneType: 'availability-zone',
        Messages: [],
      })),
    };
  };

export const describeAccountAttributes =
  (deps: Pick<InstanceDeps, 'authorizer' | 'network'>): OperationOf<DescribeAccountAttributesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeAccountAttributes');
    dryRun(input);
    const { vpcId } = await deps.network.defaults(call.caller.accountId, call.region);
    const values: Readonly<Record<string, string>> = {
      'supported-platforms': 'VPC',
      'default-vpc': vpcId,
      'max-instances': '100',
      'vpc-max-security-groups-per-interface': '5',
      'max-elastic-ips': '0',
      'vpc-max-elastic-ips': '0',
    };
    const names = input.AttributeNames?.length ? input.AttributeNames : Object.keys(values);
    return {
      AccountAttributes: names.map((AttributeName) => {
        const AttributeValue = values[AttributeName];
        if (AttributeValue === undefined) {
          throw ec2Error('InvalidParameterValue', `Invalid value '${AttributeName}' for attributeName.`);
        }
        return { AttributeName, AttributeValues: [{ AttributeValue }] };
      }),
    };
  };
