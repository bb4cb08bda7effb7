/**
 * The policy simulator: what the evaluator would say about requests that nobody makes. It judges by the same code as
 * real requests; what differs is that the context is given, not observed.
 */

import { contextKeysOf } from '../../policy/context-keys.ts';
import { type DecisionRequest, decide } from '../../policy/decide.ts';
import { type Policy, readPolicy } from '../../policy/document.ts';
import { matchPolicy, type NamedPolicy } from '../../policy/evaluate.ts';
import { matchedStatements } from '../../policy/explain.ts';
import type { PrincipalView } from '../../policy/principals.ts';
import { statementRanges, type TextRange } from '../../policy/statement-positions.ts';
import type { ConditionValue } from '../authz/authorizer.ts';
import type { AccountId } from '../ids.ts';
import type { Tagging } from './entities.ts';
import type { Policies } from './policies.ts';
import { policiesOfPrincipal, type SourcedPolicy } from './principal-policies.ts';
import type { StandingOf } from './standings.ts';
import type { Store } from './store.ts';

/** A policy of a simulation and where it comes from; `none` for one given with the request. */
export interface SimulatedPolicy {
  readonly name: string;
  readonly document: string;
  readonly source: SourcedPolicy['source'] | 'resource' | 'none';
}

export interface SimulatedPrincipal {
  readonly type: 'user' | 'group' | 'role';
  readonly accountId: AccountId;
  readonly id: string;
  readonly arn: string;
  readonly name: string;
  readonly tags: Tagging;
}

export interface Scene {
  readonly principal: PrincipalView;
  readonly identity: readonly SimulatedPolicy[];
  readonly boundary?: SimulatedPolicy;
  readonly resourcePolicy?: SimulatedPolicy;
  /** Owner of the resources. */
  readonly resourceAccount: string;
  /** Names in lower case. */
  readonly context: ReadonlyMap<string, ConditionValue>;
  /** Whether the control policies of the principal's account are judged as well. */
  readonly organization: boolean;
}

export interface Simulation {
  readonly outcome: 'allowed' | 'explicitDeny' | 'implicitDeny';
  /** Statements that decide; none where nothing allows. */
  readonly matched: readonly { readonly policy: SimulatedPolicy; readonly range: TextRange }[];
  /** Context keys the policies ask for and the scene has not. */
  readonly missing: readonly string[];
  readonly allowedByBoundary?: boolean;
  readonly allowedByOrganization?: boolean;
}

export interface Simulator {
  /** Policies of a principal as they stand; `undefined` where it is gone. */
  policiesOf(
    principal: SimulatedPrincipal,
  ): Promise<{ identity: SourcedPolicy[]; boundary?: SourcedPolicy } | undefined>;
  /** Condition keys that a real request of this principal would always have. */
  contextOf(principal: SimulatedPrincipal): Promise<Map<string, ConditionValue>>;
  /** Prepares the scene once; the result judges one action on one resource. Throws PolicyMalformed. */
  prepare(scene: Scene): Promise<(action: string, resource: string) => Simulation>;
}

interface Compiled {
  readonly given: SimulatedPolicy;
  readonly policy: Policy;
  ranges?: TextRange[];
}

export function createSimulator(store: Store, standingOf: StandingOf, policies: Policies): Simulator {
  return {
    async policiesOf(principal) {
      const found = await policiesOfPrincipal(store, policies, principal.type, principal.id);
      return found && { identity: [...found.identity], ...(found.boundary ? { boundary: found.boundary } : {}) };
    },

    async contextOf(principal) {
      const context = new Map<string, ConditionValue>();
      const now = store.clock();
      context.set('aws:currenttime', now);
      context.set('aws:epochtime', Math.floor(now.getTime() / 1000));
      context.set('aws:principalaccount', principal.accountId);
      const { organizationId, organizationPath } = await standingOf(principal.accountId);
      if (organizationId) context.set('aws:principalorgid', organizationId);
      if (organizationPath) context.set('aws:principalorgpaths', [organizationPath]);
      if (principal.type === 'group') return context;
      context.set('aws:principalarn', principal.arn);
      context.set('aws:principaltype', principal.type === 'user' ? 'User' : 'AssumedRole');
      for (const [name, value] of Object.entries(principal.tags)) {
        context.set(`aws:principaltag/${name.toLowerCase()}`, value);
      }
      if (principal.type === 'user') {
        context.set('aws:userid', principal.id);
        context.set('aws:username', principal.name);
      }
      return context;
    },

    async prepare(scene) {
      // Names become numbers, because two policies may have one name.
      const compiled: Compiled[] = [];
      const named = (given: SimulatedPolicy): NamedPolicy => {
        const policy = readPolicy(given.document);
        compiled.push({ given, policy });
        return { name: String(compiled.length - 1), policy };
      };
      const identity = scene.identity.map(named);
      const boundary = scene.boundary && named(scene.boundary);
      const resource = scene.resourcePolicy && named(scene.resourcePolicy);
      const { serviceControl } = scene.organization ? await standingOf(scene.principal.accountId) : {};
      const wanted = compiled.flatMap(({ given }) => contextKeysOf(given.document));
      const missing = [...new Map(wanted.map((key) => [key.toLowerCase(), key])).entries()]
        .filter(([lower]) => !scene.context.has(lower))
        .map(([, key]) => key);

      return (action, resourceArn) => {
        const kind = scene.resourcePolicy && kindOf(action);
        const request: DecisionRequest = {
          principal: scene.principal,
          action,
          resource: resourceArn,
          resourceAccount: scene.resourceAccount,
          context: (key) => scene.context.get(key),
          policies: {
            identity,
            ...(boundary ? { boundary } : {}),
            ...(resource ? { resource } : {}),
            ...(serviceControl ? { serviceControl } : {}),
          },
          ...(kind ? { kind } : {}),
        };
        const decision = decide(request);
        const outcome = decision.allowed ? 'allowed' : decision.explicit ? 'explicitDeny' : 'implicitDeny';
        const telling = { allowed: 'Allow', explicitDeny: 'Deny', implicitDeny: undefined }[outcome];
        const matched = matchedStatements(request)
          .filter(({ effect, layer }) => effect === telling && layer !== 'service-control')
          .map(({ policy, index }) => {
            const of = compiled[Number(policy)]!;
            of.ranges ??= statementRanges(of.given.document);
            return { policy: of.given, range: of.ranges[index]! };
          });
        const letsPass = (level: readonly NamedPolicy[]) => {
          const effects = level.flatMap((one) => matchPolicy(one, request)).map(({ effect }) => effect);
          return effects.includes('Allow') && !effects.includes('Deny');
        };
        return {
          outcome,
          matched,
          missing,
          ...(boundary ? { allowedByBoundary: letsPass([boundary]) } : {}),
          ...(serviceControl ? { allowedByOrganization: serviceControl.every(letsPass) } : {}),
        };
      };
    },
  };
}

/** With a resource policy given, these are judged as what they are: the resource side must allow (1.7). */
function kindOf(action: string): DecisionRequest['kind'] {
  if (/^kms:/i.test(action)) return 'kms-key';
  return /^sts:(?:assumerole|tagsession|setsourceidentity)$/i.test(action) ? 'role' : undefined;
}
