/**
 * {@link Authorizer}: gathers every policy that applies to a call, fills the global condition keys, and asks the pure
 * evaluator. What is gathered is cached per principal and per account until identity changes, so that an ordinary
 * decision queries nothing.
 */

import { type DecisionRequest, decide } from '../../policy/decide.ts';
import { compilePolicy } from '../../policy/document.ts';
import type { NamedPolicy } from '../../policy/evaluate.ts';
import { explain } from '../../policy/explain.ts';
import { type Authorizer, type ConditionValues, Denied, type ResourceRef } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import { issuePermit } from '../authz/permit.ts';
import { conditionKeysOf, contextOf } from './context.ts';
import type { Policies } from './policies.ts';
import { policiesOfPrincipal } from './principal-policies.ts';
import type { StandingOf } from './standings.ts';
import { cacheOf, type Store } from './store.ts';

const PRINCIPALS_CACHED_MAX = 10_000;

interface CompiledPolicies {
  readonly identity: readonly NamedPolicy[];
  readonly boundary?: NamedPolicy;
  readonly linkedService: boolean;
}

export function createAuthorizer(store: Store, standingOf: StandingOf, policies: Policies): Authorizer {
  const principals = cacheOf<CompiledPolicies>(store, PRINCIPALS_CACHED_MAX);

  async function policiesOf(caller: Caller): Promise<CompiledPolicies> {
    if (caller.type === 'Account' || caller.type === 'Service') return NO_POLICIES;
    return principals.get(caller.uniqueId, () => loadPolicies(caller));
  }

  async function loadPolicies(caller: Caller): Promise<CompiledPolicies> {
    const type = caller.type === 'User' ? 'user' : 'role';
    const found = await policiesOfPrincipal(store, policies, type, caller.uniqueId);
    // A deleted principal's last call finds nothing that allows it.
    if (!found) return NO_POLICIES;
    const { identity, boundary, linkedService } = found;
    return {
      identity: identity.map(({ name, document }) => named(name, document)),
      ...(boundary ? { boundary: named(boundary.name, boundary.document) } : {}),
      linkedService,
    };
  }

  /** Everything a decision looks at, and what the service control levels are attached to. */
  async function gather(
    call: Call,
    action: string,
    resource: ResourceRef,
    context: ConditionValues,
  ): Promise<{ readonly request: DecisionRequest; readonly levels?: readonly string[] }> {
    const { caller } = call;
    const resourceAccount = resource.accountId ?? caller.accountId;
    const own = await policiesOf(caller);
    const callerStanding = await standingOf(caller.accountId);
    const ownerStanding = resourceAccount === caller.accountId ? callerStanding : await standingOf(resourceAccount);
    const exempt = own.linkedService || caller.type === 'Service';
    const controlled = !resource.awsManaged && /^(?:kms|sts):/i.test(action);
    const request: DecisionRequest = {
      principal: caller,
      action,
      resource: resource.arn,
      resourceAccount,
      context: contextOf(call, action, resource, context, { caller: callerStanding, owner: ownerStanding }),
      policies: {
        identity: own.identity,
        ...(own.boundary ? { boundary: own.boundary } : {}),
        ...(caller.session?.policies.length
          ? { session: caller.session.policies.map((document) => named('session policy', document)) }
          : {}),
        ...(resource.policy === undefined
          ? {}
          : { resource: named(RESOURCE_POLICY[resource.kind ?? 'other'], resource.policy) }),
        ...(callerStanding.serviceControl && !exempt ? { serviceControl: callerStanding.serviceControl } : {}),
        ...(ownerStanding.resourceControl && controlled ? { resourceControl: ownerStanding.resourceControl } : {}),
      },
      ...(resource.kind ? { kind: resource.kind } : {}),
      ...(resource.grants ? { grants: resource.grants } : {}),
      ...(resource.encryptionContext ? { encryptionContext: resource.encryptionContext } : {}),
      ...(resource.proposedGrant ? { proposedGrant: resource.proposedGrant } : {}),
    };
    return { request, ...(callerStanding.levels ? { levels: callerStanding.levels } : {}) };
  }

  return {
    async decide(call, action, resource, context = {}) {
      return decide((await gather(call, action, resource, context)).request);
    },
    async authorize(call, action, resource, context = {}) {
      const { request, levels } = await gather(call, action, resource, context);
      const decision = decide(request);
      if (decision.allowed) return issuePermit(call, action, resource.arn);
      const explanation = explain(request, {
        keys: conditionKeysOf(call, resource, context),
        ...(levels ? { serviceControlTargets: levels } : {}),
      });
      throw new Denied(call, action, resource.arn, { ...decision, explanation });
    },
  };
}

const NO_POLICIES: CompiledPolicies = { identity: [], linkedService: false };
const RESOURCE_POLICY = { 'kms-key': 'key policy', role: 'trust policy', other: 'resource policy' } as const;

function named(name: string, document: string): NamedPolicy {
  return { name, policy: compilePolicy(document) };
}
