/**
 * XML by schema, outward only. Each shape is compiled once into a function from value to text: an answer with ten
 * thousand images is one pass over them. Absent members have no element; an empty list has an empty one (11.9).
 */
import { misfit } from './json.ts';
import { bytesToBase64, dateToText } from './scalars.ts';
import type { ListShape, MapShape, Shape, StructShape, Use } from './shapes.ts';

/** Content of an element, without its tags. */
type Writer = (value: unknown) => string;
/** Elements with their tags. */
type ElementWriter = (value: unknown) => string;

const structWriters = new WeakMap<Shape, Writer>();

/** Characters that need an escape, and those that XML 1.0 cannot carry at all. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SPECIAL = /[<>&"'\r\n\u0085\u2028\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const SPECIAL_EACH = /[<>&"'\r\n\u0085\u2028\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g;

const ESCAPES: Readonly<Record<string, string>> = {
  '<': '&lt;',
  '>': '&gt;',
  '&': '&amp;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#xD;',
  '\n': '&#xA;',
  '\u0085': '&#x85;',
  '\u2028': '&#x2028;',
};

export function escapeXml(text: string): string {
  if (!SPECIAL.test(text)) return text;
  // What XML cannot carry becomes the replacement character: a reader would refuse the whole document otherwise.
  return text.replace(SPECIAL_EACH, (character) => ESCAPES[character] ?? '\ufffd');
}

export function element(name: string, content: string): string {
  return content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`;
}

/** The members of a structure as elements, in the order of the schema. */
export function structToXml(shape: StructShape, value: unknown): string {
  return writerFor(shape)(value);
}

function writerFor(shape: Shape): Writer {
  switch (shape.kind) {
    case 'string':
      return (value) => (typeof value === 'string' ? escapeXml(value) : misfit('a string', value));
    case 'boolean':
      return (value) => (typeof value === 'boolean' ? String(value) : misfit('a boolean', value));
    case 'number':
      return (value) =>
        typeof value === 'number' && Number.isFinite(value) ? String(value) : misfit('a number', value);
    case 'blob':
      return (value) => (value instanceof Uint8Array ? bytesToBase64(value) : misfit('bytes', value));
    case 'timestamp': {
      const asSeconds = shape.format === 'epoch-seconds';
      return (value) => {
        if (!(value instanceof Date)) return misfit('a date', value);
        return asSeconds ? String(value.getTime() / 1000) : dateToText(value);
      };
    }
    case 'list':
      return listWriter(shape, shape.item.traits.xmlName ?? 'member');
    case 'map':
      return mapWriter(shape, 'entry');
    case 'struct': {
      let writer = structWriters.get(shape);
      if (!writer) {
        writer = structWriter(shape);
        structWriters.set(shape, writer);
      }
      return writer;
    }
  }
}

function elementWriter(use: Use, name: string): ElementWriter {
  const { shape, traits } = use;
  if (traits.xmlFlattened && shape.kind === 'list') return listWriter(shape, name);
  if (traits.xmlFlattened && shape.kind === 'map') return mapWriter(shape, name);
  const write = writerFor(shape);
  const open = `<${name}>`;
  const close = `</${name}>`;
  const empty = `<${name}/>`;
  return (value) => {
    const content = write(value);
    return content === '' ? empty : open + content + close;
  };
}

function listWriter(shape: ListShape, itemName: string): Writer {
  let write: ElementWriter | undefined;
  return (value) => {
    if (!Array.isArray(value)) return misfit('a list', value);
    write ??= elementWriter(shape.item, itemName);
    let xml = '';
    for (const item of value as readonly unknown[]) xml += write(item);
    return xml;
  };
}

function mapWriter(shape: MapShape, entryName: string): Writer {
  let writeValue: ElementWriter | undefined;
  const keyName = shape.key.traits.xmlName ?? 'key';
  return (value) => {
    if (typeof value !== 'object' || value === null) return misfit('a map', value);
    writeValue ??= elementWriter(shape.value, shape.value.traits.xmlName ?? 'value');
    let xml = '';
    for (const [key, item] of Object.entries(value)) {
      if (item === undefined || item === null) continue;
      xml += element(entryName, element(keyName, escapeXml(key)) + writeValue(item));
    }
    return xml;
  };
}

function structWriter(shape: StructShape): Writer {
  let plan: readonly { name: string; write: ElementWriter }[] | undefined;
  return (value) => {
    if (typeof value !== 'object' || value === null) return misfit(`the structure ${shape.name}`, value);
    plan ??= shape.members.map((member) => ({
      name: member.name,
      write: elementWriter(member, member.traits.xmlName ?? member.name),
    }));
    const source = value as Readonly<Record<string, unknown>>;
    let xml = '';
    for (const { name, write } of plan) {
      const item = source[name];
      if (item !== undefined && item !== null) xml += write(item);
    }
    return xml;
  };
}
