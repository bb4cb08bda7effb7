/** LookupEvents: the calling account's own events of the region, newest first. */
import type { Event, LookupEventsRequest, LookupEventsResponse } from '@aws-sdk/client-cloudtrail';
import type { TrailAttribute, TrailEvent, TrailPlace, TrailQuery } from '../../audit/trail.ts';
import { ApiError } from '../../errors.ts';
import { LIMITS } from '../../limits.ts';
import type { Operation } from '../operation.ts';
import type { CloudTrailDeps } from './index.ts';

const ATTRIBUTES: readonly TrailAttribute[] = [
  'EventId',
  'EventName',
  'EventSource',
  'ReadOnly',
  'Username',
  'AccessKeyId',
  'ResourceName',
  'ResourceType',
];

export const lookupEvents =
  ({ audit, authorizer }: CloudTrailDeps): Operation<LookupEventsRequest, LookupEventsResponse> =>
  async (call, input) => {
    await authorizer.authorize(call, 'cloudtrail:LookupEvents', { arn: '*' });
    const limit = pageSize(input.MaxResults);
    const attribute = onlyAttribute(input.LookupAttributes);
    const { StartTime: from, EndTime: to } = input;
    if (from && to && from > to) {
      throw new ApiError('InvalidTimeRangeException', 'The end time must not be before the start time.');
    }
    if (input.EventCategory !== undefined) {
      // Insights events do not exist here; saying so beats an empty list that looks like an answer.
      throw new ApiError('InvalidEventCategoryException', `Event category ${input.EventCategory} is not supported.`);
    }
    const question = JSON.stringify([attribute?.key, attribute?.value, from?.getTime(), to?.getTime()]);
    const after = input.NextToken === undefined ? undefined : placeOf(input.NextToken, question);
    const query: TrailQuery = {
      account: call.caller.accountId,
      region: call.region,
      limit: limit + 1,
      ...(attribute && { attribute }),
      ...(from && { from }),
      ...(to && { to }),
      ...(after && { after }),
    };
    const found = await audit.lookUp(query);
    const page = found.slice(0, limit);
    const last = page.at(-1);
    return {
      Events: page.map(eventOf),
      ...(found.length > limit && last && { NextToken: tokenOf(last, question) }),
    };
  };

function pageSize(maxResults: number | undefined): number {
  const limit = maxResults ?? LIMITS.auditLookupMax;
  if (limit < 1 || limit > LIMITS.auditLookupMax) {
    const message = `A value between 1 and ${LIMITS.auditLookupMax} is expected for MaxResults.`;
    throw new ApiError('InvalidMaxResultsException', message);
  }
  return limit;
}

function onlyAttribute(attributes: LookupEventsRequest['LookupAttributes']): TrailQuery['attribute'] {
  if (attributes === undefined || attributes.length === 0) return undefined;
  const [{ AttributeKey: name, AttributeValue: value } = {}, ...more] = attributes;
  const key = ATTRIBUTES.find((known) => known === name);
  if (more.length > 0 || key === undefined || !value) {
    throw new ApiError(
      'InvalidLookupAttributesException',
      'Exactly one known lookup attribute with a value is expected.',
    );
  }
  return { key, value };
}

/** The token belongs to the question it answered; with another question it is refused. */
function tokenOf(place: TrailPlace, question: string): string {
  return Buffer.from(JSON.stringify([place.time, place.sequence, question])).toString('base64url');
}

function placeOf(token: string, question: string): TrailPlace {
  try {
    const decoded: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (Array.isArray(decoded)) {
      const [time, sequence, askedBefore] = decoded as unknown[];
      if (Number.isSafeInteger(time) && Number.isSafeInteger(sequence) && askedBefore === question) {
        return { time: time as number, sequence: sequence as number };
      }
    }
  } catch (cause) {
    throw invalidToken(cause);
  }
  throw invalidToken();
}

function invalidToken(cause?: unknown): ApiError {
  const message = 'The token is invalid, or was given out for a request with other parameters.';
  return new ApiError('InvalidNextTokenException', message, { cause });
}

function eventOf(event: TrailEvent): Event {
  return {
    EventId: event.eventId,
    EventName: event.name,
    ReadOnly: String(event.readOnly),
    AccessKeyId: event.accessKeyId,
    EventTime: new Date(event.time),
    EventSource: event.source,
    Username: event.userName,
    Resources: event.resources.map(({ name, type }) => ({ ResourceName: name, ResourceType: type })),
    CloudTrailEvent: event.document,
  };
}
