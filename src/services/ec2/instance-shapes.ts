/** Instances as EC2 shows them, and what the operations on them have in common. */
import type {
  GroupIdentifier,
  Instance,
  InstanceMetadataOptionsResponse,
  InstanceNetworkInterface,
  Reservation,
  Tag as ShownTag,
} from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { Idempotency } from '../../idempotency/idempotency.ts';
import type { Identity } from '../../identity/identity.ts';
import { ec2Arn, type InstanceId, type Region } from '../../ids.ts';
import type { Images } from '../../images/images.ts';
import { NO_METADATA } from '../../instances/attributes.ts';
import { instanceType } from '../../instances/instance-types.ts';
import {
  type AttachedVolume,
  type InstanceRecord,
  type InstanceRefusalReason,
  type InstanceState,
  type Instances,
  STATE_CODES,
} from '../../instances/instances.ts';
import type { MachineRefusalReason } from '../../instances/machine.ts';
import type { LaunchTemplates } from '../../launch-templates/launch-templates.ts';
import type { KeyPairRefusalReason, KeyPairs } from '../../network/key-pairs.ts';
import type { InterfaceRecord, Network, NetworkRefusalReason, SecurityGroupRecord } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import type { Snapshots, Volumes } from '../../volumes/volumes.ts';
import { authorizeOne, type Ec2Deps } from './common.ts';
import { ec2Error, instanceNotFound, type RefusalTable, requireInstanceId } from './errors.ts';
import { tagRecord } from './tag-resources.ts';

export interface InstanceDeps extends Ec2Deps {
  readonly instances: Instances;
  readonly images: Images;
  readonly launchTemplates: LaunchTemplates;
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly network: Network;
  readonly keyPairs: KeyPairs;
  readonly profiles: Pick<Identity, 'instanceProfiles' | 'roles'>;
  /** Whether guests have an address at which this host reaches them. */
  readonly guestsAreReached: boolean;
  readonly idempotency: Idempotency;
}

/** Everything about the instances of one account in one region that showing them needs. */
export interface InstanceView {
  readonly tags: ReadonlyMap<string, readonly Tag[]>;
  readonly volumes: ReadonlyMap<InstanceId, readonly AttachedVolume[]>;
  readonly interfaces: ReadonlyMap<InstanceId, InterfaceRecord>;
  readonly groups: ReadonlyMap<string, SecurityGroupRecord>;
}

export async function viewOf(
  deps: InstanceDeps,
  call: Call,
  records: readonly InstanceRecord[],
): Promise<InstanceView> {
  const { accountId } = call.caller;
  const ids = records.map((record) => record.id);
  const [tags, volumes, interfaces, groups] = await Promise.all([
    deps.tags.of(accountId, call.region, ids),
    deps.instances.attachedVolumes(accountId, call.region),
    deps.network.interfacesOf(ids),
    deps.network.groups(accountId, call.region),
  ]);
  return {
    tags,
    volumes,
    interfaces: new Map(interfaces.map((each) => [each.instanceId, each])),
    groups: new Map(groups.map((group) => [group.id, group])),
  };
}

export const showTags = (tags: readonly Tag[] | undefined): ShownTag[] =>
  (tags ?? []).map(({ Key, Value }) => ({ Key, Value }));

export const showState = (state: InstanceState) => ({ Code: STATE_CODES[state], Name: state });

export function privateDnsName(address: string, region: Region): string {
  const zone = region === 'us-east-1' ? 'ec2.internal' : `${region}.compute.internal`;
  return `ip-${address.replaceAll('.', '-')}.${zone}`;
}

export function showGroups(ids: readonly string[], view: Pick<InstanceView, 'groups'>): GroupIdentifier[] {
  return ids.map((id) => ({ GroupId: id, GroupName: view.groups.get(id)?.name ?? '' }));
}

export function showReservations(records: readonly InstanceRecord[], view: InstanceView): Reservation[] {
  const byReservation = Map.groupBy(records, (record) => record.reservationId);
  return [...byReservation].map(([ReservationId, launched]) => ({
    ReservationId,
    OwnerId: launched[0]!.ownerId,
    Groups: [],
    Instances: launched.map((record) => showInstance(record, view)),
  }));
}

export function showInstance(record: InstanceRecord, view: InstanceView): Instance {
  const link = view.interfaces.get(record.id);
  const isGone = record.state === 'terminated';
  const groups = showGroups(record.groupIds, view);
  const dns = privateDnsName(record.privateIp, record.region);
  const type = instanceType(record.instanceType);
  return {
    InstanceId: record.id,
    ImageId: record.imageId,
    State: showState(record.state),
    StateTransitionReason: record.stateTransitionReason,
    ...(record.stateReason
      ? { StateReason: { Code: record.stateReason.code, Message: record.stateReason.message } }
      : {}),
    InstanceType: record.instanceType as Instance['InstanceType'],
    LaunchTime: record.launchTime,
    AmiLaunchIndex: record.launchIndex,
    Placement: { AvailabilityZone: record.zone, GroupName: '', Tenancy: 'default' },
    Monitoring: { State: 'disabled' },
    Architecture: record.architecture as Instance['Architecture'],
    RootDeviceType: 'ebs',
    RootDeviceName: record.rootDeviceName,
    VirtualizationType: record.virtualizationType as Instance['VirtualizationType'],
    Hypervisor: 'xen',
    EnaSupport: record.enaSupport,
    EbsOptimized: false,
    ...(record.platform ? { Platform: 'Windows' as const } : {}),
    PlatformDetails: record.platformDetails,
    UsageOperation: 'RunInstances',
    UsageOperationUpdateTime: record.launchTime,
    ...(record.bootMode ? { BootMode: record.bootMode } : {}),
    CurrentInstanceBootMode: record.currentBootMode,
    ...(record.keyName === undefined ? {} : { KeyName: record.keyName }),
    ...(record.clientToken === undefined ? {} : { ClientToken: record.clientToken }),
    ...(record.spot ? { InstanceLifecycle: 'spot' as const, SpotInstanceRequestId: record.spot.id } : {}),
    PublicDnsName: '',
    ...(isPublic(record) ? { PublicIpAddress: record.publicIp } : {}),
    ...(record.profile ? { IamInstanceProfile: { Arn: record.profile.arn, Id: record.profile.id } } : {}),
    PrivateDnsName: isGone ? '' : dns,
    ...(isGone
      ? {}
      : { PrivateIpAddress: record.privateIp, SubnetId: record.subnetId, VpcId: record.vpcId, SourceDestCheck: true }),
    SecurityGroups: isGone ? [] : groups,
    NetworkInterfaces: link && !isGone ? [showLink(record, link, groups, dns)] : [],
    BlockDeviceMappings: (view.volumes.get(record.id) ?? []).map((volume) => ({
      DeviceName: volume.deviceName,
      Ebs: {
        VolumeId: volume.volumeId,
        Status: volume.state as 'attached',
        AttachTime: volume.attachTime,
        DeleteOnTermination: volume.deleteOnTermination,
      },
    })),
    ProductCodes: [],
    Tags: showTags(view.tags.get(record.id)),
    CpuOptions: {
      CoreCount: Math.max(1, Math.floor((type?.vcpus ?? 1) / (type?.threadsPerCore ?? 1))),
      ThreadsPerCore: type?.threadsPerCore ?? 1,
    },
    HibernationOptions: { Configured: false },
    EnclaveOptions: { Enabled: false },
    MaintenanceOptions: { AutoRecovery: 'disabled' },
    CapacityReservationSpecification: { CapacityReservationPreference: 'none' },
    MetadataOptions: showMetadataOptions(record),
  };
}

/** RI-6. */
export function showMetadataOptions({
  state,
  metadata = NO_METADATA,
}: InstanceRecord): InstanceMetadataOptionsResponse {
  return {
    State: state === 'pending' ? 'pending' : 'applied',
    HttpEndpoint: metadata.httpEndpoint,
    HttpTokens: metadata.httpTokens,
    HttpPutResponseHopLimit: metadata.hopLimit,
    HttpProtocolIpv6: 'disabled',
    InstanceMetadataTags: metadata.instanceTags,
  };
}

/** The address leads to the guest while it runs. */
export function isPublic(record: InstanceRecord): boolean {
  return record.publicIp !== undefined && record.state === 'running';
}

function showLink(
  record: InstanceRecord,
  link: InterfaceRecord,
  groups: GroupIdentifier[],
  dns: string,
): InstanceNetworkInterface {
  return {
    NetworkInterfaceId: link.id,
    Attachment: {
      AttachmentId: link.attachmentId,
      AttachTime: link.createdAt,
      DeleteOnTermination: link.deleteOnTermination,
      DeviceIndex: 0,
      NetworkCardIndex: 0,
      Status: 'attached',
    },
    Description: link.description,
    Groups: groups,
    InterfaceType: 'interface',
    Ipv6Addresses: [],
    MacAddress: link.mac,
    OwnerId: record.ownerId,
    PrivateDnsName: dns,
    PrivateIpAddress: link.privateIp,
    PrivateIpAddresses: [{ Primary: true, PrivateDnsName: dns, PrivateIpAddress: link.privateIp }],
    SourceDestCheck: true,
    Status: 'in-use',
    SubnetId: link.subnetId,
    VpcId: link.vpcId,
  };
}

// Looking up and authorizing ------------------------------------------------------------------------------------------

export function instanceContext(record: InstanceRecord): ConditionValues {
  return {
    'ec2:InstanceType': record.instanceType,
    'ec2:AvailabilityZone': record.zone,
    'ec2:RootDeviceType': 'ebs',
    'ec2:Tenancy': 'default',
    'ec2:InstanceID': record.id,
    'ec2:EbsOptimized': false,
  };
}

/** The caller's own instance; those of others are not there for the caller. */
export async function ownInstance(
  deps: Pick<InstanceDeps, 'instances'>,
  call: Call,
  id: string,
): Promise<InstanceRecord | undefined> {
  const record = await deps.instances.find(call.region, id);
  return record?.ownerId === call.caller.accountId ? record : undefined;
}

/** Checks the shape of the id, authorizes, and only then says that there is no such instance. */
export async function useInstance<Action extends string>(
  deps: InstanceDeps,
  call: Call,
  action: Action,
  id: string | undefined,
  context: ConditionValues = {},
): Promise<{ readonly record: InstanceRecord; readonly permit: Permit<Action> }> {
  requireInstanceId(id);
  const record = await ownInstance(deps, call, id);
  const tags = (await deps.tags.of(call.caller.accountId, call.region, [id])).get(id);
  const resource = { arn: ec2Arn(call.region, call.caller.accountId, 'instance', id), tags: tagRecord(tags ?? []) };
  const known = record ? instanceContext(record) : {};
  const permit = await authorizeOne(deps.authorizer, call, action, resource, { ...known, ...context });
  if (!record) throw instanceNotFound([id]);
  return { record, permit };
}

// What the domain says, in EC2's words --------------------------------------------------------------------------------

const incorrectState: RefusalTable<string>[string] = ({ facts, operation }) =>
  operation === 'StartInstances' || operation === 'StopInstances' || operation === 'AttachVolume'
    ? ec2Error(
        'IncorrectInstanceState',
        `The instance '${facts.instanceId}' is not in a state from which it can be ${OPERATION_VERB[operation]}.`,
      )
    : ec2Error(
        operation === 'ModifyInstanceAttribute' || operation === 'GetConsoleScreenshot'
          ? 'IncorrectInstanceState'
          : 'IncorrectState',
        `The instance '${facts.instanceId}' is not in a valid state for this operation: ${facts.state}.`,
      );
const OPERATION_VERB: Readonly<Record<string, string>> = {
  StartInstances: 'started',
  StopInstances: 'stopped',
  AttachVolume: 'given a volume',
};

export const instanceRefusals: RefusalTable<
  InstanceRefusalReason | MachineRefusalReason | NetworkRefusalReason | KeyPairRefusalReason
> = {
  'instance-not-found': ({ facts }) => instanceNotFound([String(facts.instanceId)]),
  'instance-state': incorrectState,
  'instance-termination-protected': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      `The instance '${facts.instanceId}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again.`,
    ),
  'instance-stop-protected': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      `The instance '${facts.instanceId}' may not be stopped. Modify its 'disableApiStop' instance attribute and try again.`,
    ),
  'instance-spot': ({ facts }) =>
    ec2Error(
      'UnsupportedOperation',
      `You can't stop the Spot Instance '${facts.instanceId}' because it is associated with a one-time Spot Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.`,
    ),
  'spot-request-not-found': ({ facts }) => spotRequestNotFound(String(facts.requestId)),
  'device-in-use': ({ facts }) =>
    ec2Error(
      'InvalidParameterValue',
      `Invalid value '${facts.device}' for unixDevice. Attachment point ${facts.device} is already in use`,
    ),
  'device-is-root': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      `Unable to detach root volume '${facts.volumeId}' from instance '${facts.instanceId}'`,
    ),
  'profile-given': ({ facts }) =>
    ec2Error('IncorrectState', `There is an existing association for instance ${facts.instanceId}`),
  'association-not-found': ({ facts }) =>
    ec2Error('InvalidAssociationID.NotFound', `An invalid association-id of '${facts.associationId}' was given`),
  'zone-mismatch': ({ facts }) =>
    ec2Error(
      'InvalidVolume.ZoneMismatch',
      `The volume '${facts.volumeId}' is not in the same availability zone as instance '${facts.instanceId}'`,
    ),
  'multi-attach-type': ({ facts }) =>
    ec2Error(
      'UnsupportedOperation',
      `The volume '${facts.volumeId}' has Multi-Attach, which the type of instance '${facts.instanceId}' does not take.`,
    ),
  'root-replacement-under-way': ({ facts }) =>
    ec2Error('IncorrectState', `The root volume of instance '${facts.instanceId}' is already being replaced.`),
  'no-screen': ({ facts }) =>
    ec2Error('UnsupportedOperation', `No guest runs in instance '${facts.instanceId}': it has no screen.`),
  'screenshots-too-many': () => ec2Error('RequestLimitExceeded', 'Request limit exceeded.'),
  'firmware-missing': () => ec2Error('Unsupported', 'This host has no UEFI firmware.'),
  'machine-failed': ({ facts }) =>
    ec2Error('InternalError', `The machine of instance '${facts.instanceId}' did not do what was asked.`),
  'machine-not-running': incorrectState,
  'disk-not-released': ({ facts }) =>
    ec2Error(
      'IncorrectState',
      `The guest of instance '${facts.instanceId}' does not let go of the device ${facts.device}: unmount it and try again.`,
    ),
  'group-name-in-use': ({ facts }) =>
    ec2Error('InvalidGroup.Duplicate', `The security group '${facts.name}' already exists for VPC '${facts.vpcId}'`),
  'group-not-found': ({ facts }) => groupNotFound(String(facts.groupId)),
  'group-in-use': ({ facts }) => ec2Error('DependencyViolation', `resource ${facts.groupId} has a dependent object`),
  'group-is-default': ({ facts }) =>
    ec2Error('CannotDelete', `the specified group: "${facts.groupId}" name: "default" cannot be deleted by a user`),
  'rule-exists': ({ facts }) =>
    ec2Error(
      'InvalidPermission.Duplicate',
      `the specified rule "peer: ${facts.peer}, ${String(facts.protocol).toUpperCase()}, from port: ${facts.fromPort}, to port: ${facts.toPort}, ALLOW" already exists`,
    ),
  'rule-not-found': ({ facts }) =>
    facts.ruleId === undefined
      ? ec2Error('InvalidPermission.NotFound', 'The specified rule does not exist in this security group.')
      : ec2Error('InvalidSecurityGroupRuleId.NotFound', `The security group rule ID '${facts.ruleId}' does not exist`),
  'address-in-use': ({ facts }) => ec2Error('InvalidIPAddress.InUse', `Address ${facts.address} is in use.`),
  'address-not-in-subnet': ({ facts }) =>
    ec2Error('InvalidParameterValue', `Address ${facts.address} does not fall within the subnet's address range`),
  'addresses-exhausted': ({ facts }) =>
    ec2Error('InsufficientFreeAddressesInSubnet', `There are no free addresses in subnet '${facts.subnetId}'.`),
  'key-pair-exists': ({ facts }) => ec2Error('InvalidKeyPair.Duplicate', `The keypair already exists: ${facts.name}`),
  'public-key-invalid': () => ec2Error('InvalidKey.Format', 'Key is not in valid OpenSSH public key format'),
};

export function spotRequestNotFound(id: string) {
  return ec2Error('InvalidSpotInstanceRequestID.NotFound', `The spot instance request ID '${id}' does not exist`);
}

export function groupNotFound(id: string) {
  return ec2Error('InvalidGroup.NotFound', `The security group '${id}' does not exist`);
}
