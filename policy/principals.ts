/** Principal and NotPrincipal elements: who a statement names (authorization-and-wire §2). */
import { parseArn } from './arn.ts';

/** The caller as the evaluator sees it (2.9). */
export interface PrincipalView {
  readonly accountId: string;
  readonly type: 'Account' | 'User' | 'AssumedRole' | 'Service';
  /** A role's is its session ARN. */
  readonly arn: string;
  /** A role's is the role ARN with its path. */
  readonly principalArn: string;
  /** Account id, `AIDA…` or `AROA…`. */
  readonly uniqueId: string;
  /** Service principal such as `ec2.amazonaws.com`, for calls a service makes by itself. */
  readonly service?: string;
}

/**
 * How closely a statement names the caller. `session` is the user or the one role session itself: such a grant is not
 * limited by implicit denies of boundary and session policy; `role` and `everyone` are (1.9). `account` only delegates
 * to the account's identity policies (2.2, kms 14.4).
 */
export type PrincipalMatch = 'none' | 'account' | 'everyone' | 'role' | 'session';

export interface PrincipalTest {
  /** The closest match among the listed principals. */
  match(principal: PrincipalView): PrincipalMatch;
  /** For NotPrincipal: whether every name this caller goes by is listed (2.6). */
  listsAllNamesOf(principal: PrincipalView): boolean;
}

const RANK: Readonly<Record<PrincipalMatch, number>> = { none: 0, account: 1, everyone: 2, role: 3, session: 4 };

/** Unique ids of users and roles (2.8), as policies store principals (2.3). */
const UNIQUE_ID = /^(?:AIDA|AROA)[A-Z0-9]{12,28}$/;
export function isUniqueId(text: string): boolean {
  return UNIQUE_ID.test(text);
}

/** Account behind `123456789012` or `arn:aws:iam::123456789012:root` (2.2). */
export function accountOfPrincipal(text: string): string | undefined {
  if (/^\d{12}$/.test(text)) return text;
  return /^arn:aws[\w-]*:iam::(\d{12}):root$/.exec(text)?.[1];
}

export type PrincipalElement = '*' | Readonly<Record<string, readonly string[]>>;

/** Why `element` is no principal in a policy, as the offending `"Type":"value"`; `undefined` if it is one. */
export function findInvalidPrincipal(element: PrincipalElement): string | undefined {
  if (element === '*') return undefined;
  for (const [type, values] of Object.entries(element)) {
    for (const value of values) {
      if (!isWellFormed(type, value)) return `"${type}":"${value}"`;
    }
  }
  return undefined;
}

function isWellFormed(type: string, value: string): boolean {
  if (type === 'Service') return /^[\w.-]+\.[\w.-]+$/.test(value);
  if (type === 'Federated') return value.length > 0 && !value.includes('*');
  if (type !== 'AWS') return false;
  if (value === '*' || accountOfPrincipal(value) !== undefined || isUniqueId(value)) return true;
  const arn = parseArn(value);
  if (!arn || /[*?]/.test(value) || arn.region !== '' || !/^\d{12}$/.test(arn.account)) return false;
  if (arn.service === 'iam') return /^(?:user|role)\/.+$/.test(arn.resource);
  return arn.service === 'sts' && /^(?:assumed-role\/[^/]+\/.+|federated-user\/.+)$/.test(arn.resource);
}

export function compilePrincipals(element: PrincipalElement): PrincipalTest {
  let everyone = element === '*';
  const accounts = new Set<string>();
  const names = new Set<string>();
  const services = new Set<string>();
  if (element !== '*') {
    for (const value of element.AWS ?? []) {
      const account = accountOfPrincipal(value);
      if (value === '*') everyone = true;
      else if (account !== undefined) accounts.add(account);
      else names.add(value);
    }
    for (const value of element.Service ?? []) services.add(value);
  }
  const closest = (principal: PrincipalView): PrincipalMatch => {
    if (principal.service !== undefined && services.has(principal.service)) return 'session';
    if (names.has(principal.arn)) return 'session';
    if (names.has(principal.uniqueId) || names.has(principal.principalArn)) {
      return principal.type === 'AssumedRole' ? 'role' : 'session';
    }
    if (everyone) return 'everyone';
    // A service acting by itself is not a principal of the account whose resource it works for.
    return principal.type !== 'Service' && accounts.has(principal.accountId) ? 'account' : 'none';
  };
  return {
    match: closest,
    listsAllNamesOf(principal) {
      if (everyone) return true;
      if (principal.type === 'Service') return closest(principal) !== 'none';
      if (!accounts.has(principal.accountId)) return false;
      if (principal.type === 'Account') return true;
      const identity = names.has(principal.uniqueId) || names.has(principal.principalArn);
      return principal.type === 'AssumedRole' ? identity && names.has(principal.arn) : identity;
    },
  };
}

export function closerMatch(one: PrincipalMatch, other: PrincipalMatch): PrincipalMatch {
  return RANK[one] >= RANK[other] ? one : other;
}
