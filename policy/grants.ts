/** KMS grants as the evaluator judges them (kms §15). They only allow; denies are found before. */

import { compileArnPattern } from './arn-pattern.ts';
import type { DecisionRequest } from './decide.ts';
import type { GrantView } from './decision.ts';
import { accountOfPrincipal, type PrincipalView } from './principals.ts';

type Pairs = Readonly<Record<string, string>>;

/** Operations whose grants ignore encryption context constraints (kms 15.6). */
const UNCONSTRAINED = new Set(['describekey', 'retiregrant', 'creategrant']);

/** Whether a grant's grantee or retiring principal is this caller, or the account that may delegate. */
export function grantPrincipalMatch(granted: string, principal: PrincipalView): 'self' | 'account' | 'none' {
  if (granted === principal.arn || granted === principal.principalArn || granted === principal.uniqueId) {
    return granted === principal.uniqueId && principal.type === 'Account' ? 'account' : 'self';
  }
  if (principal.service !== undefined && granted === principal.service) return 'self';
  if (principal.type === 'Service') return 'none';
  return accountOfPrincipal(granted) === principal.accountId ? 'account' : 'none';
}

/** Whether the grant covers the operation and its constraints hold, whoever calls. */
export function grantAllows(grant: GrantView, request: DecisionRequest): boolean {
  const operation = /^kms:(.+)$/i.exec(request.action)?.[1]?.toLowerCase();
  if (operation === undefined) return false;
  if (!grant.operations.some((granted) => granted.toLowerCase() === operation)) return false;
  if (operation !== 'retiregrant' && !isOnBehalf(grant, request)) return false;
  if (operation === 'creategrant') return isAtMost(grant, request.proposedGrant);
  if (UNCONSTRAINED.has(operation)) return true;
  const context = request.encryptionContext ?? {};
  if (grant.encryptionContextEquals && !samePairs(grant.encryptionContextEquals, context)) return false;
  return !grant.encryptionContextSubset || includesPairs(context, grant.encryptionContextSubset);
}

/** A SourceArn constraint holds as ArnEquals of aws:SourceArn does, for every operation but RetireGrant (kms 15.5). */
function isOnBehalf({ sourceArn }: GrantView, { context }: DecisionRequest): boolean {
  if (sourceArn === undefined) return true;
  const given = context('aws:sourcearn');
  return typeof given === 'string' && compileArnPattern(sourceArn, { variables: false }).matches(given);
}

/** A grantee may pass on only what its own grant holds, under constraints at least as strict (kms 15.9, 15.10). */
function isAtMost(parent: GrantView, child: DecisionRequest['proposedGrant']): boolean {
  if (!child) return false;
  if (!child.operations.every((operation) => parent.operations.includes(operation))) return false;
  if (parent.sourceArn !== undefined && parent.sourceArn !== child.sourceArn) return false;
  if (parent.encryptionContextEquals) {
    const equals = child.encryptionContextEquals;
    return equals !== undefined && samePairs(parent.encryptionContextEquals, equals);
  }
  if (!parent.encryptionContextSubset) return true;
  const narrower = child.encryptionContextEquals ?? child.encryptionContextSubset;
  return narrower !== undefined && includesPairs(narrower, parent.encryptionContextSubset);
}

function includesPairs(whole: Pairs, part: Pairs): boolean {
  return Object.entries(part).every(([name, value]) => Object.hasOwn(whole, name) && whole[name] === value);
}

function samePairs(one: Pairs, other: Pairs): boolean {
  return Object.keys(one).length === Object.keys(other).length && includesPairs(one, other);
}
