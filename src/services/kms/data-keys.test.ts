/** Data keys, random bytes and dry runs through the service (kms §9, §22). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));
const CONTEXT = { 'aws:ebs:id': 'snap-0123456789abcdef0' };

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
}

test('kms 9.1 to 9.3: data keys of every size, with and without plaintext, open by Decrypt', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  for (const [size, length] of [
    [{ KeySpec: 'AES_128' }, 16],
    [{ KeySpec: 'AES_256' }, 32],
    [{ NumberOfBytes: 64 }, 64],
    [{ NumberOfBytes: 1024 }, 1024],
  ] as const) {
    const input = { KeyId: key.KeyId, EncryptionContext: CONTEXT, ...size };
    const made = await world.as(world.root, 'GenerateDataKey', input);
    assert.equal(made.Plaintext?.byteLength, length);
    assert.equal(made.KeyMaterialId, key.CurrentKeyMaterialId);
    const { CiphertextBlob } = made;
    const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext: CONTEXT });
    assert.deepEqual(opened.Plaintext, made.Plaintext);
    const hidden = await world.as(world.root, 'GenerateDataKeyWithoutPlaintext', input);
    assert.deepEqual(Object.keys(hidden).sort(), ['CiphertextBlob', 'KeyId', 'KeyMaterialId']);
    const again = { CiphertextBlob: hidden.CiphertextBlob, EncryptionContext: CONTEXT };
    assert.equal((await world.as(world.root, 'Decrypt', again)).Plaintext?.byteLength, length);
  }
  assert.equal((await world.as(world.root, 'GenerateRandom', { NumberOfBytes: 33 })).Plaintext?.byteLength, 33);
});

test('kms 9.4, 8.11: the rights to make data keys and to re-encrypt are distinct', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const allow = (Action: string) => ({ Effect: 'Allow', Action, Resource: '*' });
  const ana = await world.makeUser('ana', [allow('kms:GenerateDataKey'), allow('kms:ReEncryptFrom')]);
  const made = await world.as(ana, 'GenerateDataKey', { KeyId: key.KeyId, NumberOfBytes: 8 });
  assert.match(
    await failureOf(world.as(ana, 'GenerateDataKeyWithoutPlaintext', { KeyId: key.KeyId, NumberOfBytes: 8 })),
    /^AccessDeniedException: .*kms:GenerateDataKeyWithoutPlaintext on resource/,
  );
  const { CiphertextBlob } = made;
  assert.match(
    await failureOf(world.as(ana, 'ReEncrypt', { CiphertextBlob, DestinationKeyId: key.KeyId })),
    /^AccessDeniedException: .*kms:ReEncryptTo on resource/,
  );
});

test('kms 22.2, 22.3: a dry run tells what the call would answer', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const would = 'DryRunOperationException: The request would have succeeded, but the DryRun option is set.';
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  const calls: [string, object][] = [
    ['Encrypt', { KeyId, Plaintext: text('x') }],
    ['Decrypt', { CiphertextBlob }],
    ['Decrypt', { KeyId, DryRunModifiers: ['IGNORE_CIPHERTEXT'] }],
    ['ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId }],
    ['ReEncrypt', { SourceKeyId: KeyId, DestinationKeyId: KeyId, DryRunModifiers: ['IGNORE_CIPHERTEXT'] }],
    ['GenerateDataKey', { KeyId, NumberOfBytes: 8 }],
    ['GenerateDataKeyWithoutPlaintext', { KeyId, NumberOfBytes: 8 }],
  ];
  for (const [name, input] of calls) {
    assert.equal(await failureOf(world.as(world.root, name, { ...input, DryRun: true } as never)), would, name);
  }
  await world.as(world.root, 'DisableKey', { KeyId });
  for (const [name, input] of calls) {
    assert.match(
      await failureOf(world.as(world.root, name, { ...input, DryRun: true } as never)),
      /^DisabledException/,
    );
  }
});

test('kms 9.3: opening a data key takes kms:Decrypt and its context, and nothing else', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const request = { KeyId, KeySpec: 'AES_256' as const, EncryptionContext: CONTEXT };
  const { CiphertextBlob, Plaintext } = await world.as(world.root, 'GenerateDataKey', request);
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:Decrypt', Resource: '*' }]);
  const opened = await world.as(ana, 'Decrypt', { CiphertextBlob, EncryptionContext: CONTEXT });
  assert.deepEqual(opened.Plaintext, Plaintext);
  assert.equal(await failureOf(world.as(ana, 'Decrypt', { CiphertextBlob })), 'InvalidCiphertextException: ');
});

test('kms 9.6: random bytes take a policy of the caller’s own, and differ', async () => {
  await using world = await openKms();
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:GenerateRandom', Resource: '*' }]);
  const bob = await world.makeUser('bob', []);
  const made = await Promise.all([1, 2].map(() => world.as(ana, 'GenerateRandom', { NumberOfBytes: 1024 })));
  assert.notDeepEqual(made[0]?.Plaintext, made[1]?.Plaintext);
  assert.match(await failureOf(world.as(bob, 'GenerateRandom', { NumberOfBytes: 1 })), /^AccessDenied/);
});

test('kms 9.7: an attestation document is refused by name wherever it may stand', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const Recipient = { KeyEncryptionAlgorithm: 'RSAES_OAEP_SHA_256' as const, AttestationDocument: text('x') };
  for (const [operation, input] of [
    ['Decrypt', { CiphertextBlob: text('x') }],
    ['GenerateDataKey', { KeyId, NumberOfBytes: 8 }],
    ['GenerateDataKeyPair', { KeyId, KeyPairSpec: 'ECC_NIST_P256' }],
    ['GenerateRandom', { NumberOfBytes: 8 }],
    ['DeriveSharedSecret', { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: text('x') }],
    ['Decapsulate', { KeyId, EncapsulationAlgorithm: 'ML_KEM', SharedSecretCiphertextBlob: text('x') }],
  ] as const) {
    assert.equal(
      await failureOf(world.as(world.root, operation, { ...input, Recipient } as never)),
      'UnsupportedOperationException: Recipient is not supported by Ingot.',
      operation,
    );
  }
});
