/**
 * What an event of EC2 or EBS is found by in LookupEvents: the ids that stand in its input and output.
 *
 * The records of EC2 name no resources; CloudTrail takes the list of LookupEvents from their elements, and so does this,
 * for the operations that change something. Types and names are those of CloudTrail's event history: a key pair goes by
 * its name, a security group by id and by name.
 */
import { isEc2Id } from '../ids.ts';
import type { Member, Shape } from '../wire/shapes.ts';

/** One line of an event's `Resources` in LookupEvents. */
export interface NamedResource {
  readonly type: string;
  readonly name: string;
}

/** Resources that one event is found by; an operation may touch hundreds, and what it names first counts. */
export const NAMED_RESOURCES_MAX = 50;

const TYPES: Readonly<Record<string, string>> = {
  ami: 'AWS::EC2::Ami',
  eni: 'AWS::EC2::NetworkInterface',
  i: 'AWS::EC2::Instance',
  lt: 'AWS::EC2::LaunchTemplate',
  sg: 'AWS::EC2::SecurityGroup',
  snap: 'AWS::EC2::Snapshot',
  subnet: 'AWS::EC2::Subnet',
  vol: 'AWS::EC2::Volume',
  vpc: 'AWS::EC2::VPC',
};

/** Members that hold ids, so that a tag or a description that looks like one names nothing. */
const HOLDS_IDS = /(?:Ids?|^Groups|^Resources)$/;

/** In AWS these are data events, which LookupEvents does not have; a snapshot has thousands of them. */
const DATA_EVENTS: ReadonlySet<string> = new Set(['PutSnapshotBlock']);

export function namesResources(service: string, operationName: string): boolean {
  return (service === 'ec2' || service === 'ebs') && !DATA_EVENTS.has(operationName);
}

/** Those nearest to the top of each value first: the instances of a launch before their network interfaces. */
export function resourcesIn(values: readonly { readonly shape: Shape; readonly value: unknown }[]): NamedResource[] {
  const found = new Map<string, NamedResource>();
  const queue: { shape: Shape; value: unknown; typeOf?: TypeOf | undefined }[] = [...values];
  for (const { shape, value, typeOf } of queue) {
    if (shape.kind === 'string') {
      const type = typeof value === 'string' ? typeOf?.(value) : undefined;
      if (type !== undefined) found.set(`${type} ${value}`, { type, name: value as string });
      if (found.size === NAMED_RESOURCES_MAX) break;
    } else if (shape.kind === 'list' && Array.isArray(value)) {
      for (const item of value) queue.push({ shape: shape.item.shape, value: item, typeOf });
    } else if (shape.kind === 'struct' && typeof value === 'object' && value !== null) {
      const source = value as Readonly<Record<string, unknown>>;
      for (const member of shape.members) {
        const item = source[member.name];
        if (item !== undefined && item !== null) {
          queue.push({ shape: member.shape, value: item, typeOf: typeOfMember(shape.name, member) });
        }
      }
    }
  }
  return [...found.values()];
}

type TypeOf = (value: string) => string | undefined;

/** What the strings of a member name, where they name anything. */
function typeOfMember(struct: string, { name, traits }: Member): TypeOf | undefined {
  if (traits.sensitive) return undefined;
  if (name === 'KeyName') return keyPair;
  // Placement groups have a GroupName too.
  if (name === 'GroupName' && SECURITY_GROUPS.test(struct)) return securityGroup;
  return HOLDS_IDS.test(name) ? typeOfId : undefined;
}

const SECURITY_GROUPS = /SecurityGroup|^GroupIdentifier$/;
const keyPair = () => 'AWS::EC2::KeyPair';
const securityGroup = () => 'AWS::EC2::SecurityGroup';

function typeOfId(value: string): string | undefined {
  const prefix = value.slice(0, value.indexOf('-'));
  return Object.hasOwn(TYPES, prefix) && isEc2Id(value, prefix) ? TYPES[prefix] : undefined;
}
