/** States, rotation, deletion and restarts of keys through the service (kms §4, §5, §16, §19). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createAudit } from '../../audit/trail.ts';
import { rootKeyFrom } from '../../crypto/root-key.ts';
import { IntegrityError } from '../../errors.ts';
import { createIdentity } from '../../identity/identity.ts';
import type { Arn } from '../../ids.ts';
import { createJobs, type JobsTables } from '../../jobs/runner.ts';
import { createKeys } from '../../keys/keys.ts';
import type { KeysTables } from '../../keys/tables.ts';
import { createLog } from '../../log.ts';
import { failureOf, openKms, START, type World } from './test-kms.ts';

const DAY_MS = 86_400_000;
const text = (value: string) => new Uint8Array(Buffer.from(value));

async function newKey(world: World, input = {}) {
  return (await world.as(world.root, 'CreateKey', input)).KeyMetadata!;
}
const describe = async (world: World, KeyId: string | undefined) =>
  (await world.as(world.root, 'DescribeKey', { KeyId })).KeyMetadata!;

test('kms 4.2, 4.3, 4.6, 5.1, 19.1 to 19.3: enable, disable, schedule, cancel, and what each state refuses', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  const call = (name: string, input: object) => failureOf(world.as(world.root, name, { KeyId, ...input } as never));
  assert.equal(await call('CancelKeyDeletion', {}), `KMSInvalidStateException: ${Arn} is not pending deletion.`);
  assert.equal(await call('EnableKey', {}), 'succeeded: {}');
  assert.equal(await call('DisableKey', {}), 'succeeded: {}');
  assert.equal(await call('DisableKey', {}), 'succeeded: {}');
  assert.equal((await describe(world, KeyId)).Enabled, false);
  assert.equal(await call('Encrypt', { Plaintext: text('x') }), `DisabledException: ${Arn} is disabled.`);
  assert.match(await call('ScheduleKeyDeletion', { PendingWindowInDays: 6 }), /greater than or equal to 7$/);
  const scheduled = await world.as(world.root, 'ScheduleKeyDeletion', { KeyId, PendingWindowInDays: 7 });
  const DeletionDate = new Date(START.getTime() + 7 * DAY_MS);
  assert.deepEqual(scheduled, { KeyId: Arn, DeletionDate, KeyState: 'PendingDeletion', PendingWindowInDays: 7 });
  assert.equal(await call('ScheduleKeyDeletion', {}), `KMSInvalidStateException: ${Arn} is pending deletion.`);
  assert.equal(
    await call('Encrypt', { Plaintext: text('x') }),
    `KMSInvalidStateException: ${Arn} is pending deletion.`,
  );
  assert.deepEqual((await describe(world, KeyId)).DeletionDate, DeletionDate);
  assert.deepEqual(await world.as(world.root, 'CancelKeyDeletion', { KeyId }), { KeyId: Arn });
  const cancelled = await describe(world, KeyId);
  assert.equal(cancelled.KeyState, 'Disabled');
  assert.equal('DeletionDate' in cancelled, false);
  await world.pass(40 * DAY_MS);
  assert.equal((await describe(world, KeyId)).KeyState, 'Disabled', 'the job of a cancelled deletion does nothing');
});

test('kms 19.4, 12.8, 26.7: a key is gone when its window ends, with aliases, grants and material', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  await world.as(world.root, 'CreateAlias', { AliasName: 'alias/golden', TargetKeyId: KeyId });
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  await world.pass(29 * DAY_MS);
  assert.equal((await describe(world, KeyId)).KeyState, 'PendingDeletion');
  await world.pass(DAY_MS);
  const gone = `NotFoundException: Key '${Arn}' does not exist`;
  assert.equal(await failureOf(world.as(world.root, 'DescribeKey', { KeyId })), gone);
  assert.match(await failureOf(world.as(world.root, 'Decrypt', { CiphertextBlob })), /^AccessDeniedException: The cip/);
  assert.match(await failureOf(world.as(world.root, 'DescribeKey', { KeyId: 'alias/golden' })), /is not found/);
  for (const table of ['keys_key', 'keys_material', 'keys_alias', 'keys_grant', 'keys_tag']) {
    const rows = await world.db.read<Record<string, Record<string, unknown>>>().selectFrom(table).selectAll().execute();
    assert.deepEqual(rows, [], table);
  }
  const place = { account: world.account, region: world.callOf(world.root).region, limit: 10 };
  const events = await world.audit.lookUp({ ...place, attribute: { key: 'EventName', value: 'DeleteKey' } });
  assert.equal(events.length, 1);
});

test('kms 16.1 to 16.3, 16.5 to 16.7: rotation by schedule and on demand opens what older material sealed', async () => {
  await using world = await openKms();
  const { KeyId, Arn, CurrentKeyMaterialId } = await newKey(world);
  const status = () => world.as(world.root, 'GetKeyRotationStatus', { KeyId });
  const old = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('old') });
  assert.deepEqual(await status(), { KeyId: Arn, KeyRotationEnabled: false });
  assert.match(
    await failureOf(world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 89 })),
    /'rotationPeriodInDays' failed to satisfy constraint: Member must have value greater than or equal to 90$/,
  );
  await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 365 });
  await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  const NextRotationDate = new Date(START.getTime() + 90 * DAY_MS);
  const enabled = { KeyId: Arn, KeyRotationEnabled: true, RotationPeriodInDays: 90 };
  assert.deepEqual(await status(), { ...enabled, NextRotationDate });

  assert.deepEqual(await world.as(world.root, 'RotateKeyOnDemand', { KeyId }), { KeyId: Arn });
  assert.deepEqual(await status(), { ...enabled, NextRotationDate }, 'on demand does not move the schedule');
  await world.pass(90 * DAY_MS);
  await world.pass(89 * DAY_MS);
  assert.deepEqual((await status()).NextRotationDate, new Date(START.getTime() + 180 * DAY_MS));

  const { Rotations } = await world.as(world.root, 'ListKeyRotations', { KeyId });
  assert.deepEqual(
    Rotations?.map((one) => [one.RotationType, one.KeyMaterialState]),
    [
      ['ON_DEMAND', 'NON_CURRENT'],
      ['AUTOMATIC', 'CURRENT'],
    ],
  );
  const all = await world.as(world.root, 'ListKeyRotations', { KeyId, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' });
  assert.equal(all.Rotations?.length, 3);
  assert.equal(all.Rotations?.[0]?.KeyMaterialId, CurrentKeyMaterialId);
  const now = await describe(world, KeyId);
  assert.equal(now.CurrentKeyMaterialId, Rotations?.[1]?.KeyMaterialId);

  const opened = await world.as(world.root, 'Decrypt', { CiphertextBlob: old.CiphertextBlob });
  assert.deepEqual([opened.Plaintext, opened.KeyMaterialId], [text('old'), CurrentKeyMaterialId]);
  const fresh = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('new') });
  const again = await world.as(world.root, 'Decrypt', { CiphertextBlob: fresh.CiphertextBlob });
  assert.equal(again.KeyMaterialId, now.CurrentKeyMaterialId);
});

test('kms 16.4, 16.6, 26.7: a disabled key catches up when enabled; on demand has its limit', async () => {
  await using world = await openKms();
  const { KeyId, Arn, CurrentKeyMaterialId } = await newKey(world);
  await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays: 90 });
  await world.as(world.root, 'DisableKey', { KeyId });
  await world.pass(100 * DAY_MS);
  assert.equal((await describe(world, KeyId)).CurrentKeyMaterialId, CurrentKeyMaterialId);
  assert.equal(
    await failureOf(world.as(world.root, 'RotateKeyOnDemand', { KeyId })),
    `DisabledException: ${Arn} is disabled.`,
  );
  await world.as(world.root, 'EnableKey', { KeyId });
  assert.notEqual((await describe(world, KeyId)).CurrentKeyMaterialId, CurrentKeyMaterialId);
  const place = { account: world.account, region: world.callOf(world.root).region, limit: 10 };
  const events = await world.audit.lookUp({ ...place, attribute: { key: 'EventName', value: 'RotateKey' } });
  assert.deepEqual(
    events.map((event) => JSON.parse(event.document).eventType),
    ['AwsServiceEvent'],
  );
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId });
  const status = async () => (await world.as(world.root, 'GetKeyRotationStatus', { KeyId })).KeyRotationEnabled;
  assert.equal(await status(), false);
  await world.as(world.root, 'CancelKeyDeletion', { KeyId });
  assert.equal(await status(), true, 'cancelling restores the schedule');
  await world.as(world.root, 'EnableKey', { KeyId });
  for (let turn = 0; turn < 25; turn++) await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  assert.equal(
    await failureOf(world.as(world.root, 'RotateKeyOnDemand', { KeyId })),
    `LimitExceededException: The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${Arn}`,
  );
});

test('keys outlive a restart, and another root key is noticed at the start', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const { CiphertextBlob } = await world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') });
  const { authorizer, audit, principals, clock } = world;
  const jobs = { ...world.jobs, register() {}, enqueue: async () => 'unused' };
  const deps = { db: world.db, tokenKeys: world.rootKey, authorizer, audit, principals, clock, jobs: jobs as never };
  const { keys } = await createKeys({ ...deps, rootKey: world.rootKey });
  const key = await keys.keyOfCiphertext(world.callOf(world.root).region, CiphertextBlob!);
  const permit = await keys.access.authorize(world.callOf(world.root), 'kms:Decrypt', key!);
  assert.deepEqual((await keys.decrypt(permit, CiphertextBlob!, { context: {} })).plaintext, text('x'));
  await assert.rejects(
    createKeys({ ...deps, rootKey: rootKeyFrom(new Uint8Array(32)) }),
    /the root key beside this database/,
  );
});

test('a deletion and a rotation that fell due while Ingot was stopped happen at the next start', async () => {
  await using world = await openKms();
  const doomed = await newKey(world);
  const rotated = await newKey(world);
  await world.as(world.root, 'ScheduleKeyDeletion', { KeyId: doomed.KeyId });
  await world.as(world.root, 'EnableKeyRotation', { KeyId: rotated.KeyId, RotationPeriodInDays: 90 });
  await world.jobs.stop();
  const clock = () => new Date(START.getTime() + 100 * DAY_MS);
  const db = await world.reopen();
  const jobs = createJobs({ db, clock, log: createLog('silent') });
  const { authorizer, principals } = createIdentity({ db, rootKey: world.rootKey, clock });
  const audit = createAudit({ db });
  const { keys } = await createKeys({
    db,
    rootKey: world.rootKey,
    tokenKeys: world.rootKey,
    authorizer,
    principals,
    audit,
    jobs,
    clock,
  });
  await jobs.start();
  await jobs.idle();
  await jobs.stop();
  const call = world.callOf(world.root);
  const find = (arn: string | undefined) =>
    keys.find({ kind: 'key', account: world.account, arn: arn as Arn }, call.region);
  assert.equal(await find(doomed.Arn), undefined);
  const now = await find(rotated.Arn);
  assert.notEqual(now?.currentMaterialId, rotated.CurrentKeyMaterialId);
  assert.equal(now?.rotation.nextAt?.getTime(), START.getTime() + 190 * DAY_MS);
});

test('kms 16.2: a schedule that was replaced or ended leaves no job behind', async () => {
  await using world = await openKms();
  const { KeyId } = await newKey(world);
  const jobs = async () => (await world.db.read<JobsTables>().selectFrom('job').selectAll().execute()).length;
  for (const RotationPeriodInDays of [365, 90, 180]) {
    await world.as(world.root, 'EnableKeyRotation', { KeyId, RotationPeriodInDays });
  }
  await world.pass(DAY_MS);
  assert.equal(await jobs(), 1);
  await world.as(world.root, 'DisableKeyRotation', { KeyId });
  await world.pass(DAY_MS);
  assert.equal(await jobs(), 0);
});

test('stored key material opens only as the version of the key that it is', async () => {
  await using world = await openKms();
  const { KeyId, Arn } = await newKey(world);
  await world.as(world.root, 'RotateKeyOnDemand', { KeyId });
  await world.db.write(async (tx) => {
    const tables = tx.as<KeysTables>();
    const [one, two] = await tables.selectFrom('keys_material').selectAll().where('key_arn', '=', Arn!).execute();
    for (const [row, sealed] of [
      [one!, two!.sealed],
      [two!, one!.sealed],
    ] as const) {
      await tables.updateTable('keys_material').set({ sealed }).where('material_id', '=', row.material_id).execute();
    }
  });
  await assert.rejects(world.as(world.root, 'Encrypt', { KeyId, Plaintext: text('x') }), IntegrityError);
  assert.equal(world.service.internalCode, 'KMSInternalException');
});
