/** DescribeSpotInstanceRequests and CancelSpotInstanceRequests: a request lives and is forgotten with its instance. */
import type {
  CancelSpotInstanceRequestsCommand,
  DescribeSpotInstanceRequestsCommand,
  SpotInstanceRequest,
} from '@aws-sdk/client-ec2';
import type { Permit } from '../../authz/permit.ts';
import { ec2Arn } from '../../ids.ts';
import type { InstanceRecord, SpotRequest } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne, dryRun } from './common.ts';
import { ec2Error, missingParameter } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { type InstanceDeps, spotRequestNotFound } from './instance-shapes.ts';
import { page } from './paging.ts';

type SpotInstance = InstanceRecord & { readonly spot: SpotRequest };
const isSpotInstance = (record: InstanceRecord): record is SpotInstance => record.spot !== undefined;

interface Standing {
  readonly state: 'active' | 'cancelled' | 'closed';
  readonly code: string;
  readonly message: string;
  readonly since: Date;
}

function standingOf({ state, stateReason, spot, launchTime, terminatedAt, launched }: SpotInstance): Standing {
  if (state === 'shutting-down' || state === 'terminated') {
    const since = terminatedAt ?? launchTime;
    const byUser = launched && stateReason?.code.startsWith('Client.UserInitiated');
    return byUser
      ? {
          state: 'closed',
          code: 'instance-terminated-by-user',
          message: 'Spot Instance terminated due to user-initiated termination.',
          since,
        }
      : {
          state: 'closed',
          code: 'instance-terminated-by-service',
          message: stateReason?.message ?? 'The instance ended.',
          since,
        };
  }
  if (spot.cancelledAt !== undefined) {
    const message = 'Your Spot request is canceled, but your instance is still running.';
    return {
      state: 'cancelled',
      code: 'request-canceled-and-instance-running',
      message,
      since: new Date(spot.cancelledAt),
    };
  }
  return { state: 'active', code: 'fulfilled', message: 'Your Spot request is fulfilled.', since: launchTime };
}

function showRequest(record: SpotInstance): SpotInstanceRequest {
  const { state, code, message, since } = standingOf(record);
  return {
    SpotInstanceRequestId: record.spot.id,
    State: state,
    Status: { Code: code, Message: message, UpdateTime: since },
    Type: 'one-time',
    InstanceId: record.id,
    InstanceInterruptionBehavior: 'terminate',
    CreateTime: new Date(record.spot.createdAt),
    LaunchedAvailabilityZone: record.zone,
    ProductDescription: record.platform === 'windows' ? 'Windows' : 'Linux/UNIX',
    LaunchSpecification: {
      ImageId: record.imageId,
      InstanceType: record.instanceType as NonNullable<SpotInstanceRequest['LaunchSpecification']>['InstanceType'],
      ...(record.keyName === undefined ? {} : { KeyName: record.keyName }),
      Placement: { AvailabilityZone: record.zone, Tenancy: 'default' },
      SubnetId: record.subnetId,
      Monitoring: { Enabled: false },
    },
    Tags: [],
  };
}

const FILTERS: FilterReaders<SpotInstance> = {
  'create-time': ({ spot }) => new Date(spot.createdAt),
  'instance-id': ({ id }) => id,
  'launch.image-id': ({ imageId }) => imageId,
  'launch.instance-type': ({ instanceType }) => instanceType,
  'launched-availability-zone': ({ zone }) => zone,
  'spot-instance-request-id': ({ spot }) => spot.id,
  state: (record) => standingOf(record).state,
  'status-code': (record) => standingOf(record).code,
  type: () => 'one-time',
};

function requireIds(ids: readonly string[]): void {
  const malformed = ids.find((id) => !/^sir-[0-9a-z]{8}$/.test(id));
  if (malformed === undefined) return;
  throw ec2Error('InvalidSpotInstanceRequestID.Malformed', `Invalid id: "${malformed}" (expecting "sir-...")`);
}

export const describeSpotInstanceRequests =
  (deps: InstanceDeps): OperationOf<DescribeSpotInstanceRequestsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeSpotInstanceRequests');
    dryRun(input);
    const ids: readonly string[] = input.SpotInstanceRequestIds ?? [];
    requireIds(ids);
    const matches = compileFilters(input.Filters, FILTERS);
    const own = (await deps.instances.list(call.caller.accountId, call.region)).filter(isSpotInstance);
    const missing = ids.find((id) => !own.some(({ spot }) => spot.id === id));
    if (missing !== undefined) throw spotRequestNotFound(missing);
    const wanted = own.filter((record) => (ids.length === 0 || ids.includes(record.spot.id)) && matches(record));
    const { items, NextToken } = page(wanted, input, {
      operation: 'DescribeSpotInstanceRequests',
      key: ({ spot }) => spot.id,
      ids: { parameter: 'spotInstanceRequestIdSet', given: input.SpotInstanceRequestIds },
    });
    return { SpotInstanceRequests: items.map(showRequest), ...(NextToken === undefined ? {} : { NextToken }) };
  };

/** The instances go on running. */
export const cancelSpotInstanceRequests =
  (deps: InstanceDeps): OperationOf<CancelSpotInstanceRequestsCommand> =>
  async (call, input) => {
    const ids = [...new Set(input.SpotInstanceRequestIds ?? [])];
    if (ids.length === 0) throw missingParameter('SpotInstanceRequestId');
    requireIds(ids);
    const permits: Permit<'ec2:CancelSpotInstanceRequests'>[] = [];
    for (const id of ids) {
      const arn = ec2Arn(call.region, call.caller.accountId, 'spot-instances-request', id);
      permits.push(await authorizeOne(deps.authorizer, call, 'ec2:CancelSpotInstanceRequests', { arn }));
    }
    dryRun(input);
    const cancelled = await deps.db.write(async (tx) => {
      const records: InstanceRecord[] = [];
      for (const permit of permits) records.push(await deps.instances.cancelSpotRequest(tx, permit));
      return records;
    });
    return {
      CancelledSpotInstanceRequests: cancelled.filter(isSpotInstance).map((record) => ({
        SpotInstanceRequestId: record.spot.id,
        State: standingOf(record).state,
      })),
    };
  };
