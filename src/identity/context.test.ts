import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConditionValue, ResourceRef } from '../authz/authorizer.ts';
import { type Call, type Caller, infrastructureCaller, serviceCaller, viaEc2 } from '../authz/caller.ts';
import type { AccountId, Arn, InstanceId, Region } from '../ids.ts';
import { contextOf } from './context.ts';

const ACCOUNT = '111122223333' as AccountId;
const NOW = new Date('2026-03-01T12:00:00.500Z');
const USER: Caller = {
  accountId: ACCOUNT,
  type: 'User',
  arn: `arn:aws:iam::${ACCOUNT}:user/ops/ana` as Arn,
  principalArn: `arn:aws:iam::${ACCOUNT}:user/ops/ana` as Arn,
  userId: 'AIDAAAAAAAAAAAAAAAAAA',
  uniqueId: 'AIDAAAAAAAAAAAAAAAAAA',
  userName: 'ana',
  tags: { Team: 'images' },
};
const ROLE: Caller = {
  accountId: ACCOUNT,
  type: 'AssumedRole',
  arn: `arn:aws:sts::${ACCOUNT}:assumed-role/deploy/ci` as Arn,
  principalArn: `arn:aws:iam::${ACCOUNT}:role/ops/deploy` as Arn,
  userId: 'AROAAAAAAAAAAAAAAAAAA:ci',
  uniqueId: 'AROAAAAAAAAAAAAAAAAAA',
  tags: {},
  session: { name: 'ci', kind: 'assume-role', issuedAt: NOW, expiresAt: NOW, policies: [], sourceIdentity: 'ana' },
};
const ROOT: Caller = {
  accountId: ACCOUNT,
  type: 'Account',
  arn: `arn:aws:iam::${ACCOUNT}:root` as Arn,
  principalArn: `arn:aws:iam::${ACCOUNT}:root` as Arn,
  userId: ACCOUNT,
  uniqueId: ACCOUNT,
  tags: {},
};
const SERVICE = infrastructureCaller(ACCOUNT, 'i-0123456789abcdef0' as InstanceId);
const STANDING = {
  caller: { organizationId: 'o-1', organizationPath: 'o-1/r-1/ou-1/' },
  owner: { organizationId: 'o-1' },
};

function callBy(caller: Caller): Call {
  const region = 'eu-central-1' as Region;
  return { caller, region, requestId: 'r', now: NOW, sourceIp: '192.0.2.1', userAgent: 'cli', secureTransport: true };
}

const VOLUME_ARN = `arn:aws:ec2:eu-central-1:${ACCOUNT}:volume/vol-1` as Arn;
const VOLUME: ResourceRef = {
  arn: VOLUME_ARN,
  tags: { Env: 'prod' },
};
const KEY: ResourceRef = {
  arn: `arn:aws:kms:eu-central-1:${ACCOUNT}:key/k` as Arn,
  accountId: '444455556666' as AccountId,
  kind: 'kms-key',
  encryptionContext: { 'aws:ebs:id': 'vol-1' },
};

type Row = readonly [
  call: Call,
  action: string,
  resource: ResourceRef,
  values: Record<string, ConditionValue | undefined>,
];

const user = callBy(USER);
const ROWS: Readonly<Record<string, Row>> = {
  'a user (authz 2.9, 5.1)': [
    user,
    'ec2:AttachVolume',
    VOLUME,
    {
      'aws:principalarn': USER.arn,
      'aws:principalaccount': ACCOUNT,
      'aws:principaltype': 'User',
      'aws:userid': USER.userId,
      'aws:username': 'ana',
      'aws:requestedregion': 'eu-central-1',
      'aws:sourceip': '192.0.2.1',
      'aws:securetransport': true,
      'aws:currenttime': NOW,
      'aws:epochtime': 1772366400,
      'aws:useragent': 'cli',
      'aws:viaawsservice': false,
      'aws:principalisawsservice': false,
      'aws:principalorgid': 'o-1',
      'aws:principaltag/team': 'images',
      'aws:tokenissuetime': undefined,
      'aws:multifactorauthpresent': undefined,
    },
  ],
  'a role session (authz 2.9, 5.3)': [
    callBy(ROLE),
    'ec2:AttachVolume',
    VOLUME,
    {
      'aws:principalarn': ROLE.principalArn,
      'aws:userid': 'AROAAAAAAAAAAAAAAAAAA:ci',
      'aws:username': undefined,
      'aws:tokenissuetime': NOW,
      'aws:multifactorauthpresent': false,
      'aws:sourceidentity': 'ana',
    },
  ],
  'EC2’s host for an instance (authz 2.9)': [
    callBy(SERVICE),
    'kms:Decrypt',
    KEY,
    {
      'aws:principalarn': undefined,
      'aws:userid': undefined,
      'aws:principalorgid': undefined,
      'aws:principalisawsservice': true,
      'kms:calleraccount': ACCOUNT,
    },
  ],
  'the root user (authz 2.9)': [
    callBy(ROOT),
    'ec2:AttachVolume',
    VOLUME,
    {
      'aws:principalarn': ROOT.arn,
      'aws:userid': ACCOUNT,
      'aws:username': undefined,
      'aws:principaltype': 'Account',
    },
  ],
  'a service principal (authz 2.9, 5.5)': [
    { ...callBy(serviceCaller(ACCOUNT, 'ec2.amazonaws.com')), sourceArn: VOLUME_ARN },
    'sts:AssumeRole',
    { arn: `arn:aws:iam::${ACCOUNT}:role/r` as Arn, kind: 'role' },
    {
      'aws:principalarn': undefined,
      'aws:userid': undefined,
      'aws:username': undefined,
      'aws:principaltype': undefined,
      'aws:principalisawsservice': true,
      'aws:sourceaccount': ACCOUNT,
      'aws:sourcearn': VOLUME_ARN,
    },
  ],
  'forwarded by EC2 (authz 5.2, 5.5, 5.7, 5.8, 6.11)': [
    viaEc2(user),
    'kms:CreateGrant',
    KEY,
    {
      'aws:sourceip': undefined,
      'aws:viaawsservice': true,
      'aws:principalarn': USER.arn,
      'kms:viaservice': 'ec2.eu-central-1.amazonaws.com',
      'kms:grantisforawsresource': true,
      'kms:encryptioncontext:aws:ebs:id': 'vol-1',
      'aws:calledvia': undefined,
      'aws:calledviafirst': undefined,
      'aws:sourcearn': undefined,
      'aws:sourceaccount': undefined,
    },
  ],
  'directly at KMS (authz 6.11)': [
    user,
    'kms:CreateGrant',
    KEY,
    {
      'kms:viaservice': undefined,
      'kms:grantisforawsresource': false,
      'kms:calleraccount': ACCOUNT,
      'aws:resourceaccount': '444455556666',
    },
  ],
  'resource keys of EC2 (authz 5.4, 5.6, 7.2)': [
    user,
    'ec2:AttachVolume',
    VOLUME,
    {
      'aws:resourcetag/env': 'prod',
      'ec2:resourcetag/env': 'prod',
      'aws:resourceaccount': ACCOUNT,
      'ec2:region': 'eu-central-1',
      'kms:calleraccount': undefined,
    },
  ],
  'no resource account for CreateVolume (authz 5.4)': [
    user,
    'ec2:CreateVolume',
    VOLUME,
    { 'aws:resourceaccount': undefined },
  ],
  'no resource account for EBS direct (authz 5.4)': [
    user,
    'ebs:GetSnapshotBlock',
    VOLUME,
    { 'aws:resourceaccount': undefined },
  ],
  'IAM is in us-east-1 (authz 5.1)': [user, 'iam:GetUser', { arn: '*' }, { 'aws:requestedregion': 'us-east-1' }],
};

for (const [name, [call, action, resource, values]] of Object.entries(ROWS)) {
  test(name, () => {
    const context = contextOf(call, action, resource, {}, STANDING);
    for (const [key, value] of Object.entries(values)) assert.deepEqual(context(key), value, key);
  });
}

test('what the operation gives comes first, in any case; undefined gives nothing', () => {
  const given = { 'kms:ViaService': undefined, 'EC2:Region': 'xx-test-1', 'aws:TagKeys': ['a'] };
  const context = contextOf(user, 'ec2:RunInstances', VOLUME, given, STANDING);
  assert.equal(context('ec2:region'), 'xx-test-1');
  assert.deepEqual(context('aws:tagkeys'), ['a']);
  assert.equal(context('kms:viaservice'), undefined);
});
