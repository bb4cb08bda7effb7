/** What a principal's own policies say of an EC2 action on images, snapshots and volumes (4.2). */
import { decide, type PoliciesInForce } from '../../policy/decide.ts';
import type { ConditionValue, Decision } from '../../policy/decision.ts';
import { matchPolicy } from '../../policy/evaluate.ts';
import { uncertainIn } from './ebs-call.ts';
import { type Hindrance, hindrances } from './hindrances.ts';
import { identityPolicies, type PlacedPolicy } from './identity-policies.ts';
import { ALLOWS, allPolicies, controlLevels, leaning, named } from './layers.ts';
import { standingOf } from './organization.ts';
import { lookUpPrincipal, type Principal, viewOf } from './principal.ts';
import { simulate } from './simulate.ts';
import type { Unseen, Views } from './views.ts';

export interface Ec2Question {
  readonly principal: Principal;
  /** For example `ec2:RunInstances`. */
  readonly action: string;
  /** An ARN; those of images and snapshots have no account (P-8). */
  readonly resource: string;
  /** Condition keys of the resource that are known, by lower-case name. */
  readonly conditions: Readonly<Record<string, ConditionValue>>;
}

export type Ec2Verdict =
  | { readonly verdict: 'allowed' }
  | {
      readonly verdict: 'denied';
      readonly layer: Decision['layer'];
      readonly explicit: boolean;
      readonly because: string;
      readonly hindrances: readonly Hindrance[];
      /** A policy that would allow it if ARNs of images and snapshots had an account (P-8). */
      readonly accountInArn?: PlacedPolicy;
    }
  | { readonly verdict: 'unknown'; readonly unseen: readonly Unseen[]; readonly depends: readonly string[] };

export async function ec2Access(views: Views, question: Ec2Question): Promise<Ec2Verdict> {
  const looked = await lookUpPrincipal(views, question.principal);
  if (!looked.seen) return { verdict: 'unknown', unseen: [looked], depends: [] };
  if (looked.value === 'missing') return { verdict: 'unknown', unseen: [], depends: [] };
  const known = looked.value;
  const { principal } = known;
  const own = await identityPolicies(views, known);
  const standing = await standingOf(views, principal.account);
  const values = new Map<string, ConditionValue | undefined>([
    ['ec2:region', views.region],
    ['aws:requestedregion', views.region],
    ['aws:principalarn', principal.arn],
    ['aws:principalaccount', principal.account],
    ['aws:principalorgid', standing.organizationId],
    ['aws:securetransport', true],
    ['aws:currenttime', new Date()],
    ...Object.entries(known.tags).map(([name, value]) => [`aws:principaltag/${name.toLowerCase()}`, value] as const),
    ...Object.entries(question.conditions),
  ]);
  const isUncertain = uncertainIn(values, true);
  const depends = new Set<string>();
  const { action, resource } = question;
  const unread = !(own.seen && standing.serviceControl.seen) && views.inAccount(principal.account);
  const simulated = unread ? await simulate(views, known, action, resource, values) : undefined;
  const told = simulated?.seen ? simulated.value : undefined;
  const unseen: Unseen[] = [];
  if (!own.seen && !told) unseen.push(own);
  if (!standing.serviceControl.seen && !told?.organization) unseen.push(standing.serviceControl);
  const placed = [
    ...(own.seen ? [...own.value.identity, ...(own.value.boundary ? [own.value.boundary] : [])] : []),
    ...(standing.serviceControl.seen ? standing.serviceControl.value.flat() : []),
  ];
  const policies: PoliciesInForce = {
    ...(own.seen
      ? {
          identity: own.value.identity.map(named),
          ...(own.value.boundary ? { boundary: named(own.value.boundary) } : {}),
        }
      : (told?.own ?? { identity: [ALLOWS] })),
    ...controlLevels(standing.serviceControl, told?.organization),
  };
  const request = {
    principal: viewOf(principal, known.uniqueId),
    action,
    resource,
    resourceAccount: principal.account,
    context: (key: string) => {
      if (isUncertain(key)) depends.add(key);
      return values.get(key);
    },
    policies,
  };
  const decision = decide({ ...request, policies: leaning(policies, isUncertain, 'for') });
  if (decision.allowed || depends.size > 0) {
    const surely = decide({ ...request, policies: leaning(policies, isUncertain, 'against') }).allowed;
    if (surely && unseen.length === 0 && depends.size === 0) return { verdict: 'allowed' };
    // For what is told: the keys that statements on this very use ask for.
    for (const policy of allPolicies(policies)) matchPolicy(policy, request);
    return { verdict: 'unknown', unseen, depends: [...depends] };
  }
  const { layer, explicit, because } = decision;
  const withAccount = resource.replace(/^(arn:[^:]+:ec2:[^:]*:):/, `$1${principal.account}:`);
  const wrong = decide({ ...request, resource: withAccount }).allowed
    ? placed.find(({ document }) => ACCOUNT_IN_ARN.test(document))
    : undefined;
  return {
    verdict: 'denied',
    layer,
    explicit,
    because,
    hindrances: hindrances(request, placed, decision),
    ...(wrong ? { accountInArn: wrong } : {}),
  };
}

/** An ARN of a snapshot or image with an account in it, which matches none. */
export const ACCOUNT_IN_ARN = /(arn:[^:"]+:ec2:[^:"]*:)[^:"]+(:(?:snapshot|image)\/)/;
