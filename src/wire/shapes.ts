/**
 * Shapes: what the SDK's Smithy schemas say about a value, read once into plain objects that the codecs compile.
 *
 * A {@link Shape} is the type of a value; a {@link Use} is one place where it stands (a member of a structure, the item
 * of a list, the key or value of a map) with the names it has there. Shapes may be recursive, so a use finds its shape
 * on first need.
 */
import { NormalizedSchema } from '@smithy/core/schema';

/** A schema as the SDK writes it. */
type SchemaRef = Parameters<typeof NormalizedSchema.of>[0];

export type Shape = SimpleShape | TimestampShape | ListShape | MapShape | StructShape;

export interface SimpleShape {
  readonly kind: 'string' | 'number' | 'boolean' | 'blob';
}
export interface TimestampShape {
  readonly kind: 'timestamp';
  /** Where the schema says none, each protocol has its own. */
  readonly format?: 'date-time' | 'http-date' | 'epoch-seconds';
}
export interface ListShape {
  readonly kind: 'list';
  readonly item: Use;
}
export interface MapShape {
  readonly kind: 'map';
  readonly key: Use;
  readonly value: Use;
}
export interface StructShape {
  readonly kind: 'struct';
  readonly name: string;
  /** A union has exactly one of its members. */
  readonly union: boolean;
  readonly members: readonly Member[];
}

/** One place where a shape is used. */
export interface Use {
  readonly shape: Shape;
  readonly traits: Traits;
}

export interface Member extends Use {
  readonly name: string;
  readonly required: boolean;
  /** False for the few numbers that may have a fraction; the schemas know only one kind of number. */
  readonly integer: boolean;
}

/** The traits that matter on a server; the rest is for clients. */
export interface Traits {
  readonly xmlName?: string;
  readonly ec2QueryName?: string;
  readonly jsonName?: string;
  readonly xmlFlattened?: unknown;
  readonly sensitive?: unknown;
  readonly streaming?: unknown;
  readonly httpHeader?: string;
  readonly httpQuery?: string;
  readonly httpLabel?: unknown;
  readonly httpPayload?: unknown;
}

/** What an operation without input or output has. */
export const EMPTY_STRUCT: StructShape = { kind: 'struct', name: 'Unit', union: false, members: [] };

/** Index of the count of required members in a structure's static schema; they come first among the members. */
const REQUIRED_COUNT = 6;

const SIMPLE = {
  string: { kind: 'string' },
  number: { kind: 'number' },
  boolean: { kind: 'boolean' },
  blob: { kind: 'blob' },
} as const satisfies Record<string, SimpleShape>;

/** Reads the schemas of one service. `fractional` names the members (`Shape.Member`) whose numbers are not integers. */
export class ShapeReader {
  readonly #shapes = new Map<unknown, Shape>();
  readonly #fractional: ReadonlySet<string>;

  constructor(fractional: Iterable<string> = []) {
    this.#fractional = new Set(fractional);
  }

  /** The structure behind an operation's input or output, or an error. */
  struct(ref: SchemaRef): StructShape {
    const schema = NormalizedSchema.of(ref);
    if (schema.isUnitSchema()) return EMPTY_STRUCT;
    const shape = this.#shape(schema);
    if (shape.kind !== 'struct') throw new Error(`${schema.getName(true)} is not a structure`);
    return shape;
  }

  #shape(schema: NormalizedSchema): Shape {
    const key: unknown = schema.getSchema();
    const known = this.#shapes.get(key);
    if (known) return known;
    const shape = this.#read(schema, key);
    this.#shapes.set(key, shape);
    return shape;
  }

  #read(schema: NormalizedSchema, raw: unknown): Shape {
    if (schema.isStructSchema()) return this.#readStruct(schema, raw as readonly unknown[]);
    if (schema.isListSchema()) return { kind: 'list', item: this.#use(schema.getValueSchema()) };
    if (schema.isMapSchema()) {
      return { kind: 'map', key: this.#use(schema.getKeySchema()), value: this.#use(schema.getValueSchema()) };
    }
    if (schema.isBlobSchema()) return SIMPLE.blob;
    if (schema.isBooleanSchema()) return SIMPLE.boolean;
    if (schema.isNumericSchema()) return SIMPLE.number;
    if (schema.isStringSchema()) return SIMPLE.string;
    if (schema.isTimestampSchema()) {
      if (raw === 5) return { kind: 'timestamp', format: 'date-time' };
      if (raw === 6) return { kind: 'timestamp', format: 'http-date' };
      if (raw === 7) return { kind: 'timestamp', format: 'epoch-seconds' };
      return { kind: 'timestamp' };
    }
    throw new Error(`${schema.getName(true)} has a type that no service of the registry used before`);
  }

  #readStruct(schema: NormalizedSchema, raw: readonly unknown[]): StructShape {
    const name = schema.getName() ?? '';
    const required = typeof raw[REQUIRED_COUNT] === 'number' ? raw[REQUIRED_COUNT] : 0;
    const members: Member[] = [];
    for (const [memberName, memberSchema] of schema.structIterator()) {
      const use = this.#use(memberSchema);
      members.push({
        name: memberName,
        required: members.length < required,
        integer: !this.#fractional.has(`${name}.${memberName}`),
        traits: use.traits,
        get shape() {
          return use.shape;
        },
      });
    }
    return { kind: 'struct', name, union: schema.isUnionSchema(), members };
  }

  #use(schema: NormalizedSchema): Use {
    // A name given to the target does not carry over to the member (https://smithy.io/2.0/spec/protocol-traits.html#xmlname-trait).
    const { xmlName: _, ...merged } = schema.getMergedTraits() as Traits;
    const { xmlName } = schema.getMemberTraits() as Traits;
    const shapeOf = () => this.#shape(schema);
    let shape: Shape | undefined;
    return {
      traits: xmlName === undefined ? merged : { ...merged, xmlName },
      get shape() {
        shape ??= shapeOf();
        return shape;
      },
    };
  }
}
