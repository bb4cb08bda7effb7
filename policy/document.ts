/**
 * Policy documents: JSON to compiled statements, once per text (authorization-and-wire §1–§4).
 *
 * {@link compilePolicy} reads any stored document; {@link checkPolicy} also applies the rules for writing one of a kind
 * and says what is wrong in IAM's words. A document that cannot be read is never skipped: it throws, and a decision
 * that needs it fails.
 */
import { type ArnPattern, compileArnPattern } from './arn-pattern.ts';
import { type ConditionTest, compileCondition, parseOperator } from './conditions.ts';
import { compileGlob, type Glob } from './glob.ts';
import { compilePrincipals, findInvalidPrincipal, type PrincipalElement, type PrincipalTest } from './principals.ts';

/** Where a document is attached decides which elements it may and must have (2.7). */
export type PolicyKind = 'identity' | 'key' | 'trust' | 'service-control' | 'resource-control';

export interface Statement {
  /** Its place in the document, from 0. */
  readonly index: number;
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  readonly principals?: { readonly test: PrincipalTest; readonly negated: boolean };
  /** Absent: never matches (kms 14.5). */
  readonly actions?: { readonly globs: readonly Glob[]; readonly negated: boolean };
  /** Absent: matches only in a trust policy, whose resource is its role. */
  readonly resources?: { readonly patterns: readonly ArnPattern[]; readonly negated: boolean };
  readonly conditions: readonly ConditionTest[];
}

export interface Policy {
  readonly version: '2008-10-17' | '2012-10-17';
  readonly id?: string;
  readonly statements: readonly Statement[];
}

export type PolicyProblem = 'json' | 'syntax' | 'principal' | 'overly-permissive-condition';

/** A policy document that is not one. `detail` is the sentence IAM would answer. */
export class PolicyMalformed extends Error {
  override readonly name = 'PolicyMalformed';
  readonly problem: PolicyProblem;
  readonly detail: string;

  constructor(problem: PolicyProblem, detail: string, options?: { cause?: unknown }) {
    super(detail, options);
    this.problem = problem;
    this.detail = detail;
  }
}

const CACHED_POLICIES_MAX = 4096;
const CACHED_CHARACTERS_MAX = 16 * 1024 * 1024;
const cache = new Map<string, Policy>();
let cachedCharacters = 0;

/** Compiles a document, or takes it from the cache; least recently used documents leave first. */
export function compilePolicy(text: string): Policy {
  const known = cache.get(text);
  if (known) {
    cache.delete(text);
    cache.set(text, known);
    return known;
  }
  const policy = readPolicy(text);
  cache.set(text, policy);
  cachedCharacters += text.length;
  for (const oldest of cache.keys()) {
    if (cache.size <= CACHED_POLICIES_MAX && cachedCharacters <= CACHED_CHARACTERS_MAX) break;
    cache.delete(oldest);
    cachedCharacters -= oldest.length;
  }
  return policy;
}

/** Throws {@link PolicyMalformed} unless `text` may be stored as a policy of this kind. */
export function checkPolicy(text: string, kind: PolicyKind): Policy {
  const document = parseObject(text);
  const statements = listOf(document.Statement);
  for (const raw of statements) checkStatement(asObject(raw), kind);
  if (kind === 'identity') checkSids(statements);
  return readPolicy(text);
}

const syntax = (detail = 'Syntax errors in policy.') => new PolicyMalformed('syntax', detail);

type JsonObject = Readonly<Record<string, unknown>>;

function asObject(value: unknown): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw syntax();
  return value as JsonObject;
}

function parseObject(text: string): JsonObject {
  try {
    return asObject(JSON.parse(text));
  } catch (cause) {
    if (cause instanceof PolicyMalformed) throw cause;
    throw new PolicyMalformed('json', 'This policy contains invalid Json', { cause });
  }
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [value];
}

/** A string or a list of strings; booleans and numbers are read as text where `scalars` (4.10). */
function textsIn(value: unknown, scalars = false): string[] {
  return listOf(value).map((one) => {
    if (typeof one === 'string') return one;
    if (scalars && (typeof one === 'boolean' || typeof one === 'number')) return String(one);
    throw syntax();
  });
}

const POLICY_ELEMENTS = new Set(['Version', 'Id', 'Statement']);
const STATEMENT_ELEMENTS = new Set([
  'Sid',
  'Effect',
  'Principal',
  'NotPrincipal',
  'Action',
  'NotAction',
  'Resource',
  'NotResource',
  'Condition',
]);

/** {@link compilePolicy} past the cache, for documents that are judged once. */
export function readPolicy(text: string): Policy {
  const document = parseObject(text);
  for (const name of Object.keys(document)) if (!POLICY_ELEMENTS.has(name)) throw syntax();
  const version = document.Version ?? '2008-10-17';
  if (version !== '2012-10-17' && version !== '2008-10-17') {
    throw syntax('Policy document must be version 2012-10-17 or greater.');
  }
  if (document.Id !== undefined && typeof document.Id !== 'string') throw syntax();
  if (document.Statement === undefined) throw syntax();
  const variables = version === '2012-10-17';
  const statements = listOf(document.Statement).map((raw, index) => readStatement(asObject(raw), index, variables));
  return { version, ...(document.Id === undefined ? {} : { id: document.Id }), statements };
}

function readStatement(raw: JsonObject, index: number, variables: boolean): Statement {
  for (const name of Object.keys(raw)) if (!STATEMENT_ELEMENTS.has(name)) throw syntax();
  if (raw.Effect !== 'Allow' && raw.Effect !== 'Deny') throw syntax();
  if (raw.Sid !== undefined && typeof raw.Sid !== 'string') throw syntax();
  const principals = readPrincipals(raw);
  const actions = readEither(raw, 'Action', 'NotAction', (source) => compileGlob(source, { ignoreCase: true }));
  const resources = readEither(raw, 'Resource', 'NotResource', (source) => compileArnPattern(source, { variables }));
  return {
    index,
    ...(raw.Sid === undefined ? {} : { sid: raw.Sid }),
    effect: raw.Effect,
    ...(principals ? { principals } : {}),
    ...(actions ? { actions: { globs: actions.items, negated: actions.negated } } : {}),
    ...(resources ? { resources: { patterns: resources.items, negated: resources.negated } } : {}),
    conditions: readConditions(raw.Condition, variables),
  };
}

function readEither<Item>(
  raw: JsonObject,
  positive: string,
  negative: string,
  compile: (source: string) => Item,
): { items: Item[]; negated: boolean } | undefined {
  if (raw[positive] !== undefined && raw[negative] !== undefined) throw syntax();
  const value = raw[positive] ?? raw[negative];
  if (value === undefined) return undefined;
  return { items: textsIn(value).map(compile), negated: raw[negative] !== undefined };
}

function readPrincipals(raw: JsonObject): Statement['principals'] {
  if (raw.Principal !== undefined && raw.NotPrincipal !== undefined) throw syntax();
  const value = raw.Principal ?? raw.NotPrincipal;
  if (value === undefined) return undefined;
  return { test: compilePrincipals(principalElement(value)), negated: raw.NotPrincipal !== undefined };
}

function principalElement(value: unknown): PrincipalElement {
  if (typeof value === 'string') {
    if (value !== '*') throw syntax();
    return '*';
  }
  const entries = Object.entries(asObject(value)).map(([type, names]) => [type, textsIn(names)] as const);
  if (entries.length === 0) throw syntax();
  return Object.fromEntries(entries);
}

function readConditions(value: unknown, variables: boolean): ConditionTest[] {
  if (value === undefined) return [];
  const tests: ConditionTest[] = [];
  for (const [operator, keys] of Object.entries(asObject(value))) {
    for (const [key, values] of Object.entries(asObject(keys))) {
      const test = compileCondition(operator, key, textsIn(values, true), variables);
      if (!test) throw syntax();
      tests.push(test);
    }
  }
  return tests;
}

function checkSids(statements: readonly unknown[]): void {
  const sids = new Set<string>();
  for (const raw of statements) {
    const sid = asObject(raw).Sid;
    if (typeof sid !== 'string' || sid === '') continue;
    if (!/^[0-9A-Za-z]*$/.test(sid)) {
      throw syntax(
        'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
      );
    }
    if (sids.has(sid)) throw syntax('Statement IDs (SID) in a single policy must be unique.');
    sids.add(sid);
  }
}

function checkStatement(raw: JsonObject, kind: PolicyKind): void {
  const has = (name: string) => raw[name] !== undefined;
  const resourceSide = kind === 'key' || kind === 'trust' || kind === 'resource-control';
  if (!resourceSide && (has('Principal') || has('NotPrincipal'))) {
    throw syntax('Policy document should not specify a principal.');
  }
  if (resourceSide) checkPrincipal(raw, kind);
  if (kind === 'resource-control' && (raw.Effect !== 'Deny' || raw.Principal !== '*')) throw syntax();
  if (kind === 'trust') {
    if (has('Resource')) throw syntax('Has prohibited field Resource');
    if (has('NotResource')) throw syntax('Has prohibited field NotResource');
  }
  // A key policy may lack Action or Resource: it is stored and never matches (kms 14.5).
  if (kind !== 'key') {
    if (!has('Action') && !has('NotAction')) throw syntax('Policy statement must contain actions.');
    if (kind !== 'trust' && !has('Resource') && !has('NotResource')) {
      throw syntax('Policy statement must contain resources.');
    }
  }
  for (const name of ['Action', 'NotAction']) if (has(name)) checkActions(textsIn(raw[name]), kind);
  for (const name of ['Resource', 'NotResource']) if (has(name)) checkResources(textsIn(raw[name]));
  if (kind === 'key') checkKeyConditions(raw.Condition);
}

function checkPrincipal(raw: JsonObject, kind: PolicyKind): void {
  if (raw.Principal === undefined && raw.NotPrincipal === undefined) {
    if (kind === 'key') {
      throw new PolicyMalformed('principal', 'Policy contains a statement with one or more invalid principals.');
    }
    throw syntax('Missing required field Principal');
  }
  if (kind === 'trust' && raw.NotPrincipal !== undefined) {
    throw syntax('AssumeRole policy must not contain NotPrincipal.');
  }
  const element = principalElement(raw.Principal ?? raw.NotPrincipal);
  const invalid = findInvalidPrincipal(element);
  if (invalid !== undefined) throw new PolicyMalformed('principal', `Invalid principal in policy: ${invalid}`);
}

const ACTION = /^[A-Za-z0-9-]+:[A-Za-z0-9*?]+$/;

function checkActions(actions: readonly string[], kind: PolicyKind): void {
  if (actions.length === 0) throw syntax('Policy statement must contain actions.');
  for (const action of actions) {
    if (kind === 'trust') {
      if (!/^sts:(?:AssumeRole[A-Za-z]*|TagSession|SetSourceIdentity|SetContext|\*)\*?$/i.test(action)) {
        throw syntax('AssumeRole policy may only specify STS AssumeRole actions.');
      }
    } else if (action !== '*' && !ACTION.test(action)) {
      throw syntax('Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.');
    }
  }
}

function checkResources(resources: readonly string[]): void {
  if (resources.length === 0) throw syntax('Policy statement must contain resources.');
  for (const resource of resources) {
    if (resource !== '*' && !resource.startsWith('arn:')) {
      throw syntax(`Resource ${resource} must be in ARN format or "*".`);
    }
  }
}

/** ForAllValues on these single-valued keys is true when they are absent, so KMS refuses it (kms 14.12). */
function checkKeyConditions(value: unknown): void {
  if (value === undefined) return;
  for (const [operator, keys] of Object.entries(asObject(value))) {
    if (parseOperator(operator)?.set !== 'ForAllValues') continue;
    for (const key of Object.keys(asObject(keys))) {
      if (!/^(?:kms:EncryptionContext:|aws:RequestTag\/)/i.test(key)) continue;
      throw new PolicyMalformed(
        'overly-permissive-condition',
        `OverlyPermissiveCondition: ForAllValues may not be used with the condition key ${key}.`,
      );
    }
  }
}
