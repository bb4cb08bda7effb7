import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AuditNotes, type Call, noteForAudit } from '../authz/caller.ts';
import { ApiError } from '../errors.ts';
import type { AccountId, Arn, Region } from '../ids.ts';
import { REGISTRY } from '../wire/registry.ts';
import { Wire } from '../wire/wire.ts';
import { auditEntry, isReadOnly } from './audit-entry.ts';

const wire = new Wire(REGISTRY);
const accountId = '111122223333' as AccountId;

function newCall(): Call {
  const arn = `arn:aws:iam::${accountId}:root` as Arn;
  const caller = { accountId, type: 'Account', arn, principalArn: arn, userId: '1', uniqueId: '1', tags: {} } as const;
  const region = 'us-east-1' as Region;
  return {
    caller,
    region,
    requestId: 'r',
    now: new Date(0),
    userAgent: '',
    secureTransport: false,
    audit: new AuditNotes(),
  };
}

function entry(call: Call, service: string, operationName: string, rest: object) {
  const operation = wire.service(service)?.operation(operationName);
  assert.ok(operation);
  return auditEntry(call, { service, operationName, operation, ...rest });
}

const SECRET = 'must-not-be-recorded';

/** Operations with their secrets, and what remains of them. */
const CASES: readonly {
  readonly service: string;
  readonly operation: string;
  readonly input?: object;
  readonly output?: object;
  readonly parameters?: unknown;
  readonly response?: unknown;
}[] = [
  {
    service: 'kms',
    operation: 'Encrypt',
    input: { KeyId: 'k', Plaintext: Buffer.from(SECRET), EncryptionContext: { Some: 'x' }, GrantTokens: [SECRET] },
    output: { CiphertextBlob: Buffer.from(SECRET), KeyId: 'k' },
    parameters: { keyId: 'k', encryptionContext: { Some: 'x' } },
  },
  {
    service: 'kms',
    operation: 'CreateGrant',
    input: { KeyId: 'k', GranteePrincipal: 'p', Operations: ['Decrypt'] },
    output: { GrantToken: SECRET, GrantId: 'g' },
    parameters: { keyId: 'k', granteePrincipal: 'p', operations: ['Decrypt'] },
    response: { grantId: 'g' },
  },
  {
    service: 'kms',
    operation: 'ScheduleKeyDeletion',
    input: { KeyId: 'k', PendingWindowInDays: 7 },
    output: { KeyId: 'k', DeletionDate: new Date('2021-11-02T23:25:25Z'), KeyState: 'PendingDeletion' },
    parameters: { keyId: 'k', pendingWindowInDays: 7 },
    response: { keyId: 'k', deletionDate: 'Nov 2, 2021, 11:25:25 PM', keyState: 'PendingDeletion' },
  },
  { service: 'kms', operation: 'DisableKey', input: { KeyId: 'k' }, parameters: { keyId: 'k' } },
  {
    service: 'iam',
    operation: 'CreateAccessKey',
    input: { UserName: 'u' },
    output: { AccessKey: { UserName: 'u', AccessKeyId: 'AKIA', Status: 'Active', SecretAccessKey: SECRET } },
    parameters: { userName: 'u' },
    response: { accessKey: { userName: 'u', accessKeyId: 'AKIA', status: 'Active' } },
  },
  {
    service: 'sts',
    operation: 'AssumeRole',
    input: { RoleArn: 'a', RoleSessionName: 's', TokenCode: SECRET },
    output: { Credentials: { AccessKeyId: 'ASIA', SecretAccessKey: SECRET, SessionToken: SECRET } },
    parameters: { roleArn: 'a', roleSessionName: 's' },
  },
  {
    service: 'ec2',
    operation: 'RunInstances',
    input: { MinCount: 1, MaxCount: 1, UserData: SECRET, ImageId: 'ami-1' },
    output: { ReservationId: 'r-1', Instances: [] },
    parameters: { instancesSet: { items: [{ minCount: 1, maxCount: 1, imageId: 'ami-1' }] } },
    response: { requestId: 'r', reservationId: 'r-1', instancesSet: {} },
  },
  {
    service: 'ec2',
    operation: 'CreateKeyPair',
    input: { KeyName: 'k' },
    output: { KeyName: 'k', KeyPairId: 'key-1', KeyMaterial: SECRET },
    parameters: { keyName: 'k' },
    response: { requestId: 'r', keyName: 'k', keyPairId: 'key-1' },
  },
  {
    service: 'ec2',
    operation: 'CreateLaunchTemplate',
    input: { LaunchTemplateName: 't', LaunchTemplateData: { UserData: SECRET, ImageId: 'ami-1' } },
    output: { LaunchTemplate: { LaunchTemplateId: 'lt-1' } },
    parameters: {
      CreateLaunchTemplateRequest: { LaunchTemplateName: 't', LaunchTemplateData: { ImageId: 'ami-1' } },
    },
    response: {
      CreateLaunchTemplateResponse: {
        xmlns: 'http://ec2.amazonaws.com/doc/2016-11-15/',
        requestId: 'r',
        launchTemplate: { launchTemplateId: 'lt-1' },
      },
    },
  },
  {
    service: 'ebs',
    operation: 'PutSnapshotBlock',
    input: { SnapshotId: 's', BlockIndex: 0, BlockData: Buffer.from(SECRET) },
    output: { Checksum: 'c' },
    parameters: { snapshotId: 's', blockIndex: 0 },
    response: { checksum: 'c' },
  },
];

for (const { service, operation, input, output, parameters, response } of CASES) {
  test(`${service} ${operation} is recorded without its secrets (kms 26.2, 26.3)`, () => {
    const made = entry(newCall(), service, operation, { input, output });
    assert.equal(made.eventSource, `${service}.amazonaws.com`);
    assert.deepEqual(made.requestParameters, parameters);
    assert.deepEqual(made.responseElements, response);
    const text = JSON.stringify([made.requestParameters, made.responseElements]);
    assert.doesNotMatch(text, new RegExp(`${SECRET}|${Buffer.from(SECRET).toString('base64')}`));
  });
}

test('cryptographic and read operations are read-only, management writes are not (kms 26.4)', () => {
  const readOnly = [
    'Encrypt',
    'GenerateDataKeyWithoutPlaintext',
    'ReEncrypt',
    'DescribeKey',
    'ListGrants',
    'Sign',
    'Decapsulate',
  ];
  for (const name of readOnly) assert.equal(isReadOnly('kms', name), true, name);
  const writes = ['CreateGrant', 'RetireGrant', 'RevokeGrant', 'PutKeyPolicy', 'ScheduleKeyDeletion', 'CreateKey'];
  for (const name of writes) assert.equal(isReadOnly('kms', name), false, name);
  assert.equal(isReadOnly('ec2', 'RunInstances'), false);
  assert.equal(isReadOnly('sts', 'AssumeRole'), true);
});

test('what an operation notes is added, and a refused call stays in its own trail (kms 26.5, 26.6)', () => {
  const owner = '444455556666' as AccountId;
  const call = newCall();
  noteForAudit(call, { resources: [{ arn: 'a', accountId: owner, type: 'AWS::KMS::Key' }] });
  noteForAudit(call, {
    resources: [{ arn: 'b', accountId, type: 'AWS::KMS::Key' }],
    otherAccounts: [owner, accountId],
    requestParameters: null,
    additionalEventData: { grantId: 'g' },
  });
  const made = entry(call, 'kms', 'RetireGrant', { input: { GrantToken: 't' } });
  assert.deepEqual(
    made.resources?.map(({ arn }) => arn),
    ['a', 'b'],
  );
  assert.deepEqual(made.otherAccounts, [owner]);
  assert.equal(made.requestParameters, null);
  assert.deepEqual(made.additionalEventData, { grantId: 'g' });
  const denied = entry(call, 'kms', 'RetireGrant', { error: new ApiError('AccessDeniedException', 'no') });
  assert.equal(denied.otherAccounts, undefined);
  assert.deepEqual(denied.error, { code: 'AccessDenied', message: 'no' });
});

test('error codes are those of CloudTrail: a denial without suffix, EC2 with whose fault it was (L-25)', () => {
  const codeOf = (service: string, operation: string, error: ApiError) =>
    entry(newCall(), service, operation, { error }).error?.code;
  const denied = new ApiError('AccessDeniedException', 'no');
  assert.equal(codeOf('kms', 'Encrypt', denied), 'AccessDenied');
  assert.equal(codeOf('ebs', 'StartSnapshot', denied), 'AccessDenied');
  assert.equal(codeOf('kms', 'Encrypt', new ApiError('NotFoundException', 'no')), 'NotFoundException');
  const unauthorized = new ApiError('UnauthorizedOperation', 'no', { status: 403 });
  assert.equal(codeOf('ec2', 'CopyImage', unauthorized), 'Client.UnauthorizedOperation');
  const inside = new ApiError('InternalError', 'no', { status: 500 });
  assert.equal(codeOf('ec2', 'CopyImage', inside), 'Server.InternalError');
});

test('an event of EC2 is looked up by its resources, a refused one by those of its input; reads by none', () => {
  const input = { VolumeId: 'vol-0123456789abcdef0' };
  const output = { SnapshotId: 'snap-0123456789abcdef0' };
  const volume = { type: 'AWS::EC2::Volume', name: input.VolumeId };
  const made = entry(newCall(), 'ec2', 'CreateSnapshot', { input, output });
  assert.deepEqual(made.lookedUpBy, [volume, { type: 'AWS::EC2::Snapshot', name: output.SnapshotId }]);
  assert.equal(made.resources, undefined);
  const refused = entry(newCall(), 'ec2', 'CreateSnapshot', { input, error: new ApiError('IncorrectState', 'no') });
  assert.deepEqual(refused.lookedUpBy, [volume]);
  assert.equal(
    entry(newCall(), 'ec2', 'DescribeVolumes', { input: { VolumeIds: [input.VolumeId] } }).lookedUpBy,
    undefined,
  );
  assert.equal(
    entry(newCall(), 'kms', 'CreateAlias', { input: { TargetKeyId: 'i-0123456789abcdef0' } }).lookedUpBy,
    undefined,
  );
});

test('the message of an error does not repeat what the parameters hide', () => {
  const refused = (operation: string, service: string, input: object) =>
    entry(newCall(), service, operation, { input, error: new ApiError('X', `The block token ${SECRET} is invalid.`) });
  const hidden = 'The block token HIDDEN_DUE_TO_SECURITY_REASONS is invalid.';
  const block = { SnapshotId: 's', BlockIndex: 0, BlockToken: SECRET };
  assert.equal(refused('GetSnapshotBlock', 'ebs', block).error?.message, hidden);
  assert.equal(refused('Encrypt', 'kms', { KeyId: 'k', GrantTokens: [SECRET] }).error?.message, hidden);
  assert.match(
    refused('GetSnapshotBlock', 'ebs', { ...block, BlockToken: 'e' }).error?.message ?? '',
    /The block token m/,
  );
});
