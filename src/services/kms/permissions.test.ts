/** Who may do what, operation by operation: policies, grants, other accounts, dry runs (kms §22 to §24). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { failureOf, openKms, type World } from './test-kms.ts';
import { type KeyOperation, MESSAGE, openPolicy, type Prepared, prepare, REQUESTS } from './test-requests.ts';

type Operation = KeyOperation | 'CreateKey' | 'GenerateRandom' | 'ListKeys' | 'ListRetirableGrants';

/** kms §24: action, what it is checked on, and whether a grant can give it. */
const SUMMARY: readonly [operation: Operation, action: string, on: 'all' | 'key' | 'alias', grantable: boolean][] = [
  ['CreateKey', 'kms:CreateKey', 'all', false],
  ['ListKeys', 'kms:ListKeys', 'all', false],
  ['ListAliases', 'kms:ListAliases', 'all', false],
  ['ListRetirableGrants', 'kms:ListRetirableGrants', 'all', false],
  ['GenerateRandom', 'kms:GenerateRandom', 'all', false],
  ['Encrypt', 'kms:Encrypt', 'key', true],
  ['Decrypt', 'kms:Decrypt', 'key', true],
  ['ReEncrypt', 'kms:ReEncryptFrom', 'key', true],
  ['ReEncrypt', 'kms:ReEncryptTo', 'key', true],
  ['GenerateDataKey', 'kms:GenerateDataKey', 'key', true],
  ['GenerateDataKeyWithoutPlaintext', 'kms:GenerateDataKeyWithoutPlaintext', 'key', true],
  ['GenerateDataKeyPair', 'kms:GenerateDataKeyPair', 'key', true],
  ['GenerateDataKeyPairWithoutPlaintext', 'kms:GenerateDataKeyPairWithoutPlaintext', 'key', true],
  ['Sign', 'kms:Sign', 'key', true],
  ['Verify', 'kms:Verify', 'key', true],
  ['GenerateMac', 'kms:GenerateMac', 'key', true],
  ['VerifyMac', 'kms:VerifyMac', 'key', true],
  ['DeriveSharedSecret', 'kms:DeriveSharedSecret', 'key', true],
  ['Encapsulate', 'kms:Encapsulate', 'key', true],
  ['Decapsulate', 'kms:Decapsulate', 'key', true],
  ['DescribeKey', 'kms:DescribeKey', 'key', true],
  ['GetPublicKey', 'kms:GetPublicKey', 'key', true],
  ['CreateGrant', 'kms:CreateGrant', 'key', true],
  ['RetireGrant', 'kms:RetireGrant', 'key', true],
  ['ListGrants', 'kms:ListGrants', 'key', false],
  ['RevokeGrant', 'kms:RevokeGrant', 'key', false],
  ['PutKeyPolicy', 'kms:PutKeyPolicy', 'key', false],
  ['GetKeyPolicy', 'kms:GetKeyPolicy', 'key', false],
  ['ListKeyPolicies', 'kms:ListKeyPolicies', 'key', false],
  ['ListResourceTags', 'kms:ListResourceTags', 'key', false],
  ['GetKeyRotationStatus', 'kms:GetKeyRotationStatus', 'key', false],
  ['ListKeyRotations', 'kms:ListKeyRotations', 'key', false],
  ['GetKeyLastUsage', 'kms:GetKeyLastUsage', 'key', false],
  ['EnableKey', 'kms:EnableKey', 'key', false],
  ['CancelKeyDeletion', 'kms:CancelKeyDeletion', 'key', false],
  ['DisableKeyRotation', 'kms:DisableKeyRotation', 'key', false],
  ['RotateKeyOnDemand', 'kms:RotateKeyOnDemand', 'key', false],
  ['UpdateKeyDescription', 'kms:UpdateKeyDescription', 'key', false],
  ['DeleteImportedKeyMaterial', 'kms:DeleteImportedKeyMaterial', 'key', false],
  ['DisableKey', 'kms:DisableKey', 'key', false],
  ['ScheduleKeyDeletion', 'kms:ScheduleKeyDeletion', 'key', false],
  ['EnableKeyRotation', 'kms:EnableKeyRotation', 'key', false],
  ['GetParametersForImport', 'kms:GetParametersForImport', 'key', false],
  ['ImportKeyMaterial', 'kms:ImportKeyMaterial', 'key', false],
  ['TagResource', 'kms:TagResource', 'key', false],
  ['UntagResource', 'kms:UntagResource', 'key', false],
  ['ReplicateKey', 'kms:ReplicateKey', 'key', false],
  ['UpdatePrimaryRegion', 'kms:UpdatePrimaryRegion', 'key', false],
  ['CreateAlias', 'kms:CreateAlias', 'alias', false],
  ['UpdateAlias', 'kms:UpdateAlias', 'alias', false],
  ['DeleteAlias', 'kms:DeleteAlias', 'alias', false],
];

/** What an operation needs besides the action of its row. */
const BESIDES: Readonly<Record<string, string>> = {
  'kms:ReEncryptFrom': 'kms:ReEncryptTo',
  'kms:ReEncryptTo': 'kms:ReEncryptFrom',
  'kms:ReplicateKey': 'kms:CreateKey',
};

const WITHOUT_KEY: Readonly<Record<string, (world: World) => object>> = {
  CreateKey: () => ({}),
  GenerateRandom: () => ({ NumberOfBytes: 1 }),
  ListKeys: () => ({}),
  ListRetirableGrants: (world) => ({ RetiringPrincipal: world.root.arn }),
};

/** A key on which the operation succeeds, and its request. */
async function requestOf(world: World, operation: Operation): Promise<{ key: Prepared; input: object }> {
  if (!(operation in REQUESTS)) {
    return { key: await prepare(world, 'symmetric'), input: WITHOUT_KEY[operation]!(world) };
  }
  const { kind, input } = REQUESTS[operation as KeyOperation];
  const key = await prepare(world, kind);
  if (operation === 'CancelKeyDeletion') await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: key.id });
  return { key, input: input(key.arn, key) };
}

const allow = (Action: string | string[], Resource: string | string[] = '*') => ({ Effect: 'Allow', Action, Resource });

test('kms 24: every operation is there with its action, and nothing else gives it', { timeout: 120_000 }, async () => {
  await using world = await openKms();
  const implemented = Object.keys(world.service.operations).filter((name) => !name.includes('CustomKeyStore'));
  assert.deepEqual([...new Set(SUMMARY.map(([operation]) => operation))].sort(), implemented.sort());
  let users = 0;
  for (const [operation, action, on] of SUMMARY) {
    const { key, input } = await requestOf(world, operation);
    const as = async (...statements: object[]) =>
      failureOf(world.as(await world.makeUser(`user${users++}`, statements), operation, input as never));
    const besides = BESIDES[action] ? [allow(BESIDES[action])] : [];
    const everythingElse = { Effect: 'Allow', NotAction: action, Resource: '*' };
    const denied = await as(everythingElse);
    assert.match(denied, new RegExp(`^AccessDeniedException: .*perform: ${action} on resource: `), operation);
    const here = world.callOf(world.root).region;
    const place = { all: '*', key: key.arn, alias: `arn:aws:kms:${here}:${world.account}:alias/*` }[on];
    const elsewhere = key.arn.replace(/.{12}$/, '000000000000');
    if (on !== 'all') {
      const elsewhereOnly = operation === 'CreateAlias' || on === 'key' ? elsewhere : key.arn;
      assert.match(await as(allow(action, elsewhereOnly), ...besides), /^AccessDeniedException/, operation);
    }
    // An alias is a resource beside its key (kms 12.7).
    const places = on === 'alias' ? [place, key.arn] : [place];
    // UpdatePrimaryRegion is asked of both keys.
    if (operation === 'UpdatePrimaryRegion') places.push(key.arn.replace(here, 'us-east-1'));
    assert.match(await as(allow(action, places), ...besides), /^succeeded/, `${operation} by ${places}`);
  }
});

test('kms 15.2, 15.13, 24: a grant gives what it names where it can, and nothing that it cannot', async () => {
  await using world = await openKms();
  let users = 0;
  for (const [operation, action, on, grantable] of SUMMARY) {
    if (on !== 'key') continue;
    const user = await world.makeUser(`user${users++}`, []);
    const { key, input } = await requestOf(world, operation);
    const name = action.slice('kms:'.length);
    const besides = BESIDES[action];
    const Operations = [name, ...(besides?.startsWith('kms:ReEncrypt') ? [besides.slice(4)] : [])];
    if (name === 'CreateGrant') Operations.push('Decrypt');
    const request = { KeyId: key.id, GranteePrincipal: user.arn, Operations };
    const granted = world.as(world.root, 'CreateGrant', request as never);
    if (!grantable) {
      assert.match(await failureOf(granted), /^(ValidationException|KMSInvalidStateException)/, operation);
      continue;
    }
    const { GrantId } = await granted;
    const own = operation === 'RetireGrant' ? { ...input, GrantId } : input;
    assert.match(await failureOf(world.as(user, operation, own as never)), /^succeeded/, operation);
    const stranger = await world.makeUser(`user${users++}`, []);
    assert.match(await failureOf(world.as(stranger, operation, own as never)), /^(AccessDenied|NotFound)/, operation);
  }
});

/** kms 23.1 */
const FROM_OTHER_ACCOUNTS: readonly string[] = [
  'Encrypt',
  'Decrypt',
  'ReEncrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'Sign',
  'Verify',
  'GenerateMac',
  'VerifyMac',
  'DeriveSharedSecret',
  'Encapsulate',
  'Decapsulate',
  'CreateGrant',
  'DescribeKey',
  'GetKeyRotationStatus',
  'GetPublicKey',
  'ListGrants',
  'RetireGrant',
  'RevokeGrant',
];

/** A grant that the other account may retire. */
async function retirableGrant(world: World, KeyId: string): Promise<string | undefined> {
  const principals = { GranteePrincipal: world.root.arn, RetiringPrincipal: world.otherRoot.arn };
  return (await world.as(world.root, 'CreateGrant', { KeyId, ...principals, Operations: ['Decrypt'] })).GrantId;
}

test('kms 23.1, 23.2: what another account can do to a key that is all open to it, and what never', async () => {
  await using world = await openKms();
  for (const [operation, , on] of SUMMARY) {
    if (on === 'all' || operation === 'DeleteAlias') continue;
    const { key, input } = await requestOf(world, operation);
    const Policy = openPolicy(world.root.arn, world.otherRoot.arn);
    await world.as(world.root, 'PutKeyPolicy', { KeyId: key.arn, Policy });
    const request = operation === 'RetireGrant' ? { ...input, GrantId: await retirableGrant(world, key.id) } : input;
    const answer = await failureOf(world.as(world.otherRoot, operation, request as never));
    if (FROM_OTHER_ACCOUNTS.includes(operation)) assert.match(answer, /^succeeded/, operation);
    // The alias of an account is its own: that of another is not there.
    else assert.match(answer, operation === 'UpdateAlias' ? /^NotFound/ : /^AccessDenied/, operation);
  }
});

test('kms 23.3, 23.4: a foreign root delegates, a foreign principal may be named; both need a policy of their own', async () => {
  await using world = await openKms();
  const key = await prepare(world, 'symmetric');
  const request = { KeyId: key.arn, Plaintext: MESSAGE };
  const use = allow('kms:Encrypt', key.arn);
  const named = await world.makeUser('named', [use], world.other);
  const bare = await world.makeUser('bare', [], world.other);
  const colleague = await world.makeUser('colleague', [use], world.other);
  const encrypt = (user: typeof named) => failureOf(world.as(user, 'Encrypt', request));
  const put = (...principals: string[]) =>
    world.as(world.root, 'PutKeyPolicy', { KeyId: key.arn, Policy: openPolicy(world.root.arn, ...principals) });
  await put(named.arn, bare.arn);
  assert.match(await encrypt(named), /^succeeded/);
  assert.match(await encrypt(bare), /no identity-based policy allows/);
  assert.match(await encrypt(colleague), /no resource-based policy allows/);
  await put(world.otherRoot.arn);
  assert.match(await encrypt(colleague), /^succeeded/);
  assert.match(await encrypt(bare), /no identity-based policy allows/);
});

/** kms 22.1 */
const DRY: readonly KeyOperation[] = [
  'CreateGrant',
  'Decrypt',
  'DeriveSharedSecret',
  'Encrypt',
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
  'GenerateMac',
  'ReEncrypt',
  'RetireGrant',
  'RevokeGrant',
  'Sign',
  'Verify',
  'VerifyMac',
  'Encapsulate',
  'Decapsulate',
];

test('kms 22.1, 22.2: a dry run does nothing, and says what the call would say', async () => {
  await using world = await openKms();
  const nobody = await world.makeUser('nobody', []);
  for (const operation of DRY) {
    const { key, input } = await requestOf(world, operation);
    const request = { ...input, DryRun: true } as never;
    const grants = async () => (await world.as(world.root, 'ListGrants', { KeyId: key.arn })).Grants;
    const before = await grants();
    assert.equal(
      await failureOf(world.as(world.root, operation, request)),
      'DryRunOperationException: The request would have succeeded, but the DryRun option is set.',
    );
    assert.deepEqual(await grants(), before, operation);
    assert.match(await failureOf(world.as(nobody, operation, request)), /^AccessDeniedException/, operation);
    await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: key.id });
    const late = await failureOf(world.as(world.root, operation, request));
    const ending = /RetireGrant|RevokeGrant/.test(operation);
    assert.match(late, ending ? /^DryRunOperation/ : /^KMSInvalidStateException: .*is pending deletion/, operation);
  }
});

test('kms 22.3: without its ciphertext a dry run of Decrypt and ReEncrypt asks for permission and state only', async () => {
  await using world = await openKms();
  const key = await prepare(world, 'symmetric');
  const nobody = await world.makeUser('nobody', []);
  const dry = { DryRun: true, DryRunModifiers: ['IGNORE_CIPHERTEXT' as const] };
  const requests = [
    ['Decrypt', { ...dry, KeyId: key.id }],
    ['ReEncrypt', { ...dry, SourceKeyId: key.id, DestinationKeyId: key.id }],
  ] as const;
  for (const [operation, request] of requests) {
    const of = (who: typeof nobody, input: object) => failureOf(world.as(who, operation, input as never));
    assert.match(await of(world.root, request), /^DryRunOperationException/);
    assert.match(await of(nobody, request), /^AccessDeniedException/);
    const { KeyId, SourceKeyId, ...nameless } = request as Record<string, unknown>;
    assert.match(await of(world.root, nameless), /^ValidationException: KeyId is required/);
    assert.match(await of(world.root, { ...request, DryRun: false }), /^ValidationException/);
  }
});
