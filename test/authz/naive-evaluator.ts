/**
 * A second evaluator, written from the specification (authorization-and-wire §1 to §6) and sharing no code with the
 * first: it reads documents anew for every question, matches by recursion, and states the rules as one sentence each.
 * It is slow, and it knows only what generated cases contain.
 */

type Json = Readonly<Record<string, unknown>>;
export interface NaiveDocument {
  readonly Version?: string;
  readonly Statement: readonly Json[];
}

export interface NaivePrincipal {
  readonly accountId: string;
  readonly type: 'Account' | 'User' | 'AssumedRole';
  readonly arn: string;
  readonly principalArn: string;
  readonly uniqueId: string;
}

export interface NaiveGrant {
  readonly granteePrincipal: string;
  readonly operations: readonly string[];
  readonly encryptionContextSubset?: Readonly<Record<string, string>>;
  readonly encryptionContextEquals?: Readonly<Record<string, string>>;
  readonly sourceArn?: string;
}

export interface NaiveCase {
  readonly principal: NaivePrincipal;
  readonly action: string;
  readonly resource: string;
  readonly resourceAccount: string;
  readonly kind?: 'kms-key' | 'role';
  readonly context: Readonly<Record<string, string | readonly string[]>>;
  readonly identity: readonly NaiveDocument[];
  readonly boundary?: NaiveDocument;
  readonly session?: readonly NaiveDocument[];
  readonly resourcePolicy?: NaiveDocument;
  readonly serviceControl?: readonly (readonly NaiveDocument[])[];
  readonly resourceControl?: readonly (readonly NaiveDocument[])[];
  readonly grants?: readonly NaiveGrant[];
  readonly encryptionContext?: Readonly<Record<string, string>>;
}

export interface NaiveAnswer {
  readonly allowed: boolean;
  readonly explicit: boolean;
  /** Only of denials. */
  readonly layer?: string;
}

const list = (value: unknown): readonly string[] => (Array.isArray(value) ? value : [value]).map(String);

/** One character at a time. */
function glob(pattern: string, text: string): boolean {
  if (pattern === '') return text === '';
  if (pattern[0] === '*') return glob(pattern.slice(1), text) || (text !== '' && glob(pattern, text.slice(1)));
  return text !== '' && (pattern[0] === '?' || pattern[0] === text[0]) && glob(pattern.slice(1), text.slice(1));
}

/** Characters of the replacement that would be wildcards are taken literally, by standing for themselves elsewhere. */
const STAR = '\u0001';
const MARK = '\u0002';
const literal = (text: string) => text.replaceAll('*', STAR).replaceAll('?', MARK);

/** `undefined` where a variable has no value (4.9). */
function filled(pattern: string, one: NaiveCase, version: string | undefined): string | undefined {
  if (version !== '2012-10-17') return pattern;
  let missing = false;
  const text = pattern.replaceAll(/\$\{([^}]*)\}/g, (_, name: string) => {
    if (name === '*' || name === '?' || name === '$') return literal(name);
    const value = contextValue(one, name);
    if (typeof value === 'string') return literal(value);
    missing = true;
    return '';
  });
  return missing ? undefined : text;
}

function contextValue(one: NaiveCase, name: string): string | readonly string[] | undefined {
  const found = Object.entries(one.context).find(([key]) => key.toLowerCase() === name.toLowerCase());
  return found?.[1];
}

function arnMatches(pattern: string, arn: string, one: NaiveCase, version: string | undefined): boolean {
  if (pattern === '*') return true;
  const head = pattern.split(':');
  const parts = [...head.slice(0, 5), head.slice(5).join(':')];
  const given = arn.split(':');
  if (given.length < 6) return false;
  const candidate = [...given.slice(0, 5), given.slice(5).join(':')];
  return parts.every((part, index) => {
    const wanted = index === 5 ? filled(part, one, version) : part;
    return wanted !== undefined && glob(wanted, literal(candidate[index]!));
  });
}

type Closeness = 'none' | 'account' | 'everyone' | 'role' | 'session';
const CLOSENESS: readonly Closeness[] = ['none', 'account', 'everyone', 'role', 'session'];

/** How closely one listed principal names the caller (2.1 to 2.4). */
function names(listed: string, { accountId, arn, principalArn, uniqueId, type }: NaivePrincipal): Closeness {
  if (listed === arn) return 'session';
  if (listed === accountId || listed === `arn:aws:iam::${accountId}:root`) return 'account';
  if (listed === principalArn || listed === uniqueId) return type === 'AssumedRole' ? 'role' : 'session';
  return listed === '*' ? 'everyone' : 'none';
}

function listed(element: unknown): readonly string[] {
  return element === '*' ? ['*'] : list((element as Json).AWS);
}

function principalOf(statement: Json, caller: NaivePrincipal): Closeness {
  if (statement.Principal !== undefined) {
    const each = listed(statement.Principal).map((name) => names(name, caller));
    // The root user goes by its account's name only.
    const known = each.map(
      (close): Closeness => (caller.type === 'Account' && close === 'session' ? 'account' : close),
    );
    return known.reduce((a, b) => (CLOSENESS.indexOf(a) >= CLOSENESS.indexOf(b) ? a : b), 'none');
  }
  if (statement.NotPrincipal === undefined) return 'everyone';
  // Excepted only if every name the caller goes by is listed (2.6).
  const all = listed(statement.NotPrincipal);
  if (all.includes('*')) return 'none';
  const has = (...any: string[]) => any.some((name) => all.includes(name));
  const account = has(caller.accountId, `arn:aws:iam::${caller.accountId}:root`);
  const itself = caller.type === 'Account' || has(caller.principalArn, caller.uniqueId);
  const session = caller.type !== 'AssumedRole' || has(caller.arn);
  return account && itself && session ? 'none' : 'everyone';
}

function conditionHolds(operator: string, key: string, wanted: readonly string[], one: NaiveCase, version?: string) {
  const [set, rest] = operator.includes(':') ? (operator.split(':') as [string, string]) : [undefined, operator];
  const ifExists = rest.endsWith('IfExists');
  const base = ifExists ? rest.slice(0, -'IfExists'.length) : rest;
  const value = contextValue(one, key);
  const given = value === undefined ? [] : list(value);
  if (base === 'Null') return (given.length === 0) === (wanted[0] === 'true');
  const negative = /Not/.test(base);
  const test = (text: string) =>
    wanted.some((policyValue) => compare(base.replace('Not', ''), policyValue, text, one, version));
  const passes = (text: string) => test(text) !== negative;
  if (given.length === 0) return ifExists || (set === undefined ? negative : set === 'ForAllValues');
  return set === 'ForAllValues' ? given.every(passes) : given.some(passes);
}

function compare(base: string, wanted: string, text: string, one: NaiveCase, version?: string): boolean {
  switch (base) {
    case 'StringEquals': {
      // Wildcards of the policy are taken literally (4.3).
      const full = filled(wanted, one, version);
      return full !== undefined && literal(full) === literal(text);
    }
    case 'StringEqualsIgnoreCase':
      return wanted.toLowerCase() === text.toLowerCase();
    case 'StringLike': {
      const full = filled(wanted, one, version);
      return full !== undefined && glob(full, literal(text));
    }
    case 'NumericLessThan':
      return Number(text) < Number(wanted);
    case 'NumericGreaterThanEquals':
      return Number(text) >= Number(wanted);
    case 'Bool':
      return wanted.toLowerCase() === text.toLowerCase();
    default:
      throw new Error(`the naive evaluator does not know ${base}`);
  }
}

interface Hit {
  readonly deny: boolean;
  readonly close: Closeness;
}

function hits(document: NaiveDocument | undefined, one: NaiveCase): Hit[] {
  return (document?.Statement ?? []).flatMap((statement) => {
    const close = principalOf(statement, one.principal);
    if (close === 'none') return [];
    const action = (pattern: string) => glob(pattern.toLowerCase(), one.action.toLowerCase());
    if (statement.Action !== undefined && !list(statement.Action).some(action)) return [];
    if (statement.NotAction !== undefined && list(statement.NotAction).some(action)) return [];
    const resource = (pattern: string) => arnMatches(pattern, one.resource, one, document?.Version);
    if (statement.Resource !== undefined && !list(statement.Resource).some(resource)) return [];
    if (statement.NotResource !== undefined && list(statement.NotResource).some(resource)) return [];
    const conditions = Object.entries((statement.Condition ?? {}) as Record<string, Json>).flatMap(([operator, keys]) =>
      Object.entries(keys).map(([key, wanted]) => conditionHolds(operator, key, list(wanted), one, document?.Version)),
    );
    if (conditions.includes(false)) return [];
    const narrowed =
      close === 'everyone' &&
      Object.values((statement.Condition ?? {}) as Record<string, Json>).some((keys) =>
        Object.keys(keys).some((key) => key.toLowerCase() === 'aws:principalarn'),
      );
    return [{ deny: statement.Effect === 'Deny', close: narrowed ? ('session' as const) : close }];
  });
}

export function naiveDecision(one: NaiveCase): NaiveAnswer {
  const of = (documents: readonly NaiveDocument[] | undefined) => documents?.flatMap((document) => hits(document, one));
  const allows = (found: readonly Hit[] | undefined) => found?.some(({ deny }) => !deny) === true;
  const resourceLayer = one.kind === 'role' ? 'trust' : 'resource';
  const resource = hits(one.resourcePolicy, one);
  const identity = of(one.identity)!;
  const boundary = one.boundary && hits(one.boundary, one);
  const session = one.session?.length ? of(one.session) : undefined;
  const levels = one.serviceControl?.map((level) => of(level)!);

  // 1.1, 1.2: one explicit deny anywhere ends it; the first layer in order is named.
  const inOrder: [string, readonly Hit[]][] = [
    ['resource-control', one.resourceControl?.flatMap((level) => of(level)!) ?? []],
    ['service-control', levels?.flat() ?? []],
    [resourceLayer, resource],
    ['identity', identity],
    ['boundary', boundary ?? []],
    ['session', session ?? []],
  ];
  const denying = inOrder.find(([, found]) => found.some(({ deny }) => deny));
  if (denying) return { allowed: false, explicit: true, layer: denying[0] };
  const no = (layer: string): NaiveAnswer => ({ allowed: false, explicit: false, layer });

  // 1.3: every level must allow.
  if (levels && !levels.every(allows)) return no('service-control');

  const own = one.principal.accountId === one.resourceAccount;
  const root = one.principal.type === 'Account';
  const byIdentity = root || allows(identity);
  const closest = resource.reduce<Closeness>(
    (a, { close }) => (CLOSENESS.indexOf(a) >= CLOSENESS.indexOf(close) ? a : close),
    'none',
  );
  // 1.9: a direct grant to a user or session of the same account is not limited by silence elsewhere.
  const limits = (direct: boolean): NaiveAnswer => {
    if (!direct && boundary && !allows(boundary)) return no('boundary');
    if (!direct && session && !allows(session)) return no('session');
    return { allowed: true, explicit: false };
  };
  const direct = own && closest === 'session';
  const byResource = own && closest !== 'none' && closest !== 'account';

  if (one.kind === 'role' && root) return no('trust');
  if (one.kind === 'kms-key') {
    const grant = grantFor(one);
    if (grant === 'self' || (grant === 'account' && byIdentity)) return limits(false);
    if (!own && !/^kms:(?:Encrypt|Decrypt|DescribeKey|CreateGrant|GenerateDataKey)$/i.test(one.action))
      return no('resource');
  }
  if (one.kind !== undefined || (!own && one.resourcePolicy)) {
    // 1.7, 1.8, 6.2: the resource side must say yes, to the caller itself or to its account.
    if (closest === 'none') return no(resourceLayer);
    if (byResource || byIdentity) return limits(direct);
    return no('identity');
  }
  // 1.7: either side is enough.
  return byIdentity || byResource ? limits(direct) : no('identity');
}

function grantFor(one: NaiveCase): Closeness | 'self' {
  const context = one.encryptionContext ?? {};
  const contains = (whole: object, part: object) =>
    Object.entries(part).every(([key, value]) => (whole as Record<string, unknown>)[key] === value);
  const fitting = (one.grants ?? []).filter(
    ({ operations, encryptionContextEquals: equals, encryptionContextSubset: subset, sourceArn }) =>
      operations.includes(one.action.slice(4)) &&
      (!sourceArn ||
        (typeof one.context['aws:SourceArn'] === 'string' && glob(sourceArn, one.context['aws:SourceArn']))) &&
      (one.action === 'kms:DescribeKey' ||
        ((!equals || (contains(context, equals) && contains(equals, context))) &&
          (!subset || contains(context, subset)))),
  );
  const matches = fitting.map(({ granteePrincipal }) => {
    const close = names(granteePrincipal, one.principal);
    if (close === 'account')
      return one.principal.type === 'Account' && granteePrincipal === one.principal.arn ? 'self' : 'account';
    return close === 'none' || close === 'everyone' ? 'none' : 'self';
  });
  if (matches.includes('self')) return 'self';
  return matches.includes('account') ? 'account' : 'none';
}
