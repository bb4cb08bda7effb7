/** awsJson 1.1 and restJson1 (authorization-and-wire 12). */
import { ApiError } from '../errors.ts';
import { formPairs, MalformedForm } from './form.ts';
import { decodeJson, decoderFor, encodeJson, lowerCamel, misfit } from './json.ts';
import type { WireRequest, WireResponse } from './message.ts';
import type { OperationModel, ServiceModel } from './model.ts';
import { constraintMessage, type Protocol, readInput, statusOf } from './protocol.ts';
import type { Problem, Reading } from './reading.ts';
import { textToNumber } from './scalars.ts';
import type { Member, StructShape } from './shapes.ts';

/** The body is no JSON object. */
class MalformedJson extends Error {
  override readonly name = 'MalformedJson';
}

function parseBody(body: Uint8Array): unknown {
  if (body.byteLength === 0) return {};
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's message quotes the request, which may hold secrets.
    throw new MalformedJson('The request body is not valid JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new MalformedJson('The request body is not a JSON object');
  }
  return value;
}

function jsonProblems(problems: readonly Problem[]): ApiError {
  const type = problems.find((problem) => problem.kind === 'type');
  return type?.kind === 'type'
    ? new ApiError('SerializationException', `${type.found} can not be converted to ${type.expected}`)
    : new ApiError('ValidationException', constraintMessage(problems));
}

/** The error's text and modelled members. An error without text has no message member at all (kms 1.7). */
function errorBody(service: ServiceModel | undefined, error: ApiError, standard: string): Record<string, unknown> {
  const body: Record<string, unknown> = {};
  if (error.message !== '') {
    // AccessDeniedException carries its text under a capital letter (kms 1.6).
    const member = error.code === 'AccessDeniedException' ? 'Message' : service?.error(error.code)?.messageMember;
    body[member ?? standard] = error.message;
  }
  return Object.assign(body, error.members);
}

function requestIdHeaders(requestId: string, contentType: string): Record<string, string> {
  return { 'x-amzn-requestid': requestId, 'content-type': contentType };
}

const JSON_1_1 = 'application/x-amz-json-1.1';

export const awsJson: Protocol = {
  claim(service, request) {
    const target = request.headers['x-amz-target'] ?? '';
    const dot = target.lastIndexOf('.');
    return service.entry.targets?.includes(target.slice(0, dot)) ? target.slice(dot + 1) : undefined;
  },

  decode(_service, operation, request) {
    try {
      return readInput((reading) => decodeJson(operation.input, parseBody(request.body), reading), {
        problems: jsonProblems,
        malformed: (message, cause) => new ApiError('ValidationException', message, { cause }),
      });
    } catch (error) {
      if (error instanceof MalformedJson) throw new ApiError('SerializationException', error.message, { cause: error });
      throw error;
    }
  },

  encode(_service, operation, output, requestId) {
    const body = operation.hasOutput ? JSON.stringify(encodeJson(operation.output, output)) : '{}';
    return { status: 200, headers: requestIdHeaders(requestId, JSON_1_1), body };
  },

  encodeError(service, error, requestId) {
    const body = { __type: error.code, ...errorBody(service, error, 'message') };
    // These services say 400 to every client error, whatever number their models carry (kms 1.4).
    const status = error.fault === 'server' || error.status === 413 ? statusOf(service, error) : 400;
    return { status, headers: requestIdHeaders(requestId, JSON_1_1), body: JSON.stringify(body) };
  },

  unknownOperation: (_service, name) =>
    new ApiError(
      'UnknownOperationException',
      name === undefined ? '' : `The operation ${name.slice(0, 128)} is unknown.`,
    ),
  unsupportedOperation: (_service, name) =>
    new ApiError('UnsupportedOperationException', `The operation ${name} is not supported by Ingot.`),
  tooLarge: (bytesMax) =>
    new ApiError('RequestEntityTooLargeException', `The request is larger than ${bytesMax} bytes`, { status: 413 }),
  throttled: () => new ApiError('ThrottlingException', 'Rate exceeded'),
};

/** Values of an HTTP path by label, or `undefined` where the path is not the operation's. */
function matchPath(operation: OperationModel, request: WireRequest): ReadonlyMap<string, string> | undefined {
  const { http } = operation;
  if (http?.method !== request.method) return undefined;
  const segments = request.path.slice(1).split('/');
  if (segments.length !== http.path.length) return undefined;
  const labels = new Map<string, string>();
  for (const [index, expected] of http.path.entries()) {
    const segment = segments[index] ?? '';
    if ('literal' in expected) {
      if (segment !== expected.literal) return undefined;
    } else {
      if (segment === '') return undefined;
      labels.set(expected.label, segment);
    }
  }
  return labels;
}

function validation(message: string, cause?: unknown): ApiError {
  return new ApiError('ValidationException', message, { members: { Reason: 'INVALID_PARAMETER_VALUE' }, cause });
}

interface Bindings {
  readonly headers: readonly Member[];
  readonly queries: readonly Member[];
  readonly labels: readonly Member[];
  readonly payload: Member | undefined;
  /** Members of the JSON body. */
  readonly body: StructShape;
}

const bindings = new WeakMap<StructShape, Bindings>();

function bindingsOf(shape: StructShape): Bindings {
  let known = bindings.get(shape);
  if (!known) {
    const bound = (member: Member) =>
      member.traits.httpHeader ?? member.traits.httpQuery ?? member.traits.httpLabel ?? member.traits.httpPayload;
    known = {
      headers: shape.members.filter((member) => member.traits.httpHeader !== undefined),
      queries: shape.members.filter((member) => member.traits.httpQuery !== undefined),
      labels: shape.members.filter((member) => member.traits.httpLabel !== undefined),
      payload: shape.members.find((member) => member.traits.httpPayload !== undefined),
      body: { ...shape, members: shape.members.filter((member) => bound(member) === undefined) },
    };
    bindings.set(shape, known);
  }
  return known;
}

/** A value from a header, a label or the query: text that the schema may want as a number or a boolean. */
function readText(member: Member, text: string, reading: Reading): unknown {
  reading.checkLength(text);
  const path = lowerCamel(member.name);
  if (member.shape.kind === 'number') {
    const expected = member.integer ? 'an integer' : 'a number';
    return textToNumber(text, member.integer) ?? reading.report({ kind: 'type', path, found: text, expected });
  }
  if (member.shape.kind === 'boolean') {
    if (text === 'true' || text === 'false') return text === 'true';
    return reading.report({ kind: 'type', path, found: text, expected: 'a boolean' });
  }
  return decoderFor(member.shape, member.integer)(text, path, 0, reading);
}

function readBound(operation: OperationModel, request: WireRequest, reading: Reading): Record<string, unknown> {
  const { headers, queries, labels, payload, body } = bindingsOf(operation.input);
  const input = payload ? {} : decodeJson(body, parseBody(request.body), reading);
  const take = (member: Member, text: string | undefined) => {
    if (text !== undefined) input[member.name] = readText(member, text, reading);
    else if (member.required) reading.report({ kind: 'missing', path: lowerCamel(member.name) });
  };
  const inPath = matchPath(operation, request);
  const inQuery = new Map(formPairs(request.query));
  for (const member of labels) {
    const segment = inPath?.get(member.name);
    take(member, segment === undefined ? undefined : decodeSegment(segment));
  }
  for (const member of queries) take(member, inQuery.get(member.traits.httpQuery ?? ''));
  for (const member of headers) take(member, request.headers[(member.traits.httpHeader ?? '').toLowerCase()]);
  // The bytes go on as they came: a block is not copied here.
  if (payload) input[payload.name] = request.body;
  return input;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new MalformedForm('a percent-encoding in the path is broken', { cause });
  }
}

function restError(problems: readonly Problem[]): ApiError {
  return validation(constraintMessage(problems));
}

export const restJson: Protocol = {
  claim(service, request) {
    return service.operationNames.find((name) => {
      const operation = service.operation(name);
      return operation && matchPath(operation, request) !== undefined;
    });
  },

  decode(_service, operation, request) {
    try {
      return readInput((reading) => readBound(operation, request, reading), {
        problems: restError,
        malformed: (message, cause) => validation(message, cause),
      });
    } catch (error) {
      if (error instanceof MalformedJson) throw validation(error.message, error);
      throw error;
    }
  },

  encode(_service, operation, output, requestId) {
    const { headers: headerMembers, payload, body } = bindingsOf(operation.output);
    const source = (output ?? {}) as Readonly<Record<string, unknown>>;
    const headers: Record<string, string> = { 'x-amzn-requestid': requestId };
    for (const { name, traits } of headerMembers) {
      const value = source[name];
      if (value !== undefined && value !== null) headers[(traits.httpHeader ?? '').toLowerCase()] = String(value);
    }
    const status = operation.http?.status ?? 200;
    if (payload) {
      const bytes = source[payload.name] ?? new Uint8Array();
      if (!(bytes instanceof Uint8Array)) return misfit('bytes', bytes);
      return { status, headers: { ...headers, 'content-type': 'application/octet-stream' }, body: bytes };
    }
    const text = JSON.stringify(encodeJson(body, source));
    return { status, headers: { ...headers, 'content-type': 'application/json' }, body: text };
  },

  encodeError(service, error, requestId): WireResponse {
    const headers = { ...requestIdHeaders(requestId, 'application/json'), 'x-amzn-errortype': error.code };
    return {
      status: statusOf(service, error),
      headers,
      body: JSON.stringify(errorBody(service, error, 'Message')),
    };
  },

  unknownOperation: (_service, _name, request) =>
    new ApiError('UnknownOperationException', `${request.method} ${request.path.slice(0, 128)} is unknown.`, {
      status: 404,
    }),
  unsupportedOperation: (_service, name) => validation(`The operation ${name} is not supported by Ingot.`),
  tooLarge: (bytesMax) =>
    new ApiError('RequestEntityTooLargeException', `The request is larger than ${bytesMax} bytes`, { status: 413 }),
  throttled: () => new ApiError('RequestThrottledException', 'Rate exceeded'),
};
