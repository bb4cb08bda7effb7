/** Arbitrary values of any shape, for properties over whole services. */
import fc from 'fast-check';
import type { Member, Shape, StructShape } from '../../src/wire/shapes.ts';

export interface GenerateOptions {
  /** Code points that may stand in strings. */
  readonly text: fc.Arbitrary<string>;
  /** Below this depth only scalars are made. */
  readonly depthMax: number;
  /** No list and no structure (but the outermost) is empty: a query has no words for those. */
  readonly nothingEmpty?: boolean;
}

/** Any text that a request can carry. */
export const anyText = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.constantFrom(
    '',
    'a b+c&d=e%20',
    '<tag attr="x">&amp;</tag>',
    ' padded ',
    'line\nbreak\r\ttab',
    '\u{1F512}',
    'null',
  ),
);

/** Any text that XML can carry, and that the client's parser does not take for indentation. */
export const xmlText = anyText.map((text) =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: XML cannot carry them
  text.replace(/^\s+$/, '').replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '?'),
);

const aDate = fc.integer({ min: 0, max: 4_102_444_800_000 }).map((milliseconds) => new Date(milliseconds));

export function arbitraryOf(shape: Shape, options: GenerateOptions, integer = true, depth = 0): fc.Arbitrary<unknown> {
  switch (shape.kind) {
    case 'string':
      return options.text;
    case 'boolean':
      return fc.boolean();
    case 'number':
      return integer
        ? fc.integer({ min: -2_147_483_648, max: 2_147_483_647 })
        : fc.integer({ min: -1_000_000, max: 1_000_000 }).map((n) => n / 64);
    case 'blob':
      return fc.uint8Array({ maxLength: 40 });
    case 'timestamp':
      return aDate;
    case 'list':
      return fc.array(arbitraryOf(shape.item.shape, options, true, depth + 1), {
        minLength: options.nothingEmpty ? 1 : 0,
        maxLength: 3,
      });
    case 'map': {
      const key = options.text.filter((text) => text !== '' && text !== '__proto__');
      return fc.dictionary(key, arbitraryOf(shape.value.shape, options, true, depth + 1), {
        minKeys: options.nothingEmpty ? 1 : 0,
        maxKeys: 3,
        noNullPrototype: true,
      });
    }
    case 'struct': {
      const struct = arbitraryStruct(shape, options, depth);
      const canBeFull = options.nothingEmpty && shape.members.length > 0;
      return canBeFull ? struct.filter((made) => Object.keys(made).length > 0) : struct;
    }
  }
}

function mustBeMade(member: Member): boolean {
  // The client fills in tokens by itself, and a payload is there even when it is empty.
  return member.required || 'idempotencyToken' in member.traits || member.traits.httpPayload !== undefined;
}

function isDeep(shape: Shape): boolean {
  return shape.kind === 'struct' || shape.kind === 'list' || shape.kind === 'map';
}

export function arbitraryStruct(
  shape: StructShape,
  options: GenerateOptions,
  depth = 0,
): fc.Arbitrary<Record<string, unknown>> {
  const shallow = shape.members.filter(
    (member) => mustBeMade(member) || depth < options.depthMax || !isDeep(member.shape),
  );
  const members = shallow.length === 0 && options.nothingEmpty ? shape.members : shallow;
  const arbitraries = members.map(
    (member) => [member.name, arbitraryOf(member.shape, options, member.integer, depth + 1)] as const,
  );
  if (shape.union) {
    return fc.oneof(...arbitraries.map(([name, value]) => value.map((made) => ({ [name]: made }))));
  }
  return fc.record(Object.fromEntries(arbitraries), {
    noNullPrototype: true,
    requiredKeys: members.filter(mustBeMade).map((member) => member.name),
  });
}

/** A value in a form that `deepEqual` can compare: absent members are absent, bytes and dates are text. */
export function normalise(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes:${Buffer.from(value).toString('hex')}`;
  if (value instanceof Date) return `date:${value.toISOString()}`;
  if (Array.isArray(value)) return value.map(normalise);
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, item]) => item !== undefined);
    return Object.fromEntries(entries.map(([key, item]) => [key, normalise(item)]));
  }
  return value;
}
