/** The AWS managed key of EBS (kms §13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sql } from 'kysely';
import { Denied } from '../../authz/authorizer.ts';
import type { Caller } from '../../authz/caller.ts';
import type { Region } from '../../ids.ts';
import { failureOf, openKms, REGION, type World } from './test-kms.ts';

const DAY_MS = 86_400_000;
const EAST = { region: 'us-east-1' as Region };
const ALL = { Effect: 'Allow', Action: 'kms:*', Resource: '*' };

const text = (value: string) => new Uint8Array(Buffer.from(value));
const describe = async (world: World, KeyId: string | undefined) =>
  (await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata!;

test('kms 13.1, 13.2, 3.6: it is made by the first DescribeKey of its alias, once per account and Region', async () => {
  await using world = await openKms();
  const [first, second] = await Promise.all([describe(world, 'alias/aws/ebs'), describe(world, 'alias/aws/ebs')]);
  assert.deepEqual(first, second);
  assert.deepEqual(
    [first.KeyManager, first.Description, first.MultiRegion, first.KeySpec, first.Origin, first.KeyState],
    [
      'AWS',
      'Default key that protects my EBS volumes when no other key is defined',
      false,
      'SYMMETRIC_DEFAULT',
      'AWS_KMS',
      'Enabled',
    ],
  );
  const { Keys } = await world.as(world.root, 'ListKeys', {});
  assert.deepEqual(
    Keys?.map((key) => key.KeyId),
    [first.KeyId],
  );
  const elsewhere = await world.as(world.root, 'DescribeKey', { KeyId: 'alias/aws/ebs' }, EAST);
  const theirs = await world.as(world.otherRoot, 'DescribeKey', { KeyId: 'alias/aws/ebs' });
  assert.equal(new Set([first, elsewhere.KeyMetadata, theirs.KeyMetadata].map((key) => key?.KeyId)).size, 3);
  for (const input of [{}, { MultiRegion: true }, { Origin: 'EXTERNAL' }] as const) {
    const made = (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
    assert.deepEqual([made.KeyManager, made.Origin], ['CUSTOMER', 'Origin' in input ? 'EXTERNAL' : 'AWS_KMS']);
  }
});

test('kms 13.1, 13.4: EBS makes it on first use, for a caller without any KMS right; other accounts never use it', async () => {
  await using world = await openKms();
  const ana = await world.makeUser('ana', []);
  const via = (caller: Caller) => world.callOf(caller, { viaService: `ec2.${REGION}.amazonaws.com` });
  const key = await world.onBehalf.ebsManagedKey(via(ana));
  const wrapped = await world.onBehalf.generateDataKeyWithoutPlaintext(via(ana), key.arn, 64, {});
  const eve = await world.makeUser('eve', [ALL], world.other);
  await assert.rejects(world.onBehalf.decrypt(via(eve), key.arn, wrapped, {}), Denied);
  for (const operation of ['Encrypt', 'GenerateDataKey', 'DescribeKey', 'GetKeyPolicy'] as const) {
    const input = { KeyId: key.arn, Plaintext: text('x'), KeySpec: 'AES_256' };
    assert.match(await failureOf(world.as(eve, operation, input as never)), /^AccessDenied/);
    if (operation === 'Encrypt' || operation === 'GenerateDataKey') continue;
    // Metadata takes a policy of the reader's own.
    assert.match(await failureOf(world.as(ana, operation, { KeyId: key.arn })), /no identity-based policy allows/);
    const reader = await world.makeUser(`reader-${operation}`, [{ ...ALL, Action: `kms:${operation}` }]);
    assert.match(await failureOf(world.as(reader, operation, { KeyId: key.arn })), /^succeeded/);
  }
  const open = await world.makeUser('open', [ALL]);
  assert.match(
    await failureOf(world.as(open, 'Encrypt', { KeyId: key.arn, Plaintext: text('x') })),
    /no resource-based policy allows the kms:Encrypt action$/,
  );
});

test('kms 13.3: its policy', async () => {
  await using world = await openKms();
  const { KeyId } = await describe(world, 'alias/aws/ebs');
  const { Policy } = await world.as(world.root, 'GetKeyPolicy', { KeyId });
  assert.deepEqual(JSON.parse(Policy!), {
    Version: '2012-10-17',
    Id: 'auto-ebs-2',
    Statement: [
      {
        Sid: 'Allow access through EBS for all principals in the account that are authorized to use EBS',
        Effect: 'Allow',
        Principal: { AWS: '*' },
        Action: [
          'kms:Encrypt',
          'kms:Decrypt',
          'kms:ReEncrypt*',
          'kms:GenerateDataKey*',
          'kms:CreateGrant',
          'kms:DescribeKey',
        ],
        Resource: '*',
        Condition: {
          StringEquals: { 'kms:CallerAccount': world.account, 'kms:ViaService': 'ec2.eu-central-1.amazonaws.com' },
        },
      },
      {
        Sid: 'Allow direct access to key metadata to the account',
        Effect: 'Allow',
        Principal: { AWS: world.root.arn },
        Action: ['kms:Describe*', 'kms:Get*', 'kms:List*', 'kms:RevokeGrant'],
        Resource: '*',
      },
    ],
  });
});

test('kms 13.5, 7.6, 20.4: nobody changes it, its aliases, tags or schedule', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await describe(world, 'alias/aws/ebs');
  const Tags = [{ TagKey: 'a', TagValue: 'b' }];
  const denied = (action: string) =>
    `AccessDeniedException: User: ${world.root.arn} is not authorized to perform: kms:${action} on resource: ${Arn} because no resource-based policy allows the kms:${action} action`;
  for (const [name, input] of [
    ['Encrypt', { Plaintext: text('x') }],
    ['PutKeyPolicy', { Policy: '{}' }],
    ['TagResource', { Tags }],
    ['UntagResource', { TagKeys: ['a'] }],
    ['ScheduleKeyDeletion', {}],
    ['EnableKey', {}],
    ['DisableKey', {}],
    ['EnableKeyRotation', {}],
    ['DisableKeyRotation', {}],
    ['RotateKeyOnDemand', {}],
    ['UpdateKeyDescription', { Description: 'x' }],
    ['ReplicateKey', { ReplicaRegion: 'us-east-1' }],
  ] as const) {
    assert.equal(await failureOf(world.as(world.root, name, { KeyId, ...input } as never)), denied(name));
  }
  const { KeyId: own } = (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
  const AliasName = 'alias/aws/ebs';
  for (const [name, input, refused] of [
    ['CreateAlias', { AliasName: 'alias/mine', TargetKeyId: KeyId }, denied('CreateAlias')],
    ['CreateAlias', { AliasName: 'alias/aws/mine', TargetKeyId: own }, /^NotAuthorizedException/],
    ['UpdateAlias', { AliasName, TargetKeyId: own }, /^NotAuthorizedException/],
    ['DeleteAlias', { AliasName }, /^NotAuthorizedException/],
  ] as const) {
    const answer = await failureOf(world.as(world.root, name, input as never));
    if (typeof refused === 'string') assert.equal(answer, refused);
    else assert.match(answer, refused, name);
  }
});

test('kms 13.6: it rotates every year, always, and is no key of the account’s quota', async () => {
  await using world = await openKms();
  const before = await describe(world, 'alias/aws/ebs');
  const status = await world.as(world.root, 'GetKeyRotationStatus', { KeyId: before.KeyId });
  assert.deepEqual([status.KeyRotationEnabled, status.RotationPeriodInDays], [true, 365]);
  for (let day = 0; day < 366; day++) await world.pass(DAY_MS);
  const after = await describe(world, 'alias/aws/ebs');
  assert.notEqual(after.CurrentKeyMaterialId, before.CurrentKeyMaterialId);
  const again = await world.as(world.root, 'GetKeyRotationStatus', { KeyId: before.KeyId });
  assert.ok(again.NextRotationDate! > status.NextRotationDate!);
  await fillWithKeys(world, 100_000 - 1);
  await world.as(world.root, 'CreateKey', {});
  assert.match(await failureOf(world.as(world.root, 'CreateKey', {})), /^LimitExceededException/);
});

/** Rows of customer keys, without material: they only count. */
async function fillWithKeys(world: World, count: number): Promise<void> {
  const columns = (
    await sql<{ name: string }>`select name from pragma_table_info('keys_key')`.execute(world.db.read())
  ).rows.map(({ name }) => name);
  const values = columns.map((name) => {
    if (name === 'arn') return sql`'arn:filler/' || n`;
    if (name === 'key_id') return sql`'filler-' || n`;
    if (name === 'manager') return sql`'CUSTOMER'`;
    return sql.ref(name);
  });
  await world.db.write(async (tx) => {
    await sql`with recursive numbers(n) as (select 1 union all select n + 1 from numbers where n < ${count})
      insert into keys_key (${sql.join(columns.map((name) => sql.ref(name)))})
      select ${sql.join(values)} from numbers, (select * from keys_key where account_id = ${world.account} limit 1)`.execute(
      tx.as<Record<string, never>>(),
    );
  });
}
