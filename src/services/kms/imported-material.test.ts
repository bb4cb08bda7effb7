/** Key material that its owner brings (kms §17), wrapped by OpenSSL as the owner would. */
import assert from 'node:assert/strict';
import { constants, createCipheriv, createPublicKey, publicEncrypt, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import type { CreateKeyCommandInput, ImportKeyMaterialCommandInput } from '@aws-sdk/client-kms';
import { generateKeyPair } from '../../crypto/key-pairs.ts';
import { failureOf, openKms, REGION, START, type World } from './test-kms.ts';

const DAY_MS = 86_400_000;
const FOREVER = { ExpirationModel: 'KEY_MATERIAL_DOES_NOT_EXPIRE' } as const;
const text = (value: string) => new Uint8Array(Buffer.from(value));

async function newKey(world: World, more: CreateKeyCommandInput = {}) {
  return (await world.as(world.root, 'CreateKey', { Origin: 'EXTERNAL', ...more })).KeyMetadata!;
}

type Algorithm = 'RSAES_OAEP_SHA_1' | 'RSAES_OAEP_SHA_256' | 'RSA_AES_KEY_WRAP_SHA_1' | 'RSA_AES_KEY_WRAP_SHA_256';

function wrap(spki: Uint8Array, algorithm: Algorithm, material: Uint8Array): Uint8Array {
  const key = createPublicKey({ key: Buffer.from(spki), format: 'der', type: 'spki' });
  const oaepHash = algorithm.endsWith('SHA_1') ? 'sha1' : 'sha256';
  const seal = (bytes: Uint8Array) =>
    publicEncrypt({ key, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash }, bytes);
  if (algorithm.startsWith('RSAES')) return new Uint8Array(seal(material));
  const kek = randomBytes(32);
  const cipher = createCipheriv('id-aes256-wrap-pad', kek, Buffer.from('a65959a6', 'hex'));
  return new Uint8Array(Buffer.concat([seal(kek), cipher.update(material), cipher.final()]));
}

async function importInto(
  world: World,
  KeyId: string,
  material: Uint8Array,
  more: Partial<ImportKeyMaterialCommandInput> = FOREVER,
  WrappingAlgorithm: Algorithm = 'RSAES_OAEP_SHA_256',
  call: Parameters<World['as']>[3] = {},
) {
  const request = { KeyId, WrappingAlgorithm, WrappingKeySpec: 'RSA_2048' } as const;
  const { PublicKey, ImportToken } = await world.as(world.root, 'GetParametersForImport', request, call);
  const EncryptedKeyMaterial = wrap(PublicKey!, WrappingAlgorithm, material);
  return world.as(world.root, 'ImportKeyMaterial', { KeyId, ImportToken, EncryptedKeyMaterial, ...more }, call);
}

const describe = async (world: World, KeyId: string, call: Parameters<World['as']>[3] = {}) =>
  (await world.as(world.root, 'DescribeKey', { KeyId }, call)).KeyMetadata!;

test('kms 17.1, 3.2, 3.3, 17.7: a key without material waits for it, and comes back with the same material only', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const KeyId = key.KeyId!;
  assert.deepEqual([key.KeyState, key.Enabled, key.Origin], ['PendingImport', false, 'EXTERNAL']);
  assert.ok(!('CurrentKeyMaterialId' in key) && !('ExpirationModel' in key));
  const encrypt = () => world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  assert.equal(await failureOf(encrypt()), `KMSInvalidStateException: ${key.Arn} is pending import.`);

  const material = new Uint8Array(32).fill(9);
  const imported = await importInto(world, KeyId, material);
  assert.equal(imported.KeyId, key.Arn);
  const now = await describe(world, KeyId);
  assert.deepEqual(
    [now.KeyState, now.ExpirationModel, now.ValidTo, now.CurrentKeyMaterialId],
    ['Enabled', 'KEY_MATERIAL_DOES_NOT_EXPIRE', undefined, imported.KeyMaterialId],
  );
  const { CiphertextBlob } = await encrypt();

  const removed = await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId });
  assert.deepEqual(removed, { KeyId: key.Arn, KeyMaterialId: imported.KeyMaterialId });
  const gone = await describe(world, KeyId);
  assert.deepEqual([gone.KeyState, gone.CurrentKeyMaterialId], ['PendingImport', imported.KeyMaterialId]);
  assert.ok(!('ExpirationModel' in gone));
  assert.match(await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob })), /is pending import/);
  await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId });

  const other = importInto(world, KeyId, new Uint8Array(32).fill(8));
  assert.match(await failureOf(other), /^IncorrectKeyMaterialException/);
  const again = await importInto(world, KeyId, material);
  assert.equal(again.KeyMaterialId, imported.KeyMaterialId);
  assert.deepEqual((await world.as(world.root, 'Decrypt', { CiphertextBlob })).Plaintext, text('x'));
});

test('nothing of deleted material stays in its row but the sealed digest', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  await importInto(world, KeyId!, new Uint8Array(32).fill(9));
  await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId });
  const tables = world.db.read<import('../../keys/tables.ts').KeysTables>();
  const row = await tables
    .selectFrom('keys_material')
    .selectAll()
    .where('key_arn', '=', Arn!)
    .executeTakeFirstOrThrow();
  assert.equal(row.sealed.byteLength, 0);
});

test('kms 17.2: every wrapping algorithm, every wrapping key, a new pair every time', async () => {
  await using world = await openKms();
  for (const algorithm of [
    'RSAES_OAEP_SHA_1',
    'RSAES_OAEP_SHA_256',
    'RSA_AES_KEY_WRAP_SHA_1',
    'RSA_AES_KEY_WRAP_SHA_256',
  ] as const) {
    const { KeyId } = await newKey(world);
    await importInto(world, KeyId!, randomBytes(32), FOREVER, algorithm);
    assert.equal((await describe(world, KeyId!)).KeyState, 'Enabled');
  }
  const { KeyId, Arn } = await newKey(world);
  const request = { KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_3072' } as const;
  const one = await world.as(world.root, 'GetParametersForImport', request);
  const two = await world.as(world.root, 'GetParametersForImport', request);
  assert.notDeepEqual(one.PublicKey, two.PublicKey);
  assert.equal(one.KeyId, Arn);
  assert.equal(one.ParametersValidTo?.getTime(), START.getTime() + DAY_MS);
  assert.ok(one.ImportToken!.byteLength <= 6144);
  assert.match(
    await failureOf(
      world.as(world.root, 'GetParametersForImport', { ...request, WrappingAlgorithm: 'RSAES_PKCS1_V1_5' }),
    ),
    /^UnsupportedOperationException: WrappingAlgorithm RSAES_PKCS1_V1_5/,
  );
});

test('kms 17.1: RSA, curve and HMAC material is imported and works', async () => {
  await using world = await openKms();
  const mac = await newKey(world, { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
  await importInto(world, mac.KeyId!, new Uint8Array(32).fill(0x0b));
  const request = { KeyId: mac.KeyId, Message: text('Hi There'), MacAlgorithm: 'HMAC_SHA_256' } as const;
  const { Mac } = await world.as(world.root, 'GenerateMac', request);
  // HMAC of RFC 4231's text under 32 bytes of 0x0b, by OpenSSL's command line.
  assert.equal(Buffer.from(Mac!).toString('hex'), '198a607eb44bfbc69903a0f1cf2bbdc5ba0aa3f3d9ae3c1c7a3b1696a0b68cf7');
  for (const [KeySpec, kind] of [
    ['RSA_2048', 'rsa-2048'],
    ['ECC_NIST_P384', 'p-384'],
    ['ECC_NIST_EDWARDS25519', 'ed25519'],
  ] as const) {
    const key = await newKey(world, { KeySpec, KeyUsage: 'SIGN_VERIFY' });
    const pair = await generateKeyPair(kind);
    await importInto(world, key.KeyId!, pair.exposePkcs8(), FOREVER, 'RSA_AES_KEY_WRAP_SHA_256');
    const { PublicKey } = await world.as(world.root, 'GetPublicKey', { KeyId: key.KeyId });
    assert.deepEqual(PublicKey, pair.publicKey().spki());
    const wrong = await newKey(world, { KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' });
    assert.match(
      await failureOf(importInto(world, wrong.KeyId!, pair.exposePkcs8(), FOREVER, 'RSA_AES_KEY_WRAP_SHA_1')),
      /^IncorrectKeyMaterialException/,
    );
  }
});

test('kms 17.3 to 17.6: what is refused, in AWS words', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const other = await newKey(world);
  const ours = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const external = `UnsupportedOperationException: ${ours.Arn} origin is AWS_KMS which is not valid for this operation.`;
  const parameters = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' } as const;
  const { ImportToken, PublicKey } = await world.as(world.root, 'GetParametersForImport', { KeyId, ...parameters });
  const second = await world.as(world.root, 'GetParametersForImport', { KeyId, ...parameters });
  const EncryptedKeyMaterial = wrap(PublicKey!, 'RSAES_OAEP_SHA_256', randomBytes(32));
  const request = { KeyId, ImportToken, EncryptedKeyMaterial, ...FOREVER };
  const ValidTo = new Date(START.getTime() + DAY_MS);
  const cases: [string, object, RegExp | string][] = [
    ['GetParametersForImport', { KeyId: ours.KeyId, ...parameters }, external],
    ['ImportKeyMaterial', { ...request, KeyId: ours.KeyId }, external],
    ['DeleteImportedKeyMaterial', { KeyId: ours.KeyId }, external],
    [
      'ImportKeyMaterial',
      { ...request, ExpirationModel: undefined },
      'ValidationException: A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES',
    ],
    ['ImportKeyMaterial', { ...request, ValidTo }, /^ValidationException: A validTo date must not be set/],
    [
      'ImportKeyMaterial',
      { ...request, ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: START },
      /^ValidationException: The validTo date/,
    ],
    [
      'ImportKeyMaterial',
      { ...request, ExpirationModel: 'KEY_MATERIAL_EXPIRES', ValidTo: new Date(START.getTime() + 366 * DAY_MS) },
      /^ValidationException: The validTo date/,
    ],
    ['ImportKeyMaterial', { ...request, ImportToken: new Uint8Array(200) }, /^InvalidImportTokenException/],
    ['ImportKeyMaterial', { ...request, KeyId: other.KeyId }, /^InvalidImportTokenException/],
    ['ImportKeyMaterial', { ...request, ImportToken: second.ImportToken }, 'InvalidCiphertextException: '],
    [
      'ImportKeyMaterial',
      { ...request, EncryptedKeyMaterial: wrap(PublicKey!, 'RSAES_OAEP_SHA_256', randomBytes(16)) },
      /^IncorrectKeyMaterialException/,
    ],
    ['ImportKeyMaterial', { ...request, ImportType: 'EXISTING_KEY_MATERIAL' }, /^IncorrectKeyMaterialException/],
    ['EnableKeyRotation', { KeyId }, /origin is EXTERNAL which is not valid for this operation/],
    ['EnableKey', { KeyId }, /is pending import/],
  ];
  for (const [operation, input, expected] of cases) {
    const answer = await failureOf(world.as(world.root, operation as 'EnableKey', input as never));
    if (typeof expected === 'string') assert.equal(answer, expected);
    else assert.match(answer, expected, operation);
  }
  await world.pass(DAY_MS);
  const late = await failureOf(world.as(world.root, 'ImportKeyMaterial', request));
  assert.match(late, /^ExpiredImportTokenException/);
  assert.equal((await describe(world, KeyId!)).KeyState, 'PendingImport');
});

test('kms 17.3, 4.4, 26.7: material expires at its date, by a job, unless it was imported again for longer', async () => {
  await using world = await openKms();
  const material = new Uint8Array(32).fill(3);
  const until = (days: number) => ({ ValidTo: new Date(START.getTime() + days * DAY_MS) });
  const one = await newKey(world);
  const two = await newKey(world);
  await importInto(world, one.KeyId!, material, until(2));
  await importInto(world, two.KeyId!, material, until(2));
  const shown = await describe(world, one.KeyId!);
  assert.deepEqual([shown.ExpirationModel, shown.ValidTo], ['KEY_MATERIAL_EXPIRES', until(2).ValidTo]);
  await importInto(world, two.KeyId!, material, until(10));
  await world.pass(DAY_MS);
  assert.equal((await describe(world, one.KeyId!)).KeyState, 'Enabled');
  await world.pass(DAY_MS);
  assert.equal((await describe(world, one.KeyId!)).KeyState, 'PendingImport');
  assert.equal((await describe(world, two.KeyId!)).KeyState, 'Enabled');
  for (let day = 0; day < 9; day++) await world.pass(DAY_MS);
  assert.equal((await describe(world, two.KeyId!)).KeyState, 'PendingImport');
  const place = { account: world.account, region: REGION, limit: 10 };
  const name = { key: 'EventName', value: 'DeleteExpiredKeyMaterial' } as const;
  const events = await world.audit.lookUp({ ...place, attribute: name });
  assert.equal(events.length, 2);
});

test('kms 17.5, 16.8, 16.7: several materials: one waits for rotation on demand, and each opens what it sealed', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const rotate = () => world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  const first = new Uint8Array(32).fill(1);
  const one = await importInto(world, KeyId!, first);
  assert.equal(
    await failureOf(rotate()),
    `KMSInvalidStateException: No available key material pending rotation for the key: ${Arn}.`,
  );
  const early = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('early') });
  const fresh = { ...FOREVER, ImportType: 'NEW_KEY_MATERIAL', KeyMaterialDescription: 'second' } as const;
  const two = await importInto(world, KeyId!, new Uint8Array(32).fill(2), fresh);
  assert.equal((await describe(world, KeyId!)).CurrentKeyMaterialId, one.KeyMaterialId);
  const third = await failureOf(importInto(world, KeyId!, new Uint8Array(32).fill(3), fresh));
  assert.match(
    third,
    new RegExp(
      `^KMSInvalidStateException: New key material \\(id: [0-9a-f]{64}\\) cannot be imported into KMS key ${KeyId}, because another key material \\(id: ${two.KeyMaterialId}\\) is pending rotation.$`,
    ),
  );
  const list = async () => {
    const all = { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' } as const;
    const { Rotations } = await world.as(world.root, 'ListKeyRotations', all);
    return Rotations!.map((entry) => [
      entry.KeyMaterialId,
      entry.KeyMaterialState,
      entry.ImportState,
      entry.RotationType,
    ]);
  };
  assert.deepEqual(await list(), [
    [one.KeyMaterialId, 'CURRENT', 'IMPORTED', undefined],
    [two.KeyMaterialId, 'PENDING_ROTATION', 'IMPORTED', undefined],
  ]);
  await rotate();
  assert.deepEqual(await list(), [
    [one.KeyMaterialId, 'NON_CURRENT', 'IMPORTED', undefined],
    [two.KeyMaterialId, 'CURRENT', 'IMPORTED', 'ON_DEMAND'],
  ]);
  const late = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('late') });
  for (const [{ CiphertextBlob }, material, word] of [
    [early, one, 'early'],
    [late, two, 'late'],
  ] as const) {
    const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob });
    assert.deepEqual([opened.Plaintext, opened.KeyMaterialId], [text(word), material.KeyMaterialId]);
  }
  // Material that was used once and is gone makes the key wait for it.
  await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId, KeyMaterialId: one.KeyMaterialId });
  assert.equal((await describe(world, KeyId!)).KeyState, 'PendingImport');
  await importInto(world, KeyId!, first, { ...FOREVER, ImportType: 'EXISTING_KEY_MATERIAL' });
  assert.equal((await describe(world, KeyId!)).KeyState, 'Enabled');
  // Material that was never used is forgotten.
  const pending = await importInto(world, KeyId!, new Uint8Array(32).fill(4), fresh);
  await world.as(world.root, 'DeleteImportedKeyMaterial', { KeyId, KeyMaterialId: pending.KeyMaterialId });
  assert.equal((await describe(world, KeyId!)).KeyState, 'Enabled');
  assert.equal((await list()).length, 2);
});

test('kms 8.9: two keys with the same imported material do not open each other’s ciphertext', async () => {
  await using world = await openKms();
  const material = new Uint8Array(32).fill(6);
  const one = await newKey(world);
  const two = await newKey(world);
  await importInto(world, one.KeyId!, material);
  await importInto(world, two.KeyId!, material);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: one.KeyId, Plaintext: text('x') });
  assert.match(
    await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob, KeyId: two.KeyId })),
    /^IncorrectKeyException/,
  );
});

test('kms 18.2: each Region of a multi-Region key imports for itself, and new material rotates once all have it', async () => {
  await using world = await openKms();
  const key = await newKey(world, { MultiRegion: true });
  const KeyId = key.KeyId!;
  const west = { region: 'eu-west-1' as never };
  const first = new Uint8Array(32).fill(1);
  await importInto(world, KeyId, first);
  await world.as(world.root, 'ReplicateKey', { KeyId, ReplicaRegion: 'eu-west-1' });
  await world.jobs.idle();
  assert.equal((await describe(world, KeyId, west)).KeyState, 'PendingImport');
  const into = (material: Uint8Array, more: Partial<ImportKeyMaterialCommandInput>, call = {}) =>
    importInto(world, KeyId, material, { ...FOREVER, ...more }, 'RSAES_OAEP_SHA_256', call);
  assert.match(await failureOf(into(new Uint8Array(32).fill(7), {}, west)), /^IncorrectKeyMaterialException/);
  await into(first, {}, west);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  assert.deepEqual((await world.as(world.root, 'Decrypt', { CiphertextBlob }, west)).Plaintext, text('x'));

  const second = new Uint8Array(32).fill(2);
  assert.match(
    await failureOf(into(second, { ImportType: 'NEW_KEY_MATERIAL' }, west)),
    /^UnsupportedOperationException: .* replica key/,
  );
  await into(second, { ImportType: 'NEW_KEY_MATERIAL' });
  const states = async () => {
    const all = { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' } as const;
    return (await world.as(world.root, 'ListKeyRotations', all)).Rotations!.map((entry) => entry.KeyMaterialState);
  };
  assert.deepEqual(await states(), ['CURRENT', 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION']);
  assert.match(await failureOf(world.as(world.root, 'RotateKeyOnDemand', { KeyId })), /No available key material/);
  await into(second, {}, west);
  assert.deepEqual(await states(), ['CURRENT', 'PENDING_ROTATION']);
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  const here = await describe(world, KeyId);
  const there = await describe(world, KeyId, west);
  assert.equal(there.CurrentKeyMaterialId, here.CurrentKeyMaterialId);
  assert.equal(there.KeyState, 'Enabled');
});

test('24: kms:ExpirationModel and kms:ValidTo bound what may be imported', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const allow = (Condition: object) => ({ Effect: 'Allow', Action: 'kms:ImportKeyMaterial', Resource: '*', Condition });
  const soon = new Date(START.getTime() + 10 * DAY_MS).toISOString();
  const ana = await world.makeUser('ana', [allow({ DateLessThan: { 'kms:ValidTo': soon } })]);
  const bob = await world.makeUser('bob', [
    allow({ StringEquals: { 'kms:ExpirationModel': 'KEY_MATERIAL_DOES_NOT_EXPIRE' } }),
  ]);
  const request = { KeyId, WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' } as const;
  const { PublicKey, ImportToken } = await world.as(world.root, 'GetParametersForImport', request);
  const EncryptedKeyMaterial = wrap(PublicKey!, 'RSAES_OAEP_SHA_256', randomBytes(32));
  const material = { KeyId, ImportToken, EncryptedKeyMaterial };
  const until = (days: number) => ({ ValidTo: new Date(START.getTime() + days * DAY_MS) });
  const denied = /^AccessDeniedException/;
  assert.match(await failureOf(world.as(ana, 'ImportKeyMaterial', { ...material, ...FOREVER })), denied);
  assert.match(await failureOf(world.as(ana, 'ImportKeyMaterial', { ...material, ...until(11) })), denied);
  assert.match(await failureOf(world.as(bob, 'ImportKeyMaterial', { ...material, ...until(9) })), denied);
  await world.as(ana, 'ImportKeyMaterial', { ...material, ...until(9) });
  await world.as(bob, 'ImportKeyMaterial', { ...material, ...FOREVER });
});
