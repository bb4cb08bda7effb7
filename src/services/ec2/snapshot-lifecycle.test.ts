/** Locks, tiers and fast restore of snapshots, limits of copies, and changed volumes (ec2-encryption 1.4, 7.3). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { Arn } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import { OTHER_REGION, REGION, until } from '../../volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
type Answer = Record<string, unknown>;

let test: TestEc2;
let build: Call;
let prod: Call;
let key: Arn;
const now = () => test.as(test.build);

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  prod = test.as(test.prod);
  key = await test.key(build);
});
after(() => test[Symbol.asyncDispose]());

const described = async (call: Call, id: string) =>
  (await test.call<{ Snapshots: Answer[] }>(call, 'DescribeSnapshots', { SnapshotIds: [id] })).Snapshots[0]!;

describe('L-13: snapshot locks', () => {
  const lock = (id: string, more: object) => test.call<Answer>(now(), 'LockSnapshot', { SnapshotId: id, ...more });
  const stateOf = async (id: string) => {
    const { Snapshots } = await test.call<{ Snapshots: Answer[] }>(now(), 'DescribeLockedSnapshots', {
      SnapshotIds: [id],
    });
    return Snapshots[0]?.LockState;
  };

  it('L-13: governance holds deletion off until it is unlocked', async () => {
    const { id } = await test.snapshot(build);
    const made = await lock(id, { LockMode: 'governance', LockDuration: 2 });
    assert.deepEqual([made.LockState, made.LockDuration], ['governance', 2]);
    assert.equal(Number(made.LockExpiresOn) - Number(made.LockDurationStartTime), 2 * DAY_MS);
    await refused(test.call(now(), 'DeleteSnapshot', { SnapshotId: id }), 'OperationNotPermitted', /locked/);
    await lock(id, { LockMode: 'governance', LockDuration: 1 });
    await test.call(now(), 'UnlockSnapshot', { SnapshotId: id });
    assert.equal(await stateOf(id), undefined);
    await refused(test.call(now(), 'UnlockSnapshot', { SnapshotId: id }), 'IncorrectState');
    await test.call(now(), 'DeleteSnapshot', { SnapshotId: id });
  });

  it('L-13: compliance can be taken back while it cools off, afterwards only extended, and expires', async () => {
    const { id } = await test.snapshot(build);
    const made = await lock(id, { LockMode: 'compliance', LockDuration: 3, CoolOffPeriod: 2 });
    assert.deepEqual([made.LockState, made.CoolOffPeriod], ['compliance-cooloff', 2]);
    await test.call(now(), 'UnlockSnapshot', { SnapshotId: id });
    await lock(id, { LockMode: 'compliance', LockDuration: 3, CoolOffPeriod: 2 });
    test.advance(2 * HOUR_MS + 1);
    assert.equal(await stateOf(id), 'compliance');
    await refused(test.call(now(), 'UnlockSnapshot', { SnapshotId: id }), 'OperationNotPermitted');
    await refused(lock(id, { LockMode: 'governance', LockDuration: 9 }), 'OperationNotPermitted');
    await refused(lock(id, { LockMode: 'compliance', LockDuration: 2 }), 'OperationNotPermitted');
    await refused(lock(id, { LockMode: 'compliance', LockDuration: 9, CoolOffPeriod: 9 }), 'OperationNotPermitted');
    assert.equal((await lock(id, { LockMode: 'compliance', LockDuration: 4 })).LockState, 'compliance');
    await refused(test.call(now(), 'DeleteSnapshot', { SnapshotId: id }), 'OperationNotPermitted');
    test.advance(4 * DAY_MS);
    assert.equal(await stateOf(id), 'expired');
    await test.call(now(), 'DeleteSnapshot', { SnapshotId: id });
  });

  it('L-13: bounds and combinations', async () => {
    const { id } = await test.snapshot(build);
    await refused(lock(id, { LockDuration: 1 }), 'MissingParameter');
    await refused(lock(id, { LockMode: 'forever', LockDuration: 1 }), 'InvalidParameterValue');
    await refused(lock(id, { LockMode: 'governance' }), 'InvalidParameterCombination');
    const inAnHour = new Date(test.clock().getTime() + HOUR_MS);
    await refused(
      lock(id, { LockMode: 'governance', LockDuration: 1, ExpirationDate: inAnHour }),
      'InvalidParameterCombination',
    );
    for (const LockDuration of [0, 36_501]) {
      await refused(lock(id, { LockMode: 'governance', LockDuration }), 'InvalidParameterValue');
    }
    for (const CoolOffPeriod of [0, 73]) {
      await refused(lock(id, { LockMode: 'compliance', LockDuration: 1, CoolOffPeriod }), 'InvalidParameterValue');
    }
    await refused(
      lock(id, { LockMode: 'governance', LockDuration: 1, CoolOffPeriod: 1 }),
      'InvalidParameterCombination',
    );
    await refused(lock(id, { LockMode: 'governance', ExpirationDate: new Date(0) }), 'InvalidParameterValue');
    assert.deepEqual((await lock(id, { LockMode: 'governance', ExpirationDate: inAnHour })).LockExpiresOn, inAnHour);
    await refused(
      test.call(prod, 'LockSnapshot', { SnapshotId: id, LockMode: 'governance', LockDuration: 1 }),
      'InvalidSnapshot.NotFound',
    );
  });
});

describe('L-14: snapshot tiers', () => {
  const archive = (id: string) => test.call(now(), 'ModifySnapshotTier', { SnapshotId: id, StorageTier: 'archive' });
  const status = async (id: string) => {
    const { SnapshotTierStatuses } = await test.call<{ SnapshotTierStatuses: Answer[] }>(
      now(),
      'DescribeSnapshotTierStatus',
      { Filters: [{ Name: 'snapshot-id', Values: [id] }] },
    );
    const { StorageTier, LastTieringOperationStatus } = SnapshotTierStatuses[0]!;
    return [StorageTier, LastTieringOperationStatus];
  };
  const listBlocks = async (snapshot: SnapshotRecord) =>
    (await test.direct.list(snapshot, { startIndex: 0, max: 100, pageToken: undefined })).blocks.length;

  it('L-14: an archived snapshot backs no volume and no copy, and its blocks are not read', async () => {
    const snapshot = await test.snapshot(build, { encrypted: true, keyArn: key });
    const { id } = snapshot;
    await archive(id);
    assert.deepEqual(await status(id), ['archive', 'archival-completed']);
    assert.equal((await described(now(), id)).StorageTier, 'archive');
    await refused(
      test.call(now(), 'CreateVolume', { AvailabilityZone: `${REGION}a`, SnapshotId: id }),
      'IncorrectState',
    );
    await refused(test.call(now(), 'CopySnapshot', { SourceSnapshotId: id, SourceRegion: REGION }), 'IncorrectState');
    await assert.rejects(listBlocks(snapshot), { reason: 'snapshot-not-readable' });
    await refused(archive(id), 'IncorrectState');

    await test.call(now(), 'RestoreSnapshotTier', { SnapshotId: id, TemporaryRestoreDays: 2 });
    assert.deepEqual(await status(id), ['standard', 'temporary-restore-completed']);
    assert.ok((await described(now(), id)).RestoreExpiryTime);
    assert.equal(await listBlocks(snapshot), 1);
    test.advance(2 * DAY_MS);
    assert.equal((await described(now(), id)).StorageTier, 'archive');
    await assert.rejects(listBlocks(snapshot), { reason: 'snapshot-not-readable' });

    await test.call(now(), 'RestoreSnapshotTier', { SnapshotId: id, PermanentRestore: true });
    assert.deepEqual(await status(id), ['standard', 'permanent-restore-completed']);
    assert.equal(await listBlocks(snapshot), 1);
    await refused(
      test.call(now(), 'RestoreSnapshotTier', { SnapshotId: id, PermanentRestore: true }),
      'IncorrectState',
    );
  });

  it('L-14: a snapshot behind an image is archived only after the image is disabled, and then launches and copies fail', async () => {
    const snapshot = await test.snapshot(build);
    const ImageId = await test.image(build, snapshot);
    await refused(archive(snapshot.id), 'InvalidSnapshot.InUse');
    await test.call(now(), 'DisableImage', { ImageId });
    await archive(snapshot.id);
    await test.call(now(), 'EnableImage', { ImageId });
    await refused(
      test.call(now(), 'CopyImage', { Name: 'of archived', SourceImageId: ImageId, SourceRegion: REGION }),
      'IncorrectState',
    );
    await assert.rejects(test.volumes.decideEncryption(now(), { snapshotId: snapshot.id }), {
      reason: 'snapshot-archived',
    });
  });

  it('L-14: bounds and combinations', async () => {
    const { id } = await test.snapshot(build);
    const restore = (more: object) => test.call(now(), 'RestoreSnapshotTier', { SnapshotId: id, ...more });
    await refused(restore({}), 'MissingParameter');
    await refused(restore({ TemporaryRestoreDays: 1, PermanentRestore: true }), 'InvalidParameterCombination');
    for (const TemporaryRestoreDays of [0, 181])
      await refused(restore({ TemporaryRestoreDays }), 'InvalidParameterValue');
    await refused(restore({ PermanentRestore: true }), 'IncorrectState');
    await refused(
      test.call(now(), 'ModifySnapshotTier', { SnapshotId: id, StorageTier: 'attic' }),
      'InvalidParameterValue',
    );
  });
});

describe('fast snapshot restore', () => {
  it('is enabled by snapshot and zone, keeps the snapshot out of the archive, and ends', async () => {
    const { id } = await test.snapshot(build);
    const input = { SourceSnapshotIds: [id, 'snap-0123456789abcdef0'], AvailabilityZones: [`${REGION}a`] };
    const enabled = await test.call<Record<'Successful' | 'Unsuccessful', Answer[]>>(
      now(),
      'EnableFastSnapshotRestores',
      input,
    );
    assert.deepEqual(
      enabled.Successful.map(({ SnapshotId, State }) => [SnapshotId, State]),
      [[id, 'enabled']],
    );
    assert.match(JSON.stringify(enabled.Unsuccessful), /InvalidSnapshot.NotFound/);
    const list = async () =>
      (await test.call<{ FastSnapshotRestores: Answer[] }>(now(), 'DescribeFastSnapshotRestores', {}))
        .FastSnapshotRestores;
    assert.deepEqual(
      (await list()).map(({ SnapshotId, AvailabilityZone }) => [SnapshotId, AvailabilityZone]),
      [[id, `${REGION}a`]],
    );
    await refused(
      test.call(now(), 'ModifySnapshotTier', { SnapshotId: id, StorageTier: 'archive' }),
      'OperationNotPermitted',
    );
    await test.call(now(), 'DisableFastSnapshotRestores', { ...input, SourceSnapshotIds: [id] });
    assert.deepEqual(await list(), []);
    const again = await test.call<Record<'Unsuccessful', Answer[]>>(now(), 'DisableFastSnapshotRestores', input);
    assert.equal(again.Unsuccessful.length, 2);
  });
});

describe('copies of snapshots', () => {
  it('CS-12: a completion duration of 15 to 2880 minutes in steps of 15 makes the copy time-based', async () => {
    const { id } = await test.snapshot(build);
    const copy = (more: object) =>
      test.call<{ SnapshotId: string }>(now(), 'CopySnapshot', { SourceSnapshotId: id, SourceRegion: REGION, ...more });
    for (const CompletionDurationMinutes of [0, 14, 16, 2895]) {
      await refused(copy({ CompletionDurationMinutes }), 'InvalidParameterValue');
    }
    const shown = await described(now(), (await copy({ CompletionDurationMinutes: 30 })).SnapshotId);
    assert.deepEqual([shown.TransferType, shown.CompletionDurationMinutes], ['time-based', 30]);
    const standard = await described(now(), (await copy({})).SnapshotId);
    assert.deepEqual([standard.TransferType, standard.CompletionDurationMinutes], ['standard', undefined]);
    assert.equal((await described(now(), id)).TransferType, undefined);
  });

  it('CS-14: 20 snapshot copies, CI-8: 100 image copies at a time in a destination region, each kind for itself', async () => {
    await using held = await openTestEc2();
    const call = held.as(held.build);
    const snapshot = await held.snapshot(call);
    const image = await held.image(call, snapshot);
    // From here on nothing that is pending ends.
    await held.jobs.stop();
    let name = 0;
    const copySnapshot = (region = REGION) =>
      held.call(held.as(held.build, region), 'CopySnapshot', { SourceSnapshotId: snapshot.id, SourceRegion: REGION });
    const copyImage = () =>
      held.call(call, 'CopyImage', { Name: `copy ${++name}`, SourceImageId: image, SourceRegion: REGION });
    for (let made = 0; made < LIMITS.imageCopiesMax; made++) await copyImage();
    await refused(copyImage(), 'ResourceLimitExceeded', /100/);
    for (let made = 0; made < LIMITS.snapshotCopiesMax; made++) await copySnapshot();
    await refused(copySnapshot(), 'ResourceLimitExceeded', /20/);
    await copySnapshot(OTHER_REGION);
  });

  it('CI-8: at most one destination zone or Outpost', async () => {
    await refused(
      test.call(now(), 'CopyImage', {
        Name: 'copy',
        SourceImageId: 'ami-0123456789abcdef0',
        SourceRegion: REGION,
        DestinationAvailabilityZone: `${REGION}a`,
        DestinationOutpostArn: 'arn:aws:outposts:eu-central-1:111122223333:outpost/op-0',
      }),
      'InvalidParameterCombination',
    );
  });
});

describe('changed volumes', () => {
  const volume = async (more: object = {}) => {
    const { VolumeId } = await test.call<{ VolumeId: string }>(now(), 'CreateVolume', {
      AvailabilityZone: `${REGION}a`,
      Size: 1,
      ...more,
    });
    await until(`${VolumeId} available`, async () => (await shown(VolumeId))?.State === 'available');
    return VolumeId;
  };
  const shown = async (id: string) =>
    (await test.call<{ Volumes: Answer[] }>(now(), 'DescribeVolumes', { VolumeIds: [id] })).Volumes[0];
  const modify = (VolumeId: string, more: object) =>
    test.call<{ VolumeModification: Answer }>(now(), 'ModifyVolume', { VolumeId, ...more });

  it('RI-9: ModifyVolume changes size, type and performance, and never encryption', async () => {
    const id = await volume({ Encrypted: true, KmsKeyId: key });
    const { VolumeModification: done } = await modify(id, { Size: 4, VolumeType: 'gp3', Iops: 4000 });
    assert.deepEqual(
      [done.ModificationState, done.OriginalSize, done.TargetSize, done.OriginalVolumeType, done.TargetIops],
      ['completed', 1, 4, 'gp2', 4000],
    );
    const after = await shown(id);
    assert.deepEqual(
      [after?.Size, after?.VolumeType, after?.Iops, after?.Throughput, after?.Encrypted, after?.KmsKeyId],
      [4, 'gp3', 4000, 125, true, key],
    );
    await refused(modify(id, { Encrypted: false, Size: 5 }), 'UnsupportedOperation');
    const { VolumesModifications } = await test.call<{ VolumesModifications: Answer[] }>(
      now(),
      'DescribeVolumesModifications',
      { VolumeIds: [id] },
    );
    assert.equal(VolumesModifications.length, 1);
  });

  it('CV-12: bounds of the target type hold, and no volume shrinks', async () => {
    const id = await volume({ Size: 10 });
    await refused(modify(id, { Size: 9 }), 'InvalidParameterValue', /smaller/);
    await refused(modify(id, { VolumeType: 'st1' }), 'InvalidParameterValue');
    await refused(modify(id, { VolumeType: 'gp3', Iops: 2999 }), 'InvalidParameterValue');
    await refused(modify(id, {}), 'MissingParameter');
    await refused(
      test.call(now(), 'DescribeVolumesModifications', { VolumeIds: [id] }),
      'InvalidVolumeModification.NotFound',
    );
    await refused(test.call(prod, 'ModifyVolume', { VolumeId: id, Size: 20 }), 'InvalidVolume.NotFound');
  });

  it('a grown volume is snapshotted whole, with what was written beyond its old end', async () => {
    const id = await volume();
    await modify(id, { Size: 2 });
    const { SnapshotId } = await test.call<{ SnapshotId: string }>(now(), 'CreateSnapshot', { VolumeId: id });
    const done = await until('snapshot completed', async () => {
      const snapshot = await described(now(), SnapshotId);
      return snapshot.State === 'completed' && snapshot;
    });
    assert.equal(done.VolumeSize, 2);
  });

  it('AutoEnableIO is kept and shown', async () => {
    const id = await volume();
    const read = async () =>
      (await test.call<Answer>(now(), 'DescribeVolumeAttribute', { VolumeId: id, Attribute: 'autoEnableIO' }))
        .AutoEnableIO;
    assert.deepEqual(await read(), { Value: false });
    await test.call(now(), 'ModifyVolumeAttribute', { VolumeId: id, AutoEnableIO: { Value: true } });
    assert.deepEqual(await read(), { Value: true });
    await refused(test.call(now(), 'ModifyVolumeAttribute', { VolumeId: id }), 'MissingParameter');
  });
});
