/** Limit and Marker of KMS's lists (kms §21). A marker is opaque and good for the list that gave it only. */
import { ApiError } from '../../errors.ts';
import type { Page, PageRequest } from '../../keys/records.ts';
import { Constraints } from './constraints.ts';

interface Paged {
  readonly Limit?: number | undefined;
  readonly Marker?: string | undefined;
}

/** @throws {ApiError} ValidationException or InvalidMarkerException */
export function pageRequest(list: string, input: Paged, limits: { max: number; usual: number }): PageRequest {
  new Constraints().range('limit', input.Limit, 1, limits.max).length('marker', input.Marker, 1, 1024).enforce();
  const limit = input.Limit ?? limits.usual;
  return input.Marker === undefined ? { limit } : { limit, after: readMarker(list, input.Marker) };
}

/** The members that every list answers: `NextMarker` exactly if there is more (21.1). */
export function pageMembers(list: string, page: Page<unknown>): { Truncated: boolean; NextMarker?: string } {
  if (page.next === undefined) return { Truncated: false };
  return { Truncated: true, NextMarker: Buffer.from(JSON.stringify([list, page.next])).toString('base64url') };
}

/** One page of a list that is short enough to be in memory. */
export function pageOf<Item>(items: readonly Item[], request: PageRequest): Page<Item> {
  const start = request.after === undefined ? 0 : Number(request.after);
  const end = start + request.limit;
  return { items: items.slice(start, end), ...(end < items.length ? { next: String(end) } : {}) };
}

function readMarker(list: string, marker: string): string {
  try {
    const read: unknown = JSON.parse(Buffer.from(marker, 'base64url').toString());
    if (Array.isArray(read) && read.length === 2 && read[0] === list && typeof read[1] === 'string') return read[1];
  } catch (cause) {
    throw new ApiError('InvalidMarkerException', 'The marker is not valid.', { cause });
  }
  throw new ApiError('InvalidMarkerException', 'The marker is not valid.');
}
