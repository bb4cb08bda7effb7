/** SimulatePrincipalPolicy, for policies that may not be read: IAM says what they say, without key policies and grants. */
import {
  type ContextEntry,
  type EvaluationResult,
  IAMClient,
  SimulatePrincipalPolicyCommand,
} from '@aws-sdk/client-iam';
import type { PoliciesInForce } from '../../policy/decide.ts';
import type { ConditionValue } from '../../policy/decision.ts';
import { compilePolicy } from '../../policy/document.ts';
import type { NamedPolicy } from '../../policy/evaluate.ts';
import type { KnownPrincipal } from './principal.ts';
import { isMissing, type Seen, type Views } from './views.ts';

export interface Simulated {
  /** Policies that would say the same of this one action. */
  readonly own: Pick<PoliciesInForce, 'identity' | 'boundary'>;
  /** What service control policies say, where IAM told. */
  readonly organization?: 'allowed' | 'denied';
}

export async function simulate(
  views: Views,
  { principal }: KnownPrincipal,
  action: string,
  resource: string,
  values: ReadonlyMap<string, ConditionValue | undefined>,
): Promise<Seen<Simulated>> {
  const { account, arn, kind } = principal;
  const place = { what: `what the policies of ${arn} say`, wants: 'iam:SimulatePrincipalPolicy', account };
  // IAM simulates users and roles, not root users.
  if (kind === 'root') return { seen: false, ...place };
  const answer = await views.look(place, async (aws) => {
    const command = new SimulatePrincipalPolicyCommand({
      PolicySourceArn: arn,
      ActionNames: [action],
      ResourceArns: [resource],
      ContextEntries: [...values].flatMap(entry),
    });
    return aws
      .use(IAMClient)
      .send(command)
      .catch((error: unknown) => {
        if (isMissing(error)) return undefined;
        throw error;
      });
  });
  if (!answer.seen) return answer;
  const result = answer.value?.EvaluationResults?.[0];
  return result ? { seen: true, value: simulatedBy(result, action, arn) } : { seen: false, ...place };
}

/** Policies that say of the one action what IAM said. */
function simulatedBy(result: EvaluationResult, action: string, arn: string): Simulated {
  const statement = (effect: 'Allow' | 'Deny'): NamedPolicy => ({
    name: `the policies of ${arn}, as SimulatePrincipalPolicy judges them`,
    policy: compilePolicy(
      JSON.stringify({ Version: '2012-10-17', Statement: { Effect: effect, Action: action, Resource: '*' } }),
    ),
  });
  const boundary = result.PermissionsBoundaryDecisionDetail?.AllowedByPermissionsBoundary;
  const organization = result.OrganizationsDecisionDetail?.AllowedByOrganizations;
  const silent = boundary === false || organization === false;
  const identity =
    result.EvalDecision === 'explicitDeny'
      ? [statement('Deny')]
      : result.EvalDecision === 'allowed' || silent
        ? [statement('Allow')]
        : [];
  return {
    own: { identity, ...(boundary === false ? { boundary: NOTHING_ALLOWED } : {}) },
    ...(organization === undefined ? {} : { organization: organization ? 'allowed' : 'denied' }),
  };
}

const NOTHING_ALLOWED: NamedPolicy = {
  name: 'permissions boundary',
  policy: compilePolicy('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"none:None","Resource":"*"}}'),
};

function entry([ContextKeyName, value]: readonly [string, ConditionValue | undefined]): ContextEntry[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return [{ ContextKeyName, ContextKeyType: 'stringList', ContextKeyValues: [...value] }];
  if (typeof value === 'boolean') {
    return [{ ContextKeyName, ContextKeyType: 'boolean', ContextKeyValues: [String(value)] }];
  }
  if (typeof value === 'number') {
    return [{ ContextKeyName, ContextKeyType: 'numeric', ContextKeyValues: [String(value)] }];
  }
  if (value instanceof Date) {
    return [{ ContextKeyName, ContextKeyType: 'date', ContextKeyValues: [value.toISOString()] }];
  }
  return [{ ContextKeyName, ContextKeyType: 'string', ContextKeyValues: [String(value)] }];
}
