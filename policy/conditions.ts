/**
 * The Condition element: operators, IfExists, ForAllValues and ForAnyValue, Null (authorization-and-wire §4).
 *
 * Operators and keys are ANDed, values of one key ORed; a negated operator must differ from every value.
 */
import { compileArnPattern } from './arn-pattern.ts';
import type { ConditionValue } from './decision.ts';
import { compileGlob, type VariableLookup } from './glob.ts';
import { parseCidr } from './ip.ts';

/** Values of condition keys; `key` is in lower case. `undefined` means absent. */
export type ContextLookup = (key: string) => ConditionValue | undefined;

export interface ConditionTest {
  readonly operator: string;
  /** Lower case: names of condition keys ignore case (1.10). */
  readonly key: string;
  readonly values: readonly string[];
  matches(context: ContextLookup, variables: VariableLookup): boolean;
}

/** One policy value made ready: does a request value match it? */
type ValueTest = (value: string, variables: VariableLookup) => boolean;

interface Operator {
  readonly negated: boolean;
  /** `undefined` where the text is no value of this operator. */
  compile(text: string, variables: boolean): ValueTest | undefined;
}

const text =
  (options: { wildcards: boolean; ignoreCase?: boolean }) =>
  (source: string, variables: boolean): ValueTest => {
    const glob = compileGlob(source, { ...options, variables });
    return (value, lookup) => glob.matches(value, lookup);
  };
const arn = (source: string, variables: boolean): ValueTest => {
  const pattern = compileArnPattern(source, { variables, variablesAnywhere: true });
  return (value, lookup) => pattern.matches(value, lookup);
};
const bool = (source: string, variables: boolean): ValueTest | undefined => {
  if (!/^(?:true|false)$/i.test(source) && !(variables && source.includes('${'))) return undefined;
  return text({ wildcards: false, ignoreCase: true })(source, variables);
};
const address = (source: string): ValueTest | undefined => {
  const block = parseCidr(source);
  return block && ((value) => block.contains(value));
};
const binary = (source: string): ValueTest | undefined => {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(source)) return undefined;
  const canonical = source.replace(/=+$/, '');
  return (value) => value.replace(/=+$/, '') === canonical;
};

function parseNumber(source: string): number | undefined {
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(source.trim()) ? Number(source) : undefined;
}

/** ISO 8601 or seconds since the epoch, in milliseconds. */
function parseDate(source: string): number | undefined {
  if (/^-?\d+(?:\.\d+)?$/.test(source) && !/^\d{4}$/.test(source)) return Number(source) * 1000;
  if (!/^\d{4}(?:-\d{2}(?:-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?)?)?$/.test(source)) {
    return undefined;
  }
  // A date-time without zone is UTC, whatever zone this process runs in.
  const zoned = /T/.test(source) && !/(?:Z|[+-]\d{2}:?\d{2})$/.test(source) ? `${source}Z` : source;
  const time = Date.parse(zoned);
  return Number.isNaN(time) ? undefined : time;
}

type Order = (value: number, bound: number) => boolean;
const ordered =
  (parse: (source: string) => number | undefined, holds: Order) =>
  (source: string): ValueTest | undefined => {
    const bound = parse(source);
    if (bound === undefined) return undefined;
    return (value) => {
      const parsed = parse(value);
      return parsed !== undefined && holds(parsed, bound);
    };
  };

const equal: Order = (value, bound) => value === bound;
const less: Order = (value, bound) => value < bound;
const lessOrEqual: Order = (value, bound) => value <= bound;
const greater: Order = (value, bound) => value > bound;
const greaterOrEqual: Order = (value, bound) => value >= bound;

const is = (compile: Operator['compile']): Operator => ({ negated: false, compile });
const isNot = (compile: Operator['compile']): Operator => ({ negated: true, compile });

const exact = text({ wildcards: false });
const exactIgnoringCase = text({ wildcards: false, ignoreCase: true });
const like = text({ wildcards: true });

const OPERATORS: Readonly<Record<string, Operator>> = {
  StringEquals: is(exact),
  StringNotEquals: isNot(exact),
  StringEqualsIgnoreCase: is(exactIgnoringCase),
  StringNotEqualsIgnoreCase: isNot(exactIgnoringCase),
  StringLike: is(like),
  StringNotLike: isNot(like),
  NumericEquals: is(ordered(parseNumber, equal)),
  NumericNotEquals: isNot(ordered(parseNumber, equal)),
  NumericLessThan: is(ordered(parseNumber, less)),
  NumericLessThanEquals: is(ordered(parseNumber, lessOrEqual)),
  NumericGreaterThan: is(ordered(parseNumber, greater)),
  NumericGreaterThanEquals: is(ordered(parseNumber, greaterOrEqual)),
  DateEquals: is(ordered(parseDate, equal)),
  DateNotEquals: isNot(ordered(parseDate, equal)),
  DateLessThan: is(ordered(parseDate, less)),
  DateLessThanEquals: is(ordered(parseDate, lessOrEqual)),
  DateGreaterThan: is(ordered(parseDate, greater)),
  DateGreaterThanEquals: is(ordered(parseDate, greaterOrEqual)),
  Bool: is(bool),
  BinaryEquals: is(binary),
  IpAddress: is(address),
  NotIpAddress: isNot(address),
  ArnEquals: is(arn),
  ArnLike: is(arn),
  ArnNotEquals: isNot(arn),
  ArnNotLike: isNot(arn),
};

export interface OperatorName {
  readonly base: string;
  readonly set?: 'ForAllValues' | 'ForAnyValue';
  readonly ifExists: boolean;
}

/** Splits `ForAllValues:StringEqualsIfExists` into its parts; `undefined` for an unknown operator. */
export function parseOperator(name: string): OperatorName | undefined {
  const match = /^(?:(ForAllValues|ForAnyValue):)?([A-Za-z]+?)(IfExists)?$/.exec(name);
  if (!match) return undefined;
  const [, set, base, ifExists] = match as unknown as [string, OperatorName['set'], string, string | undefined];
  if (base === 'Null') return set || ifExists ? undefined : { base, ifExists: false };
  if (!Object.hasOwn(OPERATORS, base)) return undefined;
  return { base, ...(set ? { set } : {}), ifExists: ifExists !== undefined };
}

/**
 * Makes one operator on one key ready, or gives `undefined` where a value does not fit the operator. `variables` is
 * false for policies of version 2008-10-17, where `${…}` is literal text (1.10).
 */
export function compileCondition(
  operator: string,
  key: string,
  values: readonly string[],
  variables: boolean,
): ConditionTest | undefined {
  const name = parseOperator(operator);
  if (!name) return undefined;
  const lowerKey = key.toLowerCase();
  const common = { operator, key: lowerKey, values };
  if (name.base === 'Null') {
    if (values.length !== 1 || !/^(?:true|false)$/i.test(values[0]!)) return undefined;
    const wantsAbsent = values[0]!.toLowerCase() === 'true';
    return { ...common, matches: (context) => isPresent(context(lowerKey)) !== wantsAbsent };
  }
  const { negated, compile } = OPERATORS[name.base]!;
  const tests: ValueTest[] = [];
  for (const value of values) {
    const test = compile(value, variables);
    if (!test) return undefined;
    tests.push(test);
  }
  const passes = (value: string, lookup: VariableLookup) => tests.some((test) => test(value, lookup)) !== negated;
  return {
    ...common,
    matches(context, lookup) {
      const value = context(lowerKey);
      const present = isPresent(value);
      if (!present && name.ifExists) return true;
      if (name.set === 'ForAllValues') return !present || textsOf(value!).every((one) => passes(one, lookup));
      if (name.set === 'ForAnyValue') return present && textsOf(value!).some((one) => passes(one, lookup));
      // A missing key fails positive operators and satisfies negated ones (4.4). A single-valued operator on several
      // values has no defined result in AWS; here one value that passes is enough (4.8).
      if (!present) return negated;
      return textsOf(value!).some((one) => passes(one, lookup));
    },
  };
}

/** An empty list counts as absent (4.6). */
function isPresent(value: ConditionValue | undefined): boolean {
  return value !== undefined && !(Array.isArray(value) && value.length === 0);
}

function textsOf(value: ConditionValue): readonly string[] {
  return Array.isArray(value) ? value : [textOf(value as Exclude<ConditionValue, readonly string[]>)];
}

/** A single condition value as text: dates as ISO 8601 in UTC. */
export function textOf(value: Exclude<ConditionValue, readonly string[]>): string {
  if (typeof value === 'string') return value;
  return value instanceof Date ? value.toISOString() : String(value);
}

/** Policy variables of a request: every single-valued condition key is one (4.9). */
export function variablesOf(context: ContextLookup): VariableLookup {
  return (key) => {
    const value = context(key);
    return value === undefined || Array.isArray(value)
      ? undefined
      : textOf(value as Exclude<ConditionValue, readonly string[]>);
  };
}
