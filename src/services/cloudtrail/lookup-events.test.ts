import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LookupEventsRequest } from '@aws-sdk/client-cloudtrail';
import { auditMigrations, createAudit } from '../../audit/trail.ts';
import { type Authorizer, type Decision, Denied } from '../../authz/authorizer.ts';
import type { Call, Caller } from '../../authz/caller.ts';
import { issuePermit } from '../../authz/permit.ts';
import { openTestDb } from '../../db/test-db.ts';
import { ApiError } from '../../errors.ts';
import type { AccountId, Arn, Region } from '../../ids.ts';
import { cloudtrailService } from './index.ts';
import { lookupEvents } from './lookup-events.ts';

const account = '111122223333' as AccountId;
const caller: Caller = {
  accountId: account,
  type: 'User',
  arn: `arn:aws:iam::${account}:user/ann` as Arn,
  principalArn: `arn:aws:iam::${account}:user/ann` as Arn,
  userId: 'AIDAANN',
  uniqueId: 'AIDAANN',
  userName: 'ann',
  accessKeyId: 'AKIAANN',
  tags: {},
};
const at = (second: number, more: Partial<Call> = {}): Call => ({
  caller,
  region: 'eu-central-1' as Region,
  requestId: `request-${second}`,
  now: new Date(Date.UTC(2030, 0, 1, 0, 0, second)),
  userAgent: 'test',
  secureTransport: false,
  ...more,
});
const allowAll: Authorizer = {
  authorize: async (call, action, resource) => issuePermit(call, action, resource.arn),
  decide: async () => {
    throw new Error('not asked');
  },
};
const volumeArn = `arn:aws:ec2:eu-central-1:${account}:volume/vol-1` as Arn;

/** Twelve events, one a second: even seconds Encrypt of KMS, odd ones CreateVolume of EC2. */
async function withEvents() {
  const test = await openTestDb(auditMigrations);
  const audit = createAudit({ db: test.db });
  for (let second = 0; second < 12; second += 1) {
    const even = second % 2 === 0;
    await audit.record({
      call: at(second),
      eventSource: even ? 'kms.amazonaws.com' : 'ec2.amazonaws.com',
      eventName: even ? 'Encrypt' : 'CreateVolume',
      readOnly: even,
      resources: even ? [] : [{ arn: volumeArn, accountId: account, type: 'AWS::EC2::Volume' }],
    });
  }
  const lookUp = lookupEvents({ audit, authorizer: allowAll });
  const seconds = async (input: LookupEventsRequest, call = at(60)) =>
    ((await lookUp(call, input)).Events ?? []).map((event) => event.EventTime?.getUTCSeconds());
  return { test, lookUp, seconds, [Symbol.asyncDispose]: () => test[Symbol.asyncDispose]() };
}

const by = (AttributeKey: string, AttributeValue: string): LookupEventsRequest =>
  ({ LookupAttributes: [{ AttributeKey, AttributeValue }] }) as LookupEventsRequest;
const odd = [11, 9, 7, 5, 3, 1];
const even = [10, 8, 6, 4, 2, 0];
const all = [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0];

describe('LookupEvents', () => {
  const questions: readonly [string, LookupEventsRequest, number[]][] = [
    ['everything, newest first', {}, all],
    ['by name', by('EventName', 'CreateVolume'), odd],
    ['by source', by('EventSource', 'kms.amazonaws.com'), even],
    ['by read-only', by('ReadOnly', 'true'), even],
    ['by user', by('Username', 'ann'), all],
    ['by a user who did nothing', by('Username', 'bob'), []],
    ['by access key', by('AccessKeyId', 'AKIAANN'), all],
    ['by resource name, which for EC2 is the id', by('ResourceName', 'vol-1'), odd],
    ['by resource ARN', by('ResourceName', volumeArn), odd],
    ['by resource type', by('ResourceType', 'AWS::EC2::Volume'), odd],
    ['by time', { StartTime: at(3).now, EndTime: at(5).now }, [5, 4, 3]],
  ];
  for (const [name, input, expected] of questions) {
    it(name, async () => {
      await using events = await withEvents();
      assert.deepEqual(await events.seconds(input), expected);
    });
  }

  it('shows neither another account nor another region anything', async () => {
    await using events = await withEvents();
    assert.deepEqual(await events.seconds({}, at(60, { region: 'us-east-1' as Region })), []);
    const stranger = { ...caller, accountId: '999999999999' as AccountId };
    assert.deepEqual(await events.seconds({}, at(60, { caller: stranger })), []);
  });

  it('pages through without repeating or losing an event', async () => {
    await using events = await withEvents();
    const seen: (number | undefined)[] = [];
    let token: string | undefined;
    do {
      const page = await events.lookUp(at(60), {
        ...by('EventName', 'Encrypt'),
        MaxResults: 4,
        ...(token && { NextToken: token }),
      });
      seen.push(...(page.Events ?? []).map((event) => event.EventTime?.getUTCSeconds()));
      token = page.NextToken;
    } while (token);
    assert.deepEqual(seen, even);
  });

  it('gives the event itself as JSON', async () => {
    await using events = await withEvents();
    const [event] = (await events.lookUp(at(60), by('EventName', 'CreateVolume'))).Events ?? [];
    assert.equal(event?.ReadOnly, 'false');
    assert.equal(event?.Username, 'ann');
    assert.deepEqual(event?.Resources, [{ ResourceName: 'vol-1', ResourceType: 'AWS::EC2::Volume' }]);
    assert.equal(JSON.parse(event?.CloudTrailEvent ?? '').eventID, event?.EventId);
  });

  const refusals: readonly [string, LookupEventsRequest, string][] = [
    ['51 results', { MaxResults: 51 }, 'InvalidMaxResultsException'],
    ['0 results', { MaxResults: 0 }, 'InvalidMaxResultsException'],
    ['a garbled token', { NextToken: 'x' }, 'InvalidNextTokenException'],
    ['an unknown attribute', by('Colour', 'red'), 'InvalidLookupAttributesException'],
    [
      'two attributes',
      { LookupAttributes: [...by('EventName', 'a').LookupAttributes!, ...by('Username', 'b').LookupAttributes!] },
      'InvalidLookupAttributesException',
    ],
    ['an end before the start', { StartTime: at(5).now, EndTime: at(3).now }, 'InvalidTimeRangeException'],
    ['insights', { EventCategory: 'insight' }, 'InvalidEventCategoryException'],
  ];
  for (const [name, input, code] of refusals) {
    it(`refuses ${name}`, async () => {
      await using events = await withEvents();
      await assert.rejects(
        events.lookUp(at(60), input),
        (error: unknown) => error instanceof ApiError && error.code === code,
      );
    });
  }

  it('refuses the token of another question', async () => {
    await using events = await withEvents();
    const { NextToken } = await events.lookUp(at(60), { MaxResults: 1 });
    await assert.rejects(
      events.lookUp(at(60), { ...by('EventName', 'Encrypt'), NextToken }),
      (error: unknown) => error instanceof ApiError && error.code === 'InvalidNextTokenException',
    );
  });

  it('asks for cloudtrail:LookupEvents and says no in the words of the dialect', async () => {
    await using events = await withEvents();
    const decision: Decision = { allowed: false, explicit: false, layer: 'identity', because: 'because', matched: [] };
    const denyAll: Authorizer = {
      ...allowAll,
      authorize: async (call, action, resource) => {
        throw new Denied(call, action, resource.arn, decision);
      },
    };
    const deps = { audit: createAudit({ db: events.test.db }), authorizer: denyAll };
    const error: unknown = await lookupEvents(deps)(at(60), {}).catch((thrown: unknown) => thrown);
    const translated = cloudtrailService(deps).translate(error, at(60), 'LookupEvents');
    assert.ok(translated instanceof ApiError);
    assert.equal(translated.code, 'AccessDeniedException');
    assert.match(translated.message, /is not authorized to perform: cloudtrail:LookupEvents on resource: \*/);
  });
});
