/** Key policies through the service (kms §14). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}

test('kms 14.1, 14.2, 14.4, 14.6 to 14.8: key policies: default, display, lockout, and principals that end with their user', async () => {
  await using world = await openKms();
  const ana = await world.makeUser('ana', []);
  const { KeyId, Arn } = await newKey(world);
  const shown = await world.as(world.root, 'GetKeyPolicy', { KeyId });
  assert.equal(shown.PolicyName, 'default');
  assert.deepEqual(JSON.parse(shown.Policy!), {
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${world.account}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });
  assert.deepEqual(await world.as(world.root, 'ListKeyPolicies', { KeyId }), {
    PolicyNames: ['default'],
    Truncated: false,
  });
  const put = (statements: object[], more = {}) => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    return failureOf(world.as(world.root, 'PutKeyPolicy', { KeyId, Policy, ...more }));
  };
  const allow = (AWS: string, Action: string) => ({ Effect: 'Allow', Principal: { AWS }, Action, Resource: '*' });
  assert.equal(
    await put([allow(ana.arn, 'kms:*')]),
    'MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.',
  );
  assert.equal(
    await put([allow(`arn:aws:iam::${world.account}:user/nobody`, 'kms:*')]),
    'MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.',
  );
  assert.match(await put([allow(world.root.arn, 'kms:*')], { PolicyName: 'other' }), /^NotFoundException/);
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') })), /no identity-based policy/);
  assert.equal(await put([allow(world.root.arn, 'kms:*'), allow(ana.arn, 'kms:Encrypt')]), 'succeeded: {}');
  await world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') });
  const after = JSON.parse((await world.as(world.root, 'GetKeyPolicy', { KeyId })).Policy!);
  assert.equal(after.Statement[1].Principal.AWS, ana.arn);
  assert.equal(await put([allow(ana.arn, 'kms:Encrypt')], { BypassPolicyLockoutSafetyCheck: true }), 'succeeded: {}');
  assert.equal(
    await failureOf(world.as(world.root, 'DescribeKey', { KeyId })),
    `AccessDeniedException: User: ${world.root.arn} is not authorized to perform: kms:DescribeKey on resource: ${Arn} because no resource-based policy allows the kms:DescribeKey action`,
  );
});

const statement = (AWS: string | string[], Action: string, more = {}) => ({
  Effect: 'Allow',
  Principal: { AWS },
  Action,
  Resource: '*',
  ...more,
});
const document = (...Statement: object[]) => JSON.stringify({ Version: '2012-10-17', Statement });

test('kms 14.1: one policy, named default, also where the request names none', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const named = await world.as(world.root, 'GetKeyPolicy', { KeyId, PolicyName: 'default' });
  assert.deepEqual(await world.as(world.root, 'GetKeyPolicy', { KeyId }), named);
  assert.match(
    await failureOf(world.as(world.root, 'GetKeyPolicy', { KeyId, PolicyName: 'other' })),
    /^NotFoundException: No such policy exists/,
  );
});

test('kms 14.3, 15.17: the statements that AWS’s console writes: users attach through a service, never directly', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Id: 'key-consolepolicy-3',
    Statement: [
      statement(world.root.arn, 'kms:*', { Sid: 'Enable IAM User Permissions' }),
      {
        ...statement(ana.arn, ''),
        Sid: 'Allow attachment of persistent resources',
        Action: ['kms:CreateGrant', 'kms:ListGrants', 'kms:RevokeGrant'],
        Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
      },
    ],
  });
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy });
  assert.deepEqual(JSON.parse((await world.as(world.root, 'GetKeyPolicy', { KeyId })).Policy!), JSON.parse(Policy));
  const grant = { KeyId, GranteePrincipal: ana.arn, Operations: ['Decrypt' as const] };
  assert.match(await failureOf(world.as(ana, 'CreateGrant', grant)), /^AccessDenied/);
  assert.match(await failureOf(world.as(ana, 'ListGrants', { KeyId })), /^AccessDenied/);
  const viaEc2 = { viaService: 'ec2.eu-central-1.amazonaws.com' };
  const made = await world.as(ana, 'CreateGrant', grant, viaEc2);
  assert.match(await failureOf(world.as(ana, 'RevokeGrant', { KeyId, GrantId: made.GrantId })), /^AccessDenied/);
  await world.as(ana, 'RevokeGrant', { KeyId: Arn, GrantId: made.GrantId }, viaEc2);
});

test('kms 14.4: the statement for root lets policies of the account decide, and by itself permits root alone', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const bare = await world.makeUser('bare', []);
  const able = await world.makeUser('able', [{ Effect: 'Allow', Action: 'kms:Encrypt', Resource: '*' }]);
  const encrypt = (caller: typeof bare) => failureOf(world.as(caller, 'Encrypt', { KeyId, Plaintext: text('x') }));
  assert.match(await encrypt(world.root), /^succeeded/);
  assert.match(await encrypt(able), /^succeeded/);
  assert.match(await encrypt(bare), /no identity-based policy allows/);
  const only = document(statement(bare.arn, 'kms:*'));
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy: only, BypassPolicyLockoutSafetyCheck: true });
  assert.match(await encrypt(bare), /^succeeded/);
  assert.match(await encrypt(able), /no resource-based policy allows/);
});

test('kms 14.5: what a policy may be made of; a statement without resource or action is kept and matches nothing', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const put = (Policy: string) => failureOf(world.as(world.root, 'PutKeyPolicy', { KeyId, Policy }));
  const root = statement(world.root.arn, 'kms:*');
  const open = { Effect: 'Allow', Principal: { AWS: ana.arn } };
  for (const lacking of [
    { ...open, Action: 'kms:*' },
    { ...open, Resource: '*' },
  ]) {
    assert.equal(await put(document(root, lacking)), 'succeeded: {}');
    const { Policy } = await world.as(world.root, 'GetKeyPolicy', { KeyId });
    assert.deepEqual(JSON.parse(Policy!).Statement[1], lacking);
    assert.match(await failureOf(world.as(ana, 'DescribeKey', { KeyId })), /^AccessDenied/);
  }
  assert.equal(await put(document({ ...root, Sid: 'with spaces: and £ sterling' })), 'succeeded: {}');
  assert.match(await put(document({ ...root, Sid: '€' })), /^MalformedPolicyDocumentException/);
  const largest = document(root).padEnd(32_768, ' ');
  assert.equal(await put(largest), 'succeeded: {}');
  assert.match(await put(`${largest} `), /^LimitExceededException/);
});

test('kms 14.7, 14.8: the lockout check looks at the caller, and only its own bypass skips it', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const put = { Effect: 'Allow', Action: ['kms:PutKeyPolicy', 'kms:CreateKey'], Resource: '*' };
  const ana = await world.makeUser('ana', [put]);
  const replace = (caller: typeof ana, Policy: string, more = {}) =>
    failureOf(world.as(caller, 'PutKeyPolicy', { KeyId, Policy, ...more }));
  const lockedOut =
    'MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.';
  // Root delegates to identity policies, which count: ana has one, and bob's policy names him only.
  assert.equal(await replace(ana, document(statement(world.root.arn, 'kms:*'))), 'succeeded: {}');
  const anaOnly = document(statement(ana.arn, 'kms:PutKeyPolicy'));
  assert.equal(await replace(world.root, anaOnly), lockedOut, 'root is not exempt');
  assert.equal(await replace(ana, document(statement(world.root.arn, 'kms:Get*'))), lockedOut);
  assert.equal(await failureOf(world.as(world.root, 'CreateKey', { Policy: anaOnly })), lockedOut);
  const { KeyId: primary } = await newKey(world, { MultiRegion: true });
  const replica = { KeyId: primary, ReplicaRegion: 'us-east-1', Policy: anaOnly };
  assert.equal(await failureOf(world.as(world.root, 'ReplicateKey', replica)), lockedOut);
  assert.equal(await replace(ana, anaOnly), 'succeeded: {}', 'the caller keeps its own way in');
  const BypassPolicyLockoutSafetyCheck = true;
  const malformed = await replace(ana, document({ Effect: 'Allow', Action: 'kms:*', Resource: '*' }), {
    BypassPolicyLockoutSafetyCheck,
  });
  assert.match(malformed, /^MalformedPolicyDocumentException: Policy contains a statement with one or more invalid/);
  assert.equal(
    await replace(ana, document(statement(world.root.arn, 'kms:Get*')), { BypassPolicyLockoutSafetyCheck }),
    'succeeded: {}',
  );
  // The condition key is there only where the parameter was sent.
  const never = { Bool: { 'kms:BypassPolicyLockoutSafetyCheck': 'true' } };
  const bob = await world.makeUser('bob', [put, { ...put, Effect: 'Deny', Condition: never }]);
  assert.match(await failureOf(world.as(bob, 'CreateKey', {})), /^succeeded/);
  assert.match(
    await failureOf(world.as(bob, 'CreateKey', { BypassPolicyLockoutSafetyCheck })),
    /explicit deny in an identity-based policy/,
  );
});

test('kms 14.10: a principal may be named as soon as it was made', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const role = await world.makeRole('fresh');
  const Policy = document(statement(world.root.arn, 'kms:*'), statement(role.arn, 'kms:Encrypt'));
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy });
  assert.match(await failureOf(world.as(role.session, 'Encrypt', { KeyId, Plaintext: text('x') })), /^succeeded/);
});

test('kms 14.11: a policy is replaced whole, in every Region for itself', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world, { MultiRegion: true });
  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: 'us-east-1' });
  await world.jobs.idle();
  const ana = await world.makeUser('ana', []);
  const root = statement(world.root.arn, 'kms:*');
  const shown = async (place = {}) =>
    JSON.parse((await world.as(world.root, 'GetKeyPolicy', { KeyId }, place)).Policy!).Statement.length;
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy: document(root, statement(ana.arn, 'kms:Encrypt')) });
  const east = { region: 'us-east-1' as never };
  assert.deepEqual([await shown(), await shown(east)], [2, 1]);
  await world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') });
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') }, east)), /^AccessDenied/);
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy: document(root) });
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') })), /^AccessDenied/);
});

test('kms 14.13: kms:RetireGrant in a key policy allows nothing, and denies', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const grant = async () => {
    const request = { KeyId, GranteePrincipal: world.root.arn, RetiringPrincipal: ana.arn };
    return (await world.as(world.root, 'CreateGrant', { ...request, Operations: ['Decrypt'] })).GrantId;
  };
  const retire = async (caller: typeof ana) =>
    failureOf(world.as(caller, 'RetireGrant', { KeyId: Arn, GrantId: await grant() }));
  const bob = await world.makeUser('bob', []);
  const root = statement(world.root.arn, 'kms:*');
  const put = (one: object) => world.as(world.root, 'PutKeyPolicy', { KeyId, Policy: document(root, one) });
  await put(statement([ana.arn, bob.arn], 'kms:RetireGrant'));
  assert.match(await retire(bob), /^AccessDenied/);
  assert.match(await retire(ana), /^succeeded/);
  await put(statement(ana.arn, 'kms:RetireGrant', { Effect: 'Deny' }));
  assert.match(await retire(ana), /explicit deny in a resource-based policy/);
});
