import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NbdClient } from '../../test/sim/storage-model.ts';
import type { Call } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import { type AccountId, type Arn, newEc2Id, type Region, type SnapshotId, type VolumeId } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import { openForSystem, wrappedKeyOf } from './data-keys.ts';
import { reading, snapshotRow, volumeRow } from './tables.ts';
import { OTHER_REGION, openTestVolumes, REGION, type TestVolumes, until } from './test-volumes.ts';
import type { SnapshotRecord } from './volumes.ts';

const ZONE = `${REGION}a`;
const BLOCK = LIMITS.blockBytes;
const INSTANCE = newEc2Id<never>('i');
const TO = { instanceId: INSTANCE, device: '/dev/sdf', deleteOnTermination: false };
const permit = (volume: VolumeId) => systemPermit('ec2:CreateSnapshot', volume, 'test');
const trusted = (...accounts: AccountId[]) =>
  accounts.map((account) => ({
    Effect: 'Allow',
    Principal: { AWS: `arn:aws:iam::${account}:root` },
    Action: 'kms:*',
    Resource: '*',
  }));

async function newVolume(house: TestVolumes, call: Call, request: { kmsKeyId?: string; snapshotId?: SnapshotId }) {
  const full = { availabilityZone: ZONE, sizeGiB: 1, ...(request.kmsKeyId && { encrypted: true }), ...request };
  const outcome = await house.volumes.decideEncryption(call, full);
  return house.volumes.createNow(call, newEc2Id('vol'), full, outcome);
}

const ended = (house: TestVolumes, id: string, region: Region = REGION): Promise<SnapshotRecord> =>
  until(`${id} ends`, async () => {
    const found = await house.snapshots.find(region, id);
    if (!found) throw new Error(`${id} is gone`);
    return found.state !== 'pending' && found;
  });

/** Blocks of a snapshot, opened with nothing but its own wrapped data key. */
async function blocksOf(house: TestVolumes, id: string): Promise<Map<number, Buffer>> {
  const row = (await snapshotRow(reading(house.db), id))!;
  const dataKey = await openForSystem(house.onBehalf, wrappedKeyOf(row)!, 'test');
  const { blocks } = await house.storage.listBlocks(row.map_root!, 0, 100);
  const opened = new Map<number, Buffer>();
  for (const { index } of blocks) {
    opened.set(index, Buffer.from((await house.storage.readBlock({ root: row.map_root!, dataKey }, index))!));
  }
  return opened;
}

const filled = (byte: number) => Buffer.alloc(BLOCK, byte);

/** A completed snapshot of one block filled with 7. */
async function snapshotOf(house: TestVolumes, call: Call, kmsKeyId?: string): Promise<SnapshotRecord> {
  const { id } = await newVolume(house, call, kmsKeyId ? { kmsKeyId } : {});
  const { socketPath } = await house.volumes.attach(call, id, TO);
  await using client = await NbdClient.connect(socketPath);
  await client.write(0, filled(7));
  await client.flush();
  const { id: snapshotId } = await house.snapshots.startSnapshot(call, permit(id), { volumeId: id, description: '' });
  const snapshot = await ended(house, snapshotId);
  await client[Symbol.asyncDispose]();
  await house.volumes.detach(id, INSTANCE);
  await house.volumes.delete(id);
  return snapshot;
}

test('BI-6: snapshots of a volume in use hold what was written before each, and make no KMS call', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const key = await house.key(call);
  const volume = await newVolume(house, call, { kmsKeyId: key });
  const { socketPath } = await house.volumes.attach(call, volume.id, TO);
  await using client = await NbdClient.connect(socketPath);
  const events = (await house.kmsEvents(house.build)).length;

  await client.write(0, filled(1));
  await client.write(5 * BLOCK, filled(2));
  const start = () => house.snapshots.startSnapshot(call, permit(volume.id), { volumeId: volume.id, description: 'd' });
  const first = await start();
  assert.deepEqual([first.state, first.progress, first.volumeId], ['pending', '', volume.id]);
  await client.write(0, filled(3));
  const second = await start();
  await client.write(BLOCK, filled(4));
  const third = await start();
  for (const { id } of [first, second, third]) {
    const snapshot = await ended(house, id);
    assert.deepEqual([snapshot.state, snapshot.progress, snapshot.encrypted], ['completed', '100%', true]);
    // K-4: key and data key are the volume's.
    assert.deepEqual([snapshot.kmsKeyArn, snapshot.dataKeyId], [key, volume.dataKeyId]);
  }
  assert.deepEqual(
    [...(await blocksOf(house, first.id))],
    [
      [0, filled(1)],
      [5, filled(2)],
    ],
  );
  assert.deepEqual(
    [...(await blocksOf(house, second.id))],
    [
      [0, filled(3)],
      [5, filled(2)],
    ],
  );
  assert.deepEqual(
    [...(await blocksOf(house, third.id))],
    [
      [0, filled(3)],
      [1, filled(4)],
      [5, filled(2)],
    ],
  );
  assert.equal((await house.kmsEvents(house.build)).length, events);
  // The sealed overlays are gone, and the guest reads on through the new base.
  await until('the overlays are sealed', async () => {
    const row = (await volumeRow(reading(house.db), volume.id))!;
    return row.frozen === '[]';
  });
  assert.deepEqual(await client.read(0, BLOCK), filled(3));
  assert.deepEqual(await client.read(BLOCK, BLOCK), filled(4));
});

test('snapshots started faster than they are sealed hold each its own state, in the order they were made', async () => {
  await using house = await openTestVolumes(undefined, { pausedJobs: true });
  const call = house.as(house.build);
  const volume = await newVolume(house, call, { kmsKeyId: await house.key(call) });
  const { socketPath } = await house.volumes.attach(call, volume.id, TO);
  await using client = await NbdClient.connect(socketPath);
  const ids: string[] = [];
  for (const byte of [1, 2, 3]) {
    await client.write(0, filled(byte));
    await client.write(byte * BLOCK, filled(byte));
    const request = { volumeId: volume.id, description: '' };
    ids.push((await house.snapshots.startSnapshot(call, permit(volume.id), request)).id);
  }
  await client.write(0, filled(9));
  // A snapshot deleted while it is pending takes nothing from the others.
  await house.db.write((tx) => house.snapshots.delete(tx, ids[1] as SnapshotId));
  await house.jobs.start();
  await ended(house, ids[0]!);
  await ended(house, ids[2]!);
  assert.deepEqual(
    [...(await blocksOf(house, ids[0]!))],
    [
      [0, filled(1)],
      [1, filled(1)],
    ],
  );
  assert.deepEqual(
    [...(await blocksOf(house, ids[2]!))],
    [
      [0, filled(3)],
      [1, filled(1)],
      [2, filled(2)],
      [3, filled(3)],
    ],
  );
  assert.deepEqual(await client.read(0, BLOCK), filled(9));
});

test('a volume deleted right after its snapshot was started leaves the snapshot whole', async () => {
  await using house = await openTestVolumes();
  const snapshot = await snapshotOf(house, house.as(house.build));
  assert.deepEqual([...(await blocksOf(house, snapshot.id))], [[0, filled(7)]]);
  await until('the volume is gone', async () => (await house.volumes.find(REGION, snapshot.volumeId)) === undefined);
  assert.deepEqual([...(await blocksOf(house, snapshot.id))], [[0, filled(7)]]);
});

async function copy(
  house: TestVolumes,
  call: Call,
  source: SnapshotRecord | undefined,
  request: { kmsKeyId?: string; encrypted?: boolean; kind?: 'snapshot' | 'image' } = {},
): Promise<SnapshotRecord> {
  const outcome = await house.snapshots.decideCopy(call, { kind: 'snapshot', source, ...request });
  const started = await house.db.write((tx) =>
    house.snapshots.startCopy(tx, call, {
      source,
      sourceId: source?.id ?? 'snap-00000000000000000',
      sourceRegion: source?.region ?? REGION,
      destinationRegion: call.region,
      description: '',
      outcome,
    }),
  );
  return ended(house, started.id, call.region);
}

test('K-4, K-6, CS-15: copies share the lineage under the same key, and have new ciphertext under another', async () => {
  await using house = await openTestVolumes();
  const call = house.as(house.build);
  const [a, b] = [await house.key(call), await house.key(call)];
  const source = await snapshotOf(house, call, a);
  const sourceRow = (await snapshotRow(reading(house.db), source.id))!;

  const same = await copy(house, call, source, { encrypted: true, kmsKeyId: a });
  assert.deepEqual([same.state, same.kmsKeyArn, same.dataKeyId], ['completed', a, source.dataKeyId]);
  assert.equal((await snapshotRow(reading(house.db), same.id))!.map_root, sourceRow.map_root);
  assert.equal(same.volumeId, 'vol-ffffffff');

  const other = await copy(house, call, source, { encrypted: true, kmsKeyId: b });
  assert.deepEqual([other.state, other.kmsKeyArn], ['completed', b]);
  assert.notEqual(other.dataKeyId, source.dataKeyId);
  assert.notEqual((await snapshotRow(reading(house.db), other.id))!.map_root, sourceRow.map_root);
  assert.deepEqual([...(await blocksOf(house, other.id))], [[0, filled(7)]]);

  // CS-3: in another region, under its default key.
  const there = house.as(house.build, OTHER_REGION);
  const far = await copy(house, there, source);
  assert.deepEqual([far.state, far.region, far.underAwsManagedKey], ['completed', OTHER_REGION, true]);
  assert.deepEqual([...(await blocksOf(house, far.id))], [[0, filled(7)]]);

  // CS-1 and CI-1: within a region CopySnapshot does not keep the key, CopyImage does.
  assert.notEqual((await copy(house, call, source)).kmsKeyArn, a);
  assert.equal((await copy(house, call, source, { kind: 'image' })).kmsKeyArn, a);
  // No grant of a copy remains.
  for (const key of [a, b]) {
    const list = systemPermit('kms:ListGrants', key, 'test');
    await until('grants are retired', async () => {
      const { items } = await house.keys.listGrants(list, {}, { limit: 100 });
      return items.length === 0;
    });
  }
});

test('CS-6, CS-7, CS-8: which denials fail a copy, and how it ends', { timeout: 60_000 }, async () => {
  await using house = await openTestVolumes();
  const root = house.as(house.build);
  const [a, b] = [await house.key(root), await house.key(root)];
  const source = await snapshotOf(house, root, a);
  const breaking = ['kms:CreateGrant', 'kms:GenerateDataKeyWithoutPlaintext'];
  const harmless = ['kms:Decrypt', 'kms:ReEncryptFrom', 'kms:ReEncryptTo', 'kms:GenerateDataKey'];
  for (const action of [...breaking, ...harmless]) {
    const user = await house.userOf(house.build, action.slice(4), [
      { Effect: 'Allow', Action: '*', Resource: '*' },
      { Effect: 'Deny', Action: action, Resource: '*' },
    ]);
    const ends = await copy(house, user, source, { encrypted: true, kmsKeyId: b });
    if (breaking.includes(action)) {
      assert.deepEqual(
        [ends.state, ends.stateMessage, ends.progress],
        ['error', 'Given key ID is not accessible', '0%'],
        action,
      );
    } else assert.equal(ends.state, 'completed', action);
    const sameKey = await copy(house, user, source, { encrypted: true, kmsKeyId: a });
    assert.equal(sameKey.state, action === 'kms:CreateGrant' ? 'error' : 'completed', `same key, ${action}`);
  }
});

test('CS-9: a copy of nothing ends in error', async () => {
  await using house = await openTestVolumes();
  const ends = await copy(house, house.as(house.build), undefined);
  assert.deepEqual([ends.state, ends.stateMessage], ['error', 'Source snapshot is not found']);
});

test('SH-28 and V-1: a shared snapshot copies only with rights on its key, and then under a key of the consumer', async () => {
  await using house = await openTestVolumes();
  const [owner, consumer] = [house.as(house.build), house.as(house.prod)];
  const closed = await house.key(owner);
  const open: Arn = await house.key(owner, trusted(house.build, house.prod));
  for (const [key, works] of [
    [closed, false],
    [open, true],
  ] as const) {
    const source = await snapshotOf(house, owner, key);
    await house.db.write((tx) =>
      house.snapshots.setSharing(tx, source.id, { sharedWith: [house.prod], public: false }),
    );
    const shared = (await house.snapshots.find(REGION, source.id))!;
    const ends = await copy(house, consumer, shared);
    assert.equal(ends.state, works ? 'completed' : 'error');
    if (!works) assert.equal(ends.stateMessage, 'Given key ID is not accessible');
    if (!works) continue;
    assert.notEqual(ends.kmsKeyArn, key);
    assert.notEqual(ends.dataKeyId, source.dataKeyId);
    assert.deepEqual([...(await blocksOf(house, ends.id))], [[0, filled(7)]]);
    // Even under the very key of the owner, a shared source means a new data key.
    const sameKey = await copy(house, consumer, shared, { encrypted: true, kmsKeyId: key });
    assert.deepEqual([sameKey.state, sameKey.kmsKeyArn], ['completed', key]);
    assert.notEqual(sameKey.dataKeyId, source.dataKeyId);
  }
});

test('SH-32: block-all-sharing hides public snapshots and keeps their attribute', async () => {
  await using house = await openTestVolumes();
  const snapshot = await snapshotOf(house, house.as(house.build));
  await house.db.write((tx) => house.snapshots.setSharing(tx, snapshot.id, { sharedWith: [], public: true }));
  const seen = async () => (await house.snapshots.listVisible(REGION, house.prod)).length;
  assert.equal(await seen(), 1);
  const block = (state: 'block-all-sharing' | 'block-new-sharing') =>
    house.db.write((tx) => house.ebsDefaults.setSnapshotBlockPublicAccess(tx, house.build, REGION, state));
  await block('block-all-sharing');
  assert.equal(await seen(), 0);
  assert.equal((await house.snapshots.find(REGION, snapshot.id))!.public, true);
  await block('block-new-sharing');
  assert.equal(await seen(), 1);
});
