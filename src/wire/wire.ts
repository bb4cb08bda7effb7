/**
 * Wire: bytes of the AWS API to operations and back, by the schemas of the official SDK.
 *
 * A request is *claimed* first: which service, protocol and operation it is for, read from as little of it as
 * possible, so that even a refusal speaks the right dialect. After authentication it is *decoded* into the input of its
 * operation; what comes of it is *encoded*, an output or an {@link ApiError}. This folder knows no service by name
 * except in the table of `registry.ts`, and never sees a caller, a policy or a record.
 */
import type { ApiError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { awsJson, restJson } from './json-protocols.ts';
import type { WireRequest, WireResponse } from './message.ts';
import { type OperationModel, type ProtocolName, type ServiceEntry, ServiceModel } from './model.ts';
import type { Protocol } from './protocol.ts';
import { awsQuery, ec2Query, formParameter } from './query-protocols.ts';

const PROTOCOLS: Readonly<Record<ProtocolName, Protocol>> = {
  ec2Query,
  awsQuery,
  awsJson1_1: awsJson,
  restJson1: restJson,
};

/** What a raw body may have besides its payload: nothing, but a client that sends too much is told by the operation. */
const RAW_BODY_SLACK = 64 * 1024;

/** A request whose service and protocol are known. */
export interface Claim {
  readonly service: ServiceModel;
  /** The name that the request gives; it may be no operation at all. */
  readonly operationName: string | undefined;
  /** The operation, if the service has it, implemented or not. */
  readonly operation: OperationModel | undefined;
  /** Throws {@link ApiError} for whatever is wrong with the input. */
  decode(operation: OperationModel): Record<string, unknown>;
  encode(operation: OperationModel, output: unknown, requestId: string): WireResponse;
  encodeError(error: ApiError, requestId: string): WireResponse;
  /** The error for an operation that is none. */
  unknownOperation(): ApiError;
  /** The error for an operation that AWS has and Ingot has not. */
  unsupportedOperation(operation: OperationModel): ApiError;
  tooLarge(): ApiError;
  throttled(): ApiError;
}

/** A table of operations as the start-up check needs it. */
export interface NamedOperations {
  readonly name: string;
  readonly operations: Readonly<Record<string, unknown>>;
}

export class Wire {
  readonly #services: readonly ServiceModel[];

  constructor(registry: readonly ServiceEntry[]) {
    this.#services = registry.map((entry) => new ServiceModel(entry));
  }

  get services(): readonly ServiceModel[] {
    return this.#services;
  }

  service(name: string): ServiceModel | undefined {
    return this.#services.find((service) => service.name === name);
  }

  /** Throws when a service or an operation in `tables` has no schema: a misspelt name must not wait for its caller. */
  checkTables(tables: readonly NamedOperations[]): void {
    for (const { name, operations } of tables) {
      const service = this.service(name);
      if (!service) throw new Error(`the service ${name} is not in the wire registry`);
      const unknown = Object.keys(operations).filter((operation) => !service.operation(operation));
      if (unknown.length > 0) throw new Error(`the service ${name} has no schema for: ${unknown.join(', ')}`);
    }
  }

  /** Largest body to read for a request of which only the head is known. */
  bodyBytesMax(head: WireRequest): number {
    return this.claim(head)?.operation?.rawBody ? LIMITS.blockBytes + RAW_BODY_SLACK : LIMITS.bodyBytesMax;
  }

  /**
   * The service by the credential scope; without a scope by target prefix, version or path (9.1). A request that is
   * plainly marked as another service's is that one's, so that it is told in its own dialect that the scope is wrong.
   * `undefined` where nothing tells.
   */
  claim(request: WireRequest): Claim | undefined {
    const service = this.#marked(request) ?? this.#scoped(request);
    if (!service) return undefined;
    const protocol = PROTOCOLS[service.entry.protocol];
    const operationName = protocol.claim(service, request);
    const operation = operationName === undefined ? undefined : service.operation(operationName);
    return {
      service,
      operationName,
      operation,
      decode: (known) => protocol.decode(service, known, request),
      encode: (known, output, requestId) => protocol.encode(service, known, output, requestId),
      encodeError: (error, requestId) => protocol.encodeError(service, error, requestId),
      unknownOperation: () => protocol.unknownOperation(service, operationName, request),
      unsupportedOperation: (known) => protocol.unsupportedOperation(service, known.name),
      tooLarge: () => protocol.tooLarge(operation?.rawBody ? LIMITS.blockBytes : LIMITS.bodyBytesMax),
      throttled: () => protocol.throttled(),
    };
  }

  /** An error for a request that nobody claims. */
  encodeUnclaimed(request: WireRequest, error: ApiError, requestId: string): WireResponse {
    const json = request.headers['x-amz-target'] !== undefined || /json/.test(request.headers['content-type'] ?? '');
    return (json ? awsJson : awsQuery).encodeError(undefined, error, requestId);
  }

  #scoped(request: WireRequest): ServiceModel | undefined {
    const name = scopeOf(request);
    return name === undefined ? undefined : this.service(name);
  }

  #marked(request: WireRequest): ServiceModel | undefined {
    const target = request.headers['x-amz-target'];
    if (target !== undefined) {
      const prefix = target.slice(0, target.lastIndexOf('.'));
      return this.#services.find(({ entry }) => entry.targets?.includes(prefix));
    }
    if (request.path === '/' || request.path === '') {
      const version = formParameter(request, 'Version');
      return this.#services.find(({ entry }) => isQuery(entry) && entry.version === version);
    }
    const rest = this.#services.filter(({ entry }) => entry.protocol === 'restJson1');
    return rest.find((service) => restJson.claim(service, request) !== undefined);
  }
}

function isQuery(entry: ServiceEntry): boolean {
  return entry.protocol === 'ec2Query' || entry.protocol === 'awsQuery';
}

/** Service of the credential scope, which nobody has verified yet. */
function scopeOf(request: WireRequest): string | undefined {
  const header = request.headers.authorization ?? '';
  const credential = /Credential=([^,\s]*)/.exec(header)?.[1];
  const presigned = credential ?? formParameter({ ...request, body: new Uint8Array() }, 'X-Amz-Credential');
  return presigned?.split('/')[3];
}
