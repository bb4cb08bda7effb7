/** Asymmetric and HMAC keys through the service (kms §6, §9, §10). */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { CreateKeyCommandInput } from '@aws-sdk/client-kms';
import { generateKeyPair, PrivateKey, PublicKey } from '../../crypto/key-pairs.ts';
import { agreeOnSecret } from '../../crypto/public-key-encryption.ts';
import { verify as verifyByOpenSsl } from '../../crypto/signatures.ts';
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

/** The table of kms §6, written down apart from the one the code reads: spec, usage, the list's name, algorithms. */
const TABLE = [
  ['RSA_2048', 'ENCRYPT_DECRYPT', 'EncryptionAlgorithms', 'RSAES_OAEP_SHA_1 RSAES_OAEP_SHA_256'],
  [
    'RSA_2048',
    'SIGN_VERIFY',
    'SigningAlgorithms',
    'RSASSA_PKCS1_V1_5_SHA_256 RSASSA_PKCS1_V1_5_SHA_384 RSASSA_PKCS1_V1_5_SHA_512 RSASSA_PSS_SHA_256 RSASSA_PSS_SHA_384 RSASSA_PSS_SHA_512',
  ],
  ['ECC_NIST_P256', 'SIGN_VERIFY', 'SigningAlgorithms', 'ECDSA_SHA_256'],
  ['ECC_NIST_P384', 'SIGN_VERIFY', 'SigningAlgorithms', 'ECDSA_SHA_384'],
  ['ECC_NIST_P521', 'SIGN_VERIFY', 'SigningAlgorithms', 'ECDSA_SHA_512'],
  ['ECC_NIST_P256', 'KEY_AGREEMENT', 'KeyAgreementAlgorithms', 'ECDH'],
  ['ECC_NIST_P384', 'KEY_AGREEMENT', 'KeyAgreementAlgorithms', 'ECDH'],
  ['ECC_NIST_P521', 'KEY_AGREEMENT', 'KeyAgreementAlgorithms', 'ECDH'],
  ['ECC_SECG_P256K1', 'SIGN_VERIFY', 'SigningAlgorithms', 'ECDSA_SHA_256'],
  ['ECC_NIST_EDWARDS25519', 'SIGN_VERIFY', 'SigningAlgorithms', 'ED25519_SHA_512'],
  ['HMAC_224', 'GENERATE_VERIFY_MAC', 'MacAlgorithms', 'HMAC_SHA_224'],
  ['HMAC_256', 'GENERATE_VERIFY_MAC', 'MacAlgorithms', 'HMAC_SHA_256'],
  ['HMAC_384', 'GENERATE_VERIFY_MAC', 'MacAlgorithms', 'HMAC_SHA_384'],
  ['HMAC_512', 'GENERATE_VERIFY_MAC', 'MacAlgorithms', 'HMAC_SHA_512'],
  ['ML_DSA_44', 'SIGN_VERIFY', 'SigningAlgorithms', 'ML_DSA_SHAKE_256'],
  ['ML_DSA_65', 'SIGN_VERIFY', 'SigningAlgorithms', 'ML_DSA_SHAKE_256'],
  ['ML_DSA_87', 'SIGN_VERIFY', 'SigningAlgorithms', 'ML_DSA_SHAKE_256'],
  ['ML_KEM_512', 'ENCAPSULATE_DECAPSULATE', 'EncapsulationAlgorithms', 'ML_KEM'],
  ['ML_KEM_768', 'ENCAPSULATE_DECAPSULATE', 'EncapsulationAlgorithms', 'ML_KEM'],
  ['ML_KEM_1024', 'ENCAPSULATE_DECAPSULATE', 'EncapsulationAlgorithms', 'ML_KEM'],
] as const;

test('kms 3.2, 3.4, 10.4: every spec and usage has its one list of algorithms, and its public key', async () => {
  await using world = await openKms();
  for (const [spec, usage, list, algorithms] of TABLE) {
    const key = await newKey(world, spec, usage);
    const lists = Object.entries(key).filter(([name]) => name.endsWith('Algorithms'));
    assert.deepEqual(lists, [[list, algorithms.split(' ')]], spec);
    assert.equal(key.CurrentKeyMaterialId, undefined, 'only symmetric encryption keys name their material');
    assert.equal(key.KeySpec, spec);
    const answer = world.as(world.root, 'GetPublicKey', { KeyId: key.Arn });
    if (spec.startsWith('HMAC_')) {
      assert.equal(await failureOf(answer), 'UnsupportedOperationException: ');
    } else {
      const { PublicKey: spki, ...shown } = await answer;
      assert.equal(shown.KeyId, key.Arn);
      assert.equal(shown.KeyUsage, usage);
      assert.deepEqual((shown as Record<string, unknown>)[list], algorithms.split(' '));
      assert.ok(PublicKey.read(spki!)?.kind, `${spec}: ${PublicKey.read(spki!)?.kind}`);
    }
  }
  const symmetric = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const refused = await failureOf(world.as(world.root, 'GetPublicKey', { KeyId: symmetric.KeyId }));
  assert.equal(refused, 'UnsupportedOperationException: ');
});

test('kms 6.2: every other pair of spec and usage is refused', async () => {
  await using world = await openKms();
  const usages = [
    'ENCRYPT_DECRYPT',
    'SIGN_VERIFY',
    'GENERATE_VERIFY_MAC',
    'KEY_AGREEMENT',
    'ENCAPSULATE_DECAPSULATE',
  ] as const;
  for (const spec of new Set(TABLE.map(([name]) => name))) {
    for (const usage of usages) {
      if (TABLE.some(([name, used]) => name === spec && used === usage)) continue;
      const answer = await failureOf(newKey(world, spec, usage));
      assert.equal(answer, `ValidationException: KeyUsage ${usage} is not compatible with KeySpec ${spec}`);
    }
  }
});

test('kms 10.1 to 10.3: Sign and Verify with every signing algorithm, RAW and DIGEST, checked by OpenSSL', async () => {
  await using world = await openKms();
  for (const [spec, usage, , algorithms] of TABLE.filter(([, usage]) => usage === 'SIGN_VERIFY')) {
    const { KeyId, Arn } = await newKey(world, spec, usage);
    const { PublicKey: spki } = await world.as(world.root, 'GetPublicKey', { KeyId });
    for (const SigningAlgorithm of algorithms.split(' ') as 'ECDSA_SHA_256'[]) {
      const bits = /(?:PSS|V1_5|ECDSA)_SHA_(\d+)$/.exec(SigningAlgorithm)?.[1];
      const made = await world.as(world.root, 'Sign', { KeyId, Message: MESSAGE, SigningAlgorithm });
      assert.deepEqual([made.KeyId, made.SigningAlgorithm], [Arn, SigningAlgorithm]);
      const request = { KeyId, Message: MESSAGE, SigningAlgorithm, Signature: made.Signature };
      const verified = await world.as(world.root, 'Verify', request);
      assert.deepEqual(verified, { KeyId: Arn, SignatureValid: true, SigningAlgorithm });
      assert.equal(
        await failureOf(world.as(world.root, 'Verify', { ...request, Message: text('another') })),
        'KMSInvalidSignatureException: ',
      );
      if (bits === undefined) {
        const pure = { kind: 'pure' } as const;
        assert.ok(await verifyByOpenSsl(PublicKey.read(spki!)!, pure, MESSAGE, made.Signature!));
        assert.equal(
          await failureOf(world.as(world.root, 'Sign', { ...request, MessageType: 'DIGEST' })),
          `ValidationException: MessageType DIGEST is not supported with algorithm ${SigningAlgorithm}.`,
        );
        continue;
      }
      const digest = new Uint8Array(createHash(`sha${bits}`).update(MESSAGE).digest());
      const digested = { KeyId, Message: digest, MessageType: 'DIGEST', SigningAlgorithm } as const;
      const { Signature } = await world.as(world.root, 'Sign', digested);
      await world.as(world.root, 'Verify', { ...request, Signature });
      await world.as(world.root, 'Verify', { ...digested, Signature: made.Signature });
      assert.equal(
        await failureOf(world.as(world.root, 'Sign', { ...digested, Message: digest.subarray(1) })),
        `ValidationException: Digest is invalid length for algorithm ${SigningAlgorithm}.`,
      );
    }
  }
});

test('kms 10.1: what OpenSSL does and Node does not offer is refused by name', async () => {
  await using world = await openKms();
  const edwards = await newKey(world, 'ECC_NIST_EDWARDS25519', 'SIGN_VERIFY');
  const request = { Message: text('x'), MessageType: 'DIGEST' } as const;
  assert.equal(
    await failureOf(
      world.as(world.root, 'Sign', { ...request, KeyId: edwards.KeyId, SigningAlgorithm: 'ED25519_PH_SHA_512' }),
    ),
    'UnsupportedOperationException: SigningAlgorithm ED25519_PH_SHA_512 is not supported by Ingot.',
  );
  const lattice = await newKey(world, 'ML_DSA_44', 'SIGN_VERIFY');
  const external = { KeyId: lattice.KeyId, Message: new Uint8Array(64), MessageType: 'EXTERNAL_MU' } as const;
  assert.equal(
    await failureOf(world.as(world.root, 'Sign', { ...external, SigningAlgorithm: 'ML_DSA_SHAKE_256' })),
    'UnsupportedOperationException: MessageType EXTERNAL_MU is not supported by Ingot.',
  );
});

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

test('kms 10.2, 10.3: MACs have the length of their hash, and a changed one is an error without a text', async () => {
  await using world = await openKms();
  for (const bits of [224, 256, 384, 512] as const) {
    const { KeyId, Arn } = await newKey(world, `HMAC_${bits}`, 'GENERATE_VERIFY_MAC');
    const MacAlgorithm = `HMAC_SHA_${bits}` as const;
    const { Mac, ...shown } = await world.as(world.root, 'GenerateMac', { KeyId, Message: MESSAGE, MacAlgorithm });
    assert.deepEqual(shown, { KeyId: Arn, MacAlgorithm });
    assert.equal(Mac!.byteLength, bits / 8);
    const request = { KeyId, Message: MESSAGE, MacAlgorithm, Mac };
    assert.deepEqual(await world.as(world.root, 'VerifyMac', request), { KeyId: Arn, MacValid: true, MacAlgorithm });
    for (const wrong of [{ Mac: Mac!.subarray(1) }, { Mac: new Uint8Array(bits / 8) }, { Message: text('other') }]) {
      assert.equal(
        await failureOf(world.as(world.root, 'VerifyMac', { ...request, ...wrong })),
        'KMSInvalidMacException: ',
      );
    }
  }
});

test('kms 10.5: both sides derive one secret; a public key that is none, or of another curve, has no text', async () => {
  await using world = await openKms();
  for (const [spec, kind] of [
    ['ECC_NIST_P256', 'p-256'],
    ['ECC_NIST_P384', 'p-384'],
    ['ECC_NIST_P521', 'p-521'],
  ] as const) {
    const { KeyId, Arn } = await newKey(world, spec, 'KEY_AGREEMENT');
    const { PublicKey: own } = await world.as(world.root, 'GetPublicKey', { KeyId });
    const peer = await generateKeyPair(kind);
    const request = { KeyId, KeyAgreementAlgorithm: 'ECDH', PublicKey: peer.publicKey().spki() } as const;
    const { SharedSecret, ...shown } = await world.as(world.root, 'DeriveSharedSecret', request);
    assert.deepEqual(shown, { KeyId: Arn, KeyAgreementAlgorithm: 'ECDH', KeyOrigin: 'AWS_KMS' });
    assert.deepEqual(SharedSecret, agreeOnSecret(peer, PublicKey.read(own!)!));
    const stranger = await generateKeyPair('secp256k1');
    for (const wrong of [new Uint8Array(91), stranger.publicKey().spki()]) {
      assert.equal(
        await failureOf(world.as(world.root, 'DeriveSharedSecret', { ...request, PublicKey: wrong })),
        'ValidationException: ',
      );
    }
  }
});

test('6: Encapsulate and Decapsulate', async () => {
  await using world = await openKms();
  for (const spec of ['ML_KEM_512', 'ML_KEM_768', 'ML_KEM_1024'] as const) {
    const { KeyId, Arn } = await newKey(world, spec, 'ENCAPSULATE_DECAPSULATE');
    const algorithm = { EncapsulationAlgorithm: 'ML_KEM' } as const;
    const made = await world.as(world.root, 'Encapsulate', { KeyId, ...algorithm });
    const { SharedSecretCiphertextBlob } = made;
    const opened = await world.as(world.root, 'Decapsulate', { KeyId, SharedSecretCiphertextBlob, ...algorithm });
    assert.deepEqual(opened, { KeyId: Arn, SharedSecret: made.SharedSecret, ...algorithm });
    assert.equal(
      await failureOf(
        world.as(world.root, 'Decapsulate', { KeyId, SharedSecretCiphertextBlob: new Uint8Array(9), ...algorithm }),
      ),
      'InvalidCiphertextException: ',
    );
  }
});

test('kms 9.5: data key pairs: the sealed private key is the plain one, and the public key is its own', async () => {
  await using world = await openKms();
  const symmetric = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const EncryptionContext = { purpose: 'signing' };
  const specs = [
    'RSA_2048',
    'ECC_NIST_P256',
    'ECC_NIST_P384',
    'ECC_NIST_P521',
    'ECC_SECG_P256K1',
    'ECC_NIST_EDWARDS25519',
    'ML_KEM_768',
  ] as const;
  for (const KeyPairSpec of specs) {
    const request = { KeyId: symmetric.KeyId, KeyPairSpec, EncryptionContext };
    const made = await world.as(world.root, 'GenerateDataKeyPair', request);
    assert.deepEqual(
      [made.KeyId, made.KeyPairSpec, made.KeyMaterialId],
      [symmetric.Arn, KeyPairSpec, symmetric.CurrentKeyMaterialId],
    );
    const CiphertextBlob = made.PrivateKeyCiphertextBlob;
    const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob, EncryptionContext });
    assert.deepEqual(opened.Plaintext, made.PrivateKeyPlaintext);
    assert.deepEqual(PrivateKey.take(opened.Plaintext!)?.publicKey().spki(), made.PublicKey);
    const hidden = await world.as(world.root, 'GenerateDataKeyPairWithoutPlaintext', request);
    assert.ok(!('PrivateKeyPlaintext' in hidden));
    assert.notDeepEqual(hidden.PublicKey, made.PublicKey);
  }
  assert.equal(
    await failureOf(world.as(world.root, 'GenerateDataKeyPair', { KeyId: symmetric.KeyId, KeyPairSpec: 'SM2' })),
    'UnsupportedOperationException: KeyPairSpec SM2 is not supported by Ingot.',
  );
  const rsa = await newKey(world, 'RSA_2048', 'ENCRYPT_DECRYPT');
  assert.match(
    await failureOf(world.as(world.root, 'GenerateDataKeyPair', { KeyId: rsa.KeyId, KeyPairSpec: 'ECC_NIST_P256' })),
    /^InvalidKeyUsageException/,
  );
});

test('22: dry runs of the operations on key pairs and MACs say so, refuse like real calls, and count as no use', async () => {
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
