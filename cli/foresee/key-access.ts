/**
 * What a principal may do with a KMS key when EBS calls in its name: the layers that the caller of the tool can see,
 * judged by the evaluator that the server judges by. A layer that cannot be seen makes the answer `unknown`, unless what
 * is seen denies whatever that layer says.
 */
import { contextKeysOf } from '../../policy/context-keys.ts';
import { type DecisionRequest, decide, type PoliciesInForce } from '../../policy/decide.ts';
import type { Decision, GrantView } from '../../policy/decision.ts';
import { matchPolicy } from '../../policy/evaluate.ts';
import { isUniqueId } from '../../policy/principals.ts';
import { type EbsCall, ebsConditions, uncertainIn } from './ebs-call.ts';
import { type Hindrance, hindrances } from './hindrances.ts';
import { identityPolicies, type PlacedPolicy } from './identity-policies.ts';
import { type FoundKey, keyAliases, keyGrants, keyPolicy, keyTags } from './key.ts';
import { ALLOWS, allowing, allPolicies, controlLevels, leaning, named } from './layers.ts';
import type { EbsKeyAction } from './needs.ts';
import { type Standing, standingOf } from './organization.ts';
import { type KnownPrincipal, lookUpPrincipal, type Principal, viewOf } from './principal.ts';
import { simulate } from './simulate.ts';
import { describeUnseen, type Seen, type Unseen, type Views } from './views.ts';

export interface KeyQuestion {
  readonly principal: Principal;
  /** As `findKey` found it, or its ARN alone where only its owner may describe it. */
  readonly key: FoundKey | { readonly arn: string; readonly account: string };
  readonly actions: readonly EbsKeyAction[];
  /** Encryption context `aws:ebs:id` of the call, where known. */
  readonly ebsId?: string;
  readonly sameKey?: boolean;
}

export type KeyVerdict = { readonly action: EbsKeyAction; readonly keyArn: string; readonly principal: Principal } & (
  | { readonly verdict: 'allowed'; readonly layer: Decision['layer'] }
  | {
      readonly verdict: 'denied';
      readonly layer: Decision['layer'];
      readonly explicit: boolean;
      /** The tail of AWS's denial text. */
      readonly because: string;
      /** Statements that deny, and Allow statements that only just fail. */
      readonly hindrances: readonly Hindrance[];
      /** Unique ids of principals that are gone, in statements or grants that would have allowed it (P-14). */
      readonly stale: readonly string[];
    }
  | {
      readonly verdict: 'unknown';
      readonly unseen: readonly Unseen[];
      /** Condition keys that only the call itself will have. */
      readonly depends: readonly string[];
      /** What would hold if nothing unseen spoke against it. */
      readonly otherwise: 'allowed' | 'denied';
    }
);

/** What an unknown answer would need: permissions to look, or the call itself. */
export function whyUnknown(verdict: Extract<KeyVerdict, { readonly verdict: 'unknown' }>): string[] {
  const { unseen, depends, principal, action, keyArn } = verdict;
  const call = `whether ${principal.arn} may ${action} on ${keyArn} depends on ${depends.join(', ')} of the call`;
  return [...unseen.map(describeUnseen), ...(depends.length > 0 ? [call] : [])];
}

/** Judges every action of the question. */
export async function keyAccess(views: Views, question: KeyQuestion): Promise<KeyVerdict[]> {
  const layers = await gather(views, question);
  const verdicts: KeyVerdict[] = [];
  for (const action of question.actions) verdicts.push(await judge(views, question, layers, action));
  return verdicts;
}

interface Layers {
  readonly known: KnownPrincipal;
  readonly identity: Seen<{ readonly identity: readonly PlacedPolicy[]; readonly boundary?: PlacedPolicy }>;
  readonly resource: Seen<PlacedPolicy>;
  readonly grants: Seen<GrantView[]>;
  readonly serviceControl: Seen<readonly (readonly PlacedPolicy[])[]>;
  readonly resourceControl: Seen<readonly (readonly PlacedPolicy[])[]>;
  readonly call: Omit<EbsCall, 'action'>;
  readonly unseen: readonly Unseen[];
}

async function gather(views: Views, question: KeyQuestion): Promise<Layers> {
  const { key } = question;
  const looked = await lookUpPrincipal(views, question.principal);
  const known =
    looked.seen && looked.value !== 'missing'
      ? looked.value
      : { principal: question.principal, uniqueId: '', tags: {} };
  const { principal } = known;
  const identity = looked.seen ? await identityOf(views, looked.value) : looked;
  const caller = await standingOf(views, principal.account);
  const owner = await standingOf(views, key.account);
  // Service control policies do not bind service-linked roles; resource control policies no AWS managed key.
  const exempt = principal.kind === 'service-linked-role';
  const awsManaged = 'awsManaged' in key && key.awsManaged;
  const resource = await keyPolicy(views, key.arn);
  const grants = await keyGrants(views, key.arn);
  const asked = new Set(
    [...(identity.seen ? identity.value.identity : []), ...(resource.seen ? [resource.value] : [])]
      .flatMap(({ document }) => contextKeysOf(document))
      .map((name) => name.toLowerCase()),
  );
  const aliases = asked.has('kms:resourcealiases') ? await keyAliases(views, key.arn) : undefined;
  const tags = [...asked].some((name) => name.startsWith('aws:resourcetag/'))
    ? await keyTags(views, key.arn)
    : undefined;
  const call = {
    region: views.region,
    known,
    keyArn: key.arn,
    keyAccount: key.account,
    ...(isKnown(caller) ? { callerOrganization: placeIn(caller) } : {}),
    ...(isKnown(owner) ? { ownerOrganization: placeIn(owner) } : {}),
    ...('metadata' in key ? { key } : {}),
    ...(question.ebsId === undefined ? {} : { ebsId: question.ebsId }),
    ...(question.sameKey === undefined ? {} : { sameKey: question.sameKey }),
    ...(aliases?.seen ? { aliases: aliases.value } : {}),
    ...(tags?.seen ? { keyTags: tags.value } : {}),
  };
  const serviceControl = exempt ? NOTHING : caller.serviceControl;
  const resourceControl = awsManaged ? NOTHING : owner.resourceControl;
  const layers = { identity, resource, grants, serviceControl, resourceControl };
  const unseen = Object.values(layers).filter((layer): layer is Unseen => !layer.seen);
  return { known, ...layers, call, unseen };
}

const NOTHING = { seen: true, value: [] } as const;

async function identityOf(views: Views, known: KnownPrincipal | 'missing') {
  return known === 'missing' ? ({ seen: true, value: { identity: [] } } as const) : identityPolicies(views, known);
}

/** Whether it is known if the account is in an organization at all. */
function isKnown({ organizationId, serviceControl }: Standing): boolean {
  return organizationId !== undefined || serviceControl.seen;
}

function placeIn({ organizationId: id, organizationPath: path }: Standing) {
  return { ...(id === undefined ? {} : { id }), ...(path === undefined ? {} : { path }) };
}

async function judge(views: Views, question: KeyQuestion, layers: Layers, action: EbsKeyAction): Promise<KeyVerdict> {
  const { known, call } = layers;
  const values = ebsConditions({ ...call, action });
  const isUncertain = uncertainIn(values, known.uniqueId !== '');
  const depends = new Set<string>();
  const told = { action, keyArn: question.key.arn, principal: known.principal };
  // What the policies of a principal say may be asked for where they cannot be read.
  const simulated =
    (layers.identity.seen && layers.serviceControl.seen) || !views.inAccount(known.principal.account)
      ? undefined
      : await simulate(views, known, action, question.key.arn, values);
  const answered = (layer: Seen<unknown>) =>
    simulated?.seen && (layer === layers.identity || (layer === layers.serviceControl && simulated.value.organization));
  const missing = layers.unseen.filter((layer) => !answered(layer));
  const hidden = (layer: Seen<unknown>) => !layer.seen && !answered(layer);
  const policies: PoliciesInForce = {
    ...(layers.identity.seen
      ? {
          identity: layers.identity.value.identity.map(named),
          ...(layers.identity.value.boundary ? { boundary: named(layers.identity.value.boundary) } : {}),
        }
      : simulated?.seen
        ? simulated.value.own
        : { identity: [ALLOWS] }),
    ...(layers.resource.seen
      ? { resource: named(layers.resource.value) }
      : { resource: allowing(viewOf(known.principal, known.uniqueId).arn) }),
    ...controlLevels(layers.serviceControl, simulated?.seen ? simulated.value.organization : undefined),
    ...(layers.resourceControl.seen
      ? { resourceControl: layers.resourceControl.value.map((level) => level.map(named)) }
      : {}),
  };
  const hasContext = action !== 'kms:DescribeKey' && call.ebsId !== undefined;
  const request: DecisionRequest = {
    principal: viewOf(known.principal, known.uniqueId),
    action,
    resource: question.key.arn,
    resourceAccount: question.key.account,
    kind: 'kms-key',
    context: (key) => {
      if (isUncertain(key)) depends.add(key);
      return values.get(key);
    },
    policies,
    ...(hasContext ? { encryptionContext: { 'aws:ebs:id': call.ebsId as string } } : {}),
    proposedGrant: { operations: ['Decrypt'], encryptionContextSubset: { 'aws:ebs:id': call.ebsId ?? '' } },
    ...(layers.grants.seen ? { grants: layers.grants.value } : {}),
  };
  // The best that unseen grants could do; policies that are unseen were taken to allow above.
  const grants = hidden(layers.grants) ? [grantOf(request)] : request.grants;
  const best = decide({ ...request, policies: leaning(policies, isUncertain, 'for'), ...(grants ? { grants } : {}) });
  if (!best.allowed && depends.size === 0) {
    const placed = [
      ...(layers.identity.seen ? [...layers.identity.value.identity, ...boundaryOf(layers.identity.value)] : []),
      ...(layers.resource.seen ? [layers.resource.value] : []),
      ...(layers.serviceControl.seen ? layers.serviceControl.value.flat() : []),
      ...(layers.resourceControl.seen ? layers.resourceControl.value.flat() : []),
    ];
    return {
      ...told,
      verdict: 'denied',
      layer: best.layer,
      explicit: best.explicit,
      because: best.because,
      hindrances: hindrances(request, placed, best),
      stale: staleIds(request, layers),
    };
  }
  const onlyGrants = missing.every((layer) => layer === layers.grants);
  const worst = decide({ ...request, policies: leaning(policies, isUncertain, 'against') });
  if (onlyGrants && worst.allowed && depends.size === 0) return { ...told, verdict: 'allowed', layer: worst.layer };
  // For what is told: the keys that statements on this very use ask for.
  for (const policy of allPolicies(policies)) matchPolicy(policy, request);
  return {
    ...told,
    verdict: 'unknown',
    unseen: missing,
    depends: [...depends],
    otherwise: best.allowed ? 'allowed' : 'denied',
  };
}

function boundaryOf({ boundary }: { readonly boundary?: PlacedPolicy }): PlacedPolicy[] {
  return boundary ? [boundary] : [];
}

/** Principals that are gone stay in policies and grants by their unique ids, and their namesakes inherit nothing. */
function staleIds(request: DecisionRequest, { resource, grants }: Layers): string[] {
  const { principal, action } = request;
  const prefix = principal.type === 'User' ? 'AIDA' : 'AROA';
  const written = resource.seen ? (resource.value.document.match(/\b(?:AIDA|AROA)[A-Z0-9]{12,28}\b/g) ?? []) : [];
  const holders = grants.seen ? grants.value : [];
  const ids = new Set([...written, ...holders.map(({ granteePrincipal }) => granteePrincipal)]);
  return [...ids].filter((id) => {
    if (!isUniqueId(id) || !id.startsWith(prefix) || id === principal.uniqueId) return false;
    const asOnce = { ...request, principal: { ...principal, uniqueId: id } };
    return (
      allowsIn(asOnce) > allowsIn(request) ||
      holders.some((grant) => grant.granteePrincipal === id && covers(grant, action))
    );
  });
}

/** How many statements of the key policy allow it. */
function allowsIn(request: DecisionRequest): number {
  const { resource } = request.policies;
  return resource ? matchPolicy(resource, request).filter(({ effect }) => effect === 'Allow').length : 0;
}

function covers({ operations }: GrantView, action: string): boolean {
  return operations.some((operation) => `kms:${operation}` === action);
}

function grantOf({ principal, action }: DecisionRequest): GrantView {
  return { grantId: 'unseen', granteePrincipal: principal.arn, operations: [action.slice('kms:'.length), 'Decrypt'] };
}
