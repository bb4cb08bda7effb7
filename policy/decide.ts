/**
 * The evaluator: all policies that apply to one request, to one decision (authorization-and-wire §1, §6, §8, 14.4).
 *
 * Pure: policies come in compiled, context comes in as a lookup. Every layer is searched for explicit denies first;
 * then each filter that exists must allow, and the paths of the resource's kind decide. One reason is reported, the
 * first in the order of 1.2.
 */
import type { Decision, GrantView, ProposedGrant } from './decision.ts';
import { type AccessRequest, type MatchedStatement, matchPolicy, type NamedPolicy } from './evaluate.ts';
import { grantAllows, grantPrincipalMatch } from './grants.ts';
import { closerMatch, type PrincipalMatch } from './principals.ts';

export interface PoliciesInForce {
  /** Policies of the caller's organization, one list per level: root, organizational units, account (1.3). */
  readonly serviceControl?: readonly (readonly NamedPolicy[])[];
  /** The same for the resource's organization; they act through Deny only (1.4). */
  readonly resourceControl?: readonly (readonly NamedPolicy[])[];
  /** Key policy, trust policy, or another policy attached to the resource. */
  readonly resource?: NamedPolicy;
  readonly identity: readonly NamedPolicy[];
  readonly boundary?: NamedPolicy;
  /** Session policies; what any of them allows is inside the session (14.5). */
  readonly session?: readonly NamedPolicy[];
}

export interface DecisionRequest extends AccessRequest {
  readonly policies: PoliciesInForce;
  /** Owner of the resource. */
  readonly resourceAccount: string;
  /** Kinds that always need the resource side (1.7). */
  readonly kind?: 'kms-key' | 'role';
  readonly grants?: readonly GrantView[];
  readonly encryptionContext?: Readonly<Record<string, string>>;
  /** For kms:CreateGrant: the grant that is to be made (kms 15.9). */
  readonly proposedGrant?: ProposedGrant;
}

type Layer = Decision['layer'];

/** Names of the layers in denial texts (8.2, 8.3). */
const IMPLICIT: Readonly<Partial<Record<Layer, string>>> = {
  identity: 'identity-based policy',
  resource: 'resource-based policy',
  boundary: 'permissions boundary',
  session: 'session policy',
  'service-control': 'service control policy',
  'resource-control': 'resource control policy',
  trust: 'role trust policy',
};
const EXPLICIT: Readonly<Partial<Record<Layer, string>>> = {
  identity: 'an identity-based policy',
  resource: 'a resource-based policy',
  boundary: 'a permissions boundary',
  session: 'a session policy',
  'service-control': 'a service control policy',
  'resource-control': 'a resource control policy',
  trust: 'the role trust policy',
};

/** KMS actions that may be done on another account's key (kms 23.1); all others fail whatever the policies (23.2). */
const CROSS_ACCOUNT_KEY_ACTIONS = new Set(
  `encrypt decrypt reencryptfrom reencryptto generatedatakey generatedatakeywithoutplaintext generatedatakeypair
   generatedatakeypairwithoutplaintext sign verify generatemac verifymac derivesharedsecret encapsulate decapsulate
   creategrant describekey getkeyrotationstatus getpublickey listgrants retiregrant revokegrant`
    .split(/\s+/)
    .map((name) => `kms:${name}`),
);

interface LayerMatches {
  readonly layer: Layer;
  readonly matches: readonly MatchedStatement[];
}

export function decide(request: DecisionRequest): Decision {
  const { policies, principal } = request;
  const resourceLayer: Layer = request.kind === 'role' ? 'trust' : 'resource';
  const all = (named: readonly NamedPolicy[] | undefined) => named?.flatMap((one) => matchPolicy(one, request)) ?? [];

  const resourceControl = policies.resourceControl?.map(all);
  const serviceControl = policies.serviceControl?.map(all);
  const resource = policies.resource ? matchPolicy(policies.resource, request) : [];
  const identity = all(policies.identity);
  const boundary = policies.boundary ? matchPolicy(policies.boundary, request) : undefined;
  const session = policies.session?.length ? all(policies.session) : undefined;

  const layers: LayerMatches[] = [
    { layer: 'resource-control', matches: resourceControl?.flat() ?? [] },
    { layer: 'service-control', matches: serviceControl?.flat() ?? [] },
    { layer: resourceLayer, matches: resource },
    { layer: 'identity', matches: identity },
    { layer: 'boundary', matches: boundary ?? [] },
    { layer: 'session', matches: session ?? [] },
  ];
  const conclude = (allowed: boolean, explicit: boolean, layer: Layer): Decision => ({
    allowed,
    explicit,
    layer,
    because: allowed ? '' : reason(explicit, layer, request.action),
    matched: layers.flatMap(({ layer: where, matches }) =>
      matches.map(({ policy, sid, effect }) => ({ layer: where, policy, ...(sid ? { sid } : {}), effect })),
    ),
  });
  const denied = (layer: Layer) => conclude(false, false, layer);

  for (const { layer, matches } of layers) if (matches.some(isDeny)) return conclude(false, true, layer);
  if (serviceControl?.some((level) => !level.some(isAllow))) return denied('service-control');

  const sameAccount = principal.accountId === request.resourceAccount;
  const isRoot = principal.type === 'Account';
  const identityAllows = isRoot || (principal.type !== 'Service' && identity.some(isAllow));
  const named = closestAllow(resource);
  // A user or one session named by the resource itself is not limited by implicit denies elsewhere (1.9).
  const direct = sameAccount && named === 'session';
  const filtered = (layer: Layer): Decision => {
    if (!direct && boundary && !boundary.some(isAllow)) return denied('boundary');
    if (!direct && session && !session.some(isAllow)) return denied('session');
    return conclude(true, false, layer);
  };

  if (request.kind === 'kms-key') {
    const grant = byGrant(request);
    if (grant === 'self' || (grant === 'account' && identityAllows)) {
      if (boundary && !boundary.some(isAllow)) return denied('boundary');
      if (session && !session.some(isAllow)) return denied('session');
      return conclude(true, false, 'grant');
    }
    if (!sameAccount && !CROSS_ACCOUNT_KEY_ACTIONS.has(request.action.toLowerCase())) return denied('resource');
    if (isRetireGrant(request.action)) return retireGrant(request, identityAllows, filtered, denied);
  } else if (request.kind === 'role') {
    // The root user cannot assume roles (14.4).
    if (isRoot) return denied('trust');
  } else {
    return ordinary();
  }
  if (named === 'none') return denied(resourceLayer);
  if (sameAccount && named !== 'account') return filtered(resourceLayer);
  return identityAllows ? filtered(isRoot ? 'root-user' : 'identity') : denied('identity');

  /** Identity or resource side suffices in one account, both are needed across accounts (1.7, 1.8). */
  function ordinary(): Decision {
    if (sameAccount || !policies.resource) {
      if (identityAllows) return filtered(isRoot ? 'root-user' : 'identity');
      return sameAccount && named !== 'none' && named !== 'account' ? filtered('resource') : denied('identity');
    }
    if (named === 'none') return denied('resource');
    // A service principal has no identity policies: the resource side alone decides.
    if (principal.type === 'Service') return conclude(true, false, 'resource');
    return identityAllows ? filtered(isRoot ? 'root-user' : 'identity') : denied('identity');
  }
}

function reason(explicit: boolean, layer: Layer, action: string): string {
  if (explicit) return `with an explicit deny in ${EXPLICIT[layer] ?? 'a policy'}`;
  return `because no ${IMPLICIT[layer] ?? 'policy'} allows the ${action} action`;
}

function isAllow(match: MatchedStatement): boolean {
  return match.effect === 'Allow';
}
function isDeny(match: MatchedStatement): boolean {
  return match.effect === 'Deny';
}

/** How closely the Allow statements of a resource policy name the caller. */
function closestAllow(matches: readonly MatchedStatement[]): PrincipalMatch {
  let closest: PrincipalMatch = 'none';
  for (const match of matches) {
    if (match.effect !== 'Allow') continue;
    // `*` narrowed by aws:PrincipalArn is a direct grant (1.9).
    const narrowed =
      match.principal === 'everyone' && match.statement.conditions.some((test) => test.key === 'aws:principalarn');
    closest = closerMatch(closest, narrowed ? 'session' : match.principal);
  }
  return closest;
}

function isRetireGrant(action: string): boolean {
  return action.toLowerCase() === 'kms:retiregrant';
}

/** Whether a grant lets the caller: itself, or its account, which may delegate by identity policies. */
function byGrant(request: DecisionRequest): 'self' | 'account' | undefined {
  let account = false;
  for (const grant of request.grants ?? []) {
    if (!grantAllows(grant, request)) continue;
    const match = grantPrincipalMatch(grant.granteePrincipal, request.principal);
    if (match === 'self') return 'self';
    account ||= match === 'account';
  }
  return account ? 'account' : undefined;
}

/**
 * RetireGrant never depends on the key policy's Allow (6.8): the retiring principal may, and the account that issued
 * the grant, by its identity policies (kms 15.12). A grantee whose grant holds RetireGrant was admitted before.
 */
function retireGrant(
  request: DecisionRequest,
  identityAllows: boolean,
  filtered: (layer: Layer) => Decision,
  denied: (layer: Layer) => Decision,
): Decision {
  const { principal, grants = [] } = request;
  for (const grant of grants) {
    const match = grant.retiringPrincipal ? grantPrincipalMatch(grant.retiringPrincipal, principal) : 'none';
    if (match === 'self' || (match === 'account' && identityAllows)) return filtered('grant');
  }
  const issuer = grants.some((grant) => (grant.issuingAccount ?? request.resourceAccount) === principal.accountId);
  return issuer && identityAllows ? filtered('identity') : denied('identity');
}
