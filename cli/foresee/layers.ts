/** Policies as the evaluator takes them, and stand-ins for those that could not be seen. */
import type { PoliciesInForce } from '../../policy/decide.ts';
import { compilePolicy } from '../../policy/document.ts';
import type { NamedPolicy } from '../../policy/evaluate.ts';
import type { PlacedPolicy } from './identity-policies.ts';
import type { Seen } from './views.ts';

export function named({ name, document }: PlacedPolicy): NamedPolicy {
  return { name, policy: compilePolicy(document) };
}

/** The best that identity policies could say. */
export const ALLOWS: NamedPolicy = {
  name: 'unseen',
  policy: compilePolicy('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'),
};

/** The best that a key policy could say: it names the principal itself. */
export function allowing(arn: string): NamedPolicy {
  const Statement = { Effect: 'Allow', Principal: { AWS: arn }, Action: '*', Resource: '*' };
  return { name: 'key policy', policy: compilePolicy(JSON.stringify({ Version: '2012-10-17', Statement })) };
}

/** Service control policies that were read, or else what a simulation said of them. */
export function controlLevels(
  seen: Seen<readonly (readonly PlacedPolicy[])[]>,
  simulated: 'allowed' | 'denied' | undefined,
): Pick<PoliciesInForce, 'serviceControl'> {
  if (seen.seen) return seen.value.length > 0 ? { serviceControl: seen.value.map((level) => level.map(named)) } : {};
  // A level without policies allows nothing.
  return simulated === 'denied' ? { serviceControl: [[]] } : {};
}

/**
 * The policies as if every condition that nobody can judge beforehand turned out for the request, or against it. What
 * is denied in the first case is denied, and what is allowed in the second is allowed, whatever the call will be like.
 */
export function leaning(
  policies: PoliciesInForce,
  isUncertain: (key: string) => boolean,
  lean: 'for' | 'against',
): PoliciesInForce {
  const dropped = lean === 'for' ? 'Deny' : 'Allow';
  const bent = ({ name, policy }: NamedPolicy): NamedPolicy => ({
    name,
    policy: {
      ...policy,
      statements: policy.statements.flatMap((statement) => {
        const certain = statement.conditions.filter(({ key }) => !isUncertain(key));
        if (certain.length === statement.conditions.length) return [statement];
        return statement.effect === dropped ? [] : [{ ...statement, conditions: certain }];
      }),
    },
  });
  const { identity, resource, boundary, serviceControl, resourceControl } = policies;
  return {
    identity: identity.map(bent),
    ...(resource ? { resource: bent(resource) } : {}),
    ...(boundary ? { boundary: bent(boundary) } : {}),
    ...(serviceControl ? { serviceControl: serviceControl.map((level) => level.map(bent)) } : {}),
    ...(resourceControl ? { resourceControl: resourceControl.map((level) => level.map(bent)) } : {}),
  };
}

/** Every policy, whatever its layer. */
export function allPolicies({
  identity,
  resource,
  boundary,
  serviceControl,
  resourceControl,
}: PoliciesInForce): NamedPolicy[] {
  return [
    ...identity,
    ...(resource ? [resource] : []),
    ...(boundary ? [boundary] : []),
    ...(serviceControl?.flat() ?? []),
    ...(resourceControl?.flat() ?? []),
  ];
}
