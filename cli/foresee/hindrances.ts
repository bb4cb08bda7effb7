/** Statements that keep a call of EBS from being allowed, and whether any call of EBS could meet them (fault 20). */
import type { ConditionTest } from '../../policy/conditions.ts';
import type { DecisionRequest } from '../../policy/decide.ts';
import type { Decision } from '../../policy/decision.ts';
import { compilePolicy, type Statement } from '../../policy/document.ts';
import { type AccessRequest, matchPolicy, missedCondition } from '../../policy/evaluate.ts';
import { cannotBeMet } from './ebs-call.ts';
import type { PlacedPolicy, PolicyPlace } from './identity-policies.ts';

export interface Hindrance {
  /** `deny`: the statement denies; `misses`: it would allow, but for one element. */
  readonly kind: 'deny' | 'misses';
  readonly policy: string;
  readonly place: PolicyPlace;
  readonly sid?: string;
  /** Place of the statement in its document, from 0. */
  readonly index: number;
  /** The condition key it turns on; absent for a Resource that names something else. */
  readonly condition?: string;
  /** True where no call that EBS makes could meet the condition (K-11, K-12). */
  readonly unmeetable: boolean;
  /** One sentence. */
  readonly why: string;
}

export function hindrances(
  request: DecisionRequest,
  policies: readonly PlacedPolicy[],
  decision: Pick<Decision, 'explicit'>,
): Hindrance[] {
  const seen = policies.flatMap((policy) => (decision.explicit ? denying(request, policy) : missing(request, policy)));
  // One policy may stand on several levels.
  return seen.filter((one, at) => seen.findIndex((other) => JSON.stringify(other) === JSON.stringify(one)) === at);
}

function denying(request: AccessRequest, { name, document, place }: PlacedPolicy): Hindrance[] {
  return matchPolicy({ name, policy: compilePolicy(document) }, request)
    .filter(({ effect }) => effect === 'Deny')
    .map(({ statement }) => {
      const absent = statement.conditions.find(({ key }) => cannotBeMet(key) || key === 'kms:viaservice');
      return {
        kind: 'deny' as const,
        ...placeOf(name, place, statement),
        ...(absent ? { condition: absent.key } : {}),
        unmeetable: absent !== undefined,
        why: absent
          ? `it denies by ${absent.key} (${absent.operator} ${absent.values.join(', ')}), which calls that EBS makes cannot meet`
          : `it denies ${request.action}`,
      };
    });
}

function missing(request: AccessRequest, { name, document, place }: PlacedPolicy): Hindrance[] {
  return compilePolicy(document).statements.flatMap((statement): Hindrance[] => {
    const missed = statement.effect === 'Allow' ? missedCondition(statement, request) : undefined;
    if (!missed) return [];
    const common = { kind: 'misses' as const, ...placeOf(name, place, statement) };
    if (missed === 'resource')
      return [{ ...common, unmeetable: false, why: `it names other resources than ${request.resource}` }];
    const unmeetable = cannotBeMet(missed.key) || missed.key === 'kms:viaservice';
    return [{ ...common, condition: missed.key, unmeetable, why: whyMissed(request, missed) }];
  });
}

function placeOf(policy: string, place: PolicyPlace, { sid, index }: Statement) {
  return { policy, place, index, ...(sid ? { sid } : {}) };
}

function whyMissed(request: AccessRequest, { operator, key, values }: ConditionTest): string {
  const given = request.context(key);
  const has = given === undefined ? 'have none' : `have ${Array.isArray(given) ? given.join(', ') : String(given)}`;
  return `it wants ${key} ${operator} ${values.join(' or ')}, and calls that EBS makes ${has}`;
}

/** `statement "Sid" of key policy`, or by its number. */
export function describeStatement({ sid, index, policy }: Pick<Hindrance, 'sid' | 'index' | 'policy'>): string {
  return `${sid ? `statement "${sid}"` : `statement ${index + 1}`} of ${policy}`;
}
