import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPolicy, compilePolicy, type PolicyKind, PolicyMalformed } from './document.ts';

const statement = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
const named = { ...statement, Principal: { AWS: '111122223333' } };
const trust = { Effect: 'Allow', Action: 'sts:AssumeRole', Principal: { Service: 'ec2.amazonaws.com' } };
const document = (statements: unknown, more: object = {}) =>
  JSON.stringify({ Version: '2012-10-17', Statement: statements, ...more });

const SYNTAX = 'Syntax errors in policy.';
const VENDOR = 'Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.';

/** Kind, document, and the sentence of the refusal; `undefined` where it may be stored. */
const CASES: readonly (readonly [PolicyKind, string, string | undefined])[] = [
  ['identity', document([statement]), undefined],
  ['identity', document(statement), undefined],
  ['identity', document([statement], { Version: '2008-10-17' }), undefined],
  ['identity', document([]), undefined],
  ['identity', '{', 'This policy contains invalid Json'],
  ['identity', '', 'This policy contains invalid Json'],
  ['identity', '[]', SYNTAX],
  ['identity', '{"Version":"2012-10-17"}', SYNTAX],
  [
    'identity',
    document([statement], { Version: '2020-01-01' }),
    'Policy document must be version 2012-10-17 or greater.',
  ],
  ['identity', document([statement], { Comment: 'x' }), SYNTAX],
  ['identity', document([{ ...statement, Comment: 'x' }]), SYNTAX],
  ['identity', document([{ ...statement, Effect: 'allow' }]), SYNTAX],
  ['identity', document([{ ...statement, NotAction: 'ec2:*' }]), SYNTAX],
  ['identity', document([{ ...statement, NotResource: '*' }]), SYNTAX],
  ['identity', document([{ Effect: 'Allow', Resource: '*' }]), 'Policy statement must contain actions.'],
  ['identity', document([{ Effect: 'Allow', Action: '*' }]), 'Policy statement must contain resources.'],
  ['identity', document([{ ...statement, Action: [] }]), 'Policy statement must contain actions.'],
  ['identity', document([{ ...statement, Action: 'Decrypt' }]), VENDOR],
  ['identity', document([{ ...statement, Action: 'k*:Decrypt' }]), VENDOR],
  ['identity', document([{ ...statement, Action: 7 }]), SYNTAX],
  ['identity', document([{ ...statement, Resource: 'bucket' }]), 'Resource bucket must be in ARN format or "*".'],
  ['identity', document([named]), 'Policy document should not specify a principal.'],
  ['identity', document([{ ...statement, Condition: { StringAlmost: { 'a:b': 'c' } } }]), SYNTAX],
  ['identity', document([{ ...statement, Condition: { NullIfExists: { 'a:b': 'true' } } }]), SYNTAX],
  ['identity', document([{ ...statement, Condition: { NumericEquals: { 'a:b': 'many' } } }]), SYNTAX],
  ['identity', document([{ ...statement, Condition: { IpAddress: { 'aws:SourceIp': '10.0.0.0/33' } } }]), SYNTAX],
  ['identity', document([{ ...statement, Condition: { Bool: { 'a:b': 'maybe' } } }]), SYNTAX],
  ['identity', document([{ ...statement, Condition: [] }]), SYNTAX],
  [
    'identity',
    document([
      { ...statement, Sid: 'a' },
      { ...statement, Sid: 'a' },
    ]),
    'Statement IDs (SID) in a single policy must be unique.',
  ],
  [
    'identity',
    document([{ ...statement, Sid: 'with space' }]),
    'Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*',
  ],
  ['key', document([{ ...named, Sid: 'Enable IAM User Permissions' }], { Id: 'key-default-1' }), undefined],
  ['key', document([{ Effect: 'Allow', Principal: '*' }]), undefined],
  ['key', document([statement]), 'Policy contains a statement with one or more invalid principals.'],
  [
    'key',
    document([{ ...statement, Principal: { AWS: 'arn:aws:iam::111122223333:user/*' } }]),
    'Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:user/*"',
  ],
  [
    'key',
    document([{ ...statement, Principal: { AWS: 'arn:aws:iam::111122223333:group/g' } }]),
    'Invalid principal in policy: "AWS":"arn:aws:iam::111122223333:group/g"',
  ],
  ['key', document([{ ...statement, Principal: 'arn:aws:iam::111122223333:root' }]), SYNTAX],
  ['key', document([{ ...statement, Principal: { User: 'x' } }]), 'Invalid principal in policy: "User":"x"'],
  ['key', document([{ ...statement, Principal: {} }]), SYNTAX],
  [
    'key',
    document([{ ...named, Condition: { 'ForAllValues:StringEquals': { 'kms:EncryptionContext:a': 'b' } } }]),
    'OverlyPermissiveCondition: ForAllValues may not be used with the condition key kms:EncryptionContext:a.',
  ],
  ['trust', document([trust]), undefined],
  ['trust', document([{ ...trust, Action: ['sts:AssumeRole', 'sts:TagSession'] }]), undefined],
  [
    'trust',
    document([{ ...trust, Action: 'ec2:RunInstances' }]),
    'AssumeRole policy may only specify STS AssumeRole actions.',
  ],
  ['trust', document([{ ...trust, Resource: '*' }]), 'Has prohibited field Resource'],
  ['trust', document([{ Effect: 'Allow', Action: 'sts:AssumeRole' }]), 'Missing required field Principal'],
  [
    'trust',
    document([{ Effect: 'Deny', Action: 'sts:AssumeRole', NotPrincipal: { AWS: '*' } }]),
    'AssumeRole policy must not contain NotPrincipal.',
  ],
  ['service-control', document([statement]), undefined],
  ['service-control', document([named]), 'Policy document should not specify a principal.'],
  ['resource-control', document([{ ...statement, Effect: 'Deny', Principal: '*' }]), undefined],
  ['resource-control', document([{ ...statement, Principal: '*' }]), SYNTAX],
];

test(`authz 1.10, 2.7, 3.6, kms 14.5, 14.6, 14.12: what may be stored (${CASES.length} documents)`, () => {
  for (const [kind, text, expected] of CASES) {
    let detail: string | undefined;
    try {
      checkPolicy(text, kind);
    } catch (error) {
      if (!(error instanceof PolicyMalformed)) throw error;
      detail = error.detail;
    }
    assert.equal(detail, expected, `${kind} ${text}`);
  }
});

test('a document is compiled once, and an unreadable one is never skipped', () => {
  const text = document([statement]);
  assert.equal(compilePolicy(text), compilePolicy(text));
  assert.throws(() => compilePolicy('{}'), PolicyMalformed);
  assert.throws(() => compilePolicy('{}'), PolicyMalformed);
});
