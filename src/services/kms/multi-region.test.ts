/** Multi-Region keys (kms §18). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Region } from '../../ids.ts';
import { failureOf, openKms, REGION, type World } from './test-kms.ts';

const WEST = { region: 'eu-west-1' as Region };
const EAST = { region: 'us-east-1' as Region };
const DAY_MS = 86_400_000;
const text = (value: string) => new Uint8Array(Buffer.from(value));

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', { MultiRegion: true })).KeyMetadata!;
}
async function replicate(world: World, KeyId: string, { region }: { region: Region }) {
  const answer = await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: region });
  await world.jobs.idle();
  return answer;
}
const describe = async (world: World, KeyId: string, place = {}) =>
  (await world.as(world.root, 'DescribeKey', { KeyId }, place)).KeyMetadata!;

test('kms 2.1, 3.5, 18.1: a new multi-Region key is a primary without replicas', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  assert.match(key.KeyId!, /^mrk-[0-9a-f]{32}$/);
  assert.equal(key.MultiRegion, true);
  assert.deepEqual(key.MultiRegionConfiguration, {
    MultiRegionKeyType: 'PRIMARY',
    PrimaryKey: { Arn: key.Arn, Region: REGION },
    ReplicaKeys: [],
  });
  assert.equal(
    await failureOf(world.as(world.root, 'DescribeKey', { KeyId: key.KeyId }, WEST)).then((it) => it.split(':')[0]),
    'NotFoundException',
  );
});

test('kms 18.2, 18.3: ReplicateKey answers a key in the making; what is shared and what is its own', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const KeyId = key.KeyId!;
  await world.as(world.root, 'TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: '1' }] });
  await world.as(world.root, 'UpdateKeyDescription', { KeyId, Description: 'first' });
  const replica = key.Arn!.replace(REGION, WEST.region);
  const made = await world.as(world.root, 'ReplicateKey', {
    KeyId,
    ReplicaRegion: WEST.region,
    Tags: [{ TagKey: 'b', TagValue: '2' }],
  });
  assert.deepEqual(made.ReplicaTags, [{ TagKey: 'b', TagValue: '2' }]);
  assert.match(made.ReplicaPolicy!, /Enable IAM User Permissions/);
  const { CreationDate: _, ...metadata } = made.ReplicaKeyMetadata!;
  assert.deepEqual(metadata, {
    AWSAccountId: world.account,
    KeyId,
    Arn: replica,
    Enabled: false,
    Description: '',
    KeyUsage: 'ENCRYPT_DECRYPT',
    KeyState: 'Creating',
    Origin: 'AWS_KMS',
    KeyManager: 'CUSTOMER',
    CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
    KeySpec: 'SYMMETRIC_DEFAULT',
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    MultiRegion: true,
    MultiRegionConfiguration: {
      MultiRegionKeyType: 'REPLICA',
      PrimaryKey: { Arn: key.Arn, Region: REGION },
      ReplicaKeys: [{ Arn: replica, Region: WEST.region }],
    },
  });
  await world.jobs.idle();
  const now = await describe(world, KeyId, WEST);
  assert.deepEqual([now.KeyState, now.CurrentKeyMaterialId], ['Enabled', key.CurrentKeyMaterialId]);
  const primary = await describe(world, KeyId);
  assert.deepEqual(primary.MultiRegionConfiguration?.ReplicaKeys, [{ Arn: replica, Region: WEST.region }]);
  const place = { account: world.account, region: WEST.region, limit: 10 };
  const attribute = { key: 'EventName', value: 'SynchronizeMultiRegionKey' } as const;
  assert.equal((await world.audit.lookUp({ ...place, attribute })).length, 1);
});

test('kms 18.6, 8.9: ciphertext opens in every Region of its key and in no other; state is each key’s own', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  await replicate(world, KeyId!, WEST);
  const EncryptionContext = { a: '1' };
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x'), EncryptionContext });
  const replica = Arn!.replace(REGION, WEST.region);
  for (const named of [{}, { KeyId: replica }]) {
    const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext, ...named }, WEST);
    assert.deepEqual([opened.Plaintext, opened.KeyId], [text('x'), replica]);
  }
  assert.match(
    await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext }, EAST)),
    /^AccessDeniedException: The ciphertext refers to a customer master key that does not exist/,
  );
  const back = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('y') }, WEST);
  const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob: back.CiphertextBlob });
  assert.deepEqual([opened.Plaintext, opened.KeyId], [text('y'), Arn]);
  await world.as(world.root, 'DisableKey', { KeyId });
  assert.match(await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext })), /^Disabled/);
  await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext }, WEST);
});

test('kms 18.4: what cannot be replicated', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const single = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  await replicate(world, KeyId!, WEST);
  const into = (ReplicaRegion: string, key = KeyId, place = {}) =>
    failureOf(world.as(world.root, 'ReplicateKey', { KeyId: key, ReplicaRegion }, place));
  const replica = Arn!.replace(REGION, WEST.region);
  assert.equal(
    await into(EAST.region, single.KeyId),
    `UnsupportedOperationException: ${single.Arn} is not a multi-region primary key.`,
  );
  assert.equal(
    await into(EAST.region, KeyId, WEST),
    `UnsupportedOperationException: ${replica} is not a multi-region primary key.`,
  );
  assert.match(await into(WEST.region), /^AlreadyExistsException/);
  assert.match(await into(REGION), /^AlreadyExistsException/);
  assert.match(await into('mars-1'), /^ValidationException: ReplicaRegion mars-1 is not a Region/);
  await world.as(world.root, 'DisableKey', { KeyId });
  assert.equal(await into(EAST.region), `DisabledException: ${Arn} is disabled.`);
});

test('kms 18.5: replicating takes two rights, and UpdatePrimaryRegion one on both keys, each with its condition keys', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const only = (Action: string, Condition: object) => ({ Effect: 'Allow', Action, Resource: '*', Condition });
  const equals = (name: string, value: string) => ({ StringEquals: { [name]: value } });
  const half = await world.makeUser('half', [only('kms:ReplicateKey', equals('kms:ReplicaRegion', WEST.region))]);
  const wrong = await world.makeUser('wrong', [
    only('kms:ReplicateKey', equals('kms:ReplicaRegion', EAST.region)),
    only('kms:CreateKey', {}),
  ]);
  const ana = await world.makeUser('ana', [
    only('kms:ReplicateKey', equals('kms:MultiRegionKeyType', 'PRIMARY')),
    only('kms:CreateKey', {
      StringEquals: { 'kms:MultiRegionKeyType': 'REPLICA', 'aws:RequestedRegion': WEST.region },
    }),
  ]);
  const request = { KeyId, ReplicaRegion: WEST.region };
  assert.match(await failureOf(world.as(half, 'ReplicateKey', request)), /^AccessDenied.*kms:CreateKey/);
  assert.match(await failureOf(world.as(wrong, 'ReplicateKey', request)), /^AccessDenied.*kms:ReplicateKey/);
  await world.as(ana, 'ReplicateKey', request);
  await world.jobs.idle();
  const move = { KeyId, PrimaryRegion: WEST.region };
  const here = await world.makeUser('here', [only('kms:UpdatePrimaryRegion', equals('aws:RequestedRegion', REGION))]);
  assert.match(
    await failureOf(world.as(here, 'UpdatePrimaryRegion', move)),
    /^AccessDenied.*UpdatePrimaryRegion.*eu-west-1/,
  );
  const both = await world.makeUser('both', [
    only('kms:UpdatePrimaryRegion', equals('kms:PrimaryRegion', WEST.region)),
  ]);
  await world.as(both, 'UpdatePrimaryRegion', move);
});

test('kms 18.7, 16.9: the role of the primary moves, and the rotation schedule with it', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  await replicate(world, KeyId!, WEST);
  await replicate(world, KeyId!, EAST);
  await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  const replicaArn = Arn!.replace(REGION, WEST.region);
  for (const operation of ['EnableKeyRotation', 'DisableKeyRotation', 'RotateKeyOnDemand'] as const) {
    assert.match(
      await failureOf(world.as(world.root, operation, { KeyId }, WEST)),
      new RegExp(`^UnsupportedOperationException: ${replicaArn}`),
    );
  }
  const shown = await world.as(world.root, 'GetKeyRotationStatus', { KeyId }, WEST);
  assert.deepEqual([shown.KeyRotationEnabled, shown.RotationPeriodInDays], [true, 90]);

  assert.deepEqual(await world.as(world.root, 'UpdatePrimaryRegion', { KeyId, PrimaryRegion: WEST.region }), {});
  const after = await describe(world, KeyId!);
  assert.deepEqual(after.MultiRegionConfiguration, {
    MultiRegionKeyType: 'REPLICA',
    PrimaryKey: { Arn: replicaArn, Region: WEST.region },
    ReplicaKeys: [
      { Arn, Region: REGION },
      { Arn: Arn!.replace(REGION, EAST.region), Region: EAST.region },
    ],
  });
  assert.match(
    await failureOf(world.as(world.root, 'UpdatePrimaryRegion', { KeyId, PrimaryRegion: EAST.region })),
    /is not a multi-region primary key/,
  );
  assert.match(await failureOf(world.as(world.root, 'EnableKeyRotation', { KeyId })), /replica key/);
  // The schedule goes on in the new primary's Region, once, and reaches all.
  for (let day = 0; day < 91; day++) await world.pass(DAY_MS);
  const lists = [];
  for (const place of [{}, WEST, EAST]) {
    const all = { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' } as const;
    const { Rotations } = await world.as(world.root, 'ListKeyRotations', all, place);
    lists.push(Rotations!.map((entry) => [entry.KeyMaterialId, entry.KeyMaterialState, entry.RotationType]));
  }
  assert.equal(lists[0]!.length, 2);
  assert.deepEqual(lists[1], lists[0]);
  assert.deepEqual(lists[2], lists[0]);
});

test('kms 16.9, 18.2: a rotation reaches every Region, also a replica in the making; older ciphertext still opens', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  await replicate(world, KeyId!, WEST);
  const before = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('before') });
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: EAST.region });
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  await world.jobs.idle();
  const after = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('after') });
  const ids = [];
  for (const place of [{}, WEST, EAST]) {
    ids.push((await describe(world, KeyId!, place)).CurrentKeyMaterialId);
    for (const [sealed, word] of [
      [before, 'before'],
      [after, 'after'],
    ] as const) {
      const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob: sealed.CiphertextBlob }, place);
      assert.deepEqual(opened.Plaintext, text(word));
    }
  }
  assert.equal(new Set(ids).size, 1);
});

test('kms 18.8: a primary waits for its replicas to be gone before its own waiting time begins', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  await replicate(world, KeyId!, WEST);
  const scheduled = await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  assert.deepEqual([scheduled.KeyState, scheduled.DeletionDate], ['PendingReplicaDeletion', undefined]);
  const waiting = await describe(world, KeyId!);
  assert.deepEqual(
    [waiting.KeyState, waiting.PendingDeletionWindowInDays, waiting.DeletionDate],
    ['PendingReplicaDeletion', 7, undefined],
  );
  assert.match(
    await failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') })),
    /is pending deletion/,
  );
  await world.as(world.root, 'CancelKeyDeletion', { KeyId });
  assert.equal((await describe(world, KeyId!)).KeyState, 'Disabled');
  assert.equal((await describe(world, KeyId!)).PendingDeletionWindowInDays, undefined);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  for (let day = 0; day < 10; day++) await world.pass(DAY_MS);
  assert.equal((await describe(world, KeyId!)).KeyState, 'PendingReplicaDeletion');
  // A replica can be deleted alone.
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 8 }, WEST);
  for (let day = 0; day < 8; day++) await world.pass(DAY_MS);
  assert.match(await failureOf(world.as(world.root, 'DescribeKey', { KeyId }, WEST)), /^NotFoundException/);
  const now = await describe(world, KeyId!);
  assert.deepEqual(
    [now.KeyState, now.DeletionDate?.getTime(), now.MultiRegionConfiguration?.ReplicaKeys],
    ['PendingDeletion', world.clock().getTime() + 7 * DAY_MS, []],
  );
  for (let day = 0; day < 7; day++) await world.pass(DAY_MS);
  assert.match(await failureOf(world.as(world.root, 'DescribeKey', { KeyId })), /^NotFoundException/);
});

test('kms 18.3: a primary with HMAC or a key pair has the same in every Region', async () => {
  await using world = await openKms();
  const kind = { MultiRegion: true, KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' } as const;
  const { KeyId } = (await world.as(world.root, 'CreateKey', kind)).KeyMetadata!;
  await replicate(world, KeyId!, WEST);
  const here = await world.as(world.root, 'GetPublicKey', { KeyId });
  const there = await world.as(world.root, 'GetPublicKey', { KeyId }, WEST);
  assert.deepEqual(there.PublicKey, here.PublicKey);
});

test('kms 18.9: EBS takes a multi-Region key as a key of its Region: what it wrapped opens by that key only', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const replica = (await replicate(world, KeyId!, WEST)).ReplicaKeyMetadata!.Arn!;
  const ec2 = (place: object) => world.callOf(world.root, { viaService: `ec2.${REGION}.amazonaws.com`, ...place });
  const found = await world.onBehalf.resolve(ec2({}), KeyId!);
  assert.deepEqual([found?.arn, found?.usableByEbs], [Arn, true]);
  const context = { 'aws:ebs:id': 'vol-0123456789abcdef0' };
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(ec2({}), Arn as never, 64, context);
  const again = await world.onBehalf.reEncrypt(
    ec2({}),
    { keyArn: Arn as never, wrapped, context },
    { keyArn: Arn as never, context: { 'aws:ebs:id': 'snap-0123456789abcdef0' } },
  );
  assert.notDeepEqual(again, wrapped);
  assert.equal((await world.onBehalf.resolve(ec2(WEST), KeyId!))?.arn, replica);
});
