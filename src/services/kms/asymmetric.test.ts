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

test('kms 10.1: a message has 1 to 4096 bytes', async () => {
  await using world = await openKms();
  const signing = await newKey(world, 'ECC_NIST_P256', 'SIGN_VERIFY');
  const mac = await newKey(world, 'HMAC_256', 'GENERATE_VERIFY_MAC');
  for (const [bytes, expected] of [
    [0, /^ValidationException: .*Value at 'message' .*greater than or equal to 1$/],
    [1, /^succeeded/],
    [4096, /^succeeded/],
    [4097, /^ValidationException: .*Value at 'message' .*less than or equal to 4096$/],
  ] as const) {
    const Message = new Uint8Array(bytes);
    const signed = { KeyId: signing.KeyId, Message, SigningAlgorithm: 'ECDSA_SHA_256' } as const;
    assert.match(await failureOf(world.as(world.root, 'Sign', signed)), expected);
    const macked = { KeyId: mac.KeyId, Message, MacAlgorithm: 'HMAC_SHA_256' } as const;
    assert.match(await failureOf(world.as(world.root, 'GenerateMac', macked)), expected);
  }
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
    assert.deepEqual(SharedSecret, await agreeOnSecret(peer, PublicKey.read(own!)!));
    const stranger = await generateKeyPair('secp256k1');
    for (const wrong of [new Uint8Array(91), stranger.publicKey().spki()]) {
      assert.equal(
        await failureOf(world.as(world.root, 'DeriveSharedSecret', { ...request, PublicKey: wrong })),
        'ValidationException: ',
      );
    }
  }
});

test('Encapsulate and Decapsulate', async () => {
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
