/** A service as its SDK schemas describe it: operations, their input and output, and modelled errors. */
import { EMPTY_STRUCT, ShapeReader, type StructShape } from './shapes.ts';

export type ProtocolName = 'ec2Query' | 'awsQuery' | 'awsJson1_1' | 'restJson1';

/** One line of the registry. */
export interface ServiceEntry {
  /** Signing name. */
  readonly name: string;
  readonly protocol: ProtocolName;
  readonly version: string;
  readonly xmlNamespace?: string;
  /** What stands before the operation in `X-Amz-Target`; clients differ for some services. */
  readonly targets?: readonly string[];
  /** Whether requests are signed for us-east-1 whatever the region. */
  readonly global?: boolean;
  /** The SDK client's exports, among them its schemas. */
  readonly schemas: Readonly<Record<string, unknown>>;
  /** Members (`Shape.Member`) whose numbers may have a fraction. */
  readonly fractional?: readonly string[];
}

export interface OperationModel {
  readonly name: string;
  readonly input: StructShape;
  readonly output: StructShape;
  readonly hasOutput: boolean;
  readonly http?: HttpBinding;
  /** The request body is one blob: it may be large, and its signature may leave it out (10.4). */
  readonly rawBody: boolean;
}

export interface HttpBinding {
  readonly method: string;
  readonly path: readonly PathSegment[];
  readonly status: number;
}
export type PathSegment = { readonly literal: string } | { readonly label: string };

export interface ErrorModel {
  /** Code on the wire, which for query services may differ from the shape's name. */
  readonly code: string;
  readonly status: number;
  /** `message` or `Message`. */
  readonly messageMember: string;
}

const OPERATION_KIND = 9;
const ERROR_KIND = -3;

type Ref = Parameters<ShapeReader['struct']>[0];

interface OperationTraits {
  readonly http?: readonly [method: string, uri: string, status: number];
}
interface ErrorTraits {
  readonly httpError?: number;
  readonly error?: 'client' | 'server';
  readonly awsQueryError?: readonly [code: string, status: number];
}

/** Reads an entry's schemas; operations are compiled when they are first asked for. */
export class ServiceModel {
  readonly entry: ServiceEntry;
  /** Names of all operations that AWS has, implemented here or not. */
  readonly operationNames: readonly string[];
  readonly #reader: ShapeReader;
  readonly #schemas = new Map<string, readonly unknown[]>();
  readonly #operations = new Map<string, OperationModel>();
  readonly #errors = new Map<string, ErrorModel>();

  constructor(entry: ServiceEntry) {
    this.entry = entry;
    this.#reader = new ShapeReader(entry.fractional);
    for (const [name, schema] of Object.entries(entry.schemas)) {
      if (!name.endsWith('$') || !Array.isArray(schema)) continue;
      if (schema[0] === OPERATION_KIND) this.#schemas.set(String(schema[2]), schema);
      if (schema[0] === ERROR_KIND) this.#addError(schema);
    }
    this.operationNames = [...this.#schemas.keys()];
  }

  get name(): string {
    return this.entry.name;
  }

  operation(name: string): OperationModel | undefined {
    const known = this.#operations.get(name);
    if (known) return known;
    const schema = this.#schemas.get(name);
    if (!schema) return undefined;
    const operation = this.#readOperation(name, schema);
    this.#operations.set(name, operation);
    return operation;
  }

  /** A modelled error by its code on the wire or its shape's name. */
  error(code: string): ErrorModel | undefined {
    return this.#errors.get(code);
  }

  #readOperation(name: string, schema: readonly unknown[]): OperationModel {
    const { http } = (typeof schema[3] === 'object' ? schema[3] : {}) as OperationTraits;
    const input = this.#reader.struct(schema[4] as Ref);
    const output = this.#reader.struct(schema[5] as Ref);
    const rawBody = input.members.some((member) => member.traits.httpPayload && member.shape.kind === 'blob');
    const model = { name, input, output, hasOutput: output !== EMPTY_STRUCT, rawBody };
    return http ? { ...model, http: { method: http[0], path: readPath(http[1]), status: http[2] } } : model;
  }

  #addError(schema: readonly unknown[]): void {
    const shapeName = String(schema[2]);
    const { error, httpError, awsQueryError } = (typeof schema[3] === 'object' ? schema[3] : {}) as ErrorTraits;
    const members = (schema[4] ?? []) as readonly string[];
    const model: ErrorModel = {
      code: this.entry.protocol === 'awsQuery' && awsQueryError ? awsQueryError[0] : shapeName,
      status: awsQueryError?.[1] ?? httpError ?? (error === 'server' ? 500 : 400),
      messageMember: members.find((member) => member.toLowerCase() === 'message') ?? 'message',
    };
    this.#errors.set(shapeName, model);
    this.#errors.set(model.code, model);
  }
}

function readPath(uri: string): readonly PathSegment[] {
  return uri
    .slice(1)
    .split('/')
    .map((segment) => (segment.startsWith('{') ? { label: segment.slice(1, -1) } : { literal: segment }));
}
