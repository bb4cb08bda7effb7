import type { DescribeNetworkInterfacesCommand, NetworkInterface } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { InterfaceRecord } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import type { OperationOf } from '../operation.ts';
import { describe } from './describe-owned.ts';
import { ec2Error } from './errors.ts';
import { type InstanceDeps, privateDnsName, showGroups, showTags } from './instance-shapes.ts';

export const describeNetworkInterfaces =
  (deps: InstanceDeps): OperationOf<DescribeNetworkInterfacesCommand> =>
  async (call, input) => {
    const { accountId } = call.caller;
    const groups = await groupsById(deps, call);
    const { items, tags, next } = await describe(
      deps,
      call,
      input,
      () => deps.network.interfaces(accountId, call.region),
      {
        operation: 'DescribeNetworkInterfaces',
        ids: input.NetworkInterfaceIds,
        idsParameter: 'networkInterfaceIdSet',
        idOf: (link: InterfaceRecord) => link.id,
        filters: {
          'addresses.private-ip-address': (link) => link.privateIp,
          'attachment.attachment-id': (link) => link.attachmentId,
          'attachment.device-index': () => 0,
          'attachment.instance-id': (link) => link.instanceId,
          'attachment.status': () => 'attached',
          'availability-zone': (link) => link.zone,
          description: (link) => link.description,
          'group-id': (link) => link.groupIds,
          'interface-type': () => 'interface',
          'mac-address': (link) => link.mac,
          'network-interface-id': (link) => link.id,
          'owner-id': (link) => link.accountId,
          'private-ip-address': (link) => link.privateIp,
          'requester-managed': () => false,
          status: () => 'in-use',
          'subnet-id': (link) => link.subnetId,
          'vpc-id': (link) => link.vpcId,
        },
        notFound: (id) =>
          ec2Error('InvalidNetworkInterfaceID.NotFound', `The networkInterface ID '${id}' does not exist`),
      },
    );
    return { NetworkInterfaces: items.map((link) => showInterface(link, groups, tags(link))), ...next };
  };

async function groupsById(deps: InstanceDeps, call: Call) {
  const groups = await deps.network.groups(call.caller.accountId, call.region);
  return new Map(groups.map((group) => [group.id, group]));
}

function showInterface(
  link: InterfaceRecord,
  groups: Awaited<ReturnType<typeof groupsById>>,
  tags: readonly Tag[],
): NetworkInterface {
  const dns = privateDnsName(link.privateIp, link.region);
  return {
    NetworkInterfaceId: link.id,
    OwnerId: link.accountId,
    VpcId: link.vpcId,
    SubnetId: link.subnetId,
    AvailabilityZone: link.zone,
    Description: link.description,
    InterfaceType: 'interface',
    MacAddress: link.mac,
    PrivateDnsName: dns,
    PrivateIpAddress: link.privateIp,
    PrivateIpAddresses: [{ Primary: true, PrivateDnsName: dns, PrivateIpAddress: link.privateIp }],
    Ipv6Addresses: [],
    Groups: showGroups(link.groupIds, { groups }),
    RequesterManaged: false,
    SourceDestCheck: true,
    Status: 'in-use',
    Attachment: {
      AttachmentId: link.attachmentId,
      AttachTime: link.createdAt,
      DeleteOnTermination: link.deleteOnTermination,
      DeviceIndex: 0,
      InstanceId: link.instanceId,
      InstanceOwnerId: link.accountId,
      NetworkCardIndex: 0,
      Status: 'attached',
    },
    TagSet: showTags(tags),
  };
}
