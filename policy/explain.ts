/**
 * Why a request was denied, and what would have allowed it (authorization-and-wire 8.7).
 *
 * Remedies are not guessed from the reason: each one is applied to the policies in force and the evaluator asked again,
 * until it allows. So what is suggested together is known to be enough. Statements of another account's resource policy
 * and facts about its resource are left out: the caller's account is told no more than the denial itself says.
 */

import { type ContextLookup, textOf } from './conditions.ts';
import { type DecisionRequest, decide, type PoliciesInForce } from './decide.ts';
import type { ConditionValue, Decision } from './decision.ts';
import { type Policy, readPolicy, type Statement } from './document.ts';
import { matchPolicy, missedCondition, type NamedPolicy } from './evaluate.ts';

type Layer = Decision['layer'];

/** A statement, by where it stands. */
export interface StatementPlace {
  readonly layer: Layer;
  readonly policy: string;
  readonly sid?: string;
  /** Its place in the document, from 0. */
  readonly index: number;
}

/** One step that the request needs to be allowed. */
export type Remedy =
  | (StatementPlace & { readonly kind: 'remove' })
  | {
      readonly kind: 'add';
      readonly layer: Layer;
      /** The policy to add to: its ARN, or a phrase such as `an identity-based policy of arn:…`. */
      readonly policy: string;
      readonly statement: object;
    };

/** An Allow statement that speaks of the principal and the action, and failed on one element. */
export interface NearMiss extends StatementPlace {
  readonly failed:
    | { readonly element: 'Resource' }
    | {
        readonly element: 'Condition';
        readonly operator: string;
        readonly key: string;
        readonly wanted: readonly string[];
        /** Absent where the request has no such key, or one that the caller's account may not see. */
        readonly given?: readonly string[];
      };
}

export interface Explanation {
  readonly matched: readonly (StatementPlace & { readonly effect: 'Allow' | 'Deny' })[];
  readonly near: readonly NearMiss[];
  readonly conditions: readonly { readonly key: string; readonly values: readonly string[] }[];
  readonly remedies: readonly Remedy[];
  /** Whether the remedies together allow the request; otherwise no policy can. */
  readonly sufficient: boolean;
}

export interface ExplainOptions {
  /** Names of condition keys that the request may have, in the spelling to show. */
  readonly keys: Iterable<string>;
  /** Where each level of {@link PoliciesInForce.serviceControl} is attached. */
  readonly serviceControlTargets?: readonly string[];
}

const MATCHED_MAX = 40;
const NEAR_MAX = 10;
const CONDITIONS_MAX = 64;
const VALUES_MAX = 16;
const VALUE_CHARACTERS_MAX = 256;
/** Every layer can say no once by a deny and once by silence. */
const ROUNDS_MAX = 14;

/** Explains a denial that {@link decide} gave for exactly this request. */
export function explain(request: DecisionRequest, options: ExplainOptions): Explanation {
  const foreign = request.resourceAccount !== request.principal.accountId;
  const hidden = (layer: Layer) => foreign && (layer === 'resource' || layer === 'trust');
  const remedies: Remedy[] = [];
  let current = request;
  let sufficient = false;
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const decision = decide(current);
    if (decision.allowed) {
      sufficient = true;
      break;
    }
    const step = decision.explicit
      ? withoutDenies(current, decision.layer)
      : withAllow(current, decision.layer, options);
    if (!step) break;
    for (const full of step.remedies) {
      const remedy = hidden(full.layer) ? withoutPlace(full) : full;
      if (!isListed(remedies, remedy)) remedies.push(remedy);
    }
    current = step.request;
  }
  const silent = new Set(remedies.filter(({ kind }) => kind === 'add').map(({ layer }) => layer));
  return {
    matched: matchedStatements(request)
      .filter(({ layer }) => !hidden(layer))
      .slice(0, MATCHED_MAX),
    near: nearMisses(
      request,
      foreign,
      [...silent].filter((layer) => !hidden(layer)),
    ).slice(0, NEAR_MAX),
    conditions: conditionsOf(request, foreign, options.keys),
    remedies,
    sufficient,
  };
}

/** Which statement of another account's policy denies is that account's affair. */
function withoutPlace(remedy: Remedy): Remedy {
  return remedy.kind === 'add' ? remedy : { kind: 'remove', layer: remedy.layer, policy: remedy.policy, index: -1 };
}

/** One policy may be attached at several levels. */
function isListed(remedies: readonly Remedy[], remedy: Remedy): boolean {
  const text = JSON.stringify(remedy);
  return remedies.some((known) => JSON.stringify(known) === text);
}

// The layers of PoliciesInForce, one like the other -------------------------------------------------------------------

const ORDER: readonly Layer[] = [
  'resource-control',
  'service-control',
  'resource',
  'trust',
  'identity',
  'boundary',
  'session',
];

function policiesIn(request: DecisionRequest, layer: Layer): readonly NamedPolicy[] {
  const { policies, kind } = request;
  switch (layer) {
    case 'resource-control':
      return policies.resourceControl?.flat() ?? [];
    case 'service-control':
      return policies.serviceControl?.flat() ?? [];
    case 'resource':
      return policies.resource && kind !== 'role' ? [policies.resource] : [];
    case 'trust':
      return policies.resource && kind === 'role' ? [policies.resource] : [];
    case 'identity':
      return policies.identity;
    case 'boundary':
      return policies.boundary ? [policies.boundary] : [];
    case 'session':
      return policies.session ?? [];
    default:
      return [];
  }
}

/** The same policies, each of `layer` changed. */
function changed(
  policies: PoliciesInForce,
  layer: Layer,
  change: (policy: NamedPolicy) => NamedPolicy,
): PoliciesInForce {
  const { resourceControl, serviceControl, resource, identity, boundary, session } = policies;
  switch (layer) {
    case 'resource-control':
      return {
        ...policies,
        ...(resourceControl && { resourceControl: resourceControl.map((one) => one.map(change)) }),
      };
    case 'service-control':
      return { ...policies, ...(serviceControl && { serviceControl: serviceControl.map((one) => one.map(change)) }) };
    case 'resource':
    case 'trust':
      return { ...policies, ...(resource && { resource: change(resource) }) };
    case 'identity':
      return { ...policies, identity: identity.map(change) };
    case 'boundary':
      return { ...policies, ...(boundary && { boundary: change(boundary) }) };
    case 'session':
      return { ...policies, ...(session && { session: session.map(change) }) };
    default:
      return policies;
  }
}

interface Step {
  readonly request: DecisionRequest;
  readonly remedies: readonly Remedy[];
}

function withoutDenies(request: DecisionRequest, layer: Layer): Step | undefined {
  const remedies: Remedy[] = [];
  const dropped = new Set<Statement>();
  for (const named of policiesIn(request, layer)) {
    for (const { effect, statement, sid } of matchPolicy(named, request)) {
      if (effect !== 'Deny') continue;
      dropped.add(statement);
      remedies.push({ kind: 'remove', layer, policy: named.name, ...(sid ? { sid } : {}), index: statement.index });
    }
  }
  if (dropped.size === 0) return undefined;
  const policies = changed(request.policies, layer, ({ name, policy }) => ({
    name,
    policy: { ...policy, statements: policy.statements.filter((statement) => !dropped.has(statement)) },
  }));
  return { request: { ...request, policies }, remedies };
}

/** `undefined` where no statement in that layer can help: a service's own principal, or a root user and a role. */
function withAllow(request: DecisionRequest, layer: Layer, options: ExplainOptions): Step | undefined {
  const { principal, policies } = request;
  if (principal.type === 'Service') return undefined;
  const statement = suggestedStatement(request, layer);
  const added = readPolicy(JSON.stringify({ Version: '2012-10-17', Statement: [statement] }));
  const named: NamedPolicy = { name: SUGGESTED, policy: added };
  const merged = (policy: NamedPolicy | undefined): NamedPolicy => (policy ? merge(policy, added) : named);
  const add = (policy: string, change: Partial<PoliciesInForce>): Step => ({
    request: { ...request, policies: { ...policies, ...change } },
    remedies: [{ kind: 'add', layer, policy, statement }],
  });
  switch (layer) {
    case 'identity':
      return add(`an identity-based policy of ${principal.principalArn}`, { identity: [...policies.identity, named] });
    case 'resource':
    case 'trust':
      return add(`${policies.resource?.name ?? 'resource policy'} of ${request.resource}`, {
        resource: merged(policies.resource),
      });
    case 'boundary':
      return add(policies.boundary?.name ?? 'permissions boundary', { boundary: merged(policies.boundary) });
    case 'session':
      return add('the session policy given when the session was made', {
        session: [...(policies.session ?? []), named],
      });
    case 'service-control': {
      const remedies: Remedy[] = [];
      const serviceControl = policies.serviceControl?.map((level, index) => {
        const allows = level.some((one) => matchPolicy(one, request).some(({ effect }) => effect === 'Allow'));
        if (allows) return level;
        const target = options.serviceControlTargets?.[index] ?? `level ${index}`;
        remedies.push({ kind: 'add', layer, policy: `a service control policy attached to ${target}`, statement });
        return [...level, named];
      });
      return serviceControl && { request: { ...request, policies: { ...policies, serviceControl } }, remedies };
    }
    default:
      return undefined;
  }
}

const SUGGESTED = 'suggested';

function merge({ name, policy }: NamedPolicy, added: Policy): NamedPolicy {
  return { name, policy: { ...policy, statements: [...policy.statements, ...added.statements] } };
}

/** The least that allows this request: one action, one resource, only by the service that forwarded it. */
function suggestedStatement(request: DecisionRequest, layer: Layer): object {
  const { principal, action, resource, context } = request;
  const resourceSide = layer === 'resource' || layer === 'trust';
  const viaService = context('kms:viaservice');
  const forGrant = viaService !== undefined && action.toLowerCase() === 'kms:creategrant';
  const condition = {
    ...(typeof viaService === 'string' ? { StringEquals: { 'kms:ViaService': viaService } } : {}),
    ...(forGrant ? { Bool: { 'kms:GrantIsForAWSResource': 'true' } } : {}),
  };
  return {
    Effect: 'Allow',
    ...(resourceSide ? { Principal: { AWS: principal.principalArn } } : {}),
    Action: action,
    ...(layer === 'trust' ? {} : { Resource: resourceSide && request.kind === 'kms-key' ? '*' : resource }),
    ...(Object.keys(condition).length > 0 ? { Condition: condition } : {}),
  };
}

// What is told ---------------------------------------------------------------------------------------------------------

/** Every statement that applies, in the order in which layers are consulted. */
export function matchedStatements(request: DecisionRequest): Explanation['matched'] {
  return ORDER.flatMap((layer) =>
    policiesIn(request, layer).flatMap((named) =>
      matchPolicy(named, request).map(({ policy, sid, effect, statement }) => ({
        layer,
        policy,
        ...(sid ? { sid } : {}),
        index: statement.index,
        effect,
      })),
    ),
  );
}

function nearMisses(request: DecisionRequest, foreign: boolean, layers: readonly Layer[]): NearMiss[] {
  return layers.flatMap((layer) =>
    policiesIn(request, layer).flatMap((named) =>
      named.policy.statements.flatMap((statement): NearMiss[] => {
        const missed = statement.effect === 'Allow' ? missedCondition(statement, request) : undefined;
        if (!missed) return [];
        const { sid, index } = statement;
        const place = { layer, policy: named.name, ...(sid ? { sid } : {}), index };
        if (missed === 'resource') return [{ ...place, failed: { element: 'Resource' } }];
        const value = foreign && !isAboutCaller(missed.key) ? undefined : request.context(missed.key);
        const { operator, key } = missed;
        const wanted = missed.values.slice(0, VALUES_MAX).map(shortened);
        const given = value === undefined ? {} : { given: textsOf(value) };
        return [{ ...place, failed: { element: 'Condition', operator, key, wanted, ...given } }];
      }),
    ),
  );
}

/** Values of the condition keys the request has: those of the operation, of the caller, and those statements ask for. */
function conditionsOf(request: DecisionRequest, foreign: boolean, keys: Iterable<string>): Explanation['conditions'] {
  const names = new Map<string, string>();
  const add = (name: string) => {
    const lower = name.toLowerCase();
    if (!names.has(lower)) names.set(lower, name);
  };
  for (const name of keys) add(name);
  for (const layer of ORDER) {
    if (foreign && (layer === 'resource' || layer === 'trust')) continue;
    for (const { policy } of policiesIn(request, layer)) {
      for (const { conditions } of policy.statements) for (const { key } of conditions) add(key);
    }
  }
  const found: { key: string; values: readonly string[] }[] = [];
  for (const [lower, key] of names) {
    if (found.length >= CONDITIONS_MAX) break;
    if (foreign && !isAboutCaller(lower)) continue;
    const values = valuesOf(request.context, lower);
    if (values) found.push({ key, values });
  }
  return found;
}

/** Facts about a resource are its owner's; these speak of the caller and the request. */
function isAboutCaller(lowerKey: string): boolean {
  if (lowerKey.startsWith('aws:')) return !lowerKey.startsWith('aws:resource');
  return /^kms:(?:viaservice|calleraccount|encryption|grant|retiring|requestalias|reencrypt|bypass)/.test(lowerKey);
}

function valuesOf(context: ContextLookup, key: string): readonly string[] | undefined {
  const value = context(key);
  return value === undefined ? undefined : textsOf(value);
}

function textsOf(value: ConditionValue): readonly string[] {
  if (Array.isArray(value)) return value.slice(0, VALUES_MAX).map(shortened);
  return [shortened(textOf(value as Exclude<ConditionValue, readonly string[]>))];
}

function shortened(text: string): string {
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
}
