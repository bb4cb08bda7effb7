/** The policy simulator through the official SDK: the same evaluator, over policies and contexts that are given. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as iam from '@aws-sdk/client-iam';
import { type OpenIdentity, openIdentity } from './front-door.ts';

const policy = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });
const allow = (Action: string | string[], Resource = '*', more: object = {}) => ({
  Effect: 'Allow',
  Action,
  Resource,
  ...more,
});
const deny = (Action: string, Resource = '*') => ({ Effect: 'Deny', Action, Resource });

async function simulateCustom(open: OpenIdentity, input: Partial<iam.SimulateCustomPolicyCommandInput>) {
  const client = open.iam(open.root);
  const { EvaluationResults = [] } = await client.send(
    new iam.SimulateCustomPolicyCommand({ PolicyInputList: [], ActionNames: [], ...input }),
  );
  return EvaluationResults;
}

describe('SimulateCustomPolicy', () => {
  const key = 'arn:aws:kms:us-east-1:111122223333:key/k';
  const ann = 'arn:aws:iam::111122223333:user/ann';
  const named = policy({ Effect: 'Allow', Principal: { AWS: ann }, Action: 'kms:*', Resource: '*' });
  const delegating = policy({ Effect: 'Allow', Principal: { AWS: '111122223333' }, Action: 'kms:*', Resource: '*' });
  const inRegion = allow('ec2:*', '*', { Condition: { StringEquals: { 'aws:RequestedRegion': 'eu-west-1' } } });
  const entry = (name: string, type: iam.ContextKeyTypeEnum, ...values: string[]) => ({
    ContextKeyName: name,
    ContextKeyType: type,
    ContextKeyValues: values,
  });
  const rows: readonly [string, Partial<iam.SimulateCustomPolicyCommandInput>, string, string[]?][] = [
    ['nothing allows', { PolicyInputList: [policy(allow('ec2:RunInstances'))] }, 'implicitDeny'],
    ['a statement allows', { PolicyInputList: [policy(allow('kms:Dec*'))] }, 'allowed'],
    ['a deny wins (authz 1.1)', { PolicyInputList: [policy(allow('*')), policy(deny('kms:*'))] }, 'explicitDeny'],
    [
      'a boundary limits (authz 1.5)',
      { PolicyInputList: [policy(allow('*'))], PermissionsBoundaryPolicyInputList: [policy(allow('s3:*'))] },
      'implicitDeny',
    ],
    [
      'a condition has no value',
      { PolicyInputList: [policy(inRegion)], ActionNames: ['ec2:RunInstances'] },
      'implicitDeny',
      ['aws:RequestedRegion'],
    ],
    [
      'a condition holds',
      {
        PolicyInputList: [policy(inRegion)],
        ActionNames: ['ec2:RunInstances'],
        ContextEntries: [entry('AWS:requestedregion', 'string', 'eu-west-1')],
      },
      'allowed',
    ],
    [
      'a condition on a list holds',
      {
        PolicyInputList: [
          policy(
            allow('*', '*', { Condition: { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Decrypt'] } } }),
          ),
        ],
        ContextEntries: [entry('kms:GrantOperations', 'stringList', 'Decrypt')],
      },
      'allowed',
    ],
    [
      'a condition on a list does not hold',
      {
        PolicyInputList: [
          policy(
            allow('*', '*', { Condition: { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Decrypt'] } } }),
          ),
        ],
        ContextEntries: [entry('kms:GrantOperations', 'stringList', 'Decrypt', 'Encrypt')],
      },
      'implicitDeny',
    ],
    [
      'a key policy names the caller (authz 6.9)',
      { ResourceArns: [key], ResourcePolicy: named, CallerArn: ann, ResourceOwner: 'arn:aws:iam::111122223333:root' },
      'allowed',
    ],
    [
      'a key policy only delegates (authz 6.9)',
      { ResourceArns: [key], ResourcePolicy: delegating, CallerArn: ann, ResourceOwner: '111122223333' },
      'implicitDeny',
    ],
    [
      'a key policy delegates, an identity policy allows (authz 6.9)',
      {
        PolicyInputList: [policy(allow('kms:*'))],
        ResourceArns: [key],
        ResourcePolicy: delegating,
        CallerArn: ann,
        ResourceOwner: '111122223333',
      },
      'allowed',
    ],
    [
      'another account’s key admits, no identity policy (authz 6.3)',
      { ResourceArns: [key], ResourcePolicy: named, CallerArn: ann, ResourceOwner: '444455556666' },
      'implicitDeny',
    ],
  ];
  test('decides as a real request would be', async (context) => {
    await using open = await openIdentity();
    for (const [name, input, expected, missing = []] of rows) {
      await context.test(name, async () => {
        const [result, ...more] = await simulateCustom(open, { ActionNames: ['kms:Decrypt'], ...input });
        assert.deepEqual(more, []);
        assert.equal(result?.EvalDecision, expected);
        assert.deepEqual(result?.MissingContextValues, missing);
      });
    }
  });

  test('names the statements that decide, by list and position', async () => {
    await using open = await openIdentity();
    const second = `{\n  "Version": "2012-10-17",\n  "Statement": [\n    {"Effect":"Allow","Action":"kms:*","Resource":"*"}\n  ]\n}`;
    const [result] = await simulateCustom(open, {
      PolicyInputList: [policy(allow('ec2:*')), second],
      ActionNames: ['kms:Decrypt'],
    });
    assert.deepEqual(result?.MatchedStatements, [
      {
        SourcePolicyId: 'PolicyInputList.2',
        SourcePolicyType: 'none',
        StartPosition: { Line: 4, Column: 5 },
        EndPosition: { Line: 4, Column: 55 },
      },
    ]);
  });

  test('answers every action on every resource, in pages', async () => {
    await using open = await openIdentity();
    const client = open.iam(open.root);
    const seen: string[] = [];
    let Marker: string | undefined;
    do {
      const page: iam.SimulatePolicyResponse = await client.send(
        new iam.SimulateCustomPolicyCommand({
          PolicyInputList: [policy(allow('kms:Decrypt', `${key}1`), allow('kms:Encrypt', '*'))],
          ActionNames: ['kms:Decrypt', 'kms:Encrypt'],
          ResourceArns: [`${key}1`, `${key}2`],
          MaxItems: 3,
          Marker,
        }),
      );
      for (const {
        EvalActionName,
        EvalResourceName,
        EvalDecision,
        ResourceSpecificResults,
      } of page.EvaluationResults!) {
        seen.push(`${EvalActionName} ${EvalResourceName?.at(-1)} ${EvalDecision}`);
        assert.equal(ResourceSpecificResults?.[0]?.EvalResourceDecision, EvalDecision);
      }
      Marker = page.Marker;
    } while (Marker);
    assert.deepEqual(seen, [
      'kms:Decrypt 1 allowed',
      'kms:Decrypt 2 implicitDeny',
      'kms:Encrypt 1 allowed',
      'kms:Encrypt 2 allowed',
    ]);
  });

  test('refuses what it cannot judge', async (context) => {
    await using open = await openIdentity();
    const wrong: readonly [string, Partial<iam.SimulateCustomPolicyCommandInput>][] = [
      ['a policy that is none', { PolicyInputList: ['{}'] }],
      ['an action without service', { ActionNames: ['Decrypt'] }],
      ['a resource that is no ARN', { ResourceArns: ['key/k'] }],
      ['a resource policy without caller', { ResourcePolicy: named }],
      ['a role as caller', { CallerArn: 'arn:aws:iam::111122223333:role/r' }],
      ['a value without type', { ContextEntries: [{ ContextKeyName: 'a:b', ContextKeyValues: ['x'] }] }],
      ['two values of a single-valued type', { ContextEntries: [entry('a:b', 'string', 'x', 'y')] }],
    ];
    for (const [name, input] of wrong) {
      await context.test(name, () =>
        assert.rejects(simulateCustom(open, { ActionNames: ['kms:Decrypt'], ...input }), {
          name: 'InvalidInputException',
        }),
      );
    }
  });
});

describe('SimulatePrincipalPolicy', () => {
  test('judges inline, attached and group policies, the boundary, and says where they come from', async () => {
    await using open = await openIdentity();
    const client = open.iam(open.root);
    const { User } = await client.send(new iam.CreateUserCommand({ UserName: 'ana' }));
    await client.send(new iam.CreateGroupCommand({ GroupName: 'keys' }));
    await client.send(new iam.AddUserToGroupCommand({ GroupName: 'keys', UserName: 'ana' }));
    const put = { PolicyName: 'own', PolicyDocument: policy(allow('ec2:*', '*')) };
    await client.send(new iam.PutUserPolicyCommand({ UserName: 'ana', ...put }));
    const forOwn = policy(allow('kms:Decrypt', `arn:aws:kms:*:*:key/\${aws:username}`));
    await client.send(
      new iam.PutGroupPolicyCommand({ GroupName: 'keys', PolicyName: 'named', PolicyDocument: forOwn }),
    );
    const readOnly = 'arn:aws:iam::aws:policy/ReadOnlyAccess';
    await client.send(new iam.AttachUserPolicyCommand({ UserName: 'ana', PolicyArn: readOnly }));
    const simulate = async (ActionNames: string[], more: object = {}) => {
      const { EvaluationResults = [] } = await client.send(
        new iam.SimulatePrincipalPolicyCommand({ PolicySourceArn: User!.Arn!, ActionNames, ...more }),
      );
      return EvaluationResults.map(({ EvalDecision, MatchedStatements = [], PermissionsBoundaryDecisionDetail }) => [
        EvalDecision,
        ...MatchedStatements.map(({ SourcePolicyId, SourcePolicyType }) => `${SourcePolicyType} ${SourcePolicyId}`),
        ...(PermissionsBoundaryDecisionDetail ? [PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary] : []),
      ]);
    };
    assert.deepEqual(await simulate(['ec2:RunInstances']), [['allowed', 'user own']]);
    assert.deepEqual(await simulate(['ec2:DescribeImages']), [['allowed', 'user own', `aws-managed ${readOnly}`]]);
    const ResourceArns = ['arn:aws:kms:us-east-1:111122223333:key/ana', 'arn:aws:kms:us-east-1:111122223333:key/bob'];
    assert.deepEqual(await simulate(['kms:Decrypt'], { ResourceArns }), [['allowed', 'group named'], ['implicitDeny']]);

    const { Policy } = await client.send(
      new iam.CreatePolicyCommand({ PolicyName: 'limit', PolicyDocument: policy(allow('kms:*')) }),
    );
    const PermissionsBoundary = Policy!.Arn!;
    await client.send(new iam.PutUserPermissionsBoundaryCommand({ UserName: 'ana', PermissionsBoundary }));
    assert.deepEqual(await simulate(['ec2:RunInstances']), [['implicitDeny', false]]);
    assert.deepEqual(await simulate(['kms:ListKeys']), [
      ['allowed', `aws-managed ${readOnly}`, `user-managed ${PermissionsBoundary}`, true],
    ]);

    const { ContextKeyNames } = await client.send(
      new iam.GetContextKeysForPrincipalPolicyCommand({
        PolicySourceArn: User!.Arn!,
        PolicyInputList: [policy(allow('*', '*', { Condition: { Bool: { 'aws:SecureTransport': true } } }))],
      }),
    );
    assert.deepEqual(ContextKeyNames, ['aws:SecureTransport', 'aws:username']);
  });

  test('refuses principals that are not there, and those of other accounts', async () => {
    await using open = await openIdentity();
    const client = open.iam(open.root);
    const ask = (PolicySourceArn: string) =>
      client.send(new iam.SimulatePrincipalPolicyCommand({ PolicySourceArn, ActionNames: ['kms:Decrypt'] }));
    await assert.rejects(ask(`arn:aws:iam::${open.managementAccount}:user/none`), { name: 'NoSuchEntityException' });
    await assert.rejects(ask('arn:aws:iam::111122223333:user/x'), { name: 'InvalidInputException' });
    await assert.rejects(ask('user/some-name-long-enough'), { name: 'InvalidInputException' });
  });
});
