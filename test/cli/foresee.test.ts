/** What the tools foresee of keys, against a real server: its own decisions are the truth they are compared with. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  CreateAccessKeyCommand,
  CreateRoleCommand,
  CreateServiceLinkedRoleCommand,
  CreateUserCommand,
  DeleteRoleCommand,
  IAMClient,
  PutUserPolicyCommand,
} from '@aws-sdk/client-iam';
import { CreateGrantCommand, CreateKeyCommand, KMSClient, PutKeyPolicyCommand } from '@aws-sdk/client-kms';
import { Aws } from '../../cli/aws.ts';
import { mendsOfDenial } from '../../cli/foresee/denial-mends.ts';
import { findKey } from '../../cli/foresee/key.ts';
import { type KeyVerdict, keyAccess } from '../../cli/foresee/key-access.ts';
import { applyMend } from '../../cli/foresee/mend.ts';
import type { EbsKeyAction } from '../../cli/foresee/needs.ts';
import { readPrincipal } from '../../cli/foresee/principal.ts';
import { Views } from '../../cli/foresee/views.ts';
import { type Ingot, startIngot } from '../house/ingot.ts';

const REGION = 'eu-central-1';
const USE: EbsKeyAction[] = ['kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncryptTo', 'kms:CreateGrant'];

let ingot: Ingot;
let root: Aws;
let account: string;
let iam: IAMClient;
let kms: KMSClient;

before(async () => {
  ingot = await startIngot();
  root = new Aws(REGION, await ingot.client());
  ({ account } = await root.identity());
  iam = root.use(IAMClient);
  kms = root.use(KMSClient);
});
after(async () => {
  await ingot[Symbol.asyncDispose]();
});

const delegating = () => ({
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${account}:root` },
  Action: 'kms:*',
  Resource: '*',
});
async function key(...more: object[]): Promise<string> {
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [delegating(), ...more] });
  return (await kms.send(new CreateKeyCommand({ Policy }))).KeyMetadata?.Arn ?? '';
}
async function user(UserName: string, ...statements: object[]): Promise<Aws> {
  await iam.send(new CreateUserCommand({ UserName }));
  const PolicyDocument = JSON.stringify({ Version: '2012-10-17', Statement: statements });
  if (statements.length > 0) await iam.send(new PutUserPolicyCommand({ UserName, PolicyName: 'own', PolicyDocument }));
  const { AccessKey } = await iam.send(new CreateAccessKeyCommand({ UserName }));
  return new Aws(
    REGION,
    await ingot.client(REGION, {
      accessKeyId: AccessKey?.AccessKeyId ?? '',
      secretAccessKey: AccessKey?.SecretAccessKey ?? '',
    }),
  );
}
const allow = (...Action: string[]) => ({ Effect: 'Allow', Action, Resource: '*' });

async function foresee(who: string, keyArn: string, eyes: Aws = root, actions = USE): Promise<KeyVerdict[]> {
  const views = await Views.of(eyes);
  const found = await findKey(views, keyArn, account);
  return keyAccess(views, {
    principal: readPrincipal(who, account),
    key: found.seen && found.value !== 'missing' ? found.value : { arn: keyArn, account: keyArn.split(':')[4] ?? '' },
    actions,
    ebsId: 'vol-00000000000000000',
    sameKey: false,
  });
}
const said = (verdicts: readonly KeyVerdict[]) =>
  verdicts.map((one) => (one.verdict === 'denied' ? `denied by ${one.layer}` : one.verdict));

describe('foreseeing', () => {
  it('a user with and without rights in IAM, and the mend that gives them', async () => {
    const keyArn = await key();
    await user('with', allow('kms:*'));
    await user('without');
    const arn = (name: string) => `arn:aws:iam::${account}:user/${name}`;
    assert.deepEqual(said(await foresee(arn('with'), keyArn)), ['allowed', 'allowed', 'allowed']);
    const verdicts = await foresee(arn('without'), keyArn);
    assert.deepEqual(said(verdicts), Array(3).fill('denied by identity'));
    const [denied] = verdicts;
    assert.ok(denied?.verdict === 'denied');
    const views = await Views.of(root);
    const [mend, ...more] = await mendsOfDenial(views, { denied, side: 'target', keyAccount: account });
    assert.ok(mend && more.length === 0);
    assert.match(mend.commands, /^aws iam put-user-policy --user-name without --policy-name /);
    assert.match(mend.terraform ?? '', /resource "aws_iam_user_policy"/);
    await applyMend(views, mend);
    assert.deepEqual(said(await foresee(arn('without'), keyArn)), ['allowed', 'allowed', 'allowed']);
  });

  it('P-12: a service-linked role that only the key policy can name', async () => {
    await iam.send(new CreateServiceLinkedRoleCommand({ AWSServiceName: 'autoscaling.amazonaws.com' }));
    const keyArn = await key();
    const [denied, ...rest] = await foresee('autoscaling', keyArn);
    assert.ok(denied?.verdict === 'denied', JSON.stringify([denied, ...rest]));
    const views = await Views.of(root);
    const [mend] = await mendsOfDenial(views, { denied, side: 'target', keyAccount: account });
    assert.equal(mend?.kind, 'key-policy-statement');
    await applyMend(views, mend!);
    assert.deepEqual(said(await foresee('autoscaling', keyArn)), ['allowed', 'allowed', 'allowed']);
  });

  it('K-12, K-11: conditions that calls of EBS cannot meet are told as such', async () => {
    const statement = (Sid: string, Condition: object) => ({
      Sid,
      Effect: 'Deny',
      Principal: '*',
      Action: 'kms:CreateGrant',
      Resource: '*',
      Condition,
    });
    await user('office', allow('kms:*'));
    const who = `arn:aws:iam::${account}:user/office`;
    const fenced = await key(statement('OnlyFromTheOffice', { NotIpAddress: { 'aws:SourceIp': '192.0.2.0/24' } }));
    const verdict = (await foresee(who, fenced, root, ['kms:CreateGrant']))[0];
    assert.ok(verdict?.verdict === 'denied');
    assert.deepEqual(
      verdict.hindrances.map(({ sid, condition, unmeetable }) => [sid, condition, unmeetable]),
      [['OnlyFromTheOffice', 'aws:sourceip', true]],
    );
    const views = await Views.of(root);
    const [mend] = await mendsOfDenial(views, { denied: verdict, side: 'target', keyAccount: account });
    assert.equal(mend?.kind, 'narrow-deny');
    await applyMend(views, mend!);
    assert.deepEqual(said(await foresee(who, fenced, root, ['kms:CreateGrant'])), ['allowed']);
  });

  it('P-14: the unique id of a role that is gone is recognized', async () => {
    const trust = { Effect: 'Allow', Principal: { Service: 'ec2.amazonaws.com' }, Action: 'sts:AssumeRole' };
    const create = new CreateRoleCommand({
      RoleName: 'node',
      AssumeRolePolicyDocument: JSON.stringify({ Version: '2012-10-17', Statement: trust }),
    });
    const { Role } = await iam.send(create);
    const keyArn = await key({ ...delegating(), Principal: { AWS: Role?.Arn } });
    assert.deepEqual(said(await foresee(Role?.Arn ?? '', keyArn)), ['allowed', 'allowed', 'allowed']);
    await iam.send(new DeleteRoleCommand({ RoleName: 'node' }));
    await iam.send(create);
    const [denied] = await foresee(Role?.Arn ?? '', keyArn);
    assert.ok(denied?.verdict === 'denied');
    assert.deepEqual(denied.stale, [Role?.RoleId]);
  });

  it('kms 15.4, 15.5: a grant to a service, or for a service’s resource, lets no principal of an account', async () => {
    await user('ungranted');
    const who = `arn:aws:iam::${account}:user/ungranted`;
    const KeyId = await key();
    const grant = {
      KeyId,
      RetiringServicePrincipal: 'logs.amazonaws.com',
      Operations: ['GenerateDataKeyWithoutPlaintext' as const],
    };
    const Constraints = { SourceArn: `arn:aws:logs:${REGION}:${account}:log-group:a` };
    await kms.send(new CreateGrantCommand({ ...grant, GranteeServicePrincipal: 'logs.amazonaws.com', Constraints }));
    await kms.send(new CreateGrantCommand({ ...grant, GranteePrincipal: who, Constraints }));
    const asked: EbsKeyAction[] = ['kms:GenerateDataKeyWithoutPlaintext'];
    assert.deepEqual(said(await foresee(who, KeyId, root, asked)), ['denied by identity']);
    await kms.send(new CreateGrantCommand({ ...grant, GranteePrincipal: who }));
    assert.deepEqual(said(await foresee(who, KeyId, root, asked)), ['allowed']);
  });

  it('a condition that only the call can meet leaves open what it decides, and nothing else', async () => {
    const mfa = { Bool: { 'aws:MultiFactorAuthPresent': 'true' } };
    const keyArn = await key();
    const ask = async (name: string, ...statements: object[]) => {
      await user(name, ...statements);
      return foresee(`arn:aws:iam::${account}:user/${name}`, keyArn, root, ['kms:CreateGrant']);
    };
    const [open] = await ask('only-with-mfa', { ...allow('kms:*'), Condition: mfa });
    assert.ok(open?.verdict === 'unknown');
    assert.deepEqual([open.depends, open.unseen], [['aws:multifactorauthpresent'], []]);
    const beside = { ...allow('kms:Decrypt', 'kms:CreateGrant'), Condition: mfa };
    assert.deepEqual(said(await ask('with-mfa-too', allow('kms:*'), beside)), ['allowed']);
    const deny = { ...allow('kms:*'), Effect: 'Deny' };
    assert.deepEqual(said(await ask('denied-anyway', { ...allow('kms:*'), Condition: mfa }, deny)), [
      'denied by identity',
    ]);
    const without = { BoolIfExists: { 'aws:MultiFactorAuthPresent': 'false' } };
    assert.deepEqual(said(await ask('denied-without', allow('kms:*'), { ...deny, Condition: without })), ['unknown']);
  });

  it('what cannot be seen is unknown, with the permission that is wanted; a simulation may stand in for policies', async () => {
    const keyArn = await key();
    const blind = await user('blind', allow('kms:DescribeKey'));
    const who = `arn:aws:iam::${account}:user/blind`;
    const verdicts = await foresee(who, keyArn, blind);
    assert.deepEqual(said(verdicts), ['unknown', 'unknown', 'unknown']);
    const wants = verdicts.flatMap((one) =>
      one.verdict === 'unknown' ? one.unseen.map(({ wants: want }) => want) : [],
    );
    assert.ok(wants.includes('kms:GetKeyPolicy') && wants.includes('iam:GetUser'), wants.join());
    const rights = ['kms:DescribeKey', 'kms:GetKeyPolicy', 'kms:ListGrants', 'organizations:*'];
    const half = await user('half', allow(...rights, 'iam:GetUser', 'iam:SimulatePrincipalPolicy'));
    assert.deepEqual(
      said(await foresee(`arn:aws:iam::${account}:user/half`, keyArn, half)),
      Array(3).fill('denied by identity'),
    );
  });

  it('a document that was changed meanwhile is not overwritten', async () => {
    const keyArn = await key();
    const [denied] = await foresee('autoscaling', keyArn);
    assert.ok(denied?.verdict === 'denied');
    const views = await Views.of(root);
    const [mend] = await mendsOfDenial(views, { denied, side: 'target', keyAccount: account });
    const Policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [delegating(), { ...delegating(), Sid: 'New' }],
    });
    await kms.send(new PutKeyPolicyCommand({ KeyId: keyArn, Policy }));
    await assert.rejects(applyMend(views, mend!), /changed meanwhile/);
  });
});
