/** What the trail tells after the fact: who made a call, with which parameters, and why KMS said no behind it. */
import { CloudTrailClient, type LookupAttributeKey, paginateLookupEvents } from '@aws-sdk/client-cloudtrail';
import type { Principal } from '../foresee/principal.ts';
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

const EVENTS_MAX = 500;
/** KMS is asked in the background. */
const BEHIND_A_CALL_MS = 300_000;

/** Events of the account about one thing, newest first. */
export function eventsAbout(
  views: Views,
  account: string,
  AttributeKey: LookupAttributeKey,
  AttributeValue: string,
  within?: { readonly since: Date; readonly until: Date },
): Promise<Seen<TrailEvent[]>> {
  const place = { what: `the trail about ${AttributeValue}`, wants: 'cloudtrail:LookupEvents', account };
  return views.look(place, async (aws) => {
    const found: TrailEvent[] = [];
    const input = {
      LookupAttributes: [{ AttributeKey, AttributeValue }],
      ...(within ? { StartTime: within.since, EndTime: within.until } : {}),
    };
    for await (const page of paginateLookupEvents({ client: aws.use(CloudTrailClient) }, input)) {
      for (const { CloudTrailEvent, EventTime, EventName } of page.Events ?? []) {
        found.push(read(CloudTrailEvent ?? '{}', EventTime ?? new Date(0), EventName ?? ''));
      }
      if (found.length >= EVENTS_MAX) break;
    }
    return found;
  });
}

/** Calls to KMS in the name of somebody that were refused in the minutes after a call of theirs. */
export async function refusalsAfter(views: Views, account: string, call: TrailEvent): Promise<TrailEvent[]> {
  // The trail gives the newest first: without an end, whatever KMS was asked since would stand before what is meant.
  const within = { since: call.time, until: new Date(call.time.getTime() + BEHIND_A_CALL_MS) };
  const seen = await eventsAbout(views, account, 'EventSource', 'kms.amazonaws.com', within);
  if (!seen.seen) return [];
  return seen.value.filter(({ errorCode, caller }) => errorCode !== undefined && caller === call.caller);
}

/**
 * The last time that the principal's use of a key was refused, unless the same was allowed later: a fact of then, for
 * where what holds now cannot be seen.
 */
export async function lastRefusal(
  views: Views,
  principal: Principal,
  keyArn: string,
  action: string,
): Promise<TrailEvent | undefined> {
  const seen = await eventsAbout(views, principal.account, 'ResourceName', keyArn);
  if (!seen.seen) return undefined;
  // The trail has one event for both sides of ReEncrypt.
  const name = action.slice('kms:'.length).replace(/^ReEncrypt(From|To)$/, 'ReEncrypt');
  const last = seen.value.find((event) => event.name === name && event.caller === principal.arn);
  return last?.errorCode?.startsWith('AccessDenied') ? last : undefined;
}

/** ARN of the key that a refused call was about. */
export function keyIn({ text }: TrailEvent): string | undefined {
  return /arn:[\w-]+:kms:[\w-]+:\d{12}:key\/[\w-]+/.exec(text)?.[0];
}

/** Callers whose rights can be looked at. */
const CALLER = /^arn:[\w-]+:(iam::\d{12}:(root$|user\/|role\/)|sts::\d{12}:assumed-role\/)/;

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
    ...(caller && CALLER.test(caller) ? { caller } : {}),
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
