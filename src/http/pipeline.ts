/**
 * One request, one straight line: claim, authenticate, decode, the operation, encode, audit.
 *
 * Authentication comes before decoding, so that strangers do not reach our parsers. The answer is given when the audit
 * record of the call is durable. Whatever goes wrong leaves as an error of the request's dialect; what was not meant
 * for the caller stays in the log, under the request id that the caller sees.
 */

import type { Audit } from '../audit/audit.ts';
import type { Authenticator, Dialect, SignaturePurpose, SignedRequest } from '../authn/authenticate.ts';
import { AuditNotes, type Call, type Caller } from '../authz/caller.ts';
import { ApiError } from '../errors.ts';
import { newUuid, type Region } from '../ids.ts';
import type { Log } from '../log.ts';
import type { Operation, Service } from '../services/operation.ts';
import type { WireRequest, WireResponse } from '../wire/message.ts';
import type { OperationModel, ProtocolName } from '../wire/model.ts';
import type { Claim, Wire } from '../wire/wire.ts';
import { auditEntry, type Outcome } from './audit-entry.ts';
import { internalFailure, toApiError } from './translate-error.ts';

/** A request as it came, whole. */
export interface ReceivedRequest extends WireRequest, SignedRequest {
  readonly sourceIp: string;
  readonly secureTransport: boolean;
}

export interface PipelineDeps {
  readonly wire: Wire;
  readonly services: readonly Service[];
  readonly authenticator: Authenticator;
  readonly audit: Audit;
  readonly log: Log;
  readonly clock: () => Date;
  /** Told of every authenticated call; must cost nothing. */
  noteUse?(call: Call, service: string): void;
}

export interface Pipeline {
  /** Why a request is refused before its body is read, so that strangers have none of theirs held in memory. */
  refuseByHead(head: ReceivedRequest, requestId: string): Promise<WireResponse | undefined>;
  serve(request: ReceivedRequest, requestId?: string): Promise<WireResponse>;
}

const DIALECTS: Readonly<Record<ProtocolName, Dialect>> = {
  ec2Query: 'ec2',
  awsQuery: 'query',
  awsJson1_1: 'json',
  restJson1: 'rest',
};

/** Throws at once when a service has an operation without a schema. */
export function createPipeline({ wire, services, authenticator, audit, log, clock, noteUse }: PipelineDeps): Pipeline {
  wire.checkTables(services);
  const byName = new Map(services.map((service) => [service.name, service]));

  async function refuseByHead(head: ReceivedRequest, requestId: string): Promise<WireResponse | undefined> {
    const claim = wire.claim(head);
    if (!claim) return wire.encodeUnclaimed(head, unclaimed(head), requestId);
    const error = await authenticator.refuseByHead(head, purposeOf(claim));
    return error && claim.encodeError(error, requestId);
  }

  async function serve(request: ReceivedRequest, requestId = newUuid()): Promise<WireResponse> {
    const claim = wire.claim(request);
    if (!claim) return wire.encodeUnclaimed(request, unclaimed(request), requestId);
    const { name } = claim.service;

    const authentication = await authenticator.authenticate(request, purposeOf(claim));
    const { caller, region } = authentication;
    if (!authentication.ok && !(caller && region)) return claim.encodeError(authentication.error, requestId);
    const call = newCall(request, requestId, clock(), caller as Caller, region as Region);

    if (authentication.ok) noteUse?.(call, name);
    const attempt = authentication.ok
      ? await run(claim, call, byName.get(name))
      : { ...named(claim), error: authentication.error };
    const response = encode(claim, call, attempt);
    await audit.record(auditEntry(call, attempt));
    return response;
  }

  /** Decodes, runs and encodes; an outcome with an error where any of it fails. */
  async function run(claim: Claim, call: Call, service: Service | undefined): Promise<Attempt> {
    let attempt: Attempt = named(claim);
    try {
      const { model, handler } = find(claim, service);
      const input = claim.decode(model);
      attempt = { ...attempt, input };
      const output = await handler(call, input as never);
      const response = claim.encode(model, output, call.requestId);
      return { ...attempt, output, response };
    } catch (error) {
      return { ...attempt, error: toApiError(error, call, attempt, service, log) };
    }
  }

  function encode(claim: Claim, call: Call, attempt: Attempt): WireResponse {
    return attempt.response ?? claim.encodeError(attempt.error ?? internalFailure(), call.requestId);
  }

  return { refuseByHead, serve };
}

function purposeOf({ service: { name, entry }, operation }: Claim): SignaturePurpose {
  const { rawBody = false } = operation ?? {};
  return { dialect: DIALECTS[entry.protocol], service: name, global: entry.global ?? false, rawBody };
}

interface Attempt extends Outcome {
  readonly response?: WireResponse;
}

/** Longest operation name that is recorded; a stranger may send any. */
const NAME_LENGTH_MAX = 128;

function named({ service, operation, operationName }: Claim): Attempt {
  return {
    service: service.name,
    operation,
    operationName: operation?.name ?? operationName?.slice(0, NAME_LENGTH_MAX) ?? 'Unknown',
  };
}

/** The operation and who does it; an operation that Ingot has not is refused by name. */
function find(
  claim: Claim,
  service: Service | undefined,
): { readonly model: OperationModel; readonly handler: Operation<never, unknown> } {
  const model = claim.operation;
  if (!model) throw claim.unknownOperation();
  const operations = service?.operations ?? {};
  const handler = Object.hasOwn(operations, model.name) ? operations[model.name] : undefined;
  if (!handler) throw claim.unsupportedOperation(model);
  return { model, handler };
}

function newCall(request: ReceivedRequest, requestId: string, now: Date, caller: Caller, region: Region): Call {
  return {
    caller,
    region,
    requestId,
    now,
    sourceIp: request.sourceIp,
    userAgent: request.headers['user-agent'] ?? '',
    secureTransport: request.secureTransport,
    audit: new AuditNotes(),
  };
}

/** Nothing in the request says which of our services it is for. */
function unclaimed(request: ReceivedRequest): ApiError {
  const signed = request.headers.authorization !== undefined || request.query.includes('X-Amz-');
  return signed
    ? new ApiError('UnknownOperationException', 'The request is for no service that Ingot provides.')
    : new ApiError('MissingAuthenticationToken', 'Request is missing Authentication Token', { status: 403 });
}
