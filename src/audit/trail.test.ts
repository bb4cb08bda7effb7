import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call, Caller } from '../authz/caller.ts';
import { infrastructureCaller } from '../authz/caller.ts';
import type { Db } from '../db/db.ts';
import { openTestDb } from '../db/test-db.ts';
import type { AccountId, Arn, InstanceId, Region } from '../ids.ts';
import type { AuditEntry } from './audit.ts';
import { auditMigrations, createAudit } from './trail.ts';

const account = '111122223333' as AccountId;
const other = '444455556666' as AccountId;
const region = 'eu-central-1' as Region;
const issuedAt = new Date('2030-01-01T00:00:00.789Z');

const root: Caller = {
  accountId: account,
  type: 'Account',
  arn: `arn:aws:iam::${account}:root` as Arn,
  principalArn: `arn:aws:iam::${account}:root` as Arn,
  userId: account,
  uniqueId: account,
  accessKeyId: 'AKIAROOT',
  tags: {},
};
const user: Caller = {
  ...root,
  type: 'User',
  arn: `arn:aws:iam::${account}:user/ann` as Arn,
  principalArn: `arn:aws:iam::${account}:user/ann` as Arn,
  userId: 'AIDAANN',
  uniqueId: 'AIDAANN',
  userName: 'ann',
  accessKeyId: 'AKIAANN',
};
const role: Caller = {
  ...root,
  type: 'AssumedRole',
  arn: `arn:aws:sts::${account}:assumed-role/builder/pipeline` as Arn,
  principalArn: `arn:aws:iam::${account}:role/ci/builder` as Arn,
  userId: 'AROAB:pipeline',
  uniqueId: 'AROAB',
  accessKeyId: 'ASIAB',
  session: { name: 'pipeline', kind: 'assume-role', issuedAt, expiresAt: issuedAt, policies: [] },
};

const callOf = (caller: Caller, second = 0): Call => ({
  caller,
  region,
  requestId: 'request-1',
  now: new Date(Date.UTC(2030, 0, 1, 12, 0, second, 500)),
  sourceIp: '192.0.2.1',
  userAgent: 'test/1',
  secureTransport: false,
});
const entryOf = (call: Call, more: Partial<AuditEntry> = {}): AuditEntry => ({
  call,
  eventSource: 'kms.amazonaws.com',
  eventName: 'Decrypt',
  readOnly: true,
  ...more,
});
const documents = async (db: Db, of = account) =>
  (await createAudit({ db }).lookUp({ account: of, region, limit: 50 })).map((event) => JSON.parse(event.document));

describe('events as CloudTrail writes them (kms 26)', () => {
  const keyArn = `arn:aws:kms:eu-central-1:${account}:key/k` as Arn;

  it('has the common members (kms 26.1) and lists resources (kms 26.4)', async () => {
    await using test = await openTestDb(auditMigrations);
    const resources = [{ arn: keyArn, accountId: account, type: 'AWS::KMS::Key' }];
    const requestParameters = { keyId: 'k', encryptionContext: { a: 'b' } };
    await createAudit({ db: test.db }).record(entryOf(callOf(user), { requestParameters, resources }));
    const [{ eventID, ...event }] = await documents(test.db);
    assert.match(eventID, /^[0-9a-f-]{36}$/);
    assert.deepEqual(event, {
      eventVersion: '1.11',
      userIdentity: {
        type: 'IAMUser',
        principalId: 'AIDAANN',
        arn: user.arn,
        accountId: account,
        accessKeyId: 'AKIAANN',
        userName: 'ann',
      },
      eventTime: '2030-01-01T12:00:00Z',
      eventSource: 'kms.amazonaws.com',
      eventName: 'Decrypt',
      awsRegion: region,
      sourceIPAddress: '192.0.2.1',
      userAgent: 'test/1',
      requestParameters,
      responseElements: null,
      requestID: 'request-1',
      readOnly: true,
      resources: [{ accountId: account, type: 'AWS::KMS::Key', ARN: keyArn }],
      eventType: 'AwsApiCall',
      managementEvent: true,
      recipientAccountId: account,
      eventCategory: 'Management',
    });
  });

  const identities: readonly [string, Call, object][] = [
    [
      'root user',
      callOf(root),
      { type: 'Root', principalId: account, arn: root.arn, accountId: account, accessKeyId: 'AKIAROOT' },
    ],
    [
      'role session, called by EC2 for it (kms 27.2)',
      { ...callOf(role), invokedBy: 'ec2-frontend-api.amazonaws.com' },
      {
        type: 'AssumedRole',
        principalId: 'AROAB:pipeline',
        arn: role.arn,
        accountId: account,
        accessKeyId: 'ASIAB',
        sessionContext: {
          sessionIssuer: {
            type: 'Role',
            principalId: 'AROAB',
            arn: role.principalArn,
            accountId: account,
            userName: 'builder',
          },
          attributes: { creationDate: '2030-01-01T00:00:00Z', mfaAuthenticated: 'false' },
        },
        invokedBy: 'ec2-frontend-api.amazonaws.com',
      },
    ],
    [
      "an instance's infrastructure role (kms 27.4)",
      { ...callOf(infrastructureCaller(account, 'i-1' as InstanceId)), invokedBy: 'AWS Internal' },
      {
        type: 'AssumedRole',
        principalId: `${account}:aws:ec2-infrastructure:i-1`,
        arn: `arn:aws:sts::${account}:assumed-role/aws:ec2-infrastructure/i-1`,
        accountId: account,
        sessionContext: {
          sessionIssuer: {
            type: 'Role',
            principalId: `${account}:aws:ec2-infrastructure`,
            arn: `arn:aws:iam::${account}:role/aws:ec2-infrastructure`,
            accountId: account,
            userName: 'aws:ec2-infrastructure',
          },
        },
        inScopeOf: { issuerType: 'AWS::EC2::Instance', credentialsIssuedTo: 'i-1' },
        invokedBy: 'AWS Internal',
      },
    ],
  ];
  for (const [name, call, expected] of identities) {
    it(`userIdentity of ${name}`, async () => {
      await using test = await openTestDb(auditMigrations);
      await createAudit({ db: test.db }).record(entryOf(call));
      const [event] = await documents(test.db);
      assert.deepEqual(event.userIdentity, expected);
      assert.equal(event.sourceIPAddress, call.invokedBy ?? '192.0.2.1');
    });
  }

  it("shows a call to another account's resource in both trails under one shared id (kms 26.6)", async () => {
    await using test = await openTestDb(auditMigrations);
    await createAudit({ db: test.db }).record(entryOf(callOf(user), { otherAccounts: [other, other, account] }));
    const [own, ...ownMore] = await documents(test.db);
    const [foreign, ...foreignMore] = await documents(test.db, other);
    assert.deepEqual([ownMore, foreignMore], [[], []]);
    assert.equal(own.sharedEventID, foreign.sharedEventID);
    assert.match(own.sharedEventID, /^[0-9a-f-]{36}$/);
    assert.notEqual(own.eventID, foreign.eventID);
    assert.equal(foreign.recipientAccountId, other);
    assert.deepEqual(foreign.userIdentity, { type: 'AWSAccount', principalId: 'AIDAANN', accountId: account });
  });

  it('shows a denied call only to its caller, with the error (kms 26.6)', async () => {
    await using test = await openTestDb(auditMigrations);
    const error = { code: 'AccessDeniedException', message: 'no' };
    await createAudit({ db: test.db }).record(entryOf(callOf(user), { otherAccounts: [other], error }));
    assert.deepEqual(await documents(test.db, other), []);
    const [own] = await documents(test.db);
    assert.deepEqual([own.errorCode, own.errorMessage, own.sharedEventID], ['AccessDeniedException', 'no', undefined]);
  });
});

describe('the trail', () => {
  it('finds an event by resources that its document does not name', async () => {
    await using test = await openTestDb(auditMigrations);
    const audit = createAudit({ db: test.db });
    const volume = { name: 'vol-0123456789abcdef0', type: 'AWS::EC2::Volume' };
    await audit.record(entryOf(callOf(user), { lookedUpBy: [volume] }));
    await audit.record(entryOf(callOf(user)));
    const attribute = { key: 'ResourceName', value: volume.name } as const;
    const found = await audit.lookUp({ account, region, limit: 50, attribute });
    assert.deepEqual(
      found.map(({ resources }) => resources.map(({ name, type }) => ({ name, type }))),
      [[volume]],
    );
    assert.equal(JSON.parse(found[0]?.document ?? '').resources, undefined);
  });

  it('commits the records of calls in flight together', async () => {
    await using test = await openTestDb(auditMigrations);
    let commits = 0;
    const db: Db = {
      read: () => test.db.read(),
      close: () => test.db.close(),
      write: (work) => {
        commits += 1;
        return test.db.write(work);
      },
    };
    const audit = createAudit({ db });
    await Promise.all(Array.from({ length: 100 }, () => audit.record(entryOf(callOf(user)))));
    assert.equal((await audit.lookUp({ account, region, limit: 200 })).length, 100);
    assert.ok(commits <= 2, `${commits} commits for 100 records`);
  });

  it('tells every caller when the records could not be written, and goes on', async () => {
    await using test = await openTestDb(auditMigrations);
    let broken = true;
    const db: Db = {
      read: () => test.db.read(),
      close: () => test.db.close(),
      write: (work) => (broken ? Promise.reject(new Error('disk full')) : test.db.write(work)),
    };
    const audit = createAudit({ db });
    const results = await Promise.allSettled([
      audit.record(entryOf(callOf(user))),
      audit.record(entryOf(callOf(user))),
    ]);
    assert.deepEqual(
      results.map((result) => result.status),
      ['rejected', 'rejected'],
    );
    broken = false;
    await audit.record(entryOf(callOf(user)));
    assert.equal((await audit.lookUp({ account, region, limit: 50 })).length, 1);
  });
});
