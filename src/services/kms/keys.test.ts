/** Making, naming, sharing and listing keys through the service (kms §2, §3, §6, §7, §12 to §14, §20, §21, §23). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, START, type World } from './test-kms.ts';

const text = (value: string) => new Uint8Array(Buffer.from(value));

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}
const describe = async (world: World, KeyId: string | undefined) =>
  (await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata!;

test('kms 3.1, 3.2: the metadata of a fresh key has exactly the members of AWS', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  assert.match(key.KeyId!, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.match(key.CurrentKeyMaterialId!, /^[0-9a-f]{64}$/);
  assert.deepEqual(key, {
    AWSAccountId: world.account,
    Arn: `arn:aws:kms:eu-central-1:${world.account}:key/${key.KeyId}`,
    CreationDate: START,
    CurrentKeyMaterialId: key.CurrentKeyMaterialId,
    CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT',
    Description: '',
    Enabled: true,
    EncryptionAlgorithms: ['SYMMETRIC_DEFAULT'],
    KeyId: key.KeyId,
    KeyManager: 'CUSTOMER',
    KeySpec: 'SYMMETRIC_DEFAULT',
    KeyState: 'Enabled',
    KeyUsage: 'ENCRYPT_DECRYPT',
    MultiRegion: false,
    Origin: 'AWS_KMS',
  });
  assert.deepEqual(await describe(world, key.KeyId), key);
});

test('kms 6.1 to 6.3, 7.4, 20.1, 20.2: what CreateKey refuses, and what Ingot does not make', async () => {
  await using world = await openKms();
  const cases: [object, string][] = [
    [
      { KeySpec: 'RSA_2048' },
      'ValidationException: You must specify a KeyUsage value for all KMS keys except for symmetric encryption keys.',
    ],
    [
      { KeyUsage: 'SIGN_VERIFY' },
      'ValidationException: KeyUsage SIGN_VERIFY is not compatible with KeySpec SYMMETRIC_DEFAULT',
    ],
    [
      { KeySpec: 'HMAC_256', KeyUsage: 'ENCRYPT_DECRYPT' },
      'ValidationException: KeyUsage ENCRYPT_DECRYPT is not compatible with KeySpec HMAC_256',
    ],
    [
      { KeySpec: 'SM2', KeyUsage: 'SIGN_VERIFY' },
      'UnsupportedOperationException: KeySpec SM2 is not supported by Ingot.',
    ],
    [{ Origin: 'AWS_CLOUDHSM' }, 'UnsupportedOperationException: Origin AWS_CLOUDHSM is not supported by Ingot.'],
    [
      { Origin: 'EXTERNAL_KEY_STORE', XksKeyId: 'x' },
      'UnsupportedOperationException: XksKeyId is not supported by Ingot.',
    ],
    [{ CustomKeyStoreId: 'cks-1' }, 'UnsupportedOperationException: CustomKeyStoreId is not supported by Ingot.'],
    [
      { KeySpec: 'SYMMETRIC_DEFAULT', CustomerMasterKeySpec: 'SYMMETRIC_DEFAULT' },
      'ValidationException: You cannot specify KeySpec and CustomerMasterKeySpec in the same request.',
    ],
    [
      { Tags: [{ TagKey: 'x'.repeat(129), TagValue: '' }] },
      `ValidationException: 1 validation error detected: Value '${'x'.repeat(129)}' at 'tags.1.member.tagKey' failed to satisfy constraint: Member must have length less than or equal to 128`,
    ],
    [
      {
        Tags: [
          { TagKey: 'a', TagValue: '' },
          { TagKey: 'a', TagValue: '' },
        ],
      },
      'TagException: Duplicate tag keys',
    ],
    [{ Tags: [{ TagKey: 'AWS:x', TagValue: '' }] }, 'TagException: Tags beginning with aws: are reserved'],
    [{ Tags: Array.from({ length: 51 }, (_, i) => ({ TagKey: `${i}`, TagValue: '' })) }, 'TagException: Too many tags'],
    [{ Policy: 'not json' }, 'MalformedPolicyDocumentException: This policy contains invalid Json'],
    [{ Policy: `{"x": "${'x'.repeat(33_000)}"}` }, 'LimitExceededException: A key policy has at most 32768 bytes.'],
  ];
  for (const [input, expected] of cases) {
    assert.equal(await failureOf(world.as(world.root, 'CreateKey', input)), expected);
  }
  assert.deepEqual((await world.as(world.root, 'ListKeys', {})).Keys, [], 'nothing was made');
});

test('kms 20.3, 20.5: tags', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world, { Tags: [{ TagKey: 'team', TagValue: 'images' }] });
  await world.as(world.root, 'TagResource', {
    KeyId,
    Tags: [
      { TagKey: 'team', TagValue: 'core' },
      { TagKey: 'b', TagValue: '' },
    ],
  });
  await world.as(world.root, 'UntagResource', { KeyId, TagKeys: ['b', 'absent'] });
  assert.deepEqual(await world.as(world.root, 'ListResourceTags', { KeyId }), {
    Tags: [{ TagKey: 'team', TagValue: 'core' }],
    Truncated: false,
  });
  const Resource = '*';
  const byTag = { StringEquals: { 'aws:ResourceTag/team': 'core' } };
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:Encrypt', Resource, Condition: byTag }]);
  await world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') });
  await world.as(world.root, 'TagResource', { KeyId, Tags: [{ TagKey: 'team', TagValue: 'other' }] });
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') })), /^AccessDenied/);
});

test('kms 2.11: another account learns nothing about keys that it may not use', async () => {
  await using world = await openKms();
  const { Arn } = await newKey(world);
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: Arn });
  const missing = Arn!.replace(/.{12}$/, '000000000000');
  const alias = `arn:aws:kms:eu-central-1:${world.account}:alias`;
  const mallory = await world.makeUser('mallory', [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }], world.other);
  for (const [one, two] of [
    [Arn!, missing],
    [`${alias}/golden`, `${alias}/none`],
  ] as const) {
    for (const caller of [world.otherRoot, mallory]) {
      const of = async (KeyId: string) =>
        (await failureOf(world.as(caller, 'DescribeKey', { KeyId }))).replaceAll(KeyId, 'THE KEY');
      assert.equal(await of(one), await of(two));
      assert.match(await of(one), /^AccessDeniedException: .*on resource: THE KEY because/);
    }
  }
  for (const name of [
    'DisableKey',
    'GetKeyPolicy',
    'ListResourceTags',
    'ScheduleKeyDeletion',
    'ListKeyRotations',
  ] as const) {
    for (const KeyId of [Arn!, missing]) {
      assert.match(await failureOf(world.as(mallory, name, { KeyId })), /^AccessDeniedException/, name);
    }
  }
  for (const KeyId of [Arn!, missing]) {
    assert.match(await failureOf(world.as(mallory, 'ListAliases', { KeyId })), /^AccessDeniedException/);
  }
});

test('kms 23.3: another account uses a key that its policy shares, with an identity policy of its own', async () => {
  await using world = await openKms();
  const open = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [world.root.arn, world.otherRoot.arn].map((AWS) => ({ ...open, Principal: { AWS } })),
  });
  const { Arn } = await newKey(world, { Policy });
  const idle = await world.makeUser('idle', [], world.other);
  const busy = await world.makeUser('busy', [open], world.other);
  const { CiphertextBlob } = await world.as(busy, 'Encrypt', { KeyId: Arn, Plaintext: text('x') });
  assert.deepEqual((await world.as(busy, 'Decrypt', { CiphertextBlob })).Plaintext, text('x'));
  assert.match(
    await failureOf(world.as(idle, 'Encrypt', { KeyId: Arn, Plaintext: text('x') })),
    /no identity-based policy/,
  );
  assert.match(await failureOf(world.as(busy, 'DisableKey', { KeyId: Arn })), /^AccessDeniedException/);
});

test('kms 7.1, 7.3, 7.5: everything may be left out; what is left out is as AWS has it, and each call makes a key', async () => {
  await using world = await openKms();
  const [one, two] = [await newKey(world), await newKey(world)];
  assert.notEqual(one.KeyId, two.KeyId);
  assert.deepEqual(
    [one.Description, one.KeyUsage, one.KeySpec, one.Origin, one.MultiRegion],
    ['', 'ENCRYPT_DECRYPT', 'SYMMETRIC_DEFAULT', 'AWS_KMS', false],
  );
  assert.deepEqual((await world.as(world.root, 'ListResourceTags', { KeyId: one.KeyId })).Tags, []);
  const { Policy } = await world.as(world.root, 'GetKeyPolicy', { KeyId: one.KeyId });
  assert.equal(JSON.parse(Policy!).Id, 'key-default-1');
  assert.equal((await newKey(world, { Description: 'x'.repeat(8192) })).Description?.length, 8192);
  assert.match(
    await failureOf(world.as(world.root, 'CreateKey', { Description: 'x'.repeat(8193) })),
    /^ValidationException: .*'description'.* less than or equal to 8192/,
  );
  const byOldName = await newKey(world, { CustomerMasterKeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
  assert.deepEqual([byOldName.KeySpec, byOldName.CustomerMasterKeySpec], ['HMAC_256', 'HMAC_256']);
});

test('kms 7.6: a description is replaced whole', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world, { Description: 'before' });
  for (const Description of ['after', '', 'x'.repeat(8192)]) {
    assert.deepEqual(await world.as(world.root, 'UpdateKeyDescription', { KeyId, Description }), {});
    assert.equal((await describe(world, KeyId)).Description, Description);
  }
  const longer = world.as(world.root, 'UpdateKeyDescription', { KeyId, Description: 'x'.repeat(8193) });
  assert.match(await failureOf(longer), /^ValidationException/);
});

test('kms 20.1, 20.2, 20.4: at most fifty tags of bounded length, told apart by case, on keys that stay', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const tag = (...tags: [key: string, value: string][]) =>
    failureOf(
      world.as(world.root, 'TagResource', {
        KeyId,
        Tags: tags.map(([TagKey, TagValue]) => ({ TagKey, TagValue })),
      }),
    );
  const list = async () => (await world.as(world.root, 'ListResourceTags', { KeyId })).Tags;
  assert.equal(await tag(['Team', 'a'], ['team', 'b'], ['x'.repeat(128), 'y'.repeat(256)]), 'succeeded: {}');
  assert.equal((await list())?.length, 3);
  const tooLong = (member: string, value: string, limit: number) =>
    `ValidationException: 1 validation error detected: Value '${value}' at 'tags.1.member.${member}' failed to satisfy constraint: Member must have length less than or equal to ${limit}`;
  assert.equal(await tag(['x'.repeat(129), '']), tooLong('tagKey', 'x'.repeat(129), 128));
  assert.match(await tag(['a', 'x'.repeat(257)]), /^ValidationException: .*'tags\.1\.member\.tagValue'.*256$/);
  assert.equal(await tag(['a', '1'], ['a', '2']), 'TagException: Duplicate tag keys');
  assert.equal(await tag(['aWs:x', '1']), 'TagException: Tags beginning with aws: are reserved');
  const many = Array.from({ length: 47 }, (_, at) => [`${at}`, ''] as [string, string]);
  assert.equal(await tag(...many), 'succeeded: {}');
  assert.equal(await tag(['one more', '']), 'TagException: Too many tags');
  assert.equal(await tag(['team', 'c']), 'succeeded: {}', 'a tag that is there is replaced');
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  assert.equal(await tag(['team', 'd']), `KMSInvalidStateException: ${Arn} is pending deletion.`);
  assert.match(
    await failureOf(world.as(world.root, 'TagResource', { KeyId: 'alias/aws/ebs', Tags: [] })),
    /Key Aliases are not supported/,
  );
});
