/** Encrypt and Decrypt through the service (kms §8, §11). */
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

test('kms 8.3: each call gives another ciphertext; it opens in its Region only, wherever it was kept', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const seal = async () => {
    const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('the same') });
    return Buffer.from(CiphertextBlob!).toString('hex');
  };
  const all = await Promise.all(Array.from({ length: 50 }, seal));
  assert.equal(new Set(all).size, 50);
  assert.ok(all.every((one) => !one.includes(Buffer.from('the same').toString('hex'))));
});

test('kms 8.4: a ciphertext names its key, also to another account', async () => {
  await using world = await openKms();
  const { Arn } = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: Arn, Plaintext: text('x') });
  const eve = await world.makeUser('eve', [], world.other);
  await world.as(world.root, 'CreateGrant', { KeyId: Arn, GranteePrincipal: eve.arn, Operations: ['Decrypt'] });
  assert.equal((await world.as(eve, 'Decrypt', { CiphertextBlob })).KeyId, Arn);
});

test('kms 8.13: at most ten grant tokens of bounded length, each of a grant', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const grant = { KeyId, GranteePrincipal: world.root.arn, Operations: ['Encrypt' as const] };
  const { GrantToken } = await world.as(world.root, 'CreateGrant', grant);
  const encrypt = (GrantTokens: string[]) =>
    failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x'), GrantTokens }));
  assert.match(await encrypt([]), /^succeeded/);
  assert.match(await encrypt(Array(10).fill(GrantToken)), /^succeeded/);
  assert.match(await encrypt(Array(11).fill(GrantToken)), /^ValidationException: .*'grantTokens'/);
  assert.match(await encrypt(['']), /^ValidationException: .*'grantTokens\.1\.member'/);
  assert.match(await encrypt(['x'.repeat(8193)]), /^ValidationException/);
  for (const token of ['x', `${GrantToken}x`, GrantToken!.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))]) {
    assert.match(await encrypt([token]), /^InvalidGrantTokenException/);
  }
});

test('kms 11.2, 11.5, 11.6: the context is in clear in the trail, and policies read its names without case', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const Condition = { StringEquals: { 'kms:EncryptionContext:TEAM': 'core' } };
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:*', Resource: '*', Condition }]);
  const call = world.callOf(ana);
  const EncryptionContext = { Team: 'core', Ünit: 'a' };
  const request = { KeyId, Plaintext: text('x'), EncryptionContext };
  const { CiphertextBlob } = await world.as(ana, 'Encrypt', request, call);
  assert.deepEqual(call.audit?.facts.requestParameters, {
    keyId: KeyId,
    encryptionAlgorithm: 'SYMMETRIC_DEFAULT',
    encryptionContext: EncryptionContext,
  });
  assert.ok(!Buffer.from(CiphertextBlob!).includes('core'), 'it is not stored');
  const open = (context: Record<string, string>) =>
    failureOf(world.as(ana, 'Decrypt', { CiphertextBlob, EncryptionContext: context }));
  assert.match(await open({ Ünit: 'a', Team: 'core' }), /^succeeded/, 'order is nothing');
  assert.equal(await open({ team: 'core', Ünit: 'a' }), 'InvalidCiphertextException: ', 'case is something here');
  assert.equal(await open({ Team: 'core', 'U\u0308nit': 'a' }), 'InvalidCiphertextException: ', 'no normalization');
  assert.match(await open({ Team: 'Core', Ünit: 'a' }), /^AccessDenied/);
});
