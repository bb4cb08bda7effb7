/** What keys of each kind can and cannot do: RSA encryption, the wrong usage, grants, aliases, dry runs (kms §6, §8, §22). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CreateKeyCommandInput } from '@aws-sdk/client-kms';
import { failureOf, openKms, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));
const MESSAGE = text('a golden image');

async function newKey(
  world: World,
  KeySpec: CreateKeyCommandInput['KeySpec'],
  KeyUsage: CreateKeyCommandInput['KeyUsage'],
) {
  return (await world.as(world.root, 'CreateKey', { KeySpec, KeyUsage })).KeyMetadata!;
}

test('kms 8.2, 8.4, 8.12, 11.1: RSA encryption, its limits, and ReEncrypt between RSA and symmetric keys', async () => {
  await using world = await openKms();
  const rsa = await newKey(world, 'RSA_2048', 'ENCRYPT_DECRYPT');
  const other = await newKey(world, 'RSA_2048', 'ENCRYPT_DECRYPT');
  const symmetric = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const { KeyId } = rsa;
  for (const [EncryptionAlgorithm, limit] of [
    ['RSAES_OAEP_SHA_1', 214],
    ['RSAES_OAEP_SHA_256', 190],
  ] as const) {
    const Plaintext = new Uint8Array(limit).fill(5);
    const sealed = await world.as(world.root, 'Encrypt', { KeyId, Plaintext, EncryptionAlgorithm });
    assert.deepEqual([sealed.KeyId, sealed.EncryptionAlgorithm], [rsa.Arn, EncryptionAlgorithm]);
    const { CiphertextBlob } = sealed;
    assert.deepEqual(await world.as(world.root, 'Decrypt', { KeyId, CiphertextBlob, EncryptionAlgorithm }), {
      Plaintext,
      KeyId: rsa.Arn,
      EncryptionAlgorithm,
    });
    assert.equal(
      await failureOf(
        world.as(world.root, 'Encrypt', { KeyId, Plaintext: new Uint8Array(limit + 1), EncryptionAlgorithm }),
      ),
      `ValidationException: Algorithm ${EncryptionAlgorithm} and key spec RSA_2048 cannot encrypt data larger than ${limit} bytes.`,
    );
    assert.equal(
      await failureOf(world.as(world.root, 'Decrypt', { KeyId: other.KeyId, CiphertextBlob, EncryptionAlgorithm })),
      'InvalidCiphertextException: ',
    );
    assert.match(
      await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionAlgorithm })),
      /^ValidationException: KeyId is required/,
    );
    const moved = await world.as(world.root, 'ReEncrypt', {
      SourceKeyId: KeyId,
      CiphertextBlob,
      SourceEncryptionAlgorithm: EncryptionAlgorithm,
      DestinationKeyId: symmetric.KeyId,
      DestinationEncryptionContext: { a: '1' },
    });
    assert.deepEqual(
      [moved.SourceKeyId, moved.SourceEncryptionAlgorithm, moved.SourceKeyMaterialId, moved.DestinationKeyMaterialId],
      [rsa.Arn, EncryptionAlgorithm, undefined, symmetric.CurrentKeyMaterialId],
    );
    const back = await world.as(world.root, 'ReEncrypt', {
      CiphertextBlob: moved.CiphertextBlob,
      SourceEncryptionContext: { a: '1' },
      DestinationKeyId: other.KeyId,
      DestinationEncryptionAlgorithm: EncryptionAlgorithm,
    });
    const opened = await world.as(world.root, 'Decrypt', {
      KeyId: other.KeyId,
      CiphertextBlob: back.CiphertextBlob,
      EncryptionAlgorithm,
    });
    assert.deepEqual(opened.Plaintext, Plaintext);
  }
  const request = { KeyId, Plaintext: text('x'), EncryptionAlgorithm: 'RSAES_OAEP_SHA_256' } as const;
  assert.match(
    await failureOf(world.as(world.root, 'Encrypt', { ...request, EncryptionContext: { a: '1' } })),
    /^ValidationException: EncryptionContext/,
  );
  assert.equal(
    await failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') })),
    'InvalidKeyUsageException: Algorithm SYMMETRIC_DEFAULT is incompatible with key spec RSA_2048.',
  );
  assert.equal(
    await failureOf(world.as(world.root, 'Encrypt', { ...request, KeyId: symmetric.KeyId })),
    'InvalidKeyUsageException: Algorithm RSAES_OAEP_SHA_256 is incompatible with key spec SYMMETRIC_DEFAULT.',
  );
});

test('kms 8.2: the longest plaintext of larger RSA keys', async () => {
  await using world = await openKms();
  for (const [spec, sha1, sha256] of [
    ['RSA_3072', 342, 318],
    ['RSA_4096', 470, 446],
  ] as const) {
    const { KeyId } = await newKey(world, spec, 'ENCRYPT_DECRYPT');
    for (const [EncryptionAlgorithm, limit] of [
      ['RSAES_OAEP_SHA_1', sha1],
      ['RSAES_OAEP_SHA_256', sha256],
    ] as const) {
      const encrypt = (bytes: number) =>
        failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext: new Uint8Array(bytes), EncryptionAlgorithm }));
      assert.match(await encrypt(limit), /^succeeded/);
      assert.equal(
        await encrypt(limit + 1),
        `ValidationException: Algorithm ${EncryptionAlgorithm} and key spec ${spec} cannot encrypt data larger than ${limit} bytes.`,
      );
    }
  }
});

test('kms 6.5, 6.6, 9.2: the wrong usage and the wrong algorithm, in AWS words', async () => {
  await using world = await openKms();
  const signing = await newKey(world, 'RSA_2048', 'SIGN_VERIFY');
  const mac = await newKey(world, 'HMAC_256', 'GENERATE_VERIFY_MAC');
  const rsa = await newKey(world, 'RSA_2048', 'ENCRYPT_DECRYPT');
  const symmetric = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: symmetric.KeyId, Plaintext: text('x') });
  const usage = (key: { Arn?: string }, has: string, operation: string) =>
    `InvalidKeyUsageException: ${key.Arn} key usage is ${has} which is not valid for ${operation}.`;
  const sign = { Message: text('x'), SigningAlgorithm: 'ECDSA_SHA_256' } as const;
  const answers: [Promise<unknown>, string][] = [
    [
      world.as(world.root, 'Encrypt', { KeyId: signing.KeyId, Plaintext: text('x') }),
      usage(signing, 'SIGN_VERIFY', 'Encrypt'),
    ],
    [world.as(world.root, 'Sign', { KeyId: symmetric.KeyId, ...sign }), usage(symmetric, 'ENCRYPT_DECRYPT', 'Sign')],
    [
      world.as(world.root, 'Sign', { KeyId: signing.KeyId, ...sign }),
      'InvalidKeyUsageException: Algorithm ECDSA_SHA_256 is incompatible with key spec RSA_2048.',
    ],
    [
      world.as(world.root, 'GenerateMac', { KeyId: mac.KeyId, Message: text('x'), MacAlgorithm: 'HMAC_SHA_512' }),
      'InvalidKeyUsageException: Algorithm HMAC_SHA_512 is incompatible with key spec HMAC_256.',
    ],
    [
      world.as(world.root, 'GenerateDataKey', { KeyId: rsa.KeyId, KeySpec: 'AES_256' }),
      usage(rsa, 'ENCRYPT_DECRYPT', 'GenerateDataKey'),
    ],
    [
      world.as(world.root, 'Decrypt', { KeyId: signing.KeyId, CiphertextBlob }),
      'IncorrectKeyException: The key ID in the request does not identify a CMK that can perform this operation.',
    ],
    [world.as(world.root, 'EnableKeyRotation', { KeyId: signing.KeyId }), 'UnsupportedOperationException: '],
    [world.as(world.root, 'RotateKeyOnDemand', { KeyId: mac.KeyId }), 'UnsupportedOperationException: '],
    [
      world.as(world.root, 'Encrypt', { KeyId: rsa.KeyId, Plaintext: text('x'), EncryptionAlgorithm: 'AES' as never }),
      "ValidationException: 1 validation error detected: Value 'AES' at 'encryptionAlgorithm' failed to satisfy constraint: Member must satisfy enum value set: [RSAES_OAEP_SHA_1, RSAES_OAEP_SHA_256, SM2PKE, SYMMETRIC_DEFAULT]",
    ],
  ];
  const given = await Promise.all(answers.map(([answer]) => failureOf(answer)));
  assert.deepEqual(
    given,
    answers.map(([, expected]) => expected),
  );
  // kms 16.3: no error but a plain no.
  const status = await world.as(world.root, 'GetKeyRotationStatus', { KeyId: signing.KeyId });
  assert.equal(status.KeyRotationEnabled, false);
});

test('kms 22.1, 22.2: dry runs of the operations on key pairs and MACs say so, refuse like real calls, and count as no use', async () => {
  await using world = await openKms();
  const signing = await newKey(world, 'ECC_NIST_P256', 'SIGN_VERIFY');
  const mac = await newKey(world, 'HMAC_256', 'GENERATE_VERIFY_MAC');
  const agreement = await newKey(world, 'ECC_NIST_P256', 'KEY_AGREEMENT');
  const kem = await newKey(world, 'ML_KEM_512', 'ENCAPSULATE_DECAPSULATE');
  const symmetric = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const DryRun = true;
  const sign = { KeyId: signing.KeyId, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' } as const;
  const hmac = { KeyId: mac.KeyId, Message: MESSAGE, MacAlgorithm: 'HMAC_SHA_256' } as const;
  const pair = { KeyId: symmetric.KeyId, KeyPairSpec: 'ECC_NIST_P256' } as const;
  const wrap = { KeyId: kem.KeyId, EncapsulationAlgorithm: 'ML_KEM' } as const;
  const { Signature } = await world.as(world.root, 'Sign', sign);
  const { Mac } = await world.as(world.root, 'GenerateMac', hmac);
  const { SharedSecretCiphertextBlob } = await world.as(world.root, 'Encapsulate', wrap);
  const peer = (await world.as(world.root, 'GetPublicKey', { KeyId: agreement.KeyId })).PublicKey;
  const derive = { KeyId: agreement.KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: peer } as const;
  await world.pass(3_600_000);
  const used = async (KeyId: string) =>
    (await world.as(world.root, 'GetKeyLastUsage', { KeyId })).KeyLastUsage?.Timestamp?.getTime();
  const keys = [signing, mac, kem, agreement, symmetric].map((key) => key.KeyId!);
  const before = await Promise.all(keys.map(used));
  const runs: Promise<unknown>[] = [
    world.as(world.root, 'Sign', { ...sign, DryRun }),
    world.as(world.root, 'Verify', { ...sign, Signature, DryRun }),
    world.as(world.root, 'GenerateMac', { ...hmac, DryRun }),
    world.as(world.root, 'VerifyMac', { ...hmac, Mac, DryRun }),
    world.as(world.root, 'DeriveSharedSecret', { ...derive, DryRun }),
    world.as(world.root, 'GenerateDataKeyPair', { ...pair, DryRun }),
    world.as(world.root, 'GenerateDataKeyPairWithoutPlaintext', { ...pair, DryRun }),
    world.as(world.root, 'Encapsulate', { ...wrap, DryRun }),
    world.as(world.root, 'Decapsulate', { ...wrap, SharedSecretCiphertextBlob, DryRun }),
    world.as(world.root, 'Encrypt', { KeyId: symmetric.KeyId, Plaintext: MESSAGE, DryRun }),
    world.as(world.root, 'GenerateDataKey', { KeyId: symmetric.KeyId, KeySpec: 'AES_256', DryRun }),
  ];
  for (const answer of await Promise.all(runs.map(failureOf))) {
    assert.equal(answer, 'DryRunOperationException: The request would have succeeded, but the DryRun option is set.');
  }
  assert.deepEqual(await Promise.all(keys.map(used)), before);
  assert.equal(
    await failureOf(world.as(world.root, 'Verify', { ...sign, Signature: new Uint8Array(70), DryRun })),
    'KMSInvalidSignatureException: ',
  );
  await world.as(world.root, 'DisableKey', { KeyId: mac.KeyId });
  assert.equal(
    await failureOf(world.as(world.root, 'GenerateMac', { ...hmac, DryRun })),
    `DisabledException: ${mac.Arn} is disabled.`,
  );
});

test('kms 15.2, 15.6: what can be granted on which key; a grant lets its grantee sign and nothing else', async () => {
  await using world = await openKms();
  const signing = await newKey(world, 'ECC_NIST_P256', 'SIGN_VERIFY');
  const user = await world.makeUser('ana', []);
  const GranteePrincipal = user.arn;
  const grant = (Operations: string[], more: object = {}) =>
    world.as(world.root, 'CreateGrant', {
      KeyId: signing.KeyId,
      GranteePrincipal,
      Operations: Operations as never,
      ...more,
    });
  assert.match(await failureOf(grant(['Encrypt'])), /^ValidationException: Operation Encrypt is not valid/);
  assert.match(await failureOf(grant(['GenerateDataKeyPair'])), /^ValidationException/);
  assert.match(
    await failureOf(grant(['Sign'], { Constraints: { EncryptionContextSubset: { a: '1' } } })),
    /^ValidationException: Encryption context constraints/,
  );
  await grant(['Sign', 'GetPublicKey']);
  const sign = { KeyId: signing.Arn, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' } as const;
  const { Signature } = await world.as(user, 'Sign', sign);
  await world.as(user, 'GetPublicKey', { KeyId: signing.Arn });
  assert.match(await failureOf(world.as(user, 'Verify', { ...sign, Signature })), /^AccessDeniedException/);
});

test('kms 12.6: an alias stays with keys of one type and usage', async () => {
  await using world = await openKms();
  const one = await newKey(world, 'ECC_NIST_P256', 'SIGN_VERIFY');
  const two = await newKey(world, 'RSA_2048', 'SIGN_VERIFY');
  const mac = await newKey(world, 'HMAC_256', 'GENERATE_VERIFY_MAC');
  const agreement = await newKey(world, 'ECC_NIST_P256', 'KEY_AGREEMENT');
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/sign', TargetKeyId: one.KeyId });
  const move = (key: { KeyId?: string | undefined }) =>
    world.as(world.root, 'UpdateAlias', { AliasName: 'alias/sign', TargetKeyId: key.KeyId });
  assert.match(
    await failureOf(move(mac)),
    /^ValidationException: The current and new KMS key must be of the same type/,
  );
  assert.match(await failureOf(move(agreement)), /^ValidationException/);
  await move(two);
});

test('kms 26.2: the audit facts of signing hold no message and no signature', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world, 'ECC_NIST_P256', 'SIGN_VERIFY');
  const call = world.callOf(world.root);
  const request = { KeyId, Message: MESSAGE, SigningAlgorithm: 'ECDSA_SHA_256' } as const;
  await world.as(world.root, 'Sign', request, call);
  assert.deepEqual(call.audit?.facts.requestParameters, {
    keyId: KeyId,
    messageType: 'RAW',
    signingAlgorithm: 'ECDSA_SHA_256',
  });
  assert.equal(call.audit?.facts.readOnly, true);
});
