/**
 * Globs of the policy language: `*` matches any run of characters, `?` exactly one (authorization-and-wire 3.1).
 *
 * A pattern may hold policy variables. Their values, and the literals `${*}`, `${?}` and `${$}`, never act as
 * wildcards, so a pattern is a list of tokens rather than text. Matching remembers only the last `*`: it never
 * explores alternatives, so its cost is bounded by length of pattern times length of text.
 */

/** Any run of characters. */
const ANY = 0;
/** Exactly one character. */
const ONE = 1;

export interface Variable {
  /** Condition key in lower case. */
  readonly key: string;
  readonly fallback?: string;
}

type Token = string | typeof ANY | typeof ONE | Variable;

/** Gives the text of a policy variable, or `undefined` where it cannot be resolved. */
export type VariableLookup = (key: string) => string | undefined;

export interface Glob {
  /** The pattern as it was written. */
  readonly source: string;
  /** Whether `text` matches. An unresolvable variable matches nothing (4.9). */
  matches(text: string, variables?: VariableLookup): boolean;
}

export interface GlobOptions {
  /** `*` and `?` are wildcards; otherwise they are literal text. Default true. */
  readonly wildcards?: boolean;
  /** `${…}` is a variable; otherwise literal text. Default false. */
  readonly variables?: boolean;
  readonly ignoreCase?: boolean;
}

export function compileGlob(source: string, options: GlobOptions = {}): Glob {
  const fold = options.ignoreCase ? (text: string) => text.toLowerCase() : (text: string) => text;
  const tokens = tokenize(source, options.wildcards ?? true, options.variables ?? false, fold);
  if (tokens.some((token) => typeof token === 'object')) {
    return {
      source,
      matches(text, variables) {
        const resolved = resolve(tokens, variables, fold);
        return resolved !== undefined && matchTokens(resolved, fold(text));
      },
    };
  }
  const fixed = tokens as FixedToken[];
  const [first, second] = fixed;
  if (fixed.length === 0) return { source, matches: (text) => text === '' };
  if (fixed.length === 1 && typeof first === 'string') return { source, matches: (text) => fold(text) === first };
  if (fixed.length === 1 && first === ANY) return { source, matches: () => true };
  if (fixed.length === 2 && typeof first === 'string' && second === ANY) {
    return { source, matches: (text) => fold(text).startsWith(first) };
  }
  return { source, matches: (text) => matchTokens(fixed, fold(text)) };
}

type FixedToken = string | typeof ANY | typeof ONE;

const VARIABLE = /^\$\{\s*([^{}',]+?)\s*(?:,\s*'([^']*)'\s*)?\}/;

/** Where in `source` policy variables stand, for validation. `undefined` if a `${` opens none. */
export function readVariable(source: string, at: number): { length: number; token: Variable | string } | undefined {
  const match = VARIABLE.exec(source.slice(at, at + 512));
  if (!match) return undefined;
  const [text, key, fallback] = match as unknown as [string, string, string | undefined];
  if (fallback === undefined && (key === '*' || key === '?' || key === '$')) return { length: text.length, token: key };
  const variable: Variable = fallback === undefined ? { key: key.toLowerCase() } : { key: key.toLowerCase(), fallback };
  return { length: text.length, token: variable };
}

function tokenize(source: string, wildcards: boolean, variables: boolean, fold: (text: string) => string): Token[] {
  const tokens: Token[] = [];
  let literal = '';
  const flush = () => {
    if (literal !== '') tokens.push(fold(literal));
    literal = '';
  };
  let at = 0;
  while (at < source.length) {
    const character = source[at]!;
    const variable = variables && character === '$' ? readVariable(source, at) : undefined;
    if (variable) {
      if (typeof variable.token === 'string') literal += variable.token;
      else {
        flush();
        tokens.push(variable.token);
      }
      at += variable.length;
      continue;
    }
    if (wildcards && character === '*') {
      flush();
      if (tokens.at(-1) !== ANY) tokens.push(ANY);
    } else if (wildcards && character === '?') {
      flush();
      tokens.push(ONE);
    } else literal += character;
    at += 1;
  }
  flush();
  return tokens;
}

function resolve(
  tokens: readonly Token[],
  variables: VariableLookup | undefined,
  fold: (text: string) => string,
): FixedToken[] | undefined {
  const resolved: FixedToken[] = [];
  for (const token of tokens) {
    if (typeof token !== 'object') {
      resolved.push(token);
      continue;
    }
    const value = variables?.(token.key) ?? token.fallback;
    if (value === undefined) return undefined;
    if (value !== '') resolved.push(fold(value));
  }
  return resolved;
}

/** Length in code units of the character at `at`, so that `?` takes a whole character outside the basic plane. */
function characterLength(text: string, at: number): number {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdbff || at + 1 >= text.length) return 1;
  const next = text.charCodeAt(at + 1);
  return next >= 0xdc00 && next <= 0xdfff ? 2 : 1;
}

function matchTokens(tokens: readonly FixedToken[], text: string): boolean {
  let token = 0;
  let at = 0;
  let retryToken = -1;
  let retryAt = 0;
  for (;;) {
    const current = tokens[token];
    if (current === ANY) {
      if (token === tokens.length - 1) return true;
      token += 1;
      retryToken = token;
      retryAt = at;
      continue;
    }
    if (current === undefined) {
      if (at === text.length) return true;
    } else if (current === ONE) {
      if (at < text.length) {
        at += characterLength(text, at);
        token += 1;
        continue;
      }
    } else if (text.startsWith(current, at)) {
      at += current.length;
      token += 1;
      continue;
    }
    // This reading failed: let the last `*` take one more character. Earlier ones need no second try, because whatever
    // they could give up, the last one can take.
    if (retryToken < 0 || retryAt >= text.length) return false;
    retryAt += characterLength(text, retryAt);
    at = retryAt;
    token = retryToken;
  }
}
