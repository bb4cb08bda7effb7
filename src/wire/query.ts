/**
 * The query string decoder of ec2Query and awsQuery: the SDK has only the other direction.
 *
 * Both nest names with dots and count lists from 1. They differ in names (ec2QueryName, or the capitalised XML name),
 * in lists (EC2's are always flat) and in strictness: EC2 refuses parameters it does not know, the others pass over
 * them (authorization-and-wire 11.1 to 11.4).
 */
import { type FormNode, firstKey } from './form.ts';
import { joinPath, lowerCamel } from './json.ts';
import { BoundPassed, emptyMap, FORBIDDEN_MAP_KEY, type Reading } from './reading.ts';
import { base64ToBytes, secondsToDate, textToDate, textToNumber } from './scalars.ts';
import type { ListShape, MapShape, Shape, StructShape, Traits, Use } from './shapes.ts';

export type Flavour = 'ec2' | 'aws';

/** Gives `undefined` after reporting a problem. `path` is of member names, for messages that use those. */
type Decoder = (node: FormNode, path: string, depth: number, reading: Reading) => unknown;

const structDecoders = { ec2: new WeakMap<Shape, Decoder>(), aws: new WeakMap<Shape, Decoder>() };

const INDEX = /^[1-9]\d{0,5}$/;

/** Top-level parameters that belong to the protocol or to old and presigned signatures, not to the operation. */
const PROTOCOL_PARAMETERS = new Set([
  'Action',
  'Version',
  'AWSAccessKeyId',
  'Signature',
  'SignatureMethod',
  'SignatureVersion',
  'Timestamp',
  'Expires',
  'SecurityToken',
]);

function isProtocolParameter(name: string): boolean {
  return PROTOCOL_PARAMETERS.has(name) || /^x-amz-/i.test(name);
}

export function decodeForm(
  flavour: Flavour,
  shape: StructShape,
  form: FormNode,
  reading: Reading,
): Record<string, unknown> {
  const operationForm: FormNode = { ...form, children: new Map() };
  for (const [name, child] of form.children ?? []) {
    if (!isProtocolParameter(name)) operationForm.children?.set(name, child);
  }
  return decoderFor(flavour, shape, true)(operationForm, '', 0, reading) as Record<string, unknown>;
}

/** The name of a structure's member in a query. */
export function queryName(flavour: Flavour, name: string, traits: Traits): string {
  if (flavour === 'aws') return traits.xmlName ?? name;
  if (traits.ec2QueryName !== undefined) return traits.ec2QueryName;
  const key = traits.xmlName ?? name;
  return key.slice(0, 1).toUpperCase() + key.slice(1);
}

/** The name of a list's item or of a map's key or value. */
function innerName(flavour: Flavour, use: Use, standard: string): string {
  return (flavour === 'ec2' ? use.traits.ec2QueryName : undefined) ?? use.traits.xmlName ?? standard;
}

function decoderFor(flavour: Flavour, shape: Shape, integer: boolean, traits: Traits = {}): Decoder {
  switch (shape.kind) {
    case 'string':
      return scalar('a string', (text) => text);
    case 'boolean':
      return scalar('a boolean', textToBoolean);
    case 'number':
      return scalar(integer ? 'an integer' : 'a number', (text) => textToNumber(text, integer));
    case 'blob':
      return scalar('base64', base64ToBytes);
    case 'timestamp':
      return shape.format === 'epoch-seconds'
        ? scalar('a timestamp', (text) => secondsToDate(textToNumber(text, false) ?? Number.NaN))
        : scalar('a timestamp', textToDate);
    case 'list':
      return listDecoder(flavour, shape, flavour === 'ec2' || Boolean(traits.xmlFlattened));
    case 'map':
      return mapDecoder(flavour, shape, Boolean(traits.xmlFlattened));
    case 'struct': {
      let decoder = structDecoders[flavour].get(shape);
      if (!decoder) {
        decoder = structDecoder(flavour, shape);
        structDecoders[flavour].set(shape, decoder);
      }
      return decoder;
    }
  }
}

function textToBoolean(text: string): boolean | undefined {
  if (/^true$/i.test(text)) return true;
  return /^false$/i.test(text) ? false : undefined;
}

function scalar(expected: string, read: (text: string) => unknown): Decoder {
  return (node, path, _depth, reading) => {
    if (node.children) return reading.report({ kind: 'unknown', path: firstKey({ ...node, value: undefined }) });
    if (node.repeated) return reading.report({ kind: 'repeated', path: node.key });
    const text = node.value ?? '';
    const value = read(text);
    return value ?? reading.report({ kind: 'type', path: path === '' ? node.key : path, found: text, expected });
  };
}

/** Children under list indexes, in the order of the indexes; reports whatever is no index. */
function indexed(node: FormNode, reading: Reading): readonly FormNode[] {
  const items: (readonly [number, FormNode])[] = [];
  for (const [segment, child] of node.children ?? []) {
    if (INDEX.test(segment)) items.push([Number(segment), child]);
    else reading.report({ kind: 'unknown', path: firstKey(child) });
  }
  return items.sort(([a], [b]) => a - b).map(([, child]) => child);
}

/** The node under which the items stand: the list itself when flat, `member` (or its other name) when not. */
function inner(node: FormNode, flat: boolean, name: string, strict: boolean, reading: Reading): FormNode | undefined {
  if (flat) return node;
  if (strict) {
    for (const [segment, child] of node.children ?? []) {
      if (segment !== name) reading.report({ kind: 'unknown', path: firstKey(child) });
    }
  }
  return node.children?.get(name);
}

function listDecoder(flavour: Flavour, shape: ListShape, flat: boolean): Decoder {
  let decodeItem: Decoder | undefined;
  return (node, path, depth, reading) => {
    // An empty list is sent as its name with nothing after it (11.4).
    if (node.value !== undefined && node.value !== '') return reading.report({ kind: 'unknown', path: node.key });
    reading.checkDepth(depth + 1);
    decodeItem ??= decoderFor(flavour, shape.item.shape, true, shape.item.traits);
    const list: unknown[] = [];
    const parent = inner(node, flat, innerName(flavour, shape.item, 'member'), true, reading);
    for (const item of parent ? indexed(parent, reading) : []) {
      reading.count();
      list.push(decodeItem(item, `${path}.${list.length + 1}.member`, depth + 1, reading));
    }
    return list;
  };
}

function mapDecoder(flavour: Flavour, shape: MapShape, flat: boolean): Decoder {
  let decodeValue: Decoder | undefined;
  const keyName = innerName(flavour, shape.key, 'key');
  const valueName = innerName(flavour, shape.value, 'value');
  return (node, path, depth, reading) => {
    if (node.value !== undefined && node.value !== '') return reading.report({ kind: 'unknown', path: node.key });
    reading.checkDepth(depth + 1);
    decodeValue ??= decoderFor(flavour, shape.value.shape, true, shape.value.traits);
    const map = emptyMap();
    const parent = inner(node, flat, 'entry', true, reading);
    for (const entry of parent ? indexed(parent, reading) : []) {
      reading.count();
      const key = entry.children?.get(keyName)?.value;
      const value = entry.children?.get(valueName);
      if (key === undefined) {
        reading.report({ kind: 'missing', path: `${entry.key}.${keyName}` });
      } else if (key === FORBIDDEN_MAP_KEY) {
        throw new BoundPassed(`The map key ${FORBIDDEN_MAP_KEY} is not supported`);
      } else if (!value) {
        reading.report({ kind: 'missing', path: `${entry.key}.${valueName}` });
      } else {
        map[key] = decodeValue(value, `${path}.${key}.member`, depth + 1, reading);
      }
    }
    return map;
  };
}

interface PlannedMember {
  readonly name: string;
  readonly key: string;
  readonly pathName: string;
  readonly required: boolean;
  readonly decode: Decoder;
}

function structDecoder(flavour: Flavour, shape: StructShape): Decoder {
  let plan: readonly PlannedMember[] | undefined;
  return (node, path, depth, reading) => {
    // A structure with no members set is sent as its name with nothing after it, if at all.
    if (node.value !== undefined && node.value !== '') return reading.report({ kind: 'unknown', path: node.key });
    reading.checkDepth(depth);
    plan ??= shape.members.map(({ name, traits, shape: memberShape, required, integer }) => ({
      name,
      key: queryName(flavour, name, traits),
      pathName: lowerCamel(name),
      required,
      decode: decoderFor(flavour, memberShape, integer, traits),
    }));
    const struct: Record<string, unknown> = {};
    let known = 0;
    for (const { name, key, pathName, required, decode } of plan) {
      const child = node.children?.get(key);
      if (!child) {
        if (required) {
          const queryPath = node.key === '' ? key : `${node.key}.${key}`;
          reading.report({ kind: 'missing', path: flavour === 'ec2' ? queryPath : joinPath(path, pathName) });
        }
        continue;
      }
      known += 1;
      reading.count();
      struct[name] = decode(child, flavour === 'ec2' ? child.key : joinPath(path, pathName), depth + 1, reading);
    }
    if (flavour === 'ec2' && known < (node.children?.size ?? 0)) reportUnknown(node, plan, reading);
    return struct;
  };
}

function reportUnknown(node: FormNode, plan: readonly PlannedMember[], reading: Reading): void {
  const keys = new Set(plan.map((member) => member.key));
  for (const [segment, child] of node.children ?? []) {
    if (!keys.has(segment)) reading.report({ kind: 'unknown', path: firstKey(child) });
  }
}
