/** One document against one request: which of its statements match. */
import { type ConditionTest, type ContextLookup, variablesOf } from './conditions.ts';
import type { Policy, Statement } from './document.ts';
import type { VariableLookup } from './glob.ts';
import type { PrincipalMatch, PrincipalView } from './principals.ts';

/** What is asked: may `principal` do `action` on `resource`? */
export interface AccessRequest {
  readonly principal: PrincipalView;
  /** For example `kms:Decrypt`. */
  readonly action: string;
  /** An ARN, or `*` for operations without resource-level permissions (3.4). */
  readonly resource: string;
  readonly context: ContextLookup;
}

/** A compiled document and the name it goes by in a decision's reasons. */
export interface NamedPolicy {
  /** Policy ARN, name of an inline policy, or a phrase such as `key policy`. */
  readonly name: string;
  readonly policy: Policy;
}

export interface MatchedStatement {
  readonly policy: string;
  readonly sid?: string;
  readonly effect: 'Allow' | 'Deny';
  /** How the statement names the caller; `everyone` in policies without Principal. */
  readonly principal: PrincipalMatch;
  readonly statement: Statement;
}

/** Every statement of `named` that applies to the request. */
export function matchPolicy(named: NamedPolicy, request: AccessRequest): MatchedStatement[] {
  const matched: MatchedStatement[] = [];
  let variables: VariableLookup | undefined;
  for (const statement of named.policy.statements) {
    const principal = matchPrincipal(statement, request.principal);
    if (principal === 'none' || !matchesAction(statement, request.action)) continue;
    variables ??= variablesOf(request.context);
    if (!matchesResource(statement, request.resource, variables)) continue;
    const lookup = variables;
    if (!statement.conditions.every((condition) => condition.matches(request.context, lookup))) continue;
    matched.push({
      policy: named.name,
      ...(statement.sid ? { sid: statement.sid } : {}),
      effect: statement.effect,
      principal,
      statement,
    });
  }
  return matched;
}

/**
 * What keeps a statement that names the principal and the action from applying: its resource, or the first condition
 * that does not hold. `undefined` where it applies, or is about somebody or something else.
 */
export function missedCondition(statement: Statement, request: AccessRequest): 'resource' | ConditionTest | undefined {
  if (matchPrincipal(statement, request.principal) === 'none' || !matchesAction(statement, request.action)) {
    return undefined;
  }
  const variables = variablesOf(request.context);
  if (!matchesResource(statement, request.resource, variables)) return 'resource';
  return statement.conditions.find((condition) => !condition.matches(request.context, variables));
}

function matchPrincipal(statement: Statement, principal: PrincipalView): PrincipalMatch {
  if (!statement.principals) return 'everyone';
  const { test, negated } = statement.principals;
  if (!negated) return test.match(principal);
  return test.listsAllNamesOf(principal) ? 'none' : 'everyone';
}

const ROLE_ARN = /^arn:[^:]*:iam::\d{12}:role\//;

function matchesAction(statement: Statement, action: string): boolean {
  if (!statement.actions) return false;
  const { globs, negated } = statement.actions;
  return globs.some((glob) => glob.matches(action)) !== negated;
}

function matchesResource(statement: Statement, resource: string, variables: VariableLookup): boolean {
  // Without Resource a statement speaks of what it is attached to. Only a trust policy may do that, and only roles have
  // one; a key policy's statement without Resource never matches (kms 14.5).
  if (!statement.resources) return statement.principals !== undefined && ROLE_ARN.test(resource);
  const { patterns, negated } = statement.resources;
  return patterns.some((pattern) => pattern.matches(resource, variables)) !== negated;
}
