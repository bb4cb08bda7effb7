/**
 * Request parameters and response elements of EC2 as CloudTrail writes them, which is unlike every other service.
 *
 * Operations from EC2's first years have lower-case names and lists as `{ items: [...] }`, mostly called `…Set`. Later
 * ones stand whole below `<Operation>Request` and `<Operation>Response`, with the names of the query and the XML; an item
 * of a list carries its place as `tag`, and a list of one is that one.
 */
import { lowerCamel } from '../wire/json.ts';
import type { OperationModel } from '../wire/model.ts';
import { queryName } from '../wire/query.ts';
import type { ListShape, Member, Shape, StructShape } from '../wire/shapes.ts';
import { isHidden } from './hidden-members.ts';

const NAMESPACE = 'http://ec2.amazonaws.com/doc/2016-11-15/';

/** The operations of EC2's first years, as far as their names do not follow from {@link EARLY_DESCRIBED}. */
const EARLY: ReadonlySet<string> = new Set([
  'AttachVolume',
  'AuthorizeSecurityGroupEgress',
  'AuthorizeSecurityGroupIngress',
  'CopyImage',
  'CopySnapshot',
  'CreateImage',
  'CreateKeyPair',
  'CreateSecurityGroup',
  'CreateSnapshot',
  'CreateTags',
  'CreateVolume',
  'DeleteKeyPair',
  'DeleteSecurityGroup',
  'DeleteSnapshot',
  'DeleteTags',
  'DeleteVolume',
  'DeregisterImage',
  'DetachVolume',
  'GetConsoleOutput',
  'ImportKeyPair',
  'ModifyImageAttribute',
  'ModifyInstanceAttribute',
  'ModifySnapshotAttribute',
  'ModifySubnetAttribute',
  'ModifyVolumeAttribute',
  'ModifyVpcAttribute',
  'RebootInstances',
  'RegisterImage',
  'ResetImageAttribute',
  'ResetSnapshotAttribute',
  'RevokeSecurityGroupEgress',
  'RevokeSecurityGroupIngress',
  'RunInstances',
  'StartInstances',
  'StopInstances',
  'TerminateInstances',
]);
const EARLY_DESCRIBED =
  /^Describe(?:AccountAttributes|AvailabilityZones|DhcpOptions|(?:Image|Instance|Snapshot|Volume|Vpc)Attribute|Images|Instances|InstanceStatus|InternetGateways|KeyPairs|NetworkAcls|NetworkInterfaces|Regions|RouteTables|SecurityGroups|Snapshots|Subnets|Tags|Volumes|VolumeStatus|Vpcs)$/;

const isEarly = (operation: string): boolean => EARLY.has(operation) || EARLY_DESCRIBED.test(operation);

/** What an event of EC2 tells of the input; `undefined` where there is nothing to tell. */
export function ec2Request({ name, input: shape }: OperationModel, input: unknown): unknown {
  if (typeof input !== 'object' || input === null) return undefined;
  if (!isEarly(name)) return { [`${name}Request`]: tellByQuery(shape, input) };
  const told = tellEarly(shape, input);
  const arranged =
    name === 'RunInstances' ? ofRunInstances(told) : name === 'CreateVolume' ? ofCreateVolume(told) : told;
  return Object.keys(arranged).length === 0 ? undefined : arranged;
}

/** What an event of EC2 tells of the output. */
export function ec2Response({ name, output: shape }: OperationModel, output: unknown, requestId: string): unknown {
  const given = typeof output === 'object' && output !== null ? output : {};
  if (!isEarly(name))
    return { [`${name}Response`]: { xmlns: NAMESPACE, requestId, ...tellByXml(shape, given, LATER) } };
  const told = tellByXml(shape, given, FIRST);
  return { requestId, ...(Object.keys(told).length === 0 ? { _return: true } : told) };
}

type Told = Record<string, unknown>;

function tellMembers(
  shape: StructShape,
  value: object,
  tell: (member: Member, item: unknown, told: Told) => void,
): Told {
  const source = value as Readonly<Record<string, unknown>>;
  const told: Told = {};
  for (const member of shape.members) {
    const item = source[member.name];
    if (item !== undefined && item !== null && !isHidden(member)) tell(member, item, told);
  }
  return told;
}

// Early requests -----------------------------------------------------------------------------------------------------

/** Lists whose names do not follow the rule: the list, and its items where they are text. */
const EARLY_LISTS: Readonly<Record<string, readonly [list: string, item?: string]>> = {
  Add: ['add'],
  BlockDeviceMappings: ['blockDeviceMapping'],
  ExecutableUsers: ['executableBySet', 'user'],
  ImageIds: ['imagesSet', 'imageId'],
  InstanceIds: ['instancesSet', 'instanceId'],
  IpPermissions: ['ipPermissions'],
  IpRanges: ['ipRanges'],
  Ipv6Ranges: ['ipv6Ranges'],
  Owners: ['ownersSet', 'owner'],
  PrefixListIds: ['prefixListIds'],
  Remove: ['remove'],
  Resources: ['resourcesSet', 'resourceId'],
  SecurityGroupIds: ['groupSet', 'groupId'],
  SecurityGroups: ['groupSet', 'groupName'],
  UserIdGroupPairs: ['groups'],
};

function tellEarly(shape: StructShape, value: object): Told {
  return tellMembers(shape, value, (member, item, told) => {
    if (member.shape.kind !== 'list') {
      told[lowerCamel(member.name)] = tellEarlyValue(member.shape, item);
      return;
    }
    const { name, items } = earlyList(member, member.shape, item as readonly unknown[]);
    const before = (told[name] as { items?: unknown[] } | undefined)?.items ?? [];
    told[name] = items.length + before.length === 0 ? {} : { items: [...before, ...items] };
  });
}

function earlyList({ name, traits }: Member, shape: ListShape, values: readonly unknown[]) {
  const singular = lowerCamel(traits.xmlName ?? name);
  const [list, item = singular] = EARLY_LISTS[name] ?? [`${singular}Set`];
  const items = values.map((value) => {
    const told = tellEarlyValue(shape.item.shape, value);
    if (name === 'TagSpecifications') return withPlainTags(told as Told);
    return shape.item.shape.kind === 'struct' ? told : { [item]: told };
  });
  return { name: list, items };
}

/** Tags of a specification are the one list without `items`. */
function withPlainTags({ tagSet, ...rest }: Told): Told {
  return { ...rest, tags: (tagSet as { items?: unknown[] } | undefined)?.items ?? [] };
}

function tellEarlyValue(shape: Shape, value: unknown): unknown {
  if (shape.kind === 'struct') return tellEarly(shape, value as object);
  return value instanceof Date ? value.getTime() : value;
}

/** What is to be launched stands as the one item of a list. */
function ofRunInstances({ imageId, minCount, maxCount, keyName, ...rest }: Told): Told {
  const launched = Object.entries({ imageId, minCount, maxCount, keyName }).filter(([, value]) => value !== undefined);
  return { instancesSet: { items: [Object.fromEntries(launched)] }, ...rest };
}

function ofCreateVolume({ availabilityZone: zone, size, ...rest }: Told): Told {
  return { ...(size === undefined ? {} : { size: String(size) }), ...(zone === undefined ? {} : { zone }), ...rest };
}

// Later requests -----------------------------------------------------------------------------------------------------

function tellByQuery(shape: StructShape, value: object): Told {
  return tellMembers(shape, value, (member, item, told) => {
    const value = tellQueryValue(member.shape, item);
    if (value !== undefined) told[queryName('ec2', member.name, member.traits)] = value;
  });
}

function tellQueryValue(shape: Shape, value: unknown): unknown {
  if (shape.kind === 'struct') return tellByQuery(shape, value as object);
  if (shape.kind === 'list') {
    const items = (value as readonly unknown[]).map((item, at) => {
      const told = tellQueryValue(shape.item.shape, item);
      return shape.item.shape.kind === 'struct' ? { ...(told as Told), tag: at + 1 } : { content: told, tag: at + 1 };
    });
    return items.length > 1 ? items : items[0];
  }
  return value instanceof Date ? value.toISOString() : value;
}

// Responses ----------------------------------------------------------------------------------------------------------

interface ResponseStyle {
  list(items: readonly unknown[]): unknown;
  date(value: Date): unknown;
}
const FIRST: ResponseStyle = {
  list: (items) => (items.length === 0 ? {} : { items }),
  date: (value) => value.getTime(),
};
const LATER: ResponseStyle = {
  list: (items) => (items.length === 0 ? {} : { item: items.length === 1 ? items[0] : items }),
  date: (value) => value.toISOString(),
};

function tellByXml(shape: StructShape, value: object, style: ResponseStyle): Told {
  return tellMembers(shape, value, (member, item, told) => {
    const name = member.traits.xmlName ?? lowerCamel(member.name);
    told[name === 'return' ? '_return' : name] = tellXmlValue(member.shape, item, style);
  });
}

function tellXmlValue(shape: Shape, value: unknown, style: ResponseStyle): unknown {
  if (shape.kind === 'struct') return tellByXml(shape, value as object, style);
  if (shape.kind === 'list') {
    return style.list((value as readonly unknown[]).map((item) => tellXmlValue(shape.item.shape, item, style)));
  }
  return value instanceof Date ? style.date(value) : value;
}
