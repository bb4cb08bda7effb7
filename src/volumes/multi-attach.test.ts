/** Multi-Attach: one volume, one server, several instances (CV-13). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NbdClient } from '../../test/sim/storage-model.ts';
import { systemPermit } from '../authz/permit.ts';
import { newEc2Id } from '../ids.ts';
import { MULTI_ATTACHMENTS_MAX } from './attachments.ts';
import { openTestVolumes, REGION, until } from './test-volumes.ts';

const SECTOR = 4096;
const filled = (byte: number) => Buffer.alloc(SECTOR, byte);
const onto = (device = '/dev/sdf') => ({
  instanceId: newEc2Id<never>('i'),
  device,
  deleteOnTermination: false,
});

async function shared(multiAttach: boolean) {
  const house = await openTestVolumes();
  const call = house.as(house.build);
  const key = await house.key(call);
  const request = {
    availabilityZone: `${REGION}a`,
    sizeGiB: 4,
    volumeType: 'io2',
    iops: 100,
    encrypted: true,
    kmsKeyId: key,
    multiAttach,
  };
  const outcome = await house.volumes.decideEncryption(call, request);
  const { id } = await house.db.write((tx) => house.volumes.startCreate(tx, call, request, outcome));
  const find = async () => (await house.volumes.find(REGION, id))!;
  await until('the volume is available', async () => (await find()).state === 'available');
  return { house, call, key, id, find };
}

test('CV-13: what one writes the other reads; each has its grant; the last to close ends the serving', async () => {
  const { house, call, key, id, find } = await shared(true);
  await using _ = house;
  const grantees = async () => {
    const permit = systemPermit('kms:ListGrants', key, 'test');
    const { items } = await house.keys.listGrants(permit, {}, { limit: 100 });
    return items.map(({ grantee }) => grantee.split('/').at(-1)).toSorted();
  };
  const service = `ec2.${REGION}.amazonaws.com`;
  const [first, second] = [onto(), onto('/dev/sdg')];
  const { socketPath } = await house.volumes.attach(call, id, first);
  await using one = await NbdClient.connect(socketPath);
  await one.write(0, filled(1));
  assert.deepEqual(await house.volumes.attach(call, id, second), { socketPath });
  await using two = await NbdClient.connect(socketPath);
  assert.deepEqual(await two.read(0, SECTOR), filled(1));
  assert.deepEqual(await grantees(), [first.instanceId, second.instanceId, service].toSorted());

  // Both at once, sector by sector: none is lost and none is mixed.
  const writes = Array.from({ length: 64 }, (_, sector) =>
    (sector % 2 === 0 ? one : two).write(sector * SECTOR, filled(sector)),
  );
  await Promise.all(writes);
  for (let sector = 0; sector < 64; sector++) {
    assert.deepEqual(await (sector % 2 === 0 ? two : one).read(sector * SECTOR, SECTOR), filled(sector));
  }

  // A snapshot while a second instance comes: the layers that are served are the layers of the record.
  await house.volumes.closeForInstance(id, second.instanceId);
  const permit = systemPermit('ec2:CreateSnapshot', id, 'test');
  const start = house.snapshots.startSnapshot(call, permit, { volumeId: id, description: '' });
  const [snapshot] = await Promise.all([start, house.volumes.openForInstance(call, id, second.instanceId)]);
  await one.write(0, filled(9));
  assert.deepEqual(await two.read(0, SECTOR), filled(9));
  await until('the snapshot is completed', async () => {
    return (await house.snapshots.find(REGION, snapshot.id))?.state === 'completed';
  });

  await house.volumes.detach(id, first.instanceId, { andDelete: true });
  assert.deepEqual(
    [(await find()).state, (await find()).attachments.map(({ instanceId }) => instanceId)],
    ['in-use', [second.instanceId]],
    'it is not deleted from under the other',
  );
  assert.deepEqual(await grantees(), [second.instanceId, service].toSorted());
  assert.deepEqual(await two.read(0, SECTOR), filled(9));
  await two.write(SECTOR, filled(7));
  await house.volumes.detach(id, second.instanceId);
  assert.equal(house.storage.isAttached(id), false);
  assert.equal((await find()).state, 'available');

  const third = onto();
  await using again = await NbdClient.connect((await house.volumes.attach(call, id, third)).socketPath);
  assert.deepEqual([await again.read(0, SECTOR), await again.read(SECTOR, SECTOR)], [filled(9), filled(7)]);
});

test('CV-13: sixteen instances, and no more; without Multi-Attach one', async () => {
  const { house, call, id, find } = await shared(true);
  await using _ = house;
  for (let count = 0; count < MULTI_ATTACHMENTS_MAX; count++) await house.volumes.attach(call, id, onto());
  await assert.rejects(house.volumes.attach(call, id, onto()), { reason: 'multi-attach-limit' });
  assert.equal((await find()).attachments.length, 16);
  const alone = await shared(false);
  await using __ = alone.house;
  await alone.house.volumes.attach(alone.call, alone.id, onto());
  await assert.rejects(alone.house.volumes.attach(alone.call, alone.id, onto()), { reason: 'volume-in-use' });
});

test('CV-13 and K-18: where KMS refuses a second instance, the first goes on', async () => {
  const { house, call, key, id, find } = await shared(true);
  await using _ = house;
  const { socketPath } = await house.volumes.attach(call, id, onto());
  await using one = await NbdClient.connect(socketPath);
  await one.write(0, filled(5));
  await house.keys.disableKey(systemPermit('kms:DisableKey', key, 'test'));
  await assert.rejects(house.volumes.attach(call, id, onto()), { reason: 'key-disabled' });
  assert.equal((await find()).attachments.length, 1);
  assert.deepEqual(await one.read(0, SECTOR), filled(5));
});

test('an exchange takes no volume that the instance has as another device, and leaves it attached as that', async () => {
  const { house, call, id, find } = await shared(false);
  await using _ = house;
  const request = { availabilityZone: `${REGION}a`, sizeGiB: 1, volumeType: 'gp3', encrypted: false };
  const outcome = await house.volumes.decideEncryption(call, request);
  const root = await house.db.write((tx) => house.volumes.startCreate(tx, call, request, outcome));
  const state = async () => (await house.volumes.find(REGION, root.id))!;
  await until('the root volume is available', async () => (await state()).state === 'available');
  const at = onto('/dev/xvda');
  await house.volumes.attach(call, root.id, at);
  await house.volumes.attach(call, id, { ...at, device: '/dev/sdf' });
  const places = { instanceId: at.instanceId, from: root.id, to: id };
  await assert.rejects(
    house.volumes.exchange(call, places, async () => {}),
    { reason: 'volume-in-use' },
  );
  assert.deepEqual(
    [await state(), await find()].map(({ attachments }) => attachments.map((each) => [each.device, each.state])),
    [[['/dev/xvda', 'attached']], [['/dev/sdf', 'attached']]],
  );
});
