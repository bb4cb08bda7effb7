/** MaxResults and NextToken. A token names the last item given, so a page stays right while items come and go. */
import { ec2Error, invalidParameterCombination, invalidParameterValue } from './errors.ts';

export interface PagingRequest {
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

export interface PagingRules<Item> {
  /** Operation name; a token of another operation is refused. */
  readonly operation: string;
  /** Unique and sortable; items are given in ascending order of it. */
  readonly key: (item: Item) => string;
  /** 5 unless given. */
  readonly min?: number;
  /** 1000 unless given; a larger MaxResults is lowered to it. */
  readonly max?: number;
  /** Ids asked for by name exclude MaxResults (7.2); `parameter` is the name in that error, for example `imageIdsSet`. */
  readonly ids?: { readonly parameter: string; readonly given: readonly string[] | undefined };
}

/** Checks the bounds and gives page size (undefined: everything) and the key to go on after. */
export function pagingOf(
  request: PagingRequest,
  rules: Omit<PagingRules<never>, 'key'>,
): { readonly size?: number; readonly after?: string } {
  const { MaxResults, NextToken } = request;
  const min = rules.min ?? 5;
  if (MaxResults !== undefined) {
    if (rules.ids?.given?.length) {
      throw invalidParameterCombination(
        `The parameter ${rules.ids.parameter} cannot be used with the parameter maxResults`,
      );
    }
    if (MaxResults < min) {
      throw invalidParameterValue(
        `Invalid value '${MaxResults}' for maxResults. Expecting a value greater than ${min}.`,
      );
    }
  }
  const size = MaxResults === undefined ? undefined : Math.min(MaxResults, rules.max ?? 1000);
  const after = NextToken === undefined ? undefined : openToken(NextToken, rules.operation);
  return { ...(size === undefined ? {} : { size }), ...(after === undefined ? {} : { after }) };
}

/** Sorts by key and cuts one page out. */
export function page<Item>(
  items: readonly Item[],
  request: PagingRequest,
  rules: PagingRules<Item>,
): { readonly items: Item[]; readonly NextToken?: string } {
  const { size, after } = pagingOf(request, rules);
  const { key } = rules;
  const keyed = items.map((item) => ({ item, at: key(item) }));
  keyed.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
  const rest = after === undefined ? keyed : keyed.filter(({ at }) => at > after);
  if (size === undefined || rest.length <= size) return { items: rest.map(({ item }) => item) };
  const given = rest.slice(0, size);
  return { items: given.map(({ item }) => item), NextToken: sealToken(rules.operation, given.at(-1)!.at) };
}

export function sealToken(operation: string, after: string): string {
  return Buffer.from(JSON.stringify([operation, after])).toString('base64url');
}

function openToken(token: string, operation: string): string {
  let parts: unknown;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
  } catch (cause) {
    throw ec2Error('InvalidNextToken', `The token '${token}' is invalid`, { cause });
  }
  if (Array.isArray(parts) && parts.length === 2 && parts[0] === operation && typeof parts[1] === 'string') {
    return parts[1];
  }
  throw ec2Error('InvalidNextToken', `The token '${token}' is invalid`);
}
