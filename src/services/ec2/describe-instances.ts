import type { DescribeInstancesCommand } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { type InstanceRecord, STATE_CODES } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, refuseUnsupported } from './common.ts';
import { instanceNotFound, requireInstanceId } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import {
  type InstanceDeps,
  type InstanceView,
  isPublic,
  privateDnsName,
  showReservations,
  viewOf,
} from './instance-shapes.ts';
import { page } from './paging.ts';

/** The caller's instances asked for, all of them where no id is given. Throws for ids that are none of them. */
export async function instancesAskedFor(
  deps: InstanceDeps,
  call: Call,
  ids: readonly string[] | undefined,
): Promise<InstanceRecord[]> {
  const own = await deps.instances.list(call.caller.accountId, call.region);
  if (!ids?.length) return own;
  for (const id of ids) requireInstanceId(id);
  const wanted = new Set(ids);
  const found = own.filter((record) => wanted.has(record.id));
  const missing = [...wanted].filter((id) => !found.some((record) => record.id === id));
  if (missing.length > 0) throw instanceNotFound(missing);
  return found;
}

function filtersOf(view: InstanceView): FilterReaders<InstanceRecord> {
  const volumes = (record: InstanceRecord) => view.volumes.get(record.id) ?? [];
  const link = (record: InstanceRecord) => view.interfaces.get(record.id);
  const groupNames = (record: InstanceRecord) => record.groupIds.map((id) => view.groups.get(id)?.name ?? '');
  return {
    architecture: (record) => record.architecture,
    'availability-zone': (record) => record.zone,
    'block-device-mapping.attach-time': (record) => volumes(record).map((each) => each.attachTime.toISOString()),
    'block-device-mapping.delete-on-termination': (record) =>
      volumes(record).map((each) => String(each.deleteOnTermination)),
    'block-device-mapping.device-name': (record) => volumes(record).map((each) => each.deviceName),
    'block-device-mapping.status': (record) => volumes(record).map((each) => each.state),
    'block-device-mapping.volume-id': (record) => volumes(record).map((each) => each.volumeId),
    'boot-mode': (record) => record.bootMode,
    'client-token': (record) => record.clientToken,
    'current-instance-boot-mode': (record) => record.currentBootMode,
    'group-id': (record) => record.groupIds,
    'group-name': groupNames,
    'iam-instance-profile.arn': (record) => record.profile?.arn,
    'iam-instance-profile.id': (record) => record.profile?.id,
    'image-id': (record) => record.imageId,
    'instance-id': (record) => record.id,
    'instance-lifecycle': (record) => (record.spot ? 'spot' : undefined),
    'instance-state-code': (record) => STATE_CODES[record.state],
    'instance-state-name': (record) => record.state,
    'instance-type': (record) => record.instanceType,
    'instance.group-id': (record) => record.groupIds,
    'instance.group-name': groupNames,
    'ip-address': (record) => (isPublic(record) ? record.publicIp : undefined),
    'key-name': (record) => record.keyName,
    'launch-index': (record) => record.launchIndex,
    'launch-time': (record) => record.launchTime,
    'metadata-options.http-endpoint': (record) => record.metadata?.httpEndpoint,
    'metadata-options.http-put-response-hop-limit': (record) => record.metadata?.hopLimit,
    'metadata-options.http-tokens': (record) => record.metadata?.httpTokens,
    'metadata-options.instance-metadata-tags': (record) => record.metadata?.instanceTags,
    'network-interface.network-interface-id': (record) => link(record)?.id,
    'network-interface.subnet-id': (record) => link(record)?.subnetId,
    'network-interface.vpc-id': (record) => link(record)?.vpcId,
    'owner-id': (record) => record.ownerId,
    platform: (record) => record.platform,
    'platform-details': (record) => record.platformDetails,
    'private-dns-name': (record) => privateDnsName(record.privateIp, record.region),
    'private-ip-address': (record) => (record.state === 'terminated' ? undefined : record.privateIp),
    'reservation-id': (record) => record.reservationId,
    'root-device-name': (record) => record.rootDeviceName,
    'root-device-type': () => 'ebs',
    'spot-instance-request-id': (record) => record.spot?.id,
    'state-reason-code': (record) => record.stateReason?.code,
    'subnet-id': (record) => record.subnetId,
    tenancy: () => 'default',
    'virtualization-type': (record) => record.virtualizationType,
    'vpc-id': (record) => record.vpcId,
  };
}

export const describeInstances =
  (deps: InstanceDeps): OperationOf<DescribeInstancesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeInstances');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const records = await instancesAskedFor(deps, call, input.InstanceIds);
    const view = await viewOf(deps, call, records);
    const matches = compileFilters(input.Filters, filtersOf(view), (record) => view.tags.get(record.id) ?? []);
    // Instances of one launch stay together, in the order in which they were launched.
    const { items, NextToken } = page(records.filter(matches), input, {
      operation: 'DescribeInstances',
      key: (record) => `${record.reservationId} ${String(record.launchIndex).padStart(6, '0')}`,
      ids: { parameter: 'instancesSet', given: input.InstanceIds },
    });
    return { Reservations: showReservations(items, view), ...(NextToken === undefined ? {} : { NextToken }) };
  };
