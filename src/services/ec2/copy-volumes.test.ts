/** CopyVolumes and CreateSnapshots (ec2-encryption BI-12, table 4.2): what is made, under which key, of which moment. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Volume } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { Arn, InstanceId, VolumeId } from '../../ids.ts';
import { LIMITS } from '../../limits.ts';
import { REGION, until } from '../../volumes/test-volumes.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
let prod: Call;
let keyA: Arn;
let keyB: Arn;
let defaultKey: Arn;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  prod = test.as(test.prod);
  [keyA, keyB, defaultKey] = [await test.key(build), await test.key(build), await test.key(build)];
  await test.call(build, 'ModifyEbsDefaultKmsKeyId', { KmsKeyId: defaultKey });
});
after(() => test[Symbol.asyncDispose]());

const available = (id: string) =>
  until(`${id} available`, async () => {
    const { Volumes } = await test.call<{ Volumes: Volume[] }>(build, 'DescribeVolumes', { VolumeIds: [id] });
    return Volumes[0]?.State === 'available' && Volumes[0];
  });

async function copy(SourceVolumeId: string, more: object = {}): Promise<Volume> {
  const { Volumes } = await test.call<{ Volumes: Volume[] }>(build, 'CopyVolumes', { SourceVolumeId, ...more });
  return Volumes[0]!;
}

async function firstBlockOf(id: string): Promise<number | undefined> {
  const { SnapshotId } = await test.call<{ SnapshotId: string }>(build, 'CreateSnapshot', { VolumeId: id });
  const snapshot = await until(`${SnapshotId} completed`, async () => {
    const found = await test.snapshots.find(REGION, SnapshotId);
    return found?.state === 'completed' && found;
  });
  const { blocks } = await test.direct.list(snapshot, { startIndex: 0, max: 100, pageToken: undefined });
  const [first] = blocks;
  return first && (await test.direct.read(build, snapshot, first.index, first.token)).block[0];
}

describe('BI-12: CopyVolumes', () => {
  const KEYS: Readonly<Record<string, () => Arn | undefined>> = {
    plain: () => undefined,
    A: () => keyA,
    B: () => keyB,
    D: () => defaultKey,
  };
  const CASES: readonly (readonly [source: 'plain' | 'A', asked: object, result: keyof typeof KEYS])[] = [
    ['plain', {}, 'plain'],
    ['plain', { Encrypted: false }, 'plain'],
    ['plain', { Encrypted: true }, 'D'],
    ['A', {}, 'A'],
    ['A', { Encrypted: false }, 'A'],
    ['A', { Encrypted: true }, 'D'],
  ];
  const sources: Record<string, string> = {};
  before(async () => {
    const plain = await test.snapshot(build);
    const sealed = await test.snapshot(build, { encrypted: true, keyArn: keyA });
    sources.plain = await test.volume(build, { SnapshotId: plain.id });
    sources.A = await test.volume(build, { SnapshotId: sealed.id });
  });

  for (const [source, asked, result] of CASES) {
    it(`BI-12: ${source} source, ${JSON.stringify(asked)}: ${result}`, async () => {
      const made = await available((await copy(sources[source]!, asked)).VolumeId!);
      assert.deepEqual([made.KmsKeyId, made.Encrypted], [KEYS[result]!(), result !== 'plain']);
      assert.deepEqual(
        [made.SourceVolumeId, made.AvailabilityZone, made.SnapshotId],
        [sources[source], `${REGION}a`, ''],
      );
      assert.equal(await firstBlockOf(made.VolumeId!), 0x5a);
    });
  }

  it('BI-12: a given key is used for plain and encrypted sources, and needs Encrypted', async () => {
    for (const source of [sources.plain!, sources.A!]) {
      const made = await available((await copy(source, { Encrypted: true, KmsKeyId: keyB })).VolumeId!);
      assert.equal(made.KmsKeyId, keyB);
      await refused(copy(source, { KmsKeyId: keyB }), 'InvalidParameterDependency');
    }
  });

  it('BI-12: the copy is gp2 unless asked otherwise, may grow, and stays hidden from others', async () => {
    const made = await copy(sources.plain!, { Size: 3, VolumeType: 'gp3' });
    assert.deepEqual([made.Size, made.VolumeType, made.State], [3, 'gp3', 'creating']);
    assert.equal((await copy(sources.plain!)).VolumeType, 'gp2');
    await refused(test.call(prod, 'CopyVolumes', { SourceVolumeId: sources.plain! }), 'InvalidVolume.NotFound');
    const { Snapshots } = await test.call<{ Snapshots: { Description: string }[] }>(build, 'DescribeSnapshots', {
      OwnerIds: ['self'],
    });
    assert.ok(!Snapshots.some(({ Description }) => Description.startsWith('Copied to')));
  });

  it('CV-2: where the key cannot be used, the copy vanishes', async () => {
    const broken = await test.key(build);
    const arn = { arn: broken };
    const permit = await test.authorizer.authorize(build, 'kms:DisableKey', arn);
    await test.keys.disableKey(permit);
    const { VolumeId } = await copy(sources.plain!, { Encrypted: true, KmsKeyId: broken });
    await until(`${VolumeId} gone`, async () => !(await test.volumes.find(REGION, VolumeId!)));
  });

  it('L-20: a client token gives the first copy again', async () => {
    const first = await copy(sources.plain!, { ClientToken: 'once' });
    assert.equal((await copy(sources.plain!, { ClientToken: 'once' })).VolumeId, first.VolumeId);
    await refused(copy(sources.plain!, { ClientToken: 'once', Size: 9 }), 'IdempotentParameterMismatch');
  });
});

describe('CreateSnapshots', () => {
  let id: InstanceId;
  let root: string;
  let data: string;
  before(async () => {
    root = await test.volume(build, {
      Size: 1,
      TagSpecifications: [{ ResourceType: 'volume', Tags: [{ Key: 'of', Value: 'root' }] }],
    });
    data = await test.volume(build, { Size: 2, Encrypted: true, KmsKeyId: keyA });
    id = test.instance(build, {
      devices: [
        { deviceName: '/dev/xvda', volumeId: root as VolumeId, deleteOnTermination: true },
        { deviceName: '/dev/xvdb', volumeId: data as VolumeId, deleteOnTermination: false },
      ],
    });
  });
  type Taken = { Snapshots: { VolumeId: string; SnapshotId: string; Encrypted: boolean; Tags?: object[] }[] };
  const take = (more: object, call = build) =>
    test.call<Taken>(call, 'CreateSnapshots', {
      InstanceSpecification: { InstanceId: id, ...more },
      CopyTagsFromSource: 'volume',
    });

  it('BI-6: takes every volume with its own encryption, in one transaction', async () => {
    const { Snapshots } = await take({});
    assert.deepEqual(
      Snapshots.map(({ VolumeId, Encrypted, Tags }) => [VolumeId, Encrypted, Tags?.length ?? 0]),
      [
        [root, false, 1],
        [data, true, 0],
      ],
    );
    for (const { SnapshotId } of Snapshots) {
      await until(
        `${SnapshotId} completed`,
        async () => (await test.snapshots.find(REGION, SnapshotId))?.state === 'completed',
      );
    }
  });

  it('leaves out the root and named data volumes', async () => {
    assert.deepEqual(
      (await take({ ExcludeBootVolume: true })).Snapshots.map((each) => each.VolumeId),
      [data],
    );
    assert.deepEqual(
      (await take({ ExcludeDataVolumeIds: [data] })).Snapshots.map((each) => each.VolumeId),
      [root],
    );
    await refused(take({ ExcludeBootVolume: true, ExcludeDataVolumeIds: [data] }), 'InvalidParameterValue');
    await refused(take({ ExcludeDataVolumeIds: ['vol-0123456789abcdef0'] }), 'InvalidParameterValue');
  });

  it('is for the owner, and for who may snapshot each volume', async () => {
    await refused(take({}, prod), 'InvalidInstanceID.NotFound');
    const some = await test.userOf(test.build, 'some', [
      { Effect: 'Allow', Action: 'ec2:CreateSnapshots', Resource: '*' },
      { Effect: 'Deny', Action: 'ec2:CreateSnapshots', Resource: `arn:aws:ec2:*:*:volume/${data}` },
    ]);
    await refused(take({}, some), 'UnauthorizedOperation');
    await take(
      { ExcludeDataVolumeIds: [data] },
      await test.userOf(test.build, 'tagger', [
        { Effect: 'Allow', Action: ['ec2:CreateSnapshots', 'ec2:CreateTags'], Resource: '*' },
        { Effect: 'Deny', Action: 'ec2:CreateSnapshots', Resource: `arn:aws:ec2:*:*:volume/${data}` },
      ]),
    );
  });

  it('two requests over the same volumes do not wait for each other for ever', async () => {
    test.advance(LIMITS.volumeSnapshotsWindowMs);
    const taken = await Promise.all([take({}), take({}), take({})]);
    assert.equal(new Set(taken.flatMap(({ Snapshots }) => Snapshots.map((each) => each.SnapshotId))).size, 6);
  });
});
