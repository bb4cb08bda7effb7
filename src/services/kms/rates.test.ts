/** Rates of calls, where an installation imposes them (kms §28). The clock stands unless a test moves it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Caller } from '../../authz/caller.ts';
import { Refusal } from '../../errors.ts';
import type { Arn, Region } from '../../ids.ts';
import { launchFailure } from '../../instances/reasons.ts';
import { Rates } from '../../keys/rates.ts';
import { ec2ServiceCall } from '../../volumes/data-keys.ts';
import { failureOf, openKms, START, type World } from './test-kms.ts';
import { MESSAGE } from './test-requests.ts';

const THROTTLED =
  'ThrottlingException: You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.';
const SECOND_MS = 1000;

/** How many calls of a second are let through, counted by a clock that stands. */
function countOf(
  call: World['callOf'] extends (...args: never[]) => infer Call ? Call : never,
  take: (rates: Rates) => void,
) {
  const rates = new Rates(() => START);
  let count = 0;
  for (;;) {
    try {
      take(rates);
      count += 1;
    } catch (error) {
      assert.ok(error instanceof Refusal && error.reason === 'throttled', String(error));
      return count;
    }
    assert.ok(count <= 200_000, `${call.region} has no bound`);
  }
}

test('kms 28.2: cryptographic calls share a rate by kind of key, and symmetric ones by Region', async () => {
  await using world = await openKms();
  for (const [region, symmetric] of [
    ['us-east-1', 100_000],
    ['us-west-2', 100_000],
    ['eu-west-1', 100_000],
    ['us-east-2', 20_000],
    ['ap-southeast-1', 20_000],
    ['ap-southeast-2', 20_000],
    ['ap-northeast-1', 20_000],
    ['eu-central-1', 20_000],
    ['eu-west-2', 20_000],
    ['eu-north-1', 10_000],
  ] as const) {
    const call = world.callOf(world.root, { region: region as Region });
    let turn = 0;
    const mixed = (rates: Rates) => {
      turn += 1;
      if (turn % 3 === 0) rates.countCall(call, 'GenerateRandom');
      else rates.countUse(call, turn % 3 === 1 ? 'HMAC_256' : 'SYMMETRIC_DEFAULT');
    };
    assert.equal(countOf(call, mixed), symmetric, region);
    for (const spec of ['RSA_2048', 'ECC_NIST_P384', 'ML_DSA_65'] as const) {
      assert.equal(
        countOf(call, (rates) => rates.countUse(call, spec)),
        1000,
        spec,
      );
    }
  }
});

test('kms 28.3: data key pairs, by their kind', async () => {
  await using world = await openKms();
  const call = world.callOf(world.root);
  for (const [kind, rate] of [
    ['rsa-2048', 20],
    ['rsa-3072', 4],
    ['rsa-4096', 1],
    ['p-256', 100],
    ['ed25519', 100],
  ] as const) {
    assert.equal(
      countOf(call, (rates) => rates.countPair(call, kind)),
      rate,
      kind,
    );
  }
  const kinds = ['p-256', 'p-384', 'secp256k1'] as const;
  let turn = 0;
  assert.equal(
    countOf(call, (rates) => rates.countPair(call, kinds[turn++ % 3]!)),
    100,
    'all curves together',
  );
});

/** kms 28.4 */
const OPERATIONS: readonly [perSecond: number, operations: string][] = [
  [
    5,
    'CreateKey CreateAlias EnableKey DisableKey CancelKeyDeletion UpdateAlias UntagResource UpdateKeyDescription ReplicateKey RotateKeyOnDemand GetKeyLastUsage',
  ],
  [10, 'TagResource'],
  [15, 'PutKeyPolicy ScheduleKeyDeletion DeleteAlias EnableKeyRotation ImportKeyMaterial'],
  [50, 'CreateGrant RetireGrant RevokeGrant'],
  [100, 'ListGrants ListRetirableGrants ListKeyPolicies ListKeyRotations'],
  [500, 'ListKeys ListAliases'],
  [1000, 'GetKeyPolicy GetKeyRotationStatus'],
  [2000, 'DescribeKey GetPublicKey ListResourceTags'],
  [1, 'GetParametersForImport'],
];

test('kms 28.4: every operation has its own rate', async () => {
  await using world = await openKms();
  const call = world.callOf(world.root);
  for (const [perSecond, operations] of OPERATIONS) {
    for (const operation of operations.split(' ')) {
      assert.ok(operation in world.service.operations, operation);
      assert.equal(
        countOf(call, (rates) => rates.countCall(call, operation)),
        perSecond,
        operation,
      );
    }
  }
});

test('kms 28.6: the sixth key of a second is refused, and a fifth of a second later it is made', async () => {
  await using world = await openKms({ throttled: true });
  const create = (caller = world.root, place = {}) => failureOf(world.as(caller, 'CreateKey', {}, place));
  for (let turn = 0; turn < 5; turn++) assert.match(await create(), /^succeeded/);
  assert.equal(await create(), THROTTLED);
  assert.match(await create(world.otherRoot), /^succeeded/, 'each account has its own');
  assert.match(await create(world.root, { region: 'us-east-1' as Region }), /^succeeded/, 'in each Region');
  assert.match(await failureOf(world.as(world.root, 'ListKeys', {})), /^succeeded/, 'each operation has its own');
  const nobody = await world.makeUser('nobody', []);
  assert.equal(await create(nobody), THROTTLED, 'before it is asked who may');
  await world.pass(SECOND_MS / 5);
  assert.match(await create(), /^succeeded/);
  assert.equal(await create(), THROTTLED);
  await world.pass(60 * SECOND_MS);
  for (let turn = 0; turn < 5; turn++) assert.match(await create(), /^succeeded/);
  assert.equal(await create(), THROTTLED, 'no more than a second is saved');
});

test('kms 28.2, 28.3, 28.6: cryptographic operations count where their key is found, data key pairs by their kind', async () => {
  await using world = await openKms({ throttled: true });
  const { KeyId } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const signing = { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const;
  const { KeyId: signs } = (await world.as(world.root, 'CreateKey', signing)).KeyMetadata!;
  const request = { KeyId: signs, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' } as const;
  let signed = 0;
  for (;;) {
    const answer = await failureOf(world.as(world.root, 'Sign', request));
    if (answer === THROTTLED) break;
    signed += 1;
  }
  assert.equal(signed, 1000);
  assert.match(await failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext: MESSAGE })), /^succeeded/);
  const pair = (KeyPairSpec: 'RSA_4096' | 'ECC_NIST_P256') =>
    failureOf(world.as(world.root, 'GenerateDataKeyPair', { KeyId, KeyPairSpec }));
  assert.match(await pair('RSA_4096'), /^succeeded/);
  assert.equal(await pair('RSA_4096'), THROTTLED);
  assert.match(await pair('ECC_NIST_P256'), /^succeeded/);
});

test('kms 28.5: what EC2 does for a user counts with the user’s account, and use of a key with its user, not its owner', async () => {
  await using world = await openKms({ throttled: true });
  const statement = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
  const Principal = { AWS: [world.root.arn, world.otherRoot.arn] };
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement: [{ ...statement, Principal }] });
  const key = (await world.as(world.root, 'CreateKey', { Policy })).KeyMetadata!.Arn as Arn;
  const grant = { granteePrincipal: 'ec2.eu-central-1.amazonaws.com', operations: ['Decrypt'] };
  const viaEc2 = (caller: Caller) => world.callOf(caller, { viaService: 'ec2.eu-central-1.amazonaws.com' });
  const give = (caller: Caller) => world.onBehalf.createGrant(viaEc2(caller), key, grant, async () => {});
  for (let turn = 0; turn < 50; turn++) await give(world.otherRoot);
  await assert.rejects(give(world.otherRoot), (error) => error instanceof Refusal && error.reason === 'throttled');
  const direct = { KeyId: key, GranteePrincipal: world.root.arn, Operations: ['Decrypt' as const] };
  assert.equal(await failureOf(world.as(world.otherRoot, 'CreateGrant', direct)), THROTTLED);
  assert.match(await failureOf(world.as(world.root, 'CreateGrant', direct)), /^succeeded/);
  const place = { account: world.other, region: world.callOf(world.root).region, limit: 1 };
  const [event] = await world.audit.lookUp({ ...place, attribute: { key: 'EventName', value: 'CreateGrant' } });
  assert.equal(JSON.parse(event!.document).errorCode, 'ThrottlingException');
});

test('kms 28.6: a clock that is set back keeps nobody waiting until it has caught up', async () => {
  await using world = await openKms();
  let now = START;
  const rates = new Rates(() => now);
  const call = world.callOf(world.root);
  rates.countCall(call, 'CreateKey');
  now = new Date(START.getTime() - 3600 * SECOND_MS);
  rates.countCall(call, 'CreateKey');
  now = new Date(now.getTime() + SECOND_MS);
  for (let turn = 0; turn < 5; turn++) rates.countCall(call, 'CreateKey');
  assert.throws(() => rates.countCall(call, 'CreateKey'), { reason: 'throttled' });
});

test('kms 28.5: an account that has used up its calls does not keep EC2 from giving its grants back', async () => {
  await using world = await openKms({ throttled: true });
  const key = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!.Arn as Arn;
  const principal = 'ec2.eu-central-1.amazonaws.com';
  const grant = { granteePrincipal: principal, retiringPrincipal: principal, operations: ['Decrypt'] };
  let id = '';
  const call = world.callOf(world.root, { viaService: principal });
  await world.onBehalf.createGrant(call, key, grant, async (_tx, grantId) => {
    id = grantId;
  });
  const retire = { KeyId: key, GrantId: '0'.repeat(64) };
  for (let turn = 0; turn < 50; turn++) await failureOf(world.as(world.root, 'RetireGrant', retire));
  assert.equal(await failureOf(world.as(world.root, 'RetireGrant', retire)), THROTTLED);
  const { accountId } = world.root;
  await world.onBehalf.retireGrant(ec2ServiceCall(accountId, 'eu-central-1' as Region, START), key, id);
  assert.deepEqual((await world.as(world.root, 'ListGrants', { KeyId: key })).Grants, []);
});

test('kms 28.5: a launch that KMS throttles is tried again, and not taken for one whose key is wrong', () => {
  assert.equal(launchFailure(new Refusal('throttled')), undefined);
  assert.equal(launchFailure(new Refusal('key-not-found'))!.reason.code, 'Client.InvalidKMSKey.InvalidState');
});

test('kms 28.6: without the setting nothing is refused', async () => {
  await using world = await openKms();
  assert.equal(world.keys.isThrottled, false);
  for (let turn = 0; turn < 12; turn++) await world.as(world.root, 'CreateKey', {});
});
