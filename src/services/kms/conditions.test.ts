/** Condition keys that KMS supplies (kms 24, authorization-and-wire 6.11): each gates a call, both ways. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms } from './test-kms.ts';

const Plaintext = new Uint8Array([1]);

test('kms 24.1, authz 6.11: condition keys of requests and keys', async () => {
  await using world = await openKms();
  const { KeyMetadata: key } = await world.as(world.root, 'CreateKey', {});
  const { KeyMetadata: other } = await world.as(world.root, 'CreateKey', {});
  const KeyId = key!.KeyId!;
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: KeyId });
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext });
  const encrypt = (input: object) => ['Encrypt', { KeyId, Plaintext, ...input }] as const;
  const grant = (input: object) =>
    ['CreateGrant', { KeyId, GranteePrincipal: world.root.arn, Operations: ['Decrypt'], ...input }] as const;
  const make = async (input: object) => (await world.as(world.root, 'CreateKey', input)).KeyMetadata;
  const signing = await make({ KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' });
  const mac = await make({ KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' });
  const external = await make({ Origin: 'EXTERNAL' });
  const sign = (input: object) =>
    ['Sign', { KeyId: signing!.KeyId, Message: Plaintext, SigningAlgorithm: 'RSASSA_PSS_SHA_256', ...input }] as const;
  const pair = (KeyPairSpec: string) => ['GenerateDataKeyPair', { KeyId, KeyPairSpec }] as const;
  const wrapping = { WrappingAlgorithm: 'RSAES_OAEP_SHA_256', WrappingKeySpec: 'RSA_2048' };
  const parameters = (input: object) =>
    ['GetParametersForImport', { KeyId: external!.KeyId, ...wrapping, ...input }] as const;
  const equals = (name: string, value: string) => ({ StringEquals: { [name]: value } });
  type Request = readonly [string, object];
  const table: [object, Request, Request][] = [
    [equals('kms:RequestAlias', 'alias/golden'), encrypt({ KeyId: 'alias/golden' }), encrypt({})],
    [
      { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/golden' } },
      encrypt({}),
      encrypt({ KeyId: other!.KeyId }),
    ],
    [
      equals('kms:EncryptionContext:TEAM', 'core'),
      encrypt({ EncryptionContext: { team: 'core' } }),
      encrypt({ EncryptionContext: { team: 'Core' } }),
    ],
    [
      { 'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': ['a', 'b'] } },
      encrypt({ EncryptionContext: { a: '1' } }),
      encrypt({ EncryptionContext: { a: '1', c: '2' } }),
    ],
    [equals('kms:EncryptionAlgorithm', 'SYMMETRIC_DEFAULT'), encrypt({}), ['DescribeKey', { KeyId }]],
    [
      { Bool: { 'kms:ReEncryptOnSameKey': 'true' } },
      ['ReEncrypt', { CiphertextBlob, DestinationKeyId: KeyId }],
      ['ReEncrypt', { CiphertextBlob, SourceKeyId: KeyId, DestinationKeyId: other!.KeyId }],
    ],
    [
      { 'ForAllValues:StringEquals': { 'kms:GrantOperations': ['Decrypt', 'DescribeKey'] } },
      grant({}),
      grant({ Operations: ['Decrypt', 'Encrypt'] }),
    ],
    [equals('kms:GranteePrincipal', world.root.arn), grant({}), grant({ GranteePrincipal: world.otherRoot.arn })],
    [
      equals('kms:GrantConstraintType', 'EncryptionContextSubset'),
      grant({ Constraints: { EncryptionContextSubset: { a: '1' } } }),
      grant({}),
    ],
    [{ Bool: { 'kms:GrantIsForAWSResource': 'false' } }, grant({}), encrypt({})],
    [
      { NumericGreaterThanEquals: { 'kms:RotationPeriodInDays': '180' } },
      ['EnableKeyRotation', { KeyId }],
      ['EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 }],
    ],
    [
      { NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '14' } },
      ['ScheduleKeyDeletion', { KeyId: other!.KeyId }],
      ['ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 }],
    ],
    [
      equals('kms:KeySpec', 'SYMMETRIC_DEFAULT'),
      ['CreateKey', {}],
      ['CreateKey', { KeySpec: 'RSA_2048', KeyUsage: 'SIGN_VERIFY' }],
    ],
    [equals('kms:SigningAlgorithm', 'RSASSA_PSS_SHA_256'), sign({}), sign({ SigningAlgorithm: 'RSASSA_PSS_SHA_512' })],
    [equals('kms:MessageType', 'RAW'), sign({}), sign({ MessageType: 'DIGEST', Message: new Uint8Array(32) })],
    [
      equals('kms:MacAlgorithm', 'HMAC_SHA_256'),
      ['GenerateMac', { KeyId: mac!.KeyId, Message: Plaintext, MacAlgorithm: 'HMAC_SHA_256' }],
      ['GenerateMac', { KeyId: mac!.KeyId, Message: Plaintext, MacAlgorithm: 'HMAC_SHA_512' }],
    ],
    [equals('kms:DataKeyPairSpec', 'ECC_NIST_P256'), pair('ECC_NIST_P256'), pair('ECC_NIST_P384')],
    [equals('kms:KeyUsage', 'SIGN_VERIFY'), ['GetPublicKey', { KeyId: signing!.KeyId }], ['DescribeKey', { KeyId }]],
    [equals('kms:KeyOrigin', 'EXTERNAL'), ['DescribeKey', { KeyId: external!.KeyId }], ['DescribeKey', { KeyId }]],
    [
      equals('kms:WrappingAlgorithm', 'RSAES_OAEP_SHA_256'),
      parameters({}),
      parameters({ WrappingAlgorithm: 'RSAES_OAEP_SHA_1' }),
    ],
    [equals('kms:WrappingKeySpec', 'RSA_2048'), parameters({}), parameters({ WrappingKeySpec: 'RSA_3072' })],
    [equals('kms:MultiRegionKeyType', 'PRIMARY'), ['CreateKey', { MultiRegion: true }], ['CreateKey', {}]],
    [
      { Null: { 'kms:BypassPolicyLockoutSafetyCheck': 'true' } },
      ['CreateKey', {}],
      ['CreateKey', { BypassPolicyLockoutSafetyCheck: true }],
    ],
    [
      equals('aws:RequestTag/team', 'core'),
      ['TagResource', { KeyId, Tags: [{ TagKey: 'team', TagValue: 'core' }] }],
      ['TagResource', { KeyId, Tags: [{ TagKey: 'team', TagValue: 'else' }] }],
    ],
  ];
  for (const [index, [Condition, allowed, denied]] of table.entries()) {
    const statement = { Effect: 'Allow', Action: 'kms:*', Resource: '*', Condition };
    const user = await world.makeUser(`user${index}`, [statement]);
    const said = JSON.stringify(Condition);
    // Refused calls come first: an allowed one may change what the next sees.
    assert.match(await failureOf(world.as(user, denied[0], denied[1] as never)), /^AccessDeniedException/, said);
    assert.match(await failureOf(world.as(user, allowed[0], allowed[1] as never)), /^succeeded/, said);
  }
});

test('kms 7.2: a key with tags needs the right to tag; without a policy of its own a key needs no right to put one', async () => {
  await using world = await openKms();
  const Tags = [{ TagKey: 'team', TagValue: 'core' }];
  const ana = await world.makeUser('ana', [{ Effect: 'Allow', Action: 'kms:CreateKey', Resource: '*' }]);
  assert.match(await failureOf(world.as(ana, 'CreateKey', {})), /^succeeded/);
  assert.match(await failureOf(world.as(ana, 'CreateKey', { Tags })), /^AccessDenied.*kms:TagResource/);
  const Statement = [{ Effect: 'Allow', Principal: { AWS: world.root.arn }, Action: 'kms:*', Resource: '*' }];
  const Policy = JSON.stringify({ Version: '2012-10-17', Statement });
  assert.match(await failureOf(world.as(ana, 'CreateKey', { Policy })), /will not allow you to update the key policy/);
  assert.match(
    await failureOf(world.as(ana, 'CreateKey', { Policy, BypassPolicyLockoutSafetyCheck: true })),
    /^succeeded/,
  );
});
