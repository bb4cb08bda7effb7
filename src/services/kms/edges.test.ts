/** Edges of the specification that no other test is about: limits, the order of checks, what is not shown. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms } from './test-kms.ts';

const Plaintext = new Uint8Array([1]);

test('kms 3.7: DescribeKey tells nothing of rotation, tags, policy, aliases or grants', async () => {
  await using world = await openKms();
  const { KeyMetadata: before } = await world.as(world.root, 'CreateKey', {});
  const KeyId = before!.KeyId!;
  await world.as(world.root, 'EnableKeyRotation', { KeyId });
  await world.as(world.root, 'TagResource', { KeyId, Tags: [{ TagKey: 'a', TagValue: 'b' }] });
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/a', TargetKeyId: KeyId });
  await world.as(world.root, 'CreateGrant', { KeyId, GranteePrincipal: world.root.arn, Operations: ['Decrypt'] });
  assert.deepEqual((await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata, before);
});

test('kms 11.3, 11.4: no context and an empty one are the same; a context has at most 8192 characters', async () => {
  await using world = await openKms();
  const { KeyId } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const bare = await world.as(world.root, 'Encrypt', { KeyId, Plaintext });
  const empty = await world.as(world.root, 'Encrypt', { KeyId, Plaintext, EncryptionContext: {} });
  await world.as(world.root, 'Decrypt', { CiphertextBlob: bare.CiphertextBlob, EncryptionContext: {} });
  await world.as(world.root, 'Decrypt', { CiphertextBlob: empty.CiphertextBlob });
  const longest = { a: 'x'.repeat(8191) };
  await world.as(world.root, 'Encrypt', { KeyId, Plaintext, EncryptionContext: longest });
  const longer = world.as(world.root, 'Encrypt', { KeyId, Plaintext, EncryptionContext: { ...longest, b: '' } });
  assert.match(await failureOf(longer), /^ValidationException: EncryptionContext/);
});

test('kms 15.7, 15.19: the audit facts of CreateGrant name the grant and never its token', async () => {
  await using world = await openKms();
  const { KeyId } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const call = world.callOf(world.root);
  const request = { KeyId, GranteePrincipal: world.root.arn, Operations: ['Decrypt' as const], Name: 'n' };
  const made = await world.as(world.root, 'CreateGrant', request, call);
  const told = JSON.stringify(call.audit?.facts);
  assert.ok(told.includes(made.GrantId!));
  assert.ok(!told.includes(made.GrantToken!));
});

test('kms 25.1, 30.2: the shape is judged before the key, the key before the right, the right before usage and state', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = (
    await world.as(world.root, 'CreateKey', { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' })
  ).KeyMetadata!;
  await world.as(world.root, 'DisableKey', { KeyId });
  const nobody = await world.makeUser('nobody', []);
  const missing = '1234abcd-12ab-34cd-56ef-1234567890ab';
  const encrypt = (who: typeof nobody, key: string | undefined, bytes = 1) =>
    failureOf(world.as(who, 'Encrypt', { KeyId: key, Plaintext: new Uint8Array(bytes) }));
  assert.match(await encrypt(nobody, missing, 4097), /^ValidationException/);
  assert.match(await encrypt(nobody, missing), /^NotFoundException/);
  assert.match(await encrypt(nobody, KeyId), /^AccessDeniedException/);
  assert.equal(
    await encrypt(world.root, KeyId),
    `InvalidKeyUsageException: ${Arn} key usage is GENERATE_VERIFY_MAC which is not valid for Encrypt.`,
  );
});

test('kms 28.1: fifty aliases on a key, and twenty-five rotations on demand', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const alias = (n: number) => world.as(world.root, 'CreateAlias', { AliasName: `alias/n${n}`, TargetKeyId: KeyId });
  for (let n = 0; n < 50; n++) await alias(n);
  assert.match(await failureOf(alias(50)), /^LimitExceededException/);
  for (let n = 0; n < 25; n++) await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  assert.equal(
    await failureOf(world.as(world.root, 'RotateKeyOnDemand', { KeyId })),
    `LimitExceededException: The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${Arn}`,
  );
});

test('kms 29.1, 29.2: Terraform’s way through a key: each call shows what the one before did', async () => {
  await using world = await openKms();
  const { KeyId } = (await world.as(world.root, 'CreateKey', { Description: 'd' })).KeyMetadata!;
  const described = await world.as(world.root, 'DescribeKey', { KeyId });
  assert.equal(described.KeyMetadata?.Description, 'd');
  await world.as(world.root, 'EnableKeyRotation', { KeyId });
  assert.match((await world.as(world.root, 'GetKeyPolicy', { KeyId })).Policy!, /Enable IAM User Permissions/);
  assert.equal((await world.as(world.root, 'GetKeyRotationStatus', { KeyId })).KeyRotationEnabled, true);
  assert.deepEqual((await world.as(world.root, 'ListResourceTags', { KeyId })).Tags, []);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  assert.equal((await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata?.KeyState, 'PendingDeletion');
});
