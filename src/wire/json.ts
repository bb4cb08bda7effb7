/**
 * JSON values by schema, both ways. What is decoded is a fresh object of members the schema knows: unknown members are
 * dropped (authorization-and-wire 12.2), null is absence, and no type is bent into another.
 */
import { BoundPassed, emptyMap, FORBIDDEN_MAP_KEY, type Reading } from './reading.ts';
import { base64ToBytes, bytesToBase64, checkNumber, dateToText, secondsToDate, textToDate } from './scalars.ts';
import type { ListShape, MapShape, Member, Shape, StructShape, TimestampShape } from './shapes.ts';

/** Gives `undefined` after reporting a problem. */
type Decoder = (value: unknown, path: string, depth: number, reading: Reading) => unknown;
type Encoder = (value: unknown) => unknown;

const structDecoders = new WeakMap<Shape, Decoder>();
const structEncoders = new WeakMap<Shape, Encoder>();

/** Path elements are lowerCamel, as AWS words its constraint errors (kms 1.8). */
export function lowerCamel(name: string): string {
  // KMSKey → kmsKey, ARN → arn, KeyId → keyId
  return name.replace(/^[A-Z]+(?=[A-Z][a-z]|\d|$)|^[A-Z]/, (start) => start.toLowerCase());
}

export function joinPath(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

export function decodeJson(shape: StructShape, value: unknown, reading: Reading): Record<string, unknown> {
  return (decoderFor(shape, true)(value, '', 0, reading) ?? {}) as Record<string, unknown>;
}

/** A value that `JSON.stringify` writes as the protocol wants it. */
export function encodeJson(shape: StructShape, value: unknown): Record<string, unknown> {
  return encoderFor(shape)(value) as Record<string, unknown>;
}

export function jsonName(member: Member): string {
  return member.traits.jsonName ?? member.name;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'START_ARRAY';
  if (typeof value === 'object') return 'START_OBJECT';
  if (typeof value === 'boolean') return value ? 'TRUE_VALUE' : 'FALSE_VALUE';
  return typeof value === 'number' ? 'NUMBER_VALUE' : 'STRING_VALUE';
}

export function decoderFor(shape: Shape, integer: boolean): Decoder {
  switch (shape.kind) {
    case 'string':
      return decodeString;
    case 'boolean':
      return (value, path, _depth, reading) =>
        typeof value === 'boolean' ? value : mismatch(value, path, 'a Boolean', reading);
    case 'number':
      return (value, path, _depth, reading) =>
        (typeof value === 'number' ? checkNumber(value, integer) : undefined) ??
        mismatch(value, path, integer ? 'an Integer' : 'a Double', reading);
    case 'blob':
      return (value, path, _depth, reading) => {
        if (typeof value !== 'string') return mismatch(value, path, 'a Blob', reading);
        reading.checkLength(value);
        return base64ToBytes(value) ?? mismatch(value, path, 'a Blob', reading);
      };
    case 'timestamp':
      return timestampDecoder(shape);
    case 'list':
      return listDecoder(shape);
    case 'map':
      return mapDecoder(shape);
    case 'struct': {
      let decoder = structDecoders.get(shape);
      if (!decoder) {
        decoder = structDecoder(shape);
        structDecoders.set(shape, decoder);
      }
      return decoder;
    }
  }
}

function mismatch(value: unknown, path: string, expected: string, reading: Reading): undefined {
  reading.report({ kind: 'type', path, found: kindOf(value), expected });
}

function decodeString(value: unknown, path: string, _depth: number, reading: Reading): unknown {
  if (typeof value !== 'string') return mismatch(value, path, 'a String', reading);
  reading.checkLength(value);
  return value;
}

function timestampDecoder(shape: TimestampShape): Decoder {
  const asText = shape.format === 'date-time';
  return (value, path, _depth, reading) => {
    const date =
      asText && typeof value === 'string'
        ? textToDate(value)
        : !asText && typeof value === 'number'
          ? secondsToDate(value)
          : undefined;
    return date ?? mismatch(value, path, 'a Timestamp', reading);
  };
}

function listDecoder(shape: ListShape): Decoder {
  let decodeItem: Decoder | undefined;
  return (value, path, depth, reading) => {
    if (!Array.isArray(value)) return mismatch(value, path, 'a List', reading);
    reading.checkDepth(depth + 1);
    decodeItem ??= decoderFor(shape.item.shape, true);
    const list: unknown[] = [];
    for (const item of value as readonly unknown[]) {
      reading.count();
      const itemPath = `${path}.${list.length + 1}.member`;
      list.push(item === null ? mismatchNull(itemPath, reading) : decodeItem(item, itemPath, depth + 1, reading));
    }
    return list;
  };
}

function mismatchNull(path: string, reading: Reading): undefined {
  reading.report({ kind: 'type', path, found: 'VALUE_NULL', expected: 'a list or map member' });
}

function mapDecoder(shape: MapShape): Decoder {
  let decodeValue: Decoder | undefined;
  return (value, path, depth, reading) => {
    if (typeof value !== 'object' || Array.isArray(value)) return mismatch(value, path, 'a Map', reading);
    reading.checkDepth(depth + 1);
    decodeValue ??= decoderFor(shape.value.shape, true);
    const map = emptyMap();
    for (const [key, item] of Object.entries(value as object)) {
      reading.count();
      reading.checkLength(key);
      if (key === FORBIDDEN_MAP_KEY) throw new BoundPassed(`The map key ${FORBIDDEN_MAP_KEY} is not supported`);
      const itemPath = `${path}.${key}.member`;
      map[key] = item === null ? mismatchNull(itemPath, reading) : decodeValue(item, itemPath, depth + 1, reading);
    }
    return map;
  };
}

function structDecoder(shape: StructShape): Decoder {
  let plan: readonly { name: string; key: string; required: boolean; pathName: string; decode: Decoder }[] | undefined;
  return (value, path, depth, reading) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return mismatch(value, path, 'a Structure', reading);
    }
    reading.checkDepth(depth);
    plan ??= shape.members.map((member) => ({
      name: member.name,
      key: jsonName(member),
      required: member.required,
      pathName: lowerCamel(member.name),
      decode: decoderFor(member.shape, member.integer),
    }));
    const source = value as Readonly<Record<string, unknown>>;
    const struct: Record<string, unknown> = {};
    for (const { name, key, required, pathName, decode } of plan) {
      const item = Object.hasOwn(source, key) ? source[key] : undefined;
      if (item === undefined || item === null) {
        if (required) reading.report({ kind: 'missing', path: joinPath(path, pathName) });
        continue;
      }
      reading.count();
      struct[name] = decode(item, joinPath(path, pathName), depth + 1, reading);
    }
    return struct;
  };
}

/** The handler's output is not what its schema says: a defect of ours, never the caller's. */
export function misfit(expected: string, value: unknown): never {
  throw new TypeError(`an operation's output has ${value === null ? 'null' : typeof value} where ${expected} belongs`);
}

function encoderFor(shape: Shape): Encoder {
  switch (shape.kind) {
    case 'string':
      return (value) => (typeof value === 'string' ? value : misfit('a string', value));
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? value : misfit('a boolean', value));
    case 'number':
      return (value) => (typeof value === 'number' && Number.isFinite(value) ? value : misfit('a number', value));
    case 'blob':
      return (value) => (value instanceof Uint8Array ? bytesToBase64(value) : misfit('bytes', value));
    case 'timestamp': {
      const asText = shape.format === 'date-time';
      return (value) => {
        if (!(value instanceof Date)) return misfit('a date', value);
        return asText ? dateToText(value) : value.getTime() / 1000;
      };
    }
    case 'list': {
      let encodeItem: Encoder | undefined;
      return (value) => {
        if (!Array.isArray(value)) return misfit('a list', value);
        encodeItem ??= encoderFor(shape.item.shape);
        return value.map(encodeItem);
      };
    }
    case 'map': {
      let encodeValue: Encoder | undefined;
      return (value) => {
        if (typeof value !== 'object' || value === null) return misfit('a map', value);
        encodeValue ??= encoderFor(shape.value.shape);
        const map = emptyMap();
        for (const [key, item] of Object.entries(value)) {
          if (item !== undefined && item !== null) map[key] = encodeValue(item);
        }
        return map;
      };
    }
    case 'struct': {
      let encoder = structEncoders.get(shape);
      if (!encoder) {
        encoder = structEncoder(shape);
        structEncoders.set(shape, encoder);
      }
      return encoder;
    }
  }
}

function structEncoder(shape: StructShape): Encoder {
  let plan: readonly { name: string; key: string; encode: Encoder }[] | undefined;
  return (value) => {
    if (typeof value !== 'object' || value === null) return misfit(`the structure ${shape.name}`, value);
    plan ??= shape.members.map((member) => ({
      name: member.name,
      key: jsonName(member),
      encode: encoderFor(member.shape),
    }));
    const source = value as Readonly<Record<string, unknown>>;
    const struct: Record<string, unknown> = {};
    for (const { name, key, encode } of plan) {
      const item = source[name];
      if (item !== undefined && item !== null) struct[key] = encode(item);
    }
    return struct;
  };
}
