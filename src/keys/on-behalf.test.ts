/** KMS as EC2 and EBS use it: forward access sessions, grants of instances, and what the audit trail shows (kms §26, §27). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Denied } from '../authz/authorizer.ts';
import { type Call, type Caller, infrastructureCaller, instanceInfrastructureArn, viaEc2 } from '../authz/caller.ts';
import { IntegrityError, Refusal } from '../errors.ts';
import type { AccountId, Arn, InstanceId } from '../ids.ts';
import { openKms, type World } from '../services/kms/test-kms.ts';

const CONTEXT = { 'aws:ebs:id': 'vol-0123456789abcdef0' };
const EC2 = 'ec2.eu-central-1.amazonaws.com';
const INSTANCE = 'i-0123456789abcdef0' as InstanceId;
const allow = (Action: string | string[], Condition?: object) => ({
  Effect: 'Allow',
  Action,
  Resource: '*',
  Condition,
});

async function newKey(world: World): Promise<Arn> {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!.Arn as Arn;
}
const unkept = async () => {};
const via = (world: World, caller: Caller): Call => viaEc2(world.callOf(caller));
const refusedWith = (reason: string) => (error: unknown) => error instanceof Refusal && error.reason === reason;

interface TrailDocument {
  readonly eventName: string;
  readonly errorCode?: string;
  readonly errorMessage: string;
  readonly requestParameters: unknown;
  readonly responseElements: unknown;
  readonly readOnly: boolean;
  readonly sourceIPAddress: string;
  readonly userAgent: string;
  readonly vpcEndpointId: string;
  readonly resources: unknown;
  readonly sharedEventID?: string;
  readonly userIdentity: { readonly invokedBy?: string };
  readonly additionalEventData: { readonly keyMaterialId: string };
}

async function trail(world: World, account: AccountId = world.account) {
  const place = { account, region: world.callOf(world.root).region, limit: 50 };
  const events = await world.audit.lookUp({ ...place, attribute: { key: 'EventSource', value: 'kms.amazonaws.com' } });
  return events.map((event) => JSON.parse(event.document) as TrailDocument).reverse();
}

test('S1, S2, kms 13.4: the EBS key serves whoever may use EBS, through EBS only; a customer key needs rights', async () => {
  await using world = await openKms();
  const ana = await world.makeUser('ana', [allow('ec2:*')]);
  const ebs = await world.onBehalf.ebsManagedKey(via(world, ana));
  assert.equal(ebs.manager, 'AWS');
  assert.deepEqual(await world.onBehalf.resolve(via(world, ana), 'alias/aws/ebs'), ebs);
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(via(world, ana), ebs.arn, 64, CONTEXT);
  const key = await world.onBehalf.decrypt(via(world, ana), ebs.arn, wrapped, CONTEXT);
  assert.equal(key.byteLength, 64);
  await assert.rejects(world.onBehalf.decrypt(world.callOf(ana), ebs.arn, wrapped, CONTEXT), Denied);
  const customer = await newKey(world);
  await assert.rejects(
    world.onBehalf.generateDataKeyWithoutPlaintext(via(world, ana), customer, 64, CONTEXT),
    /no identity-based policy allows the kms:GenerateDataKeyWithoutPlaintext action/,
  );
});

test('kms 6.7: EC2 and EBS take symmetric encryption keys only, and are told so before anything is made', async () => {
  await using world = await openKms();
  const call = via(world, world.root);
  const symmetric = await newKey(world);
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(call, symmetric, 64, CONTEXT);
  for (const kind of [
    { KeySpec: 'RSA_2048', KeyUsage: 'ENCRYPT_DECRYPT' },
    { KeySpec: 'HMAC_256', KeyUsage: 'GENERATE_VERIFY_MAC' },
  ] as const) {
    const arn = (await world.as(world.root, 'CreateKey', kind)).KeyMetadata!.Arn as Arn;
    assert.equal((await world.onBehalf.resolve(call, arn))?.usableByEbs, false);
    assert.equal((await world.onBehalf.describeKey(call, arn)).usableByEbs, false);
    const source = { keyArn: symmetric, wrapped, context: CONTEXT };
    for (const work of [
      world.onBehalf.generateDataKeyWithoutPlaintext(call, arn, 64, CONTEXT),
      world.onBehalf.decrypt(call, arn, wrapped, CONTEXT),
      world.onBehalf.reEncrypt(call, source, { keyArn: arn, context: CONTEXT }),
    ]) {
      await assert.rejects(work, refusedWith('key-usage'));
    }
  }
});

test('S4, S5, kms 15.17, 27.9: kms:GrantIsForAWSResource and kms:ViaService hold for EC2 and not for direct calls', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const ana = await world.makeUser('ana', [
    allow('kms:CreateGrant', { Bool: { 'kms:GrantIsForAWSResource': 'true' } }),
    allow('kms:Decrypt', { StringEquals: { 'kms:ViaService': EC2 } }),
    allow('kms:GenerateDataKey', { StringEquals: { 'kms:EncryptionContext:AWS:EBS:ID': 'vol-0123456789abcdef0' } }),
  ]);
  const grant = { granteePrincipal: EC2, retiringPrincipal: EC2, operations: ['Decrypt'] };
  assert.ok((await world.onBehalf.createGrant(via(world, ana), key, grant, unkept)).grantId);
  await assert.rejects(world.onBehalf.createGrant(world.callOf(ana), key, grant, unkept), Denied);
  const { wrapped, plaintext } = await world.onBehalf.generateDataKey(via(world, ana), key, 64, CONTEXT);
  await assert.rejects(world.onBehalf.generateDataKey(via(world, ana), key, 64, { 'aws:ebs:id': 'vol-1' }), Denied);
  const opened = await world.onBehalf.decrypt(via(world, ana), key, wrapped, CONTEXT);
  assert.deepEqual(opened.exposeSecretBytes(), plaintext.exposeSecretBytes());
  // The caller's account is the user's, not EC2's.
  for (const [name, account] of [
    ['own', world.account],
    ['other', world.other],
  ] as const) {
    const bob = await world.makeUser(name, [
      allow('kms:Decrypt', { StringEquals: { 'kms:CallerAccount': account, 'kms:ViaService': EC2 } }),
    ]);
    const work = world.onBehalf.decrypt(via(world, bob), key, wrapped, CONTEXT);
    if (account === world.account) assert.equal((await work).byteLength, 64);
    else await assert.rejects(work, Denied);
  }
  await assert.rejects(world.onBehalf.decrypt(world.callOf(ana), key, wrapped, CONTEXT), Denied);
});

test('kms 27.3 to 27.5, K-7, K-8: an instance opens its volume by grant alone, until the grant is retired', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const ana = await world.makeUser('ana', [allow(['kms:CreateGrant', 'kms:GenerateDataKeyWithoutPlaintext'])]);
  const call = via(world, ana);
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(call, key, 64, CONTEXT);
  const host = world.callOf(infrastructureCaller(world.account, INSTANCE), { invokedBy: 'AWS Internal' });
  await assert.rejects(world.onBehalf.decrypt(host, key, wrapped, CONTEXT), Denied);
  const grant = {
    granteePrincipal: instanceInfrastructureArn(world.account, INSTANCE),
    retiringPrincipal: EC2,
    operations: ['Decrypt'],
    encryptionContextSubset: CONTEXT,
  };
  const lost = new Error('could not be recorded');
  await assert.rejects(
    world.onBehalf.createGrant(call, key, grant, () => Promise.reject(lost)),
    lost,
  );
  const none = await world.as(world.root, 'ListGrants', { KeyId: key });
  assert.deepEqual(none.Grants, [], 'a grant that is not recorded is not made');
  const { grantId } = await world.onBehalf.createGrant(call, key, grant, unkept);
  assert.equal((await world.onBehalf.decrypt(host, key, wrapped, CONTEXT)).byteLength, 64);
  await assert.rejects(world.onBehalf.decrypt(host, key, wrapped, { 'aws:ebs:id': 'vol-2' }), Denied);
  const stranger = world.callOf(infrastructureCaller(world.account, 'i-1' as InstanceId));
  await assert.rejects(world.onBehalf.decrypt(stranger, key, wrapped, CONTEXT), Denied);

  const { Grants } = await world.as(world.root, 'ListGrants', { KeyId: key });
  assert.equal(
    Grants?.[0]?.GranteePrincipal,
    `arn:aws:sts::${world.account}:assumed-role/aws:ec2-infrastructure/${INSTANCE}`,
  );
  assert.equal(Grants?.[0]?.RetiringPrincipal, EC2);

  await world.as(world.root, 'DisableKey', { KeyId: key });
  await assert.rejects(world.onBehalf.decrypt(host, key, wrapped, CONTEXT), refusedWith('key-disabled'));
  await world.onBehalf.retireGrant(call, key, grantId);
  await world.onBehalf.retireGrant(call, key, grantId);
  await world.as(world.root, 'EnableKey', { KeyId: key });
  await assert.rejects(world.onBehalf.decrypt(host, key, wrapped, CONTEXT), Denied);
});

test('kms 8.11, K-5: re-encryption asks for both sides', async () => {
  await using world = await openKms();
  const [from, to] = [await newKey(world), await newKey(world)];
  const context = { 'aws:ebs:id': 'snap-1' };
  const sealed = await world.onBehalf.generateDataKeyWithoutPlaintext(via(world, world.root), from, 64, context);
  const source = { keyArn: from, wrapped: sealed, context };
  const destination = { keyArn: to, context: CONTEXT };
  const half = await world.makeUser('half', [allow('kms:ReEncryptFrom')]);
  await assert.rejects(world.onBehalf.reEncrypt(via(world, half), source, destination), /kms:ReEncryptTo/);
  const bound = await world.makeUser('bound', [
    allow('kms:ReEncryptFrom', { StringEquals: { 'kms:EncryptionContext:aws:ebs:id': 'snap-1' } }),
    allow('kms:ReEncryptTo', { StringEquals: { 'kms:EncryptionContext:aws:ebs:id': CONTEXT['aws:ebs:id'] } }),
  ]);
  const wrapped = await world.onBehalf.reEncrypt(via(world, bound), source, destination);
  await assert.rejects(world.onBehalf.reEncrypt(via(world, bound), source, { ...destination, context }), Denied);
  const before = await world.onBehalf.openForSystem(from, source.wrapped, source.context, 'a test');
  const after = await world.onBehalf.decrypt(via(world, world.root), to, wrapped, CONTEXT);
  assert.deepEqual(after.exposeSecretBytes(), before.exposeSecretBytes());
});

test('an unusable or unknown key, and what names nothing', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const call = via(world, world.root);
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(call, key, 64, CONTEXT);
  for (const name of [
    'alias/none',
    'nonsense',
    'arn:aws:kms:us-east-1:111122223333:key/x',
    '00000000-0000-4000-8000-000000000000',
  ]) {
    assert.equal(await world.onBehalf.resolve(call, name), undefined, name);
  }
  const missing = key.replace(/.{12}$/, '000000000000') as Arn;
  await assert.rejects(world.onBehalf.describeKey(call, missing), refusedWith('key-not-found'));
  await assert.rejects(world.onBehalf.describeKey(via(world, world.otherRoot), missing), Denied);
  await assert.rejects(world.onBehalf.describeKey(via(world, world.otherRoot), key), Denied);
  await assert.rejects(
    world.onBehalf.decrypt(call, key, wrapped, { 'aws:ebs:id': 'vol-2' }),
    refusedWith('ciphertext-invalid'),
  );
  const other = await newKey(world);
  await assert.rejects(world.onBehalf.decrypt(call, other, wrapped, CONTEXT), refusedWith('ciphertext-other-key'));
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: key });
  await assert.rejects(
    world.onBehalf.generateDataKeyWithoutPlaintext(call, key, 64, CONTEXT),
    refusedWith('key-pending-deletion'),
  );
  assert.equal((await world.onBehalf.resolve(call, key))?.state, 'PendingDeletion');
  assert.equal((await world.onBehalf.openForSystem(key, wrapped, CONTEXT, 'a test')).byteLength, 64);
  await world.pass(31 * 86_400_000);
  await assert.rejects(world.onBehalf.openForSystem(key, wrapped, CONTEXT, 'a test'), refusedWith('key-not-found'));
});

test('data keys of the installation open for their own context only', async () => {
  await using world = await openKms();
  const { wrapped, plaintext } = await world.onBehalf.newInstallationDataKey(CONTEXT);
  const opened = await world.onBehalf.openInstallationDataKey(wrapped, CONTEXT);
  assert.deepEqual(opened.exposeSecretBytes(), plaintext.exposeSecretBytes());
  await assert.rejects(world.onBehalf.openInstallationDataKey(wrapped, { 'aws:ebs:id': 'vol-2' }), IntegrityError);
});

test('kms 27.2, 27.4: each call leaves one record in CloudTrail shape, also when it is denied', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const ana = await world.makeUser('ana', []);
  await assert.rejects(world.onBehalf.generateDataKeyWithoutPlaintext(via(world, ana), key, 64, CONTEXT), Denied);
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(via(world, world.root), key, 64, CONTEXT);
  await world.onBehalf.decrypt(via(world, world.root), key, wrapped, CONTEXT);
  const [denied, made, opened, ...rest] = await trail(world);
  assert.deepEqual(rest, []);
  assert.ok(denied && made && opened);
  assert.equal(denied.errorCode, 'AccessDenied');
  assert.match(denied.errorMessage, /is not authorized to perform: kms:GenerateDataKeyWithoutPlaintext on resource/);
  assert.equal(made.errorCode, undefined);
  assert.equal(made.eventName, 'GenerateDataKeyWithoutPlaintext');
  assert.deepEqual(made.requestParameters, { keyId: key, numberOfBytes: 64, encryptionContext: CONTEXT });
  assert.equal(made.responseElements, null);
  assert.equal(made.readOnly, true);
  assert.equal(made.userIdentity.invokedBy, 'ec2-frontend-api.amazonaws.com');
  assert.deepEqual(
    [made.sourceIPAddress, made.userAgent, made.vpcEndpointId],
    ['ec2-frontend-api.amazonaws.com', 'ec2-frontend-api.amazonaws.com', 'AWS Internal'],
  );
  assert.deepEqual(made.resources, [{ accountId: world.account, type: 'AWS::KMS::Key', ARN: key }]);
  assert.deepEqual(opened.requestParameters, { encryptionContext: CONTEXT, encryptionAlgorithm: 'SYMMETRIC_DEFAULT' });
  assert.match(opened.additionalEventData.keyMaterialId, /^[0-9a-f]{64}$/);
});

test('kms 26.6: a call on another account’s key stands in both trails under one shared id, a denied one in the caller’s', async () => {
  await using world = await openKms();
  const Policy = JSON.stringify({
    Version: '2012-10-17',
    Statement: [world.root.arn, world.otherRoot.arn].map((AWS) => ({ ...allow('kms:*'), Principal: { AWS } })),
  });
  const key = (await world.as(world.root, 'CreateKey', { Policy })).KeyMetadata!.Arn as Arn;
  const eve = await world.makeUser('eve', [], world.other);
  await assert.rejects(world.onBehalf.describeKey(via(world, eve), key), Denied);
  await world.onBehalf.describeKey(via(world, world.otherRoot), key);
  const owner = await trail(world);
  const caller = await trail(world, world.other);
  assert.deepEqual(
    owner.map((event) => event.errorCode),
    [undefined],
  );
  assert.deepEqual(
    caller.map((event) => event.errorCode),
    ['AccessDenied', undefined],
  );
  assert.ok(owner[0]?.sharedEventID);
  assert.equal(owner[0]?.sharedEventID, caller[1]?.sharedEventID);
});

test('26: the KMS API leaves the facts of its calls for the front door to record, and no secret among them', async () => {
  await using world = await openKms();
  const key = await newKey(world);
  const described = await world.as(world.root, 'DescribeKey', { KeyId: key });
  const keyMaterialId = described.KeyMetadata!.CurrentKeyMaterialId;
  const call = world.callOf(world.root);
  const Plaintext = new Uint8Array(Buffer.from('a secret'));
  await world.service.operations.Encrypt!(call, { KeyId: key, Plaintext, EncryptionContext: CONTEXT } as never);
  assert.deepEqual(call.audit?.facts, {
    readOnly: true,
    requestParameters: { keyId: key, encryptionAlgorithm: 'SYMMETRIC_DEFAULT', encryptionContext: CONTEXT },
    responseElements: null,
    additionalEventData: { keyMaterialId },
    resources: [{ arn: key, accountId: world.account, type: 'AWS::KMS::Key' }],
    otherAccounts: [],
  });
  const foreign = world.callOf(world.otherRoot);
  await assert.rejects(async () => world.service.operations.DescribeKey!(foreign, { KeyId: key } as never), Denied);
  assert.deepEqual(foreign.audit?.facts.otherAccounts, []);
});
