/** L-9: the Recycle Bin, its rules, and what comes back out of it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { REGION, until } from '../../volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { imageIn, openTestEc2, refused, type TestEc2 } from '../ec2/test-ec2.ts';
import { rbinService } from './index.ts';
import type { RuleShape } from './shapes.ts';

const DAY_MS = 86_400_000;

let test: TestEc2;
const build = () => test.as(test.build);
const prod = () => test.as(test.prod);

before(async () => {
  test = await openTestEc2();
});
after(() => test[Symbol.asyncDispose]());

async function rbin(call: Call, operation: string, input: object): Promise<RuleShape> {
  const service = rbinService(test);
  const handler = service.operations[operation] as (call: Call, input: object) => Promise<RuleShape>;
  try {
    return await handler(call, input);
  } catch (error) {
    throw service.translate(error, call, operation) ?? error;
  }
}
const days = (RetentionPeriodValue: number) => ({ RetentionPeriodValue, RetentionPeriodUnit: 'DAYS' });
const unlockAfter = (UnlockDelayValue: number) => ({
  LockConfiguration: { UnlockDelay: { UnlockDelayValue, UnlockDelayUnit: 'DAYS' } },
});
const snapshots = (more: object = {}) => ({ ResourceType: 'EBS_SNAPSHOT', RetentionPeriod: days(3), ...more });
const listed = async (kind: 'Images' | 'Snapshots', call = build()) =>
  (await test.call<Record<string, Record<string, unknown>[]>>(call, `List${kind}InRecycleBin`, {}))[kind]!;
const isThere = (call: Call, id: string) =>
  test.call(call, 'DescribeSnapshots', { SnapshotIds: [id] }).then(
    () => true,
    () => false,
  );
/** With one rule for the length of the work. */
async function under(rule: object, work: (rule: RuleShape) => Promise<void>): Promise<void> {
  const made = await rbin(build(), 'CreateRule', rule);
  await work(made);
  await rbin(build(), 'DeleteRule', { Identifier: made.Identifier });
}
/** A job that becomes due by the test's clock is noticed when the next one is enqueued. */
const wakeJobs = async () => void (await test.snapshot(build()));
const remove = ({ id }: SnapshotRecord) => test.call(build(), 'DeleteSnapshot', { SnapshotId: id });

describe('L-9: snapshots in the bin', () => {
  it('L-9: without a rule a deleted snapshot is gone', async () => {
    const snapshot = await test.snapshot(build());
    await remove(snapshot);
    assert.deepEqual(await listed('Snapshots'), []);
    assert.equal(await test.snapshots.find(REGION, snapshot.id), undefined);
  });

  it('L-9: with one it is recoverable, unusable, and as before once restored, its tags included', async () => {
    await under(snapshots(), async () => {
      const snapshot = await test.snapshot(build());
      await test.call(build(), 'CreateTags', { Resources: [snapshot.id], Tags: [{ Key: 'a', Value: 'b' }] });
      await test.call(build(), 'ModifySnapshotAttribute', {
        SnapshotId: snapshot.id,
        CreateVolumePermission: { Add: [{ UserId: test.prod }] },
      });
      await remove(snapshot);
      assert.equal((await test.snapshots.find(REGION, snapshot.id))?.state, 'recoverable');
      for (const call of [build(), prod()]) assert.equal(await isThere(call, snapshot.id), false);
      await refused(
        test.call(build(), 'CreateVolume', { AvailabilityZone: `${REGION}a`, SnapshotId: snapshot.id }),
        'InvalidSnapshot.NotFound',
      );
      await refused(remove(snapshot), 'InvalidSnapshot.NotFound');
      const [item] = await listed('Snapshots');
      assert.equal(item?.SnapshotId, snapshot.id);
      assert.equal(Number(item?.RecycleBinExitTime) - Number(item?.RecycleBinEnterTime), 3 * DAY_MS);
      assert.deepEqual(await listed('Snapshots', prod()), []);
      await refused(
        test.call(prod(), 'RestoreSnapshotFromRecycleBin', { SnapshotId: snapshot.id }),
        'InvalidSnapshot.NotFound',
      );
      const restored = await test.call<Record<string, unknown>>(build(), 'RestoreSnapshotFromRecycleBin', {
        SnapshotId: snapshot.id,
      });
      assert.equal(restored.State, 'completed');
      assert.deepEqual(await listed('Snapshots'), []);
      assert.deepEqual((await test.tags.of(test.build, REGION, [snapshot.id])).get(snapshot.id), [
        { Key: 'a', Value: 'b' },
      ]);
      assert.deepEqual((await test.snapshots.find(REGION, snapshot.id))?.sharedWith, []);
      const { blocks } = await test.direct.list(snapshot, { startIndex: 0, max: 100, pageToken: undefined });
      assert.equal(blocks.length, 1);
      await refused(
        test.call(build(), 'RestoreSnapshotFromRecycleBin', { SnapshotId: snapshot.id }),
        'InvalidSnapshot.NotFound',
      );
    });
  });

  it('L-9: what nobody restores is deleted when its time is over, by the time it went in', async () => {
    await under(snapshots({ RetentionPeriod: days(2) }), async () => {
      const [first, second] = [await test.snapshot(build()), await test.snapshot(build())];
      await remove(first);
      await remove(second);
      // Restored and thrown away again, its time begins anew.
      await test.call(build(), 'RestoreSnapshotFromRecycleBin', { SnapshotId: second.id });
      test.advance(DAY_MS);
      await remove(second);
      test.advance(DAY_MS + 1);
      await wakeJobs();
      await until('the first is gone', async () => (await test.snapshots.find(REGION, first.id)) === undefined);
      assert.deepEqual(
        (await listed('Snapshots')).map(({ SnapshotId }) => SnapshotId),
        [second.id],
      );
      await test.call(build(), 'RestoreSnapshotFromRecycleBin', { SnapshotId: second.id });
    });
  });

  it('L-9: rules by tag keep what has one of the tags, rules for the region what is not excluded, the longest wins', async () => {
    const tag = (ResourceTagKey: string, ResourceTagValue?: string) => ({
      ResourceTagKey,
      ...(ResourceTagValue !== undefined && { ResourceTagValue }),
    });
    const kept = async (tags: { Key: string; Value: string }[]) => {
      const snapshot = await test.snapshot(build());
      if (tags.length > 0) await test.call(build(), 'CreateTags', { Resources: [snapshot.id], Tags: tags });
      await remove(snapshot);
      const item = await test.bin.item(test.build, REGION, snapshot.id);
      return item && Math.round((item.exitsAt.getTime() - item.enteredAt.getTime()) / DAY_MS);
    };
    const gold = [{ Key: 'tier', Value: 'gold' }];
    await under(snapshots({ ResourceTags: [tag('tier', 'gold'), tag('keep')] }), async () => {
      assert.equal(await kept(gold), 3);
      assert.equal(await kept([{ Key: 'keep', Value: 'anything' }]), 3);
      assert.equal(await kept([{ Key: 'tier', Value: 'iron' }]), undefined);
      assert.equal(await kept([]), undefined);
      await under(snapshots({ RetentionPeriod: days(9), ExcludeResourceTags: [tag('scratch')] }), async () => {
        assert.equal(await kept(gold), 9);
        assert.equal(await kept([]), 9);
        assert.equal(await kept([...gold, { Key: 'scratch', Value: '' }]), 3);
      });
    });
  });

  it('L-13: a locked snapshot does not go into the bin either', async () => {
    await under(snapshots(), async () => {
      const snapshot = await test.snapshot(build());
      await test.call(build(), 'LockSnapshot', { SnapshotId: snapshot.id, LockMode: 'governance', LockDuration: 1 });
      await refused(remove(snapshot), 'OperationNotPermitted');
    });
  });
});

describe('L-9: images in the bin', () => {
  const images = { ResourceType: 'EC2_IMAGE', RetentionPeriod: days(2) };

  it('L-9: a deregistered image is unusable in the bin, and comes back in its old state, if its name is free', async () => {
    await under(images, async () => {
      const snapshot = await test.snapshot(build());
      const ImageId = await test.image(build(), snapshot, 'binned');
      await test.call(build(), 'DisableImage', { ImageId });
      await test.call(build(), 'DeregisterImage', { ImageId });
      assert.deepEqual(
        (await listed('Images')).map(({ ImageId: id, Name }) => [id, Name]),
        [[ImageId, 'binned']],
      );
      await refused(test.call(build(), 'EnableImage', { ImageId }), 'InvalidAMIID.Unavailable');
      const other = await test.image(build(), snapshot, 'binned');
      const restore = (call: Call) => test.call(call, 'RestoreImageFromRecycleBin', { ImageId });
      await refused(restore(build()), 'InvalidAMIName.Duplicate');
      await refused(restore(prod()), 'InvalidAMIID.NotFound');
      await test.call(build(), 'DeregisterImage', { ImageId: other });
      await restore(build());
      await imageIn(test, build(), ImageId, 'disabled');
      await refused(remove(snapshot), 'InvalidSnapshot.InUse');
      await refused(restore(build()), 'InvalidAMIID.NotFound');
    });
  });

  it('L-9: its time over, an image leaves the bin for good', async () => {
    await under(images, async () => {
      const ImageId = await test.image(build(), await test.snapshot(build()), 'late');
      await test.call(build(), 'DeregisterImage', { ImageId });
      test.advance(2 * DAY_MS + 1);
      await wakeJobs();
      await until('the bin is empty', async () => !(await test.bin.item(test.build, REGION, ImageId)));
      await refused(test.call(build(), 'RestoreImageFromRecycleBin', { ImageId }), 'InvalidAMIID.NotFound');
    });
  });

  it('L-9: at most 20 ids are listed by name, and unknown ones are refused', async () => {
    const ids = (count: number) => Array.from({ length: count }, (_, at) => `ami-${String(at).padStart(17, '0')}`);
    await refused(test.call(build(), 'ListImagesInRecycleBin', { ImageIds: ids(21) }), 'InvalidParameterValue');
    await refused(test.call(build(), 'ListImagesInRecycleBin', { ImageIds: ids(1) }), 'InvalidAMIID.NotFound');
  });
});

describe('rules of the Recycle Bin', () => {
  it('are made, shown, changed, listed by type and deleted', async () => {
    const made = await rbin(build(), 'CreateRule', snapshots({ Description: 'three days' }));
    assert.match(made.RuleArn, new RegExp(`^arn:aws:rbin:${REGION}:${test.build}:rule/${made.Identifier}$`));
    assert.deepEqual([made.Status, made.LockState, made.Description], ['available', 'unlocked', 'three days']);
    const { Identifier } = made;
    assert.equal(
      (await rbin(build(), 'UpdateRule', { Identifier, RetentionPeriod: days(5) })).RetentionPeriod
        .RetentionPeriodValue,
      5,
    );
    assert.deepEqual(await rbin(build(), 'GetRule', { Identifier }), { ...made, RetentionPeriod: days(5) });
    const list = async (ResourceType: string) =>
      ((await rbin(build(), 'ListRules', { ResourceType })) as unknown as { Rules: RuleShape[] }).Rules;
    assert.deepEqual(
      (await list('EBS_SNAPSHOT')).map((rule) => rule.Identifier),
      [Identifier],
    );
    assert.deepEqual(await list('EC2_IMAGE'), []);
    for (const operation of ['GetRule', 'DeleteRule', 'UpdateRule', 'UnlockRule']) {
      await refused(rbin(prod(), operation, { Identifier }), 'ResourceNotFoundException');
    }
    const nobody = await test.userOf(test.build, 'nobody', [{ Effect: 'Allow', Action: 'ec2:*', Resource: '*' }]);
    await refused(rbin(nobody, 'GetRule', { Identifier }), 'AccessDeniedException', /rbin:GetRule/);
    await rbin(build(), 'DeleteRule', { Identifier });
    await refused(rbin(build(), 'GetRule', { Identifier }), 'ResourceNotFoundException');
  });

  it('that are locked cannot be changed until the delay after unlocking is over', async () => {
    const { Identifier } = await rbin(build(), 'CreateRule', snapshots());
    const locked = await rbin(build(), 'LockRule', { Identifier, ...unlockAfter(7) });
    assert.equal(locked.LockState, 'locked');
    const change = () => rbin(build(), 'UpdateRule', { Identifier, RetentionPeriod: days(1) });
    await refused(change(), 'ConflictException');
    await refused(rbin(build(), 'DeleteRule', { Identifier }), 'ConflictException');
    await refused(rbin(build(), 'LockRule', { Identifier, ...unlockAfter(7) }), 'ConflictException');
    assert.equal((await rbin(build(), 'UnlockRule', { Identifier })).LockState, 'pending_unlock');
    await refused(change(), 'ConflictException');
    await refused(rbin(build(), 'UnlockRule', { Identifier }), 'ConflictException');
    test.advance(7 * DAY_MS + 1);
    assert.equal((await change()).LockState, 'unlocked');
    await rbin(build(), 'DeleteRule', { Identifier });
  });

  it('have bounds', async () => {
    const tags = Array.from({ length: 51 }, (_, at) => ({ ResourceTagKey: String(at) }));
    const WRONG: readonly object[] = [
      snapshots({ RetentionPeriod: days(0) }),
      snapshots({ RetentionPeriod: days(366) }),
      snapshots({ RetentionPeriod: { RetentionPeriodValue: 1, RetentionPeriodUnit: 'WEEKS' } }),
      snapshots({ ResourceType: 'EBS_VOLUME' }),
      snapshots({ ResourceType: 'HOUSE' }),
      snapshots({ ResourceTags: tags }),
      snapshots({ ExcludeResourceTags: tags.slice(0, 6) }),
      snapshots({ ResourceTags: tags.slice(0, 1), ExcludeResourceTags: tags.slice(0, 1) }),
      snapshots({ ResourceTags: tags.slice(0, 1), ...unlockAfter(7) }),
      snapshots(unlockAfter(6)),
      snapshots(unlockAfter(31)),
      snapshots({ Description: 'x'.repeat(256) }),
      snapshots({ Tags: [{ Key: 'a', Value: 'b' }] }),
    ];
    for (const input of WRONG) await refused(rbin(build(), 'CreateRule', input), 'ValidationException');
    await refused(rbin(build(), 'GetRule', { Identifier: 'short' }), 'ValidationException');
  });
});
