/** Making, naming, sharing and listing keys through the service (kms §2, §3, §6, §7, §12 to §14, §20, §21, §23). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemPermit } from '../../authz/permit.ts';
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

test('6, 7: what CreateKey refuses, and what Ingot does not make', async () => {
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

test('12: aliases, their names, limits and moves', async () => {
  await using world = await openKms();
  const one = await newKey(world);
  const two = await newKey(world);
  const arn = (name: string) => `arn:aws:kms:eu-central-1:${world.account}:${name}`;
  const create = (AliasName: string, TargetKeyId = one.KeyId) =>
    failureOf(world.as(world.root, 'CreateAlias', { AliasName, TargetKeyId }));
  assert.equal(await create('alias/golden'), 'succeeded: {}');
  assert.equal(
    await create('alias/golden', two.KeyId),
    `AlreadyExistsException: An alias with the name ${arn('alias/golden')} already exists`,
  );
  assert.equal(
    await create('golden'),
    'ValidationException: Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
  );
  assert.match(await create('alias/a b'), /^InvalidAliasNameException/);
  assert.match(await create('alias/aws/ebs'), /^NotAuthorizedException/);
  assert.equal(await create('alias/x', 'alias/golden'), 'ValidationException: Aliases must refer to keys. Not aliases');

  const list = async (input = {}) => (await world.as(world.root, 'ListAliases', input)).Aliases!;
  assert.deepEqual(await list({ KeyId: one.KeyId }), [
    {
      AliasName: 'alias/golden',
      AliasArn: arn('alias/golden'),
      TargetKeyId: one.KeyId,
      CreationDate: START,
      LastUpdatedDate: START,
    },
  ]);
  assert.deepEqual(
    (await list()).map(({ AliasName, TargetKeyId }) => [AliasName, TargetKeyId]),
    [
      ['alias/aws/ebs', undefined],
      ['alias/golden', one.KeyId],
    ],
  );
  await world.as(world.root, 'UpdateAlias', { AliasName: 'alias/golden', TargetKeyId: two.Arn });
  assert.equal((await describe(world, 'alias/golden')).KeyId, two.KeyId);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: one.KeyId });
  assert.equal(
    await failureOf(world.as(world.root, 'UpdateAlias', { AliasName: 'alias/golden', TargetKeyId: one.KeyId })),
    `KMSInvalidStateException: ${one.Arn} is pending deletion.`,
  );
  await world.as(world.root, 'DeleteAlias', { AliasName: 'alias/golden' });
  assert.equal(
    await failureOf(world.as(world.root, 'DeleteAlias', { AliasName: 'alias/golden' })),
    `NotFoundException: Alias ${arn('alias/golden')} is not found.`,
  );
  for (let i = 0; i < 50; i++) assert.equal(await create(`alias/n${i}`, two.KeyId), 'succeeded: {}');
  assert.match(await create('alias/n50', two.KeyId), /^LimitExceededException/);
});

test('21: lists come in pages, and a marker is good for its own list only', async () => {
  await using world = await openKms();
  const made = new Set<string>();
  for (let i = 0; i < 5; i++) made.add((await newKey(world)).KeyId!);
  const seen: string[] = [];
  let Marker: string | undefined;
  do {
    const page: { Keys?: { KeyId?: string }[]; NextMarker?: string; Truncated?: boolean } = await world.as(
      world.root,
      'ListKeys',
      { Limit: 2, Marker },
    );
    seen.push(...page.Keys!.map((key) => key.KeyId!));
    assert.equal(page.Truncated, page.NextMarker !== undefined);
    Marker = page.NextMarker;
  } while (Marker);
  assert.deepEqual(new Set(seen), made);
  assert.equal(seen.length, 5);
  const first = await world.as(world.root, 'ListKeys', { Limit: 2 });
  for (const [name, input] of [
    ['ListAliases', { Marker: first.NextMarker }],
    ['ListKeys', { Marker: 'nonsense' }],
  ] as const) {
    assert.match(await failureOf(world.as(world.root, name, input)), /^InvalidMarkerException/);
  }
  assert.match(await failureOf(world.as(world.root, 'ListKeys', { Limit: 1001 })), /^ValidationException/);
  const KeyId = seen[0];
  const names = ['a', 'b', 'c'].map((name) => `alias/${name}`);
  for (const AliasName of names) await world.as(world.root, 'CreateAlias', { AliasName, TargetKeyId: KeyId });
  const aliases: (string | undefined)[] = [];
  Marker = undefined;
  do {
    const page: { Aliases?: { AliasName?: string }[]; NextMarker?: string } = await world.as(
      world.root,
      'ListAliases',
      {
        Limit: 1,
        Marker,
      },
    );
    aliases.push(...page.Aliases!.map((alias) => alias.AliasName));
    Marker = page.NextMarker;
  } while (Marker);
  assert.deepEqual(aliases, ['alias/a', 'alias/aws/ebs', 'alias/b', 'alias/c']);
});

test('20: tags', async () => {
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

test('14: key policies: default, display, lockout, and principals that end with their user', async () => {
  await using world = await openKms();
  const ana = await world.makeUser('ana', []);
  const { KeyId, Arn } = await newKey(world);
  const shown = await world.as(world.root, 'GetKeyPolicy', { KeyId });
  assert.equal(shown.PolicyName, 'default');
  assert.deepEqual(JSON.parse(shown.Policy!), {
    Version: '2012-10-17',
    Id: 'key-default-1',
    Statement: [
      {
        Sid: 'Enable IAM User Permissions',
        Effect: 'Allow',
        Principal: { AWS: `arn:aws:iam::${world.account}:root` },
        Action: 'kms:*',
        Resource: '*',
      },
    ],
  });
  assert.deepEqual(await world.as(world.root, 'ListKeyPolicies', { KeyId }), {
    PolicyNames: ['default'],
    Truncated: false,
  });
  const put = (statements: object[], more = {}) => {
    const Policy = JSON.stringify({ Version: '2012-10-17', Statement: statements });
    return failureOf(world.as(world.root, 'PutKeyPolicy', { KeyId, Policy, ...more }));
  };
  const allow = (AWS: string, Action: string) => ({ Effect: 'Allow', Principal: { AWS }, Action, Resource: '*' });
  assert.equal(
    await put([allow(ana.arn, 'kms:*')]),
    'MalformedPolicyDocumentException: The new key policy will not allow you to update the key policy in the future.',
  );
  assert.equal(
    await put([allow(`arn:aws:iam::${world.account}:user/nobody`, 'kms:*')]),
    'MalformedPolicyDocumentException: Policy contains a statement with one or more invalid principals.',
  );
  assert.match(await put([allow(world.root.arn, 'kms:*')], { PolicyName: 'other' }), /^NotFoundException/);
  assert.match(await failureOf(world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') })), /no identity-based policy/);
  assert.equal(await put([allow(world.root.arn, 'kms:*'), allow(ana.arn, 'kms:Encrypt')]), 'succeeded: {}');
  await world.as(ana, 'Encrypt', { KeyId, Plaintext: text('x') });
  const after = JSON.parse((await world.as(world.root, 'GetKeyPolicy', { KeyId })).Policy!);
  assert.equal(after.Statement[1].Principal.AWS, ana.arn);
  assert.equal(await put([allow(ana.arn, 'kms:Encrypt')], { BypassPolicyLockoutSafetyCheck: true }), 'succeeded: {}');
  assert.equal(
    await failureOf(world.as(world.root, 'DescribeKey', { KeyId })),
    `AccessDeniedException: User: ${world.root.arn} is not authorized to perform: kms:DescribeKey on resource: ${Arn} because no resource-based policy allows the kms:DescribeKey action`,
  );
});

test('13: the AWS managed key of EBS is made once, serves EBS only, and cannot be changed', async () => {
  await using world = await openKms();
  const [first, second] = await Promise.all([describe(world, 'alias/aws/ebs'), describe(world, 'alias/aws/ebs')]);
  assert.equal(first.KeyId, second.KeyId);
  assert.equal(first.KeyManager, 'AWS');
  assert.equal(first.Description, 'Default key that protects my EBS volumes when no other key is defined');
  const KeyId = first.KeyId;
  const status = await world.as(world.root, 'GetKeyRotationStatus', { KeyId });
  assert.deepEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 365]);
  const denied = (action: string) =>
    `AccessDeniedException: User: ${world.root.arn} is not authorized to perform: kms:${action} on resource: ${first.Arn} because no resource-based policy allows the kms:${action} action`;
  const Tags = [{ TagKey: 'a', TagValue: 'b' }];
  for (const [name, input] of [
    ['Encrypt', { Plaintext: text('x') }],
    ['DisableKey', {}],
    ['ScheduleKeyDeletion', {}],
    ['PutKeyPolicy', { Policy: '{}' }],
    ['TagResource', { Tags }],
    ['RotateKeyOnDemand', {}],
    ['DisableKeyRotation', {}],
    ['UpdateKeyDescription', { Description: 'x' }],
  ] as const) {
    assert.equal(await failureOf(world.as(world.root, name, { KeyId, ...input } as never)), denied(name));
  }
  assert.match(
    await failureOf(world.as(world.root, 'UpdateAlias', { AliasName: 'alias/aws/ebs', TargetKeyId: KeyId })),
    /^NotAuthorized/,
  );
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

test('kms 12.6: an alias that moved since its permits were given stays where it is', async () => {
  await using world = await openKms();
  const [one, two, three] = [await newKey(world), await newKey(world), await newKey(world)];
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: two.KeyId });
  const permit = (arn: string | undefined) => systemPermit('kms:UpdateAlias', arn!, 'a test');
  const alias = permit(`arn:aws:kms:eu-central-1:${world.account}:alias/golden`);
  await assert.rejects(world.keys.updateAlias(alias, permit(one.Arn), permit(three.Arn)), /alias-not-found/);
  assert.equal((await describe(world, 'alias/golden')).KeyId, two.KeyId);
});
