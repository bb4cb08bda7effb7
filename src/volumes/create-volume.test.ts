import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { type Expected, VOLUME_TABLE } from '../../policy/test-encryption-outcomes.ts';
import type { Call } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import { IntegrityError, Refusal } from '../errors.ts';
import { type AccountId, type Arn, newEc2Id, type SnapshotId, type VolumeId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { baseKeyOf, ebsContext, openForSystem, wrappedKeyOf } from './data-keys.ts';
import { reading, snapshotRow, volumeRow } from './tables.ts';
import { openTestVolumes, REGION, type TestVolumes, until } from './test-volumes.ts';
import type { SnapshotRecord, VolumeRecord } from './volumes.ts';

const ZONE = `${REGION}a`;

/** A completed snapshot of one random block at index 3. */
async function snapshotOf(
  house: TestVolumes,
  call: Call,
  kmsKeyArn?: Arn,
): Promise<{ snapshot: SnapshotRecord; block: Buffer }> {
  const outcome = await house.direct.decide(call, { parent: undefined, encrypted: undefined, kmsKeyArn });
  const request = { volumeSizeGiB: 1, parent: undefined, description: '', timeoutMinutes: 60, outcome };
  const started = await house.direct.start(call, request, async () => {});
  const block = randomBytes(LIMITS.blockBytes);
  const digest = createHash('sha256').update(block).digest();
  const put = await house.direct.put(call, call.region, started.id, 3, Uint8Array.from(block), digest);
  assert.equal(put.stored, true);
  await house.direct.complete(call.region, started.id, { changedBlocks: 1 });
  const snapshot = await until('the snapshot is completed', async () => {
    const found = await house.snapshots.find(call.region, started.id);
    return found?.state === 'completed' && found;
  });
  return { snapshot, block };
}

async function share(house: TestVolumes, snapshot: SnapshotRecord, account: AccountId): Promise<SnapshotRecord> {
  await house.db.write((tx) => house.snapshots.setSharing(tx, snapshot.id, { sharedWith: [account], public: false }));
  return (await house.snapshots.find(snapshot.region, snapshot.id))!;
}

const forEveryone = (account: AccountId) => [
  { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${account}:root` }, Action: 'kms:*', Resource: '*' },
];

async function create(
  house: TestVolumes,
  call: Call,
  request: { snapshotId?: SnapshotId; encrypted?: boolean; kmsKeyId?: string; sizeGiB?: number },
): Promise<VolumeRecord> {
  const full = { availabilityZone: ZONE, sizeGiB: 1, ...request };
  const outcome = await house.volumes.decideEncryption(call, full);
  return house.db.write((tx) => house.volumes.startCreate(tx, call, full, outcome));
}

const available = (house: TestVolumes, id: VolumeId) =>
  until(`${id} is available`, async () => {
    const found = await house.volumes.find(REGION, id);
    if (!found) throw new Error(`${id} has vanished`);
    return found.state === 'available' && found;
  });

const vanished = (house: TestVolumes, id: VolumeId) =>
  until(`${id} has vanished`, async () => (await house.volumes.find(REGION, id)) === undefined);

/** Resolves when the base of the volume is under its own data key. */
const resealed = (house: TestVolumes, id: VolumeId) =>
  until(`the base of ${id} is under its own data key`, async () => {
    const row = (await volumeRow(reading(house.db), id))!;
    return row.base_data_key_id === row.data_key_id && row;
  });

/** Opens what the volume stores with nothing but its own wrapped data key, and gives the block at index 3. */
async function ownBlock(house: TestVolumes, id: VolumeId) {
  const row = (await volumeRow(reading(house.db), id))!;
  const dataKey = await openForSystem(house.onBehalf, wrappedKeyOf(row)!, 'test');
  return house.storage.readBlock({ root: row.base_root!, dataKey }, 3);
}

test('table 1.1: all sixty combinations, by the key that really wraps the data', { timeout: 120_000 }, async () => {
  await using house = await openTestVolumes();
  const [me, other] = [house.as(house.prod), house.as(house.build)];
  const given = await house.key(me);
  const defaultKey = await house.key(me);
  const foreign = await house.key(other, [...forEveryone(house.build), ...forEveryone(house.prod)]);
  const own = await house.key(me);
  const sources = {
    none: undefined,
    'own-plain': await snapshotOf(house, me),
    'shared-plain': await snapshotOf(house, other),
    'own-encrypted': await snapshotOf(house, me, own),
    'shared-encrypted': await snapshotOf(house, other, foreign),
  };
  await share(house, sources['shared-plain'].snapshot, house.prod);
  await share(house, sources['shared-encrypted'].snapshot, house.prod);
  await house.db.write((tx) => house.ebsDefaults.setDefaultKey(tx, house.prod, REGION, defaultKey));

  const keyOf: Partial<Record<Expected, Arn>> = {
    'default-key': defaultKey,
    'given-key': given,
    'snapshot-key': own,
  };
  for (const byDefault of [false, true]) {
    await house.db.write((tx) => house.ebsDefaults.setEncryptionByDefault(tx, house.prod, REGION, byDefault));
    for (const row of VOLUME_TABLE) {
      const expected = byDefault ? row.on : row.off;
      const name = `row ${row.row}, encryption by default ${byDefault}`;
      const source = sources[row.source];
      const request = {
        ...(source && { snapshotId: source.snapshot.id }),
        ...(row.encrypted !== undefined && { encrypted: row.encrypted }),
        ...(row.keyGiven && { kmsKeyId: given }),
      };
      if (expected.startsWith('kms-') || expected.startsWith('encrypted-')) {
        await assert.rejects(create(house, me, request), (error) => {
          assert.ok(error instanceof Refusal, name);
          assert.equal(error.reason, expected, name);
          return true;
        });
        continue;
      }
      const { id } = await create(house, me, request);
      const volume = await available(house, id);
      const expectedKey = keyOf[expected];
      assert.equal(volume.encrypted, expectedKey !== undefined, name);
      assert.equal(volume.kmsKeyArn, expectedKey, name);
      const stored = (await volumeRow(reading(house.db), id))!;
      if (expectedKey) {
        // The wrapped data key opens under exactly this KMS key and context (K-3), and under no other key.
        const secret = await house.onBehalf.openForSystem(expectedKey, stored.wrapped_key!, ebsContext(id), 'test');
        assert.equal(secret.byteLength, 64, name);
        for (const wrong of [given, defaultKey, own, foreign].filter((key) => key !== expectedKey)) {
          await assert.rejects(house.onBehalf.openForSystem(wrong, stored.wrapped_key!, ebsContext(id), 'test'), name);
        }
        await assert.rejects(
          house.onBehalf.openForSystem(expectedKey, stored.wrapped_key!, ebsContext('vol-0'), 'test'),
          name,
        );
      }
      if (!source) continue;
      await resealed(house, id);
      assert.deepEqual(Buffer.from((await ownBlock(house, id))!), source.block, name);
      // K-4: the lineage is shared exactly where the key is kept; V-1: a shared source never passes its data key on.
      const sourceKeyId = (await snapshotRow(reading(house.db), source.snapshot.id))!.data_key_id;
      const isShared = expected === 'snapshot-key' || expected === 'plain';
      assert.equal(stored.data_key_id === sourceKeyId, isShared, name);
    }
  }
});

test('K-6: until the base is sealed anew the volume reads it; afterwards the source data key opens nothing', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const [a, b] = [await house.key(call), await house.key(call)];
  const { snapshot, block } = await snapshotOf(house, call, a);
  const { id } = await create(house, call, { snapshotId: snapshot.id, encrypted: true, kmsKeyId: b });
  await available(house, id);
  const row = (await resealed(house, id))!;
  const source = (await snapshotRow(reading(house.db), snapshot.id))!;
  assert.notEqual(row.base_root, source.map_root);
  const sourceKey = await openForSystem(house.onBehalf, wrappedKeyOf(source)!, 'test');
  await assert.rejects(house.storage.readBlock({ root: row.base_root!, dataKey: sourceKey }, 3), IntegrityError);
  assert.deepEqual(baseKeyOf(row), wrappedKeyOf(row));
  assert.deepEqual(Buffer.from((await ownBlock(house, id))!), block);
});

test('table 3.2: KMS calls of new volumes, with their encryption context', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const [a, b] = [await house.key(call), await house.key(call)];
  const { snapshot } = await snapshotOf(house, call, a);
  const calls = async (request: Parameters<typeof create>[2]) => {
    const before = (await house.kmsEvents(house.build)).length;
    const { id } = await create(house, call, request);
    await available(house, id);
    const events = (await house.kmsEvents(house.build)).slice(before);
    return { id, names: events.map(({ name }) => name), events: events.map(({ event }) => event) };
  };
  const empty = await calls({ encrypted: true, kmsKeyId: a });
  assert.deepEqual(empty.names, ['DescribeKey', 'GenerateDataKeyWithoutPlaintext', 'CreateGrant']);
  const parameters = empty.events[1]!.requestParameters as Record<string, unknown>;
  assert.equal(parameters.numberOfBytes, 64);
  assert.deepEqual(parameters.encryptionContext, { 'aws:ebs:id': empty.id });
  assert.equal((empty.events[1]!.userIdentity as Record<string, unknown>).invokedBy, 'ec2-frontend-api.amazonaws.com');

  assert.deepEqual((await calls({ snapshotId: snapshot.id })).names, ['ReEncrypt', 'CreateGrant']);
  assert.deepEqual((await calls({ snapshotId: snapshot.id, encrypted: true, kmsKeyId: b })).names, [
    'ReEncrypt',
    'GenerateDataKeyWithoutPlaintext',
    'CreateGrant',
  ]);
  assert.deepEqual((await calls({})).names, []);
});

/** Actions whose denial makes the volume vanish (3.2), and those whose denial changes nothing. */
const DENIALS: readonly { readonly of: 'empty' | 'same' | 'rekeyed'; readonly breaks: readonly string[] }[] = [
  { of: 'empty', breaks: ['kms:GenerateDataKeyWithoutPlaintext', 'kms:CreateGrant'] },
  { of: 'same', breaks: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:CreateGrant'] },
  {
    of: 'rekeyed',
    breaks: ['kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:CreateGrant'],
  },
];
const KMS_ACTIONS = [
  'kms:CreateGrant',
  'kms:Decrypt',
  'kms:DescribeKey',
  'kms:GenerateDataKey',
  'kms:GenerateDataKeyWithoutPlaintext',
  'kms:ReEncryptFrom',
  'kms:ReEncryptTo',
];

test('table 3.2 and CV-2: which denials make a volume vanish', { timeout: 60_000 }, async () => {
  await using house = await openTestVolumes();
  const root = house.as(house.build);
  const [a, b] = [await house.key(root), await house.key(root)];
  const { snapshot } = await snapshotOf(house, root, a);
  const requests = {
    empty: { encrypted: true, kmsKeyId: a },
    same: { snapshotId: snapshot.id },
    rekeyed: { snapshotId: snapshot.id, encrypted: true, kmsKeyId: b },
  };
  for (const action of KMS_ACTIONS) {
    const user = await house.userOf(house.build, action.slice(4), [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: action, Resource: '*' },
    ]);
    for (const { of, breaks } of DENIALS) {
      const { id, state } = await create(house, user, requests[of]);
      assert.equal(state, 'creating');
      if (breaks.includes(action)) await vanished(house, id);
      else await available(house, id);
    }
  }
});

test('CV-1, CV-2, kms 27.7: an unknown or disabled key is accepted, and the volume vanishes', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const disabled = await house.key(call);
  await house.keys.disableKey(systemPermit('kms:DisableKey', disabled, 'test'));
  const unknown = '11111111-2222-3333-4444-555555555555';
  for (const kmsKeyId of [disabled, unknown, 'alias/none']) {
    const volume = await create(house, call, { encrypted: true, kmsKeyId });
    assert.equal(volume.state, 'creating');
    await vanished(house, volume.id);
  }
});

test('K-8 and K-9: grants of a volume while it is attached, stopped and deleted', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const key = await house.key(call);
  const { id } = await create(house, call, { encrypted: true, kmsKeyId: key });
  await available(house, id);
  const instanceId = newEc2Id<never>('i');
  const grants = async () => {
    const permit = systemPermit('kms:ListGrants', key, 'test');
    const { items } = await house.keys.listGrants(permit, {}, { limit: 100 });
    return items.map((grant) => grant.grantee);
  };
  const service = `ec2.${REGION}.amazonaws.com`;
  const infrastructure = `arn:aws:sts::${house.build}:assumed-role/aws:ec2-infrastructure/${instanceId}`;
  assert.deepEqual(await grants(), [service]);

  const to = { instanceId, device: '/dev/sdf', deleteOnTermination: false };
  const { socketPath } = await house.volumes.attach(call, id, to);
  assert.ok(socketPath.startsWith('/'));
  assert.deepEqual((await grants()).sort(), [infrastructure, service].sort());
  const events = await house.kmsEvents(house.build);
  const decrypt = events.findLast(({ name }) => name === 'Decrypt')!.event;
  assert.equal((decrypt.userIdentity as Record<string, unknown>).arn, infrastructure);
  assert.equal((await house.volumes.find(REGION, id))!.state, 'in-use');
  await assert.rejects(house.volumes.delete(id), { reason: 'volume-in-use' });

  await house.volumes.closeForInstance(id, instanceId);
  assert.deepEqual(await grants(), [service]);
  assert.equal((await house.volumes.find(REGION, id))!.attachments.length, 1);
  await house.volumes.openForInstance(call, id, instanceId);
  assert.deepEqual((await grants()).sort(), [infrastructure, service].sort());

  await house.volumes.closeForInstance(id, instanceId);
  await house.volumes.closeForInstance(id, instanceId);
  await house.volumes.openForInstance(call, id, instanceId);
  await house.storage.detach(id);
  await house.volumes.openForInstance(call, id, instanceId);
  assert.equal((await grants()).length, 2);

  // K-19: a key disabled while the volume is attached changes nothing until it is opened again.
  await house.keys.disableKey(systemPermit('kms:DisableKey', key, 'test'));
  assert.equal(house.storage.isAttached(id), true);
  await house.volumes.closeForInstance(id, instanceId);
  await assert.rejects(house.volumes.openForInstance(call, id, instanceId), { reason: 'key-disabled' });
  await house.keys.enableKey(systemPermit('kms:EnableKey', key, 'test'));
  await house.volumes.detach(id, instanceId);
  assert.equal((await house.volumes.find(REGION, id))!.state, 'available');
  await house.volumes.delete(id);
  await vanished(house, id);
  assert.deepEqual(await grants(), []);
});

test('K-18: a failed attach leaves nothing behind', async () => {
  await using house = await openTestVolumes();
  const root = house.as(house.build);
  const key = await house.key(root);
  const { id } = await create(house, root, { encrypted: true, kmsKeyId: key });
  await available(house, id);
  const user = await house.userOf(house.build, 'attacher', [
    { Effect: 'Allow', Action: '*', Resource: '*' },
    { Effect: 'Deny', Action: 'kms:CreateGrant', Resource: '*' },
  ]);
  const to = { instanceId: newEc2Id<never>('i'), device: '/dev/sdf', deleteOnTermination: false };
  await assert.rejects(house.volumes.attach(user, id, to), { name: 'Denied' });
  const volume = (await house.volumes.find(REGION, id))!;
  assert.deepEqual([volume.state, volume.attachments], ['available', []]);
  assert.equal(house.storage.isAttached(id), false);
});
