/** Encrypt, Decrypt, ReEncrypt, data keys and random bytes through the service (kms §8, §9, §11, §22). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { failureOf, openKms, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));
const CONTEXT = { 'aws:ebs:id': 'snap-0123456789abcdef0' };

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
}

test('kms 8.1, 8.5: Encrypt and Decrypt, with key id, ARN, alias name, alias ARN and none', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: key.KeyId });
  const aliasArn = `arn:aws:kms:eu-central-1:${world.account}:alias/golden`;
  for (const KeyId of [key.KeyId!, key.Arn!, 'alias/golden', aliasArn]) {
    const sealed = await world.as(world.root, 'Encrypt', {
      KeyId,
      Plaintext: text('hello'),
      EncryptionContext: CONTEXT,
    });
    assert.deepEqual(Object.keys(sealed).sort(), ['CiphertextBlob', 'EncryptionAlgorithm', 'KeyId']);
    assert.equal(sealed.KeyId, key.Arn);
    for (const again of [undefined, KeyId]) {
      const opened = await world.as(world.root, 'Decrypt', {
        CiphertextBlob: sealed.CiphertextBlob,
        EncryptionContext: CONTEXT,
        KeyId: again,
      });
      assert.deepEqual(opened, {
        Plaintext: text('hello'),
        KeyId: key.Arn,
        EncryptionAlgorithm: 'SYMMETRIC_DEFAULT',
        KeyMaterialId: key.CurrentKeyMaterialId,
      });
    }
  }
});

test('kms 8.3, 8.6: any bytes and context come back; any other context or changed ciphertext is invalid, without a text', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const contexts = fc.dictionary(
    fc.string({ unit: 'grapheme', maxLength: 5 }),
    fc.string({ unit: 'grapheme', maxLength: 5 }),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 4096 }),
      contexts,
      fc.nat(),
      async (plaintext, EncryptionContext, position) => {
        const sealed = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: plaintext, EncryptionContext });
        const CiphertextBlob = sealed.CiphertextBlob!;
        const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext });
        assert.deepEqual(opened.Plaintext, new Uint8Array(plaintext));
        const other = world.as(world.root, 'Decrypt', {
          CiphertextBlob,
          EncryptionContext: { ...EncryptionContext, 'one more': '' },
        });
        assert.equal(await failureOf(other), 'InvalidCiphertextException: ');
        const changed = CiphertextBlob.slice();
        changed[position % changed.byteLength]! ^= 1 << (position % 8);
        await assert.rejects(world.as(world.root, 'Decrypt', { CiphertextBlob: changed, EncryptionContext }));
      },
    ),
    { numRuns: 40 },
  );
});

test('kms 8.6 to 8.8: foreign, lost and unreadable ciphertext', async () => {
  await using world = await openKms();
  const one = await newKey(world);
  const other = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: one.KeyId, Plaintext: text('x') });
  const unknown =
    'AccessDeniedException: The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.';
  const cases: [Parameters<typeof world.as<'Decrypt'>>[2], string, object?][] = [
    [
      { CiphertextBlob, KeyId: other.KeyId },
      'IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation.',
    ],
    [{ CiphertextBlob: text('x') }, 'InvalidCiphertextException: '],
    [{ CiphertextBlob: text('x'.repeat(200)), KeyId: one.KeyId }, 'InvalidCiphertextException: '],
    [{ CiphertextBlob }, unknown, { region: 'us-east-1' }],
  ];
  for (const [input, expected, more] of cases) {
    assert.equal(await failureOf(world.as(world.root, 'Decrypt', input, more)), expected);
  }
  assert.equal(await failureOf(world.as(world.otherRoot, 'Decrypt', { CiphertextBlob })), unknown);
  const bob = await world.makeUser('bob', []);
  assert.equal(await failureOf(world.as(bob, 'Decrypt', { CiphertextBlob })), unknown);
  assert.equal(
    await failureOf(world.as(bob, 'Decrypt', { CiphertextBlob, KeyId: one.KeyId })),
    `AccessDeniedException: User: ${bob.arn} is not authorized to perform: kms:Decrypt on resource: ${one.Arn} because no identity-based policy allows the kms:Decrypt action`,
  );
});

test('kms 1.8, 8.1, 6.6, 9.1, 9.6: what is wrong with a request is said in KMS words', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const Plaintext = text('x');
  const detected = (rule: string) => `ValidationException: 1 validation error detected: ${rule}`;
  const constraint = (subject: string, rule: string) =>
    detected(`${subject} failed to satisfy constraint: Member must ${rule}`);
  const algorithms = '[RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]';
  const cases: [string, object, string][] = [
    [
      'Encrypt',
      { KeyId, Plaintext: new Uint8Array(4097) },
      constraint("Value at 'plaintext'", 'have length less than or equal to 4096'),
    ],
    [
      'Encrypt',
      { KeyId, Plaintext: new Uint8Array(0) },
      constraint("Value at 'plaintext'", 'have length greater than or equal to 1'),
    ],
    [
      'Encrypt',
      { KeyId, Plaintext, EncryptionAlgorithm: 'ROT13' },
      constraint("Value 'ROT13' at 'encryptionAlgorithm'", `satisfy enum value set: ${algorithms}`),
    ],
    [
      'Encrypt',
      { KeyId, Plaintext, EncryptionAlgorithm: 'RSAES_OAEP_SHA_1' },
      'InvalidKeyUsageException: Algorithm RSAES_OAEP_SHA_1 is incompatible with key spec SYMMETRIC_DEFAULT.',
    ],
    [
      'Encrypt',
      { KeyId, Plaintext, EncryptionContext: { a: '\ud800' } },
      'ValidationException: EncryptionContext is not well-formed text.',
    ],
    [
      'Encrypt',
      { KeyId, Plaintext, EncryptionContext: { a: 'x'.repeat(9000) } },
      'ValidationException: EncryptionContext is longer than 8192 characters.',
    ],
    [
      'Encrypt',
      { KeyId, Plaintext, GrantTokens: ['bm90IGEgdG9rZW4='] },
      'InvalidGrantTokenException: The grant token is not valid.',
    ],
    [
      'Decrypt',
      { CiphertextBlob: new Uint8Array(6145) },
      constraint("Value at 'ciphertextBlob'", 'have length less than or equal to 6144'),
    ],
    ['Decrypt', {}, constraint("Value at 'ciphertextBlob'", 'not be null')],
    ['GenerateDataKey', { KeyId }, 'ValidationException: Please specify either number of bytes or key spec.'],
    [
      'GenerateDataKey',
      { KeyId, KeySpec: 'AES_256', NumberOfBytes: 32 },
      'ValidationException: Please specify either number of bytes or key spec.',
    ],
    [
      'GenerateDataKey',
      { KeyId, NumberOfBytes: 1025 },
      constraint("Value '1025' at 'numberOfBytes'", 'have value less than or equal to 1024'),
    ],
    [
      'GenerateDataKey',
      { KeyId, KeySpec: 'AES_512' },
      constraint("Value 'AES_512' at 'keySpec'", 'satisfy enum value set: [AES_128, AES_256]'),
    ],
    ['GenerateRandom', {}, 'ValidationException: NumberOfBytes is required.'],
    [
      'GenerateRandom',
      { NumberOfBytes: 0 },
      constraint("Value '0' at 'numberOfBytes'", 'have value greater than or equal to 1'),
    ],
    [
      'GenerateRandom',
      { NumberOfBytes: 1025 },
      constraint("Value '1025' at 'numberOfBytes'", 'have value less than or equal to 1024'),
    ],
    [
      'GenerateRandom',
      { NumberOfBytes: 1, CustomKeyStoreId: 'cks-1' },
      'UnsupportedOperationException: CustomKeyStoreId is not supported by Ingot.',
    ],
    [
      'GenerateDataKey',
      { KeyId, NumberOfBytes: 1, Recipient: {} },
      'UnsupportedOperationException: Recipient is not supported by Ingot.',
    ],
  ];
  for (const [name, input, expected] of cases) {
    assert.equal(await failureOf(world.as(world.root, name, input as never)), expected, name);
  }
});

test('9: data keys of every size, with and without plaintext, open by Decrypt', async () => {
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

test('22: a dry run tells what the call would answer', async () => {
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
