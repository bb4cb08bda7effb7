/** ReEncrypt through the service: two keys, two rights (kms §8). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));
const CONTEXT = { 'aws:ebs:id': 'snap-0123456789abcdef0' };

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
}

test('kms 8.5, 8.10: ReEncrypt changes key and context', async () => {
  await using world = await openKms();
  const from = await newKey(world);
  const to = await newKey(world);
  const sealed = await world.as(world.root, 'Encrypt', {
    KeyId: from.KeyId,
    Plaintext: text('x'),
    EncryptionContext: { a: '1' },
  });
  const moved = await world.as(world.root, 'ReEncrypt', {
    CiphertextBlob: sealed.CiphertextBlob,
    SourceEncryptionContext: { a: '1' },
    DestinationKeyId: to.Arn,
    DestinationEncryptionContext: { b: '2' },
  });
  const { CiphertextBlob, ...rest } = moved;
  assert.deepEqual(rest, {
    SourceKeyId: from.Arn,
    KeyId: to.Arn,
    SourceEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    DestinationEncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    SourceKeyMaterialId: from.CurrentKeyMaterialId,
    DestinationKeyMaterialId: to.CurrentKeyMaterialId,
  });
  const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext: { b: '2' } });
  assert.deepEqual(opened.Plaintext, text('x'));
  assert.equal(opened.KeyId, to.Arn);
  const wrong = {
    CiphertextBlob: sealed.CiphertextBlob,
    SourceEncryptionContext: { a: '2' },
    DestinationKeyId: to.Arn,
  };
  assert.equal(await failureOf(world.as(world.root, 'ReEncrypt', wrong)), 'InvalidCiphertextException: ');
});

test('kms 8.10, 16.5: ReEncrypt on one key changes the context, or moves to the current material', async () => {
  await using world = await openKms();
  const { KeyId, Arn, CurrentKeyMaterialId: before } = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  const moved = await world.as(world.root, 'ReEncrypt', {
    CiphertextBlob,
    DestinationKeyId: KeyId,
    DestinationEncryptionContext: CONTEXT,
  });
  assert.deepEqual([moved.SourceKeyId, moved.KeyId, moved.SourceKeyMaterialId], [Arn, Arn, before]);
  assert.notEqual(moved.DestinationKeyMaterialId, before);
  assert.ok(!('Plaintext' in moved));
  const opened = await world.as(world.root, 'Decrypt', {
    CiphertextBlob: moved.CiphertextBlob,
    EncryptionContext: CONTEXT,
  });
  assert.deepEqual([opened.Plaintext, opened.KeyMaterialId], [text('x'), moved.DestinationKeyMaterialId]);
});

test('kms 8.11: each side of ReEncrypt by policy or grant, each with its own context, in any account', async () => {
  await using world = await openKms();
  const from = await newKey(world);
  const to = (await world.as(world.otherRoot, 'CreateKey', {})).KeyMetadata!;
  const EncryptionContext = { side: 'source' };
  const request = { KeyId: from.KeyId, Plaintext: text('x'), EncryptionContext };
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', request);
  const condition = { StringEquals: { 'kms:EncryptionContext:side': 'source' } };
  const ana = await world.makeUser('ana', [
    { Effect: 'Allow', Action: 'kms:ReEncryptFrom', Resource: from.Arn, Condition: condition },
    { Effect: 'Allow', Action: 'kms:ReEncrypt', Resource: '*' },
  ]);
  const move = (DestinationEncryptionContext: Record<string, string>) =>
    failureOf(
      world.as(ana, 'ReEncrypt', {
        CiphertextBlob,
        SourceEncryptionContext: EncryptionContext,
        DestinationKeyId: to.Arn,
        DestinationEncryptionContext,
      }),
    );
  assert.match(await move({}), /^AccessDenied.*kms:ReEncryptTo/, 'there is no action kms:ReEncrypt');
  await world.as(world.otherRoot, 'CreateGrant', {
    KeyId: to.KeyId,
    GranteePrincipal: ana.arn,
    Operations: ['ReEncryptTo'],
    Constraints: { EncryptionContextEquals: { side: 'destination' } },
  });
  assert.match(await move({ side: 'source' }), /^AccessDenied.*kms:ReEncryptTo/);
  assert.match(await move({ side: 'destination' }), /^succeeded/);
});

test('kms 8.12: both keys of ReEncrypt must be usable', async () => {
  await using world = await openKms();
  const [from, to] = [await newKey(world), await newKey(world)];
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: from.KeyId, Plaintext: text('x') });
  const move = () => failureOf(world.as(world.root, 'ReEncrypt', { CiphertextBlob, DestinationKeyId: to.KeyId }));
  for (const key of [from, to]) {
    await world.as(world.root, 'DisableKey', { KeyId: key.KeyId });
    assert.equal(await move(), `DisabledException: ${key.Arn} is disabled.`);
    await world.as(world.root, 'EnableKey', { KeyId: key.KeyId });
  }
  assert.match(await move(), /^succeeded/);
});
