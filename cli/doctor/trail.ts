/** What the trail tells after the fact: who made a call, with which parameters, and why KMS said no behind it. */
import { CloudTrailClient, type LookupAttributeKey, paginateLookupEvents } from '@aws-sdk/client-cloudtrail';
import { parseArn } from '../../policy/arn.ts';
import type { Seen, Views } from '../foresee/views.ts';

export interface TrailEvent {
  readonly name: string;
  readonly time: Date;
  readonly errorCode?: string;
  readonly errorMessage?: string;
  /** User, role (not its session) or root. */
  readonly caller?: string;
  readonly requestParameters: unknown;
  /** The whole record. */
  readonly text: string;
}

const EVENTS_MAX = 200;
const HOUR_MS = 3_600_000;

/** Events of the account about one thing, newest first. */
export function eventsAbout(
  views: Views,
  account: string,
  AttributeKey: LookupAttributeKey,
  AttributeValue: string,
  since?: Date,
): Promise<Seen<TrailEvent[]>> {
  const place = { what: `the trail about ${AttributeValue}`, wants: 'cloudtrail:LookupEvents', account };
  return views.look(place, async (aws) => {
    const found: TrailEvent[] = [];
    const input = { LookupAttributes: [{ AttributeKey, AttributeValue }], ...(since ? { StartTime: since } : {}) };
    for await (const page of paginateLookupEvents({ client: aws.use(CloudTrailClient) }, input)) {
      for (const { CloudTrailEvent, EventTime, EventName } of page.Events ?? []) {
        found.push(read(CloudTrailEvent ?? '{}', EventTime ?? new Date(0), EventName ?? ''));
      }
      if (found.length >= EVENTS_MAX) break;
    }
    return found;
  });
}

/** Calls to KMS that failed around a moment, in whose records one of the names occurs. */
export async function keyRefusals(
  views: Views,
  account: string,
  around: Date,
  names: readonly string[],
): Promise<TrailEvent[]> {
  const since = new Date(around.getTime() - HOUR_MS);
  const seen = await eventsAbout(views, account, 'EventSource', 'kms.amazonaws.com', since);
  if (!seen.seen) return [];
  return seen.value.filter(
    ({ errorCode, text, time }) =>
      errorCode !== undefined &&
      time.getTime() < around.getTime() + HOUR_MS &&
      names.some((name) => name !== '' && text.includes(name)),
  );
}

interface Record {
  readonly errorCode?: string;
  readonly errorMessage?: string;
  readonly requestParameters?: unknown;
  readonly userIdentity?: {
    readonly arn?: string;
    readonly sessionContext?: { readonly sessionIssuer?: { readonly arn?: string } };
  };
}

function read(text: string, time: Date, name: string): TrailEvent {
  const record = JSON.parse(text) as Record;
  const caller = record.userIdentity?.sessionContext?.sessionIssuer?.arn ?? record.userIdentity?.arn;
  return {
    name,
    time,
    text,
    requestParameters: record.requestParameters,
    ...(record.errorCode === undefined ? {} : { errorCode: record.errorCode }),
    ...(record.errorMessage === undefined ? {} : { errorMessage: record.errorMessage }),
    ...(caller && parseArn(caller) ? { caller } : {}),
  };
}

/**
 * The first value of this name anywhere in the parameters of a call: AWS writes them in another case and with lists of
 * `items`, which say the same.
 */
export function parameter(parameters: unknown, name: string): string | undefined {
  if (typeof parameters !== 'object' || parameters === null) return undefined;
  for (const [key, value] of Object.entries(parameters)) {
    if (key.toLowerCase() === name.toLowerCase() && typeof value !== 'object') return String(value);
    const inner = parameter(value, name);
    if (inner !== undefined) return inner;
  }
  return undefined;
}
