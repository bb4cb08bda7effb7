/** What every Describe call on the objects of an account's network does. */
import type { Filter } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { DefaultNetwork } from '../../network/network.ts';
import type { Tag } from '../../tags/tags.ts';
import { authorizeAny, dryRun } from './common.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { page } from './paging.ts';

export interface Asked<Item> {
  /** Operation name. */
  readonly operation: string;
  readonly ids: readonly string[] | undefined;
  /** Member name in the error where ids and MaxResults are both given. */
  readonly idsParameter: string;
  readonly idOf: (item: Item) => string;
  readonly filters: FilterReaders<Item>;
  readonly notFound: (id: string) => Error;
}

export interface DescribeInput {
  readonly DryRun?: boolean | undefined;
  readonly Filters?: readonly Filter[] | undefined;
  readonly MaxResults?: number | undefined;
  readonly NextToken?: string | undefined;
}

/** What every Describe call here does: authorize, look up by id, filter, cut a page. */
export async function describe<Item>(
  deps: InstanceDeps,
  call: Call,
  input: DescribeInput,
  all: (network: DefaultNetwork) => Promise<readonly Item[]> | readonly Item[],
  asked: Asked<Item>,
): Promise<{
  items: Item[];
  network: DefaultNetwork;
  tags: (item: Item) => readonly Tag[];
  next: { NextToken?: string };
}> {
  await authorizeAny(deps.authorizer, call, `ec2:${asked.operation}`);
  dryRun(input);
  const network = await deps.network.defaults(call.caller.accountId, call.region);
  const existing = await all(network);
  const missing = asked.ids?.find((id) => !existing.some((item) => asked.idOf(item) === id));
  if (missing !== undefined) throw asked.notFound(missing);
  const named = existing.filter((item) => !asked.ids?.length || asked.ids.includes(asked.idOf(item)));
  const found = await deps.tags.of(call.caller.accountId, call.region, named.map(asked.idOf));
  const tags = (item: Item) => found.get(asked.idOf(item)) ?? [];
  const { items, NextToken } = page(named.filter(compileFilters(input.Filters, asked.filters, tags)), input, {
    operation: asked.operation,
    key: asked.idOf,
    ids: { parameter: asked.idsParameter, given: asked.ids },
  });
  return { items, network, tags, next: NextToken === undefined ? {} : { NextToken } };
}
