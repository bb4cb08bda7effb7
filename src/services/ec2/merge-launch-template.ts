/**
 * A launch by template: the request's own values over the template's (LT-1, LT-2). Pure; the image's mappings and the
 * defaults come below, at the launch itself.
 */
import type {
  BlockDeviceMapping,
  InstanceNetworkInterfaceSpecification,
  RequestLaunchTemplateData,
  RunInstancesRequest,
  TagSpecification,
} from '@aws-sdk/client-ec2';

/** Members whose two spellings exclude each other: the request's replaces the template's whole. */
const WHOLE = new Set(['IamInstanceProfile']);

export function mergeLaunchTemplate(
  data: RequestLaunchTemplateData,
  request: RunInstancesRequest,
): RunInstancesRequest {
  const {
    RamDiskId,
    ElasticGpuSpecifications,
    BlockDeviceMappings,
    TagSpecifications,
    NetworkInterfaces,
    SecurityGroupIds,
    SecurityGroups,
    ...same
  } = data;
  const groupsGiven = Boolean(request.SecurityGroupIds?.length || request.SecurityGroups?.length);
  const template: Record<string, unknown> = {
    ...same,
    ...(RamDiskId === undefined ? {} : { RamdiskId: RamDiskId }),
    ...(ElasticGpuSpecifications === undefined ? {} : { ElasticGpuSpecification: ElasticGpuSpecifications }),
    // Groups by id and by name are one setting.
    ...(groupsGiven || !SecurityGroupIds ? {} : { SecurityGroupIds }),
    ...(groupsGiven || !SecurityGroups ? {} : { SecurityGroups }),
  };
  const merged = mergeStructure(template, request) as unknown as RunInstancesRequest;
  const devices = mergeDevices(BlockDeviceMappings, request.BlockDeviceMappings);
  const tags = mergeTags(TagSpecifications as TagSpecification[] | undefined, request.TagSpecifications);
  const interfaces = mergeInterfaces(
    NetworkInterfaces as InstanceNetworkInterfaceSpecification[] | undefined,
    request.NetworkInterfaces,
  );
  return {
    ...merged,
    ...(devices.length > 0 ? { BlockDeviceMappings: devices } : {}),
    ...(tags.length > 0 ? { TagSpecifications: tags } : {}),
    ...(interfaces.length > 0 ? { NetworkInterfaces: interfaces } : {}),
  };
}

function isStructure(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Field by field and downwards; lists are values. */
function mergeStructure(under: object, over: object): Record<string, unknown> {
  const merged: Record<string, unknown> = { ...under };
  for (const [name, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const below = merged[name];
    merged[name] = isStructure(value) && isStructure(below) && !WHOLE.has(name) ? mergeStructure(below, value) : value;
  }
  return merged;
}

/** By DeviceName, `Ebs` field by field (G-12). A device is a volume, instance storage or dropped: the request decides. */
export function mergeDevices(
  under: readonly BlockDeviceMapping[] = [],
  over: readonly BlockDeviceMapping[] = [],
): BlockDeviceMapping[] {
  const merged = new Map(under.map((device) => [device.DeviceName, device]));
  for (const device of over) {
    const below = merged.get(device.DeviceName);
    merged.set(device.DeviceName, below ? overDevice(below, device) : device);
  }
  return [...merged.values()];
}

function overDevice(below: BlockDeviceMapping, device: BlockDeviceMapping): BlockDeviceMapping {
  const { DeviceName } = device;
  if (device.NoDevice !== undefined) return { DeviceName, NoDevice: device.NoDevice };
  if (device.Ebs) return { DeviceName, Ebs: mergeStructure(below.Ebs ?? {}, device.Ebs) };
  if (device.VirtualName !== undefined) return { DeviceName, VirtualName: device.VirtualName };
  return below;
}

/** By key within a resource type: the request's value wins, other tags of the template stay. */
function mergeTags(
  under: readonly TagSpecification[] = [],
  over: readonly TagSpecification[] = [],
): TagSpecification[] {
  const byType = new Map<TagSpecification['ResourceType'], Map<string | undefined, string | undefined>>();
  for (const { ResourceType, Tags } of [...under, ...over]) {
    const tags = byType.get(ResourceType) ?? new Map<string | undefined, string | undefined>();
    for (const { Key, Value } of Tags ?? []) tags.set(Key, Value);
    byType.set(ResourceType, tags);
  }
  return [...byType].map(([ResourceType, tags]) => ({
    ResourceType,
    Tags: [...tags].map(([Key, Value]) => ({ Key, Value })),
  }));
}

/** By DeviceIndex, field by field. */
function mergeInterfaces(
  under: readonly InstanceNetworkInterfaceSpecification[] = [],
  over: readonly InstanceNetworkInterfaceSpecification[] = [],
): InstanceNetworkInterfaceSpecification[] {
  const merged = new Map(under.map((each) => [each.DeviceIndex ?? 0, each]));
  for (const each of over) {
    const at = each.DeviceIndex ?? 0;
    merged.set(at, mergeStructure(merged.get(at) ?? {}, each));
  }
  return [...merged.values()];
}
