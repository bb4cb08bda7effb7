/** GetKeyLastUsage (kms 3.8), and the condition on how long a key was not used (kms 24). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KeyUses } from '../../keys/usage.ts';
import { failureOf, openKms, REGION, START, type World } from './test-kms.ts';

const DAY_MS = 86_400_000;
const Plaintext = new Uint8Array([1]);

async function newKey(world: World) {
  return (await world.as(world.root, 'CreateKey', {})).KeyMetadata!;
}
const lastUse = async (world: World, KeyId: string) => world.as(world.root, 'GetKeyLastUsage', { KeyId });

test('kms 3.8: what was never used says so; only successful cryptographic operations count', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const never = { KeyId: Arn, KeyLastUsage: {}, TrackingStartDate: START, KeyCreationDate: START };
  assert.deepEqual(await lastUse(world, KeyId!), never);
  await world.as(world.root, 'DescribeKey', { KeyId });
  await failureOf(world.as(world.root, 'GenerateDataKey', { KeyId }));
  await world.as(world.root, 'DisableKey', { KeyId });
  await failureOf(world.as(world.root, 'Encrypt', { KeyId, Plaintext }));
  assert.deepEqual(await lastUse(world, KeyId!), never);
  await world.as(world.root, 'EnableKey', { KeyId });
  await world.pass(DAY_MS);
  const call = world.callOf(world.root);
  await world.as(world.root, 'Encrypt', { KeyId, Plaintext }, call);
  assert.deepEqual((await lastUse(world, KeyId!)).KeyLastUsage, {
    Operation: 'Encrypt',
    Timestamp: new Date(START.getTime() + DAY_MS),
    CloudTrailEventId: call.audit?.eventId,
    KmsRequestId: call.requestId,
  });
});

test('kms 3.8: ReEncrypt counts for both keys, and what EBS does for its callers counts', async () => {
  await using world = await openKms();
  const one = await newKey(world);
  const two = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId: one.KeyId, Plaintext });
  await world.as(world.root, 'ReEncrypt', { CiphertextBlob, DestinationKeyId: two.KeyId });
  for (const { KeyId } of [one, two]) {
    assert.equal((await lastUse(world, KeyId!)).KeyLastUsage?.Operation, 'ReEncrypt');
  }
  const call = world.callOf(world.root, { viaService: 'ec2.eu-central-1.amazonaws.com' });
  await world.onBehalf.generateDataKeyWithoutPlaintext(call, one.Arn as never, 64, {});
  const used = (await lastUse(world, one.KeyId!)).KeyLastUsage;
  assert.equal(used?.Operation, 'GenerateDataKeyWithoutPlaintext');
  const place = { account: world.account, region: REGION, limit: 1 };
  const attribute = { key: 'EventId', value: used?.CloudTrailEventId ?? '' } as const;
  const [event] = await world.audit.lookUp({ ...place, attribute });
  assert.equal(JSON.parse(event!.document).eventName, 'GenerateDataKeyWithoutPlaintext');
});

test('uses are written together, outlive the process, and go with their key', async () => {
  await using world = await openKms();
  const one = await newKey(world);
  const two = await newKey(world);
  for (const { KeyId } of [one, two]) await world.as(world.root, 'Encrypt', { KeyId, Plaintext });
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: two.KeyId, PendingWindowInDays: 7 });
  for (let day = 0; day < 7; day++) await world.pass(DAY_MS);
  const tables = world.db.read<import('../../keys/tables.ts').KeysTables>();
  assert.deepEqual(await tables.selectFrom('keys_usage').selectAll().execute(), [], 'a use is no write');
  await world.keys.flushUses();
  const rows = await tables.selectFrom('keys_usage').select(['key_arn', 'operation']).execute();
  assert.deepEqual(rows, [{ key_arn: one.Arn, operation: 'Encrypt' }], 'the other key is gone');
  const store = { read: () => tables } as ConstructorParameters<typeof KeyUses>[0];
  const afterRestart = new KeyUses(store, world.clock);
  assert.equal((await afterRestart.last({ arn: one.Arn } as never))?.at.getTime(), START.getTime());
  await world.as(world.root, 'GenerateDataKey', { KeyId: one.KeyId, KeySpec: 'AES_256' });
  await world.keys.flushUses();
  assert.deepEqual(await tables.selectFrom('keys_usage').select('operation').execute(), [
    { operation: 'GenerateDataKey' },
  ]);
});

test('24: kms:TrailingDaysWithoutKeyUsage lets a key be disabled or deleted only after it was idle', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const user = await world.makeUser('ana', [
    {
      Effect: 'Allow',
      Action: ['kms:DisableKey', 'kms:ScheduleKeyDeletion'],
      Resource: '*',
      Condition: { NumericGreaterThanEquals: { 'kms:TrailingDaysWithoutKeyUsage': '30' } },
    },
  ]);
  await world.pass(29 * DAY_MS);
  assert.match(await failureOf(world.as(user, 'DisableKey', { KeyId })), /^AccessDenied/);
  await world.as(world.root, 'Encrypt', { KeyId, Plaintext });
  await world.pass(29 * DAY_MS);
  for (const operation of ['DisableKey', 'ScheduleKeyDeletion'] as const) {
    assert.match(await failureOf(world.as(user, operation, { KeyId })), /^AccessDenied/);
  }
  await world.pass(DAY_MS);
  await world.as(user, 'DisableKey', { KeyId });
  await world.as(user, 'ScheduleKeyDeletion', { KeyId });
});
