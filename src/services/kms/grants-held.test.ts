/** What a grant does as long as it is there, what it never does, and how it is asked for (kms §15). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import type { Caller } from '../../authz/caller.ts';
import type { KeysTables } from '../../keys/tables.ts';
import { failureOf, openKms, type World } from './test-kms.ts';

const Plaintext = new Uint8Array([1]);
const YEAR_MS = 365 * 86_400_000;

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}
const grantTo = (world: World, KeyId: string | undefined, GranteePrincipal: string, more = {}) =>
  world.as(world.root, 'CreateGrant', { KeyId, GranteePrincipal, Operations: ['Encrypt'], ...more });

test('kms 15.1: a grant is for one key and one grantee, and no deny of any policy gives way to it', async () => {
  await using world = await openKms();
  const [one, two] = [await newKey(world), await newKey(world)];
  const ana = await world.makeUser('ana', []);
  const barred = await world.makeUser('barred', [{ Effect: 'Deny', Action: 'kms:Encrypt', Resource: '*' }]);
  for (const user of [ana, barred]) await grantTo(world, one.KeyId, user.arn);
  const encrypt = (user: Caller, KeyId: string | undefined) =>
    failureOf(world.as(user, 'Encrypt', { KeyId, Plaintext }));
  assert.match(await encrypt(ana, one.KeyId), /^succeeded/);
  assert.match(await encrypt(ana, two.KeyId), /^AccessDenied/);
  assert.match(await encrypt(barred, one.KeyId), /explicit deny in an identity-based policy/);
  const Statement = [
    { Effect: 'Allow', Principal: { AWS: world.root.arn }, Action: 'kms:*', Resource: '*' },
    { Effect: 'Deny', Principal: { AWS: ana.arn }, Action: 'kms:Encrypt', Resource: '*' },
  ];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await world.as(world.root, 'PutKeyPolicy', { KeyId: one.KeyId, Policy });
  assert.match(await encrypt(ana, one.KeyId), /explicit deny in a resource-based policy/);
});

test('kms 15.4: grantees are accounts, users, roles and sessions; no group, no wildcard, nobody who is not there', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const eve = await world.makeUser('eve', [], world.other);
  const role = await world.makeRole('builder');
  for (const grantee of [ana.arn, eve.arn, role.arn, role.session.arn, world.root.arn, world.otherRoot.arn]) {
    assert.match(await failureOf(grantTo(world, KeyId, grantee)), /^succeeded/, grantee);
    const retiring = { RetiringPrincipal: grantee };
    assert.match(await failureOf(grantTo(world, KeyId, ana.arn, retiring)), /^succeeded/, grantee);
  }
  const iam = `arn:aws:iam::${world.account}`;
  for (const none of [`${iam}:group/g`, `${iam}:user/*`, `${iam}:user/none`, `${iam}:role/none`, '*', 'ana']) {
    assert.match(await failureOf(grantTo(world, KeyId, none)), /^InvalidArnException/, none);
    assert.match(await failureOf(grantTo(world, KeyId, ana.arn, { RetiringPrincipal: none })), /^InvalidArnException/);
  }
});

test('kms 15.5: constraints match names and values exactly, in at most eight pairs of 384 characters', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const pairs = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`name${at}`, 'x'.repeat(384)]));
  const cases: [string, object, Record<string, string>, boolean][] = [
    ['a', { EncryptionContextEquals: { a: '1' } }, { a: '1' }, true],
    ['b', { EncryptionContextEquals: { a: '1' } }, { a: '1', b: '2' }, false],
    ['c', { EncryptionContextEquals: { a: '1' } }, { A: '1' }, false],
    ['d', { EncryptionContextSubset: { a: 'x' } }, { a: 'X' }, false],
    ['e', { EncryptionContextSubset: { a: 'x' } }, { a: 'x', b: '2' }, true],
    ['f', { EncryptionContextSubset: pairs }, pairs, true],
  ];
  for (const [name, Constraints, EncryptionContext, allowed] of cases) {
    const user = await world.makeUser(name, []);
    await grantTo(world, KeyId, user.arn, { Constraints });
    const answer = await failureOf(world.as(user, 'Encrypt', { KeyId, Plaintext, EncryptionContext }));
    assert.match(answer, allowed ? /^succeeded/ : /^AccessDenied/, JSON.stringify([Constraints, EncryptionContext]));
  }
});

test('kms 15.6: constraints are not asked of DescribeKey and RetireGrant', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const { GrantId } = await grantTo(world, KeyId, ana.arn, {
    Operations: ['DescribeKey', 'RetireGrant', 'Decrypt'],
    Constraints: { EncryptionContextEquals: { a: '1' } },
  });
  assert.match(await failureOf(world.as(ana, 'DescribeKey', { KeyId })), /^succeeded/);
  assert.match(await failureOf(world.as(ana, 'RetireGrant', { KeyId: Arn, GrantId })), /^succeeded/);
});

test('kms 15.7, 15.11: tokens are many, work for their grantee only, and a grant works without one at once', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const bob = await world.makeUser('bob', []);
  const made = [];
  for (let turn = 0; turn < 3; turn++) made.push(await grantTo(world, KeyId, ana.arn, { Name: 'again' }));
  assert.equal(new Set(made.map((one) => one.GrantId)).size, 1);
  assert.equal(new Set(made.map((one) => one.GrantToken)).size, 3);
  for (const { GrantToken } of [...made, { GrantToken: undefined }]) {
    const request = { KeyId, Plaintext, ...(GrantToken ? { GrantTokens: [GrantToken] } : {}) };
    assert.match(await failureOf(world.as(ana, 'Encrypt', request)), /^succeeded/);
    assert.match(await failureOf(world.as(bob, 'Encrypt', request)), /^AccessDenied/);
  }
});

test('kms 15.9: whoever may create grants by policy gives what it does not have; condition keys bound that', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const Condition = { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Encrypt'] } };
  const giver = await world.makeUser('giver', [
    { Effect: 'Allow', Action: 'kms:CreateGrant', Resource: '*', Condition },
  ]);
  const ana = await world.makeUser('ana', []);
  const give = (Operations: ('Encrypt' | 'Decrypt')[]) =>
    failureOf(world.as(giver, 'CreateGrant', { KeyId, GranteePrincipal: ana.arn, Operations }));
  assert.match(await give(['Decrypt']), /^AccessDenied/);
  assert.match(await give(['Encrypt']), /^succeeded/);
  assert.match(await failureOf(world.as(giver, 'Encrypt', { KeyId, Plaintext })), /^AccessDenied/);
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext })), /^succeeded/);
});

test('kms 15.13, 23.1: unknown and malformed grant ids, and revoking from another account', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const revoke = (GrantId: string | undefined, caller = world.root) =>
    failureOf(world.as(caller, 'RevokeGrant', { KeyId: Arn, GrantId }));
  const unknown = 'f'.repeat(64);
  assert.equal(await revoke(unknown), `NotFoundException: Grant ID ${unknown} not found`);
  assert.match(await revoke('x'.repeat(129)), /^ValidationException: .*'grantId'/);
  assert.equal(await revoke('x'), 'InvalidGrantIdException: The grant ID x is not valid.');
  const Statement = [world.root.arn, world.otherRoot.arn].map((AWS) => ({
    Effect: 'Allow',
    Principal: { AWS },
    Action: 'kms:*',
    Resource: '*',
  }));
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  await world.as(world.root, 'PutKeyPolicy', { KeyId, Policy });
  const { GrantId } = await grantTo(world, KeyId, world.root.arn);
  assert.equal(await revoke(GrantId, world.otherRoot), 'succeeded: {}');
});

test('kms 15.14: a grant without a name shows an empty one; ListGrants takes a policy', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  await grantTo(world, KeyId, ana.arn, { Operations: ['Encrypt', 'DescribeKey', 'CreateGrant'] });
  const { Grants } = await world.as(world.root, 'ListGrants', { KeyId });
  assert.equal(Grants?.[0]?.Name, '');
  assert.equal(Grants?.[0]?.Constraints, undefined);
  assert.match(await failureOf(world.as(ana, 'ListGrants', { KeyId })), /^AccessDenied/);
});

test('kms 15.15: what a principal of the account may retire, on keys of every account, in this Region', async () => {
  await using world = await openKms();
  const ours = await newKey(world);
  const theirs = (await world.as(world.otherRoot, 'CreateKey', {})).KeyMetadata!;
  const east = { region: 'us-east-1' as never };
  const there = (await world.as(world.root, 'CreateKey', {}, east)).KeyMetadata!;
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:ListRetirableGrants', Resource: '*' }]);
  const grant = { GranteePrincipal: world.otherRoot.arn, RetiringPrincipal: ana.arn, Operations: ['Decrypt' as const] };
  await world.as(world.root, 'CreateGrant', { KeyId: ours.KeyId, ...grant });
  await world.as(world.otherRoot, 'CreateGrant', { KeyId: theirs.KeyId, ...grant });
  await world.as(world.root, 'CreateGrant', { KeyId: there.KeyId, ...grant }, east);
  const list = (caller: Caller, RetiringPrincipal?: string) =>
    world.as(caller, 'ListRetirableGrants', { RetiringPrincipal });
  const { Grants } = await list(ana, ana.arn);
  assert.deepEqual(Grants?.map((one) => one.KeyId).sort(), [ours.Arn, theirs.Arn].sort());
  assert.match(await failureOf(list(ana)), /^ValidationException: RetiringPrincipal is required/);
  assert.match(await failureOf(list(ana, world.otherRoot.arn)), /^InvalidArnException/);
  const bob = await world.makeUser('bob', []);
  assert.match(await failureOf(list(bob, bob.arn)), /^AccessDenied/);
});

test('kms 15.16, 15.18: grants outlast time, have ids of their own, and are at most 50,000 on a key', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  await grantTo(world, KeyId, ana.arn);
  await world.pass(5 * YEAR_MS);
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext })), /^succeeded/);
  await world.db.write(async (tx) => {
    const filler = sql`with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${49_998})
      insert into keys_grant (key_arn, grant_id, grantee, issuing_account, operations, constraints, created_at)
      select ${Arn}, 'filler-' || n, grantee, issuing_account, operations, constraints, created_at
      from numbers, (select * from keys_grant limit 1)`;
    await filler.execute(tx.as<KeysTables>());
  });
  await grantTo(world, KeyId, ana.arn);
  assert.match(await failureOf(grantTo(world, KeyId, ana.arn)), /^LimitExceededException: The key .* has 50000 grants/);
});

test('kms 15.19: the trail shows whom a grant is for, who may retire it and under which constraints', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const ana = await world.makeUser('ana', []);
  const request = {
    KeyId,
    GranteePrincipal: ana.arn,
    RetiringPrincipal: world.root.arn,
    Operations: ['Encrypt' as const],
    Constraints: { EncryptionContextSubset: { a: '1' } },
  };
  const call = world.callOf(world.root);
  const { GrantId } = await world.as(world.root, 'CreateGrant', request, call);
  assert.deepEqual(call.audit?.facts.requestParameters, {
    keyId: KeyId,
    granteePrincipal: ana.arn,
    retiringPrincipal: world.root.arn,
    operations: ['Encrypt'],
    constraints: { encryptionContextSubset: { a: '1' } },
  });
  assert.deepEqual(call.audit?.facts.responseElements, { grantId: GrantId, keyId: Arn });
});
