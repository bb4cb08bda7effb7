/** Filter lists of Describe calls: values are ORed, filters are ANDed, `*` and `?` are wildcards, `\` escapes them. */
import type { Filter } from '@aws-sdk/client-ec2';
import type { Tag } from '../../tags/tags.ts';
import { ec2Error, invalidParameterValue, missingParameter } from './errors.ts';

/** What a filter compares: one value, several (any may match), or none. */
export type FilterValue = string | number | boolean | Date | readonly string[] | undefined;
export type FilterReaders<Item> = Readonly<Record<string, (item: Item) => FilterValue>>;

const FILTER_VALUES_MAX = 200;

/** `*` any run of characters, `?` exactly one, `\` takes the next literally. Time is linear in text times pattern. */
export function matchesWildcard(pattern: string, text: string): boolean {
  return matches(parsePattern(pattern), text);
}

function matches(units: Pattern, text: string): boolean {
  let unit = 0;
  let at = 0;
  let starUnit = -1;
  let starAt = 0;
  while (at < text.length) {
    const current = units[unit];
    if (current === ANY_RUN) {
      starUnit = unit++;
      starAt = at;
    } else if (current !== undefined && (current === ANY_ONE || current === text[at])) {
      unit++;
      at++;
    } else if (starUnit >= 0) {
      unit = starUnit + 1;
      at = ++starAt;
    } else {
      return false;
    }
  }
  while (units[unit] === ANY_RUN) unit++;
  return unit === units.length;
}

const ANY_RUN = Symbol('*');
const ANY_ONE = Symbol('?');

type Pattern = readonly (string | typeof ANY_RUN | typeof ANY_ONE)[];

function parsePattern(pattern: string): Pattern {
  const units: (string | typeof ANY_RUN | typeof ANY_ONE)[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const char = pattern[i]!;
    if (char === '\\' && i + 1 < pattern.length) units.push(pattern[++i]!);
    else if (char === '*') {
      if (units.at(-1) !== ANY_RUN) units.push(ANY_RUN);
    } else units.push(char === '?' ? ANY_ONE : char);
  }
  return units;
}

function texts(value: FilterValue): readonly string[] {
  if (value === undefined) return [];
  if (Array.isArray(value)) return value;
  if (value instanceof Date) return [value.toISOString()];
  return [String(value)];
}

/**
 * One predicate for a request's filters. `tagsOf` turns on `tag:<key>`, `tag-key` and `tag-value`.
 * Throws `InvalidParameterValue` for a filter name that is not in `readers`.
 */
export function compileFilters<Item>(
  filters: readonly Filter[] | undefined,
  readers: FilterReaders<Item>,
  tagsOf?: (item: Item) => readonly Tag[],
): (item: Item) => boolean {
  const tests = (filters ?? []).map((filter) => compileOne(filter, readers, tagsOf));
  return (item) => tests.every((test) => test(item));
}

function compileOne<Item>(
  filter: Filter,
  readers: FilterReaders<Item>,
  tagsOf: ((item: Item) => readonly Tag[]) | undefined,
): (item: Item) => boolean {
  const name = filter.Name;
  if (!name) throw missingParameter('Filter.Name');
  const values = filter.Values ?? [];
  if (values.length === 0) throw missingParameter('Filter.Value');
  if (values.length > FILTER_VALUES_MAX) {
    throw ec2Error(
      'FilterLimitExceeded',
      `The maximum number of filter values specified on a single call is ${FILTER_VALUES_MAX}`,
    );
  }
  const read = readerOf(name, readers, tagsOf);
  if (!read) throw invalidParameterValue(`The filter '${name}' is invalid`);
  // Read once: a request may bring a megabyte of patterns, and an account has many items.
  const patterns = values.map(parsePattern);
  return (item) => {
    const found = texts(read(item));
    return patterns.some((pattern) => found.some((text) => matches(pattern, text)));
  };
}

function readerOf<Item>(
  name: string,
  readers: FilterReaders<Item>,
  tagsOf: ((item: Item) => readonly Tag[]) | undefined,
): ((item: Item) => FilterValue) | undefined {
  if (Object.hasOwn(readers, name)) return readers[name];
  if (!tagsOf) return undefined;
  if (name === 'tag-key') return (item) => tagsOf(item).map((tag) => tag.Key);
  if (name === 'tag-value') return (item) => tagsOf(item).map((tag) => tag.Value);
  if (name.startsWith('tag:') && name.length > 4) {
    const key = name.slice(4);
    return (item) =>
      tagsOf(item)
        .filter((tag) => tag.Key === key)
        .map((tag) => tag.Value);
  }
  return undefined;
}

/** Values of one filter that are plain text, for narrowing a query; `undefined` where it is absent or has wildcards. */
export function plainFilterValues(filters: readonly Filter[] | undefined, name: string): readonly string[] | undefined {
  const filter = filters?.find((each) => each.Name === name);
  const values = filter?.Values;
  return values?.length && values.every((value) => !/[*?\\]/.test(value)) ? values : undefined;
}
