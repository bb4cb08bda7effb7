/**
 * The audit record of a call, made from its schemas: lowerCamel names, without secrets, keys, data and tokens
 * (kms 26.2), and with what the operation added by `noteForAudit`.
 */
import type { AuditEntry } from '../audit/audit.ts';
import { denialBehind } from '../authz/authorizer.ts';
import type { Call } from '../authz/caller.ts';
import type { ApiError } from '../errors.ts';
import { lowerCamel } from '../wire/json.ts';
import type { OperationModel } from '../wire/model.ts';
import type { Shape } from '../wire/shapes.ts';
import { namesResources, resourcesIn } from './audit-resources.ts';
import { ec2Request, ec2Response } from './ec2-elements.ts';
import { isHidden } from './hidden-members.ts';

/** What became of a call. */
export interface Outcome {
  readonly service: string;
  /** As the request names it; it need not exist. */
  readonly operationName: string;
  readonly operation: OperationModel | undefined;
  /** Absent when the request was refused before it was decoded. */
  readonly input?: unknown;
  readonly output?: unknown;
  readonly error?: ApiError;
}

const READ_PREFIX = /^(?:Describe|Get|List|Lookup|Search|Simulate|Head|BatchGet|Export|Validate|Decode)/;

/** Operations that change nothing although their names do not say so (kms 26.4); the others follow the prefix. */
const READ_ONLY: Readonly<Record<string, ReadonlySet<string>>> = {
  kms: new Set([
    'Encrypt',
    'Decrypt',
    'ReEncrypt',
    'GenerateDataKey',
    'GenerateDataKeyWithoutPlaintext',
    'GenerateDataKeyPair',
    'GenerateDataKeyPairWithoutPlaintext',
    'GenerateRandom',
    'GenerateMac',
    'VerifyMac',
    'Sign',
    'Verify',
    'DeriveSharedSecret',
    'Encapsulate',
    'Decapsulate',
  ]),
  sts: new Set(['AssumeRole', 'AssumeRoleWithSAML', 'AssumeRoleWithWebIdentity', 'AssumeRoot']),
};

export function isReadOnly(service: string, operationName: string): boolean {
  return READ_PREFIX.test(operationName) || (READ_ONLY[service]?.has(operationName) ?? false);
}

export function auditEntry(call: Call, outcome: Outcome): AuditEntry {
  const { service, operationName, operation, input, output, error } = outcome;
  const facts = call.audit?.facts ?? {};
  const readOnly = facts.readOnly ?? isReadOnly(service, operationName);
  const entry: { -readonly [Member in keyof AuditEntry]: AuditEntry[Member] } = {
    call,
    eventSource: `${service}.amazonaws.com`,
    eventName: operationName,
    readOnly,
  };
  const isEc2 = service === 'ec2' && operation !== undefined;
  if (facts.requestParameters !== undefined) entry.requestParameters = facts.requestParameters;
  else entry.requestParameters = isEc2 ? ec2Request(operation, input) : elements(operation?.input, input);
  if (error) {
    entry.error = { code: trailCode(service, error), message: withoutSecrets(error.message, operation?.input, input) };
    const denied = denialBehind(error);
    if (denied) entry.denied = denied;
  } else {
    if (facts.responseElements !== undefined) entry.responseElements = facts.responseElements;
    else if (!readOnly && isEc2) entry.responseElements = ec2Response(operation, output, call.requestId);
    else entry.responseElements = readOnly ? undefined : elements(operation?.output, output);
    // A refused call is in the caller's own trail only (kms 26.6).
    const others = new Set(facts.otherAccounts);
    others.delete(call.caller.accountId);
    if (others.size > 0) entry.otherAccounts = [...others];
  }
  if (facts.additionalEventData !== undefined) entry.additionalEventData = facts.additionalEventData;
  if (facts.resources && facts.resources.length > 0) entry.resources = facts.resources;
  if (operation && !readOnly && namesResources(service, operationName)) {
    const values = [{ shape: operation.input, value: input }];
    if (!error) values.push({ shape: operation.output, value: output });
    const found = resourcesIn(values);
    if (found.length > 0) entry.lookedUpBy = found;
  }
  return entry;
}

/** As CloudTrail writes error codes: EC2's say whose fault it was (ec2-encryption L-25), a denial has no suffix. */
function trailCode(service: string, { code, fault }: ApiError): string {
  if (service === 'ec2') return `${fault === 'client' ? 'Client' : 'Server'}.${code}`;
  return code === 'AccessDeniedException' ? 'AccessDenied' : code;
}

/** `undefined` where there is nothing to tell, which the trail shows as null. */
function elements(shape: Shape | undefined, value: unknown): unknown {
  if (!shape || typeof value !== 'object' || value === null) return undefined;
  const told = tellerFor(shape)(value) as object;
  return Object.keys(told).length === 0 ? undefined : told;
}

type Teller = (value: unknown) => unknown;

const structTellers = new WeakMap<Shape, Teller>();

const dateText = new Intl.DateTimeFormat('en-US', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' });

/** For example `Nov 2, 2021, 11:25:25 PM` (kms 26.3). */
function tellDate(value: unknown): unknown {
  return value instanceof Date ? dateText.format(value).replaceAll('\u202f', ' ') : value;
}

function tellerFor(shape: Shape): Teller {
  switch (shape.kind) {
    case 'struct': {
      let teller = structTellers.get(shape);
      if (!teller) {
        teller = structTeller(shape);
        structTellers.set(shape, teller);
      }
      return teller;
    }
    case 'list':
      return (value) => {
        const item = tellerFor(shape.item.shape);
        return Array.isArray(value) ? value.map(item) : undefined;
      };
    case 'map':
      return (value) => {
        const item = tellerFor(shape.value.shape);
        return Object.fromEntries(Object.entries(value as object).map(([key, each]) => [key, item(each)]));
      };
    case 'timestamp':
      return tellDate;
    case 'string':
    case 'number':
    case 'boolean':
      return (value) => value;
    case 'blob':
      return () => undefined;
  }
}

/** Shorter values are no secrets, and could stand in any sentence. */
const SECRET_LENGTH_MIN = 4;
const HIDDEN = 'HIDDEN_DUE_TO_SECURITY_REASONS';

/** The message of an error without what its record leaves out of the parameters: messages repeat what they refuse. */
function withoutSecrets(message: string, shape: Shape | undefined, value: unknown): string {
  let told = message;
  const visit = (at: Shape, item: unknown, hidden: boolean): void => {
    if (item === undefined || item === null) return;
    if (typeof item === 'string' && hidden && item.length >= SECRET_LENGTH_MIN) told = told.replaceAll(item, HIDDEN);
    else if (at.kind === 'list' && Array.isArray(item)) for (const each of item) visit(at.item.shape, each, hidden);
    else if (at.kind === 'struct' && typeof item === 'object') {
      const source = item as Readonly<Record<string, unknown>>;
      for (const member of at.members) visit(member.shape, source[member.name], hidden || isHidden(member));
    }
  };
  if (shape) visit(shape, value, false);
  return told;
}

function structTeller(shape: Extract<Shape, { kind: 'struct' }>): Teller {
  let plan: readonly { name: string; told: string; tell: Teller }[] | undefined;
  return (value) => {
    plan ??= shape.members
      .filter((member) => !isHidden(member))
      .map((member) => ({ name: member.name, told: lowerCamel(member.name), tell: tellerFor(member.shape) }));
    const source = value as Readonly<Record<string, unknown>>;
    const struct: Record<string, unknown> = {};
    for (const { name, told, tell } of plan) {
      const item = source[name];
      if (item !== undefined && item !== null) struct[told] = tell(item);
    }
    return struct;
  };
}
