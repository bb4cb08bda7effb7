/** What stays and what goes when a key rotates, waits, ends or moves (kms §3, §4, §6, §16 to §19). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CreateKeyCommandInput } from '@aws-sdk/client-kms';
import type { Region } from '../../ids.ts';
import { STATES } from '../../keys/states.ts';
import { failureOf, openKms, START, type World } from './test-kms.ts';
import { forceState, prepare } from './test-requests.ts';

const DAY_MS = 86_400_000;
const EAST = { region: 'us-east-1' as Region };
const Plaintext = new Uint8Array([1]);

async function newKey(world: World, input: CreateKeyCommandInput = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}
const describe = async (world: World, KeyId: string | undefined, place = {}) =>
  (await world.as(world.root, 'DescribeKey', { KeyId }, place)).KeyMetadata!;

test('kms 3.3, 4.1: a key is enabled in its one state, and has its dates where they mean something', async () => {
  await using world = await openKms();
  const key = await prepare(world, 'symmetric');
  for (const state of STATES) {
    await forceState(world, key, state);
    const shown = await describe(world, key.id);
    assert.equal(shown.KeyState, state);
    assert.equal(shown.Enabled, state === 'Enabled');
    assert.equal('DeletionDate' in shown, state === 'PendingDeletion');
    assert.equal('PendingDeletionWindowInDays' in shown, false);
    assert.equal('ExpirationModel' in shown || 'ValidTo' in shown, false);
  }
});

test('kms 4.4, 17.7: deleting the material of a key that waits for its end leaves it waiting', async () => {
  await using world = await openKms();
  const { id: KeyId } = await prepare(world, 'imported');
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId });
  assert.equal((await describe(world, KeyId)).KeyState, 'PendingDeletion');
});

test('kms 6.4, 16.5: what a key is never changes; rotation changes its material and nothing else', async () => {
  await using world = await openKms();
  const made = await newKey(world, { MultiRegion: true, Description: 'd', Tags: [{ TagKey: 'a', TagValue: '1' }] });
  const { KeyId } = made;
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: KeyId });
  const grant = { KeyId, GranteePrincipal: world.root.arn, Operations: ['Decrypt' as const] };
  await world.as(world.root, 'CreateGrant', grant);
  const around = async () => [
    await world.as(world.root, 'GetKeyPolicy', { KeyId }),
    await world.as(world.root, 'ListAliases', { KeyId }),
    await world.as(world.root, 'ListGrants', { KeyId }),
    await world.as(world.root, 'ListResourceTags', { KeyId }),
  ];
  const before = await around();
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  const { CurrentKeyMaterialId: old, ...rest } = made;
  const { CurrentKeyMaterialId: fresh, ...rotated } = await describe(world, KeyId);
  assert.notEqual(fresh, old);
  assert.deepEqual(rotated, rest);
  assert.deepEqual(await around(), before);

  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: EAST.region });
  await world.jobs.idle();
  await world.as(world.root, 'UpdatePrimaryRegion', { KeyId, PrimaryRegion: EAST.region });
  await world.as(world.root, 'DisableKey', { KeyId });
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  await world.as(world.root, 'CancelKeyDeletion', { KeyId });
  const after = await describe(world, KeyId);
  for (const member of ['KeySpec', 'KeyUsage', 'Origin', 'MultiRegion'] as const) {
    assert.equal(after[member], made[member], member);
  }
});

test('kms 16.1: which keys rotate by themselves', async () => {
  await using world = await openKms();
  const enable = (KeyId: string | undefined) => failureOf(world.as(world.root, 'EnableKeyRotation', { KeyId }));
  for (const [input, expected] of [
    [{}, /^succeeded/],
    [{ KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' }, /^UnsupportedOperationException: $/],
    [{ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' }, /^UnsupportedOperationException: $/],
    [{ Origin: 'EXTERNAL' }, /^UnsupportedOperationException: .* origin is EXTERNAL which is not valid/],
  ] as [CreateKeyCommandInput, RegExp][]) {
    assert.match(await enable((await newKey(world, input)).KeyId), expected);
  }
});

test('kms 16.2, 16.3: the schedule has a period of 90 to 2560 days, can be set again, and ends without a trace', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const set = (RotationPeriodInDays?: number) =>
    failureOf(world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays }));
  const status = () => world.as(world.root, 'GetKeyRotationStatus', { KeyId });
  assert.equal(await set(), 'succeeded: {}');
  const enabled = (days: number) => ({
    KeyId: Arn,
    KeyRotationEnabled: true,
    RotationPeriodInDays: days,
    NextRotationDate: new Date(START.getTime() + days * DAY_MS),
  });
  assert.deepEqual(await status(), enabled(365));
  for (const days of [90, 2560]) {
    assert.equal(await set(days), 'succeeded: {}');
    assert.deepEqual(await status(), enabled(days));
  }
  for (const days of [89, 2561]) assert.match(await set(days), /^ValidationException: .*'rotationPeriodInDays'/);
  for (let turn = 0; turn < 2; turn++) {
    assert.deepEqual(await world.as(world.root, 'DisableKeyRotation', { KeyId }), {});
    assert.deepEqual(await status(), { KeyId: Arn, KeyRotationEnabled: false });
  }
  const hmac = await newKey(world, { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
  assert.deepEqual(await world.as(world.root, 'GetKeyRotationStatus', { KeyId: hmac.KeyId }), {
    KeyId: hmac.Arn,
    KeyRotationEnabled: false,
  });
});

test('kms 16.7: entries of rotations; the first material is none', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  assert.deepEqual((await world.as(world.root, 'ListKeyRotations', { KeyId })).Rotations, []);
  await world.pass(DAY_MS);
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  const { Rotations } = await world.as(world.root, 'ListKeyRotations', { KeyId, IncludeKeyMaterial: 'ROTATIONS_ONLY' });
  const { CurrentKeyMaterialId } = await describe(world, KeyId);
  assert.deepEqual(Rotations, [
    {
      KeyId: Arn,
      KeyMaterialId: CurrentKeyMaterialId,
      KeyMaterialState: 'CURRENT',
      RotationDate: new Date(START.getTime() + DAY_MS),
      RotationType: 'ON_DEMAND',
    },
  ]);
});

test('kms 16.4: a schedule rests while its key waits for its end, and goes on when that is taken back', async () => {
  await using world = await openKms();
  const { KeyId, CurrentKeyMaterialId } = await newKey(world);
  await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  await world.pass(80 * DAY_MS);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  for (let day = 0; day < 20; day++) await world.pass(DAY_MS);
  assert.equal((await describe(world, KeyId)).CurrentKeyMaterialId, CurrentKeyMaterialId);
  await world.as(world.root, 'CancelKeyDeletion', { KeyId });
  assert.equal((await world.as(world.root, 'GetKeyRotationStatus', { KeyId })).KeyRotationEnabled, true);
  await world.as(world.root, 'EnableKey', { KeyId });
  assert.notEqual((await describe(world, KeyId)).CurrentKeyMaterialId, CurrentKeyMaterialId);
});

test('kms 18.1: a set has one primary and one key in each Region, and is decided when it is made', async () => {
  await using world = await openKms();
  const single = await newKey(world);
  assert.equal(single.MultiRegion, false);
  assert.equal('MultiRegionConfiguration' in single, false);
  const { KeyId, Arn } = await newKey(world, { MultiRegion: true });
  for (const region of ['us-east-1', 'eu-west-1']) {
    await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: region });
    await world.jobs.idle();
    assert.match(
      await failureOf(world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: region })),
      /^AlreadyExists/,
    );
  }
  for (const region of ['eu-central-1', 'us-east-1', 'eu-west-1']) {
    const shown = await describe(world, KeyId, { region: region as Region });
    const { MultiRegionKeyType, PrimaryKey, ReplicaKeys } = shown.MultiRegionConfiguration!;
    assert.equal(MultiRegionKeyType, region === 'eu-central-1' ? 'PRIMARY' : 'REPLICA');
    assert.deepEqual([PrimaryKey?.Arn, ReplicaKeys?.length], [Arn, 2]);
    assert.equal(shown.AWSAccountId, world.account);
  }
});

test('kms 18.2, 18.3: what each Region’s key has for itself, from the first moment on', async () => {
  await using world = await openKms();
  const { KeyId, CurrentKeyMaterialId } = await newKey(world, {
    MultiRegion: true,
    Description: 'here',
    Tags: [{ TagKey: 'here', TagValue: '1' }],
  });
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: KeyId });
  const grant = { KeyId, GranteePrincipal: world.root.arn, Operations: ['Decrypt' as const] };
  await world.as(world.root, 'CreateGrant', grant);
  await world.as(world.root, 'DisableKey', { KeyId });
  await world.as(world.root, 'EnableKey', { KeyId });
  const Description = 'there';
  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: EAST.region, Description });
  await world.jobs.idle();
  const there = await describe(world, KeyId, EAST);
  assert.deepEqual([there.Description, there.CurrentKeyMaterialId], ['there', CurrentKeyMaterialId]);
  assert.deepEqual((await world.as(world.root, 'ListAliases', { KeyId }, EAST)).Aliases, []);
  assert.deepEqual((await world.as(world.root, 'ListGrants', { KeyId }, EAST)).Grants, []);
  assert.deepEqual((await world.as(world.root, 'ListResourceTags', { KeyId }, EAST)).Tags, []);
  await world.as(world.root, 'DisableKey', { KeyId }, EAST);
  assert.equal((await describe(world, KeyId)).Enabled, true);
});

test('kms 18.7: moving the primary takes two enabled keys', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world, { MultiRegion: true });
  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: EAST.region });
  await world.jobs.idle();
  const move = () => failureOf(world.as(world.root, 'UpdatePrimaryRegion', { KeyId, PrimaryRegion: EAST.region }));
  await world.as(world.root, 'DisableKey', { KeyId });
  assert.equal(await move(), `DisabledException: ${Arn} is disabled.`);
  await world.as(world.root, 'EnableKey', { KeyId });
  await world.as(world.root, 'DisableKey', { KeyId }, EAST);
  assert.equal(await move(), `DisabledException: ${Arn?.replace('eu-central-1', EAST.region)} is disabled.`);
  await world.as(world.root, 'EnableKey', { KeyId }, EAST);
  assert.equal(await move(), 'succeeded: {}');
});

test('kms 19.1, 19.2, 19.6: the waiting time is 7 to 30 days, 30 where none is given, also for policies', async () => {
  await using world = await openKms();
  const Condition = { NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' } };
  const ana = await world.makeUser('ana', [
    { Effect: 'Allow', Action: 'kms:ScheduleKeyDeletion', Resource: '*', Condition },
  ]);
  for (const [days, caller, expected] of [
    [6, world.root, /^ValidationException: .*'pendingWindowInDays'.*greater than or equal to 7$/],
    [31, world.root, /^ValidationException: .*'pendingWindowInDays'.*less than or equal to 30$/],
    [7, world.root, /^succeeded/],
    [29, ana, /^AccessDenied/],
    [undefined, ana, /^succeeded/],
  ] as const) {
    const { KeyId, Arn } = await newKey(world);
    const answer = world.as(caller, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: days });
    assert.match(await failureOf(answer), expected);
    if (!String(expected).includes('succeeded')) continue;
    assert.deepEqual(await answer, {
      KeyId: Arn,
      DeletionDate: new Date(START.getTime() + (days ?? 30) * DAY_MS),
      KeyState: 'PendingDeletion',
      PendingWindowInDays: days ?? 30,
    });
  }
});

test('kms 19.3, 19.4: a deletion that was taken back leaves a key that must be enabled; one that happened leaves none', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext });
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  assert.deepEqual(await world.as(world.root, 'CancelKeyDeletion', { KeyId }), { KeyId: Arn });
  assert.match(await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob })), /^DisabledException/);
  await world.as(world.root, 'EnableKey', { KeyId });
  assert.deepEqual((await world.as(world.root, 'Decrypt', { CiphertextBlob })).Plaintext, Plaintext);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  for (let day = 0; day < 8; day++) await world.pass(DAY_MS);
  for (const operation of ['DescribeKey', 'CancelKeyDeletion', 'ListGrants'] as const) {
    assert.equal(
      await failureOf(world.as(world.root, operation, { KeyId })),
      `NotFoundException: Key '${Arn}' does not exist`,
    );
  }
  assert.match(
    await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob })),
    /^AccessDeniedException: The ciphertext refers to a customer master key that does not exist/,
  );
});
