/** Statements of the specification on keys, copies, defaults and rights, one by one, on real storage and keys. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Image, Snapshot, Volume } from '@aws-sdk/client-ec2';
import type { Call } from '../../src/authz/caller.ts';
import { systemPermit } from '../../src/authz/permit.ts';
import { type Arn, newEc2Id, parseArn } from '../../src/ids.ts';
import { isRegion } from '../../src/network/regions.ts';
import { startSnapshot } from '../../src/services/ebs/start-snapshot.ts';
import { imageIn, refused } from '../../src/services/ec2/test-ec2.ts';
import {
  build,
  keyC as defaultKey,
  fresh,
  keyA,
  keyB,
  plain,
  prod,
  sealed,
  test,
} from '../../src/services/ec2/test-images.ts';
import { kmsService } from '../../src/services/kms/index.ts';
import { OTHER_REGION, REGION, until } from '../../src/volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../src/volumes/volumes.ts';

const ZONE = `${REGION}a`;
const DAY_MS = 86_400_000;

/** The volume in the end, or `undefined` where it vanished. */
async function volume(call: Call, input: object): Promise<Volume | undefined> {
  const { VolumeId } = await test.call<{ VolumeId: string }>(call, 'CreateVolume', {
    AvailabilityZone: `${call.region}a`,
    ...(Object.hasOwn(input, 'SnapshotId') ? {} : { Size: 1 }),
    ...input,
  });
  await until(`${VolumeId} ended`, async () => {
    const found = await test.volumes.find(call.region, VolumeId);
    return found === undefined || found.state === 'available';
  });
  if (!(await test.volumes.find(call.region, VolumeId))) return undefined;
  return (await test.call<{ Volumes: Volume[] }>(call, 'DescribeVolumes', { VolumeIds: [VolumeId] })).Volumes[0];
}

/** The copy in the end, completed or in error. */
async function copy(call: Call, source: SnapshotRecord, input: object = {}): Promise<Snapshot> {
  const { SnapshotId } = await test.call<{ SnapshotId: string }>(call, 'CopySnapshot', {
    SourceSnapshotId: source.id,
    SourceRegion: source.region,
    ...input,
  });
  return until(`${SnapshotId} ended`, async () => {
    const { Snapshots } = await test.call<{ Snapshots: Snapshot[] }>(call, 'DescribeSnapshots', {
      SnapshotIds: [SnapshotId],
    });
    return Snapshots[0]?.State !== 'pending' && Snapshots[0];
  });
}

const withDefault = async (call: Call, key: string, work: () => Promise<void>) => {
  await test.call(call, 'ModifyEbsDefaultKmsKeyId', { KmsKeyId: key });
  try {
    await work();
  } finally {
    await test.call(call, 'ResetEbsDefaultKmsKeyId', {});
    await test.call(call, 'DisableEbsEncryptionByDefault', {});
  }
};
const share = (snapshot: SnapshotRecord) =>
  test.call(build, 'ModifySnapshotAttribute', {
    SnapshotId: snapshot.id,
    CreateVolumePermission: { Add: [{ UserId: test.prod }] },
  });

describe('keys of volumes', () => {
  it('V-2, D-5: the default key may be a customer key and serves every Encrypted=true, by default or not', async () => {
    await withDefault(build, defaultKey, async () => {
      assert.equal((await volume(build, { Encrypted: true }))?.KmsKeyId, defaultKey);
      assert.equal((await volume(build, {}))?.Encrypted, false);
    });
  });

  it('V-4: a key is named by id, alias, key ARN or alias ARN, and always shown by its ARN', async () => {
    const Alias = `alias/${fresh('spelled').replace(' ', '-')}`;
    const aliasArn = `${keyB.slice(0, keyB.lastIndexOf(':'))}:${Alias}` as Arn;
    const permit = (arn: Arn) => systemPermit('kms:CreateAlias' as const, arn, 'test');
    await test.keys.createAlias(permit(aliasArn), permit(keyB));
    for (const KmsKeyId of [keyB.split('/')[1]!, Alias, keyB, aliasArn]) {
      assert.equal((await volume(build, { Encrypted: true, KmsKeyId }))?.KmsKeyId, keyB, KmsKeyId);
    }
  });

  it('D-3, D-4, G-2: what exists does not change, and with encryption by default nobody opts out', async () => {
    const old = await volume(build, {});
    await withDefault(build, defaultKey, async () => {
      await test.call(build, 'EnableEbsEncryptionByDefault', {});
      assert.equal((await volume(build, { Encrypted: false }))?.KmsKeyId, defaultKey);
      assert.equal((await volume(build, { SnapshotId: plain.id, Encrypted: false }))?.KmsKeyId, defaultKey);
      const [still] = await test.volumes.findMany(REGION, [old?.VolumeId ?? '']);
      assert.equal(still?.encrypted, false);
    });
  });

  it('G-3, G-4: a key without Encrypted, or with Encrypted=false, is an error, also with encryption by default', async () => {
    const ask = (more: object) =>
      test.call(build, 'CreateVolume', { AvailabilityZone: ZONE, Size: 1, KmsKeyId: keyB, ...more });
    const text = 'The parameter [KmsKeyId] requires the parameter Encrypted to be set.';
    await withDefault(build, defaultKey, async () => {
      for (const more of [{}, { Encrypted: false }]) await refused(ask(more), 'InvalidParameterDependency', text);
      await test.call(build, 'EnableEbsEncryptionByDefault', {});
      for (const more of [{}, { Encrypted: false }]) await refused(ask(more), 'InvalidParameterDependency', text);
    });
  });

  it('D-8, D-9: the AWS managed key is made on first need, one for each account and region, for callers through EC2', async () => {
    const elsewhere = test.as(test.prod, OTHER_REGION);
    const [one, two] = [await volume(elsewhere, { Encrypted: true }), await volume(elsewhere, { Encrypted: true })];
    assert.equal(one?.KmsKeyId, two?.KmsKeyId);
    assert.notEqual(one?.KmsKeyId, (await volume(prod, { Encrypted: true }))?.KmsKeyId);
    const arn = one?.KmsKeyId as Arn;
    const text = await test.keys.getKeyPolicy(systemPermit('kms:GetKeyPolicy', arn, 'test'));
    const { Statement } = JSON.parse(text) as { Statement: Record<string, unknown>[] };
    const [use] = Statement;
    assert.deepEqual(use?.Condition, {
      StringEquals: { 'kms:CallerAccount': test.prod, 'kms:ViaService': `ec2.${OTHER_REGION}.amazonaws.com` },
    });
    for (const action of ['kms:Encrypt', 'kms:Decrypt', 'kms:CreateGrant', 'kms:DescribeKey']) {
      assert.ok((use?.Action as string[] | undefined)?.includes(action), action);
    }
  });

  it('D-10, K-20, CV-2, K-22: a disabled or deleted default key fails what relies on it, never as `error`, until it is reset', async () => {
    const doomed = await test.key(build);
    const made = await test.snapshot(build, { encrypted: true, keyArn: doomed });
    await withDefault(build, doomed, async () => {
      await test.keys.disableKey(systemPermit('kms:DisableKey', doomed, 'test'));
      assert.equal(await volume(build, { Encrypted: true }), undefined);
      await test.keys.enableKey(systemPermit('kms:EnableKey', doomed, 'test'));
      assert.equal((await volume(build, { Encrypted: true }))?.State, 'available');
      await test.keys.scheduleDeletion(systemPermit('kms:ScheduleKeyDeletion', doomed, 'test'), 7);
      assert.equal(await volume(build, { Encrypted: true }), undefined);
    });
    test.advance(8 * DAY_MS);
    assert.equal(await volume(test.as(test.build), { SnapshotId: made.id }), undefined);
    assert.equal((await volume(test.as(test.build), { Encrypted: true }))?.State, 'available');
  });

  it('D-11: rights on the settings have no resource; ec2:Region narrows them', async () => {
    const here = await test.userOf(test.build, fresh('here').replace(' ', '-'), [
      {
        Effect: 'Allow',
        Action: 'ec2:EnableEbsEncryptionByDefault',
        Resource: '*',
        Condition: { StringEquals: { 'ec2:Region': OTHER_REGION } },
      },
    ]);
    await refused(test.call(here, 'EnableEbsEncryptionByDefault', {}), 'UnauthorizedOperation');
    await test.call({ ...here, region: OTHER_REGION }, 'EnableEbsEncryptionByDefault', {});
    await test.call(test.as(test.build, OTHER_REGION), 'DisableEbsEncryptionByDefault', {});
  });
});

describe('data keys and the KMS calls behind them', () => {
  const eventsOf = async (contextId: string, account = test.build) =>
    (await test.kmsEvents(account)).filter(({ event }) => JSON.stringify(event).includes(contextId));

  it('K-1, K-3: data keys have 64 bytes and one pair of context: the volume, or the copied or direct snapshot', async () => {
    const made = await volume(build, { Encrypted: true, KmsKeyId: keyB });
    const copied = await copy(build, sealed, { KmsKeyId: keyB, Encrypted: true });
    for (const id of [made!.VolumeId!, copied.SnapshotId!]) {
      const [asked] = (await eventsOf(id)).filter(({ name }) => name === 'GenerateDataKeyWithoutPlaintext');
      const parameters = asked?.event.requestParameters as Record<string, unknown>;
      assert.deepEqual([parameters.numberOfBytes, parameters.encryptionContext], [64, { 'aws:ebs:id': id }]);
    }
    const [direct] = (await eventsOf(sealed.id)).filter(({ name }) => name === 'GenerateDataKey');
    const parameters = direct?.event.requestParameters as Record<string, unknown>;
    assert.deepEqual([parameters.numberOfBytes, parameters.encryptionContext], [64, { 'aws:ebs:id': sealed.id }]);
  });

  it('K-13: a rotated key opens what was sealed before', async () => {
    const key = await test.key(build);
    const before = await test.snapshot(build, { encrypted: true, keyArn: key });
    await test.keys.rotateOnDemand(systemPermit('kms:RotateKeyOnDemand', key, 'test'));
    assert.equal((await volume(build, { SnapshotId: before.id }))?.KmsKeyId, key);
  });

  it('K-12, P-3, P-4: conditions on the address break EBS; ViaService, CallerAccount and the context hold', async () => {
    const only = (Condition: object) =>
      test.key(build, [
        {
          Effect: 'Allow',
          Principal: { AWS: test.build },
          Action: ['kms:CreateGrant', 'kms:DescribeKey', 'kms:PutKeyPolicy'],
          Resource: '*',
        },
        { Effect: 'Allow', Principal: { AWS: test.build }, Action: 'kms:GenerateDataKey*', Resource: '*', Condition },
      ]);
    const works = async (Condition: object) =>
      (await volume(build, { Encrypted: true, KmsKeyId: await only(Condition) })) !== undefined;
    assert.equal(await works({ IpAddress: { 'aws:SourceIp': `${build.sourceIp}/32` } }), false);
    assert.equal(
      await works({
        StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com`, 'kms:CallerAccount': test.build },
      }),
      true,
    );
    assert.equal(await works({ StringEquals: { 'kms:ViaService': `ebs.${REGION}.amazonaws.com` } }), false);
    assert.equal(await works({ StringLike: { 'kms:EncryptionContext:aws:ebs:id': 'vol-*' } }), true);
    assert.equal(await works({ StringLike: { 'kms:EncryptionContext:aws:ebs:id': 'snap-*' } }), false);
  });

  it('P-2: GrantIsForAWSResource allows the grants that EBS makes, and not one of the user', async () => {
    const key = await test.key(build, [
      {
        Effect: 'Allow',
        Principal: { AWS: test.build },
        Action: ['kms:GenerateDataKey*', 'kms:DescribeKey'],
        Resource: '*',
      },
      {
        Effect: 'Allow',
        Principal: { AWS: test.build },
        Action: 'kms:CreateGrant',
        Resource: '*',
        Condition: { Bool: { 'kms:GrantIsForAWSResource': 'true' } },
      },
    ]);
    assert.equal((await volume(build, { Encrypted: true, KmsKeyId: key }))?.KmsKeyId, key);
    const user = await test.userOf(test.build, 'granter', [{ Effect: 'Allow', Action: 'kms:*', Resource: '*' }]);
    const kms = kmsService({ keys: test.keys, isRegion }).operations.CreateGrant as (
      call: Call,
      input: object,
    ) => Promise<unknown>;
    const grant = { KeyId: key, GranteePrincipal: user.caller.arn, Operations: ['Decrypt'] };
    await assert.rejects(kms(user, grant), { name: 'Denied' });
    await kms(user, { ...grant, KeyId: keyB });
  });

  it('P-5: a key of another account needs its policy and the caller’s own', async () => {
    const snapshot = await test.snapshot(build);
    await share(snapshot);
    const ask = (name: string, actions: string[]) =>
      test.userOf(test.prod, name, [{ Effect: 'Allow', Action: ['ec2:*', ...actions], Resource: '*' }]);
    const input = { SnapshotId: snapshot.id, Encrypted: true, KmsKeyId: keyA };
    assert.equal(await volume(await ask('without-kms', []), input), undefined);
    assert.equal((await volume(await ask('with-kms', ['kms:*']), input))?.KmsKeyId, keyA);
    assert.equal(await volume(await ask('with-kms-elsewhere', ['kms:*']), { ...input, KmsKeyId: keyB }), undefined);
  });

  it('P-1, P-6, K-21: which denial breaks a copy shows afterwards, with the reason AWS gives', async () => {
    const allowing = (...Deny: string[]) =>
      test.userOf(test.build, fresh('denied').replace(' ', '-'), [
        { Effect: 'Allow', Action: '*', Resource: '*' },
        { Effect: 'Deny', Action: Deny, Resource: '*' },
      ]);
    for (const denied of ['kms:CreateGrant', 'kms:GenerateDataKeyWithoutPlaintext']) {
      const { State, StateMessage } = await copy(await allowing(denied), sealed, { KmsKeyId: keyB, Encrypted: true });
      assert.deepEqual([State, StateMessage], ['error', 'Given key ID is not accessible'], denied);
    }
    for (const denied of ['kms:Decrypt', 'kms:GenerateDataKey', 'kms:Encrypt']) {
      const { State } = await copy(await allowing(denied), sealed, { KmsKeyId: keyB, Encrypted: true });
      assert.equal(State, 'completed', denied);
    }
  });

  it('K-25: the trail shows KMS’s own errors', async () => {
    const key = await test.key(build);
    await test.keys.disableKey(systemPermit('kms:DisableKey', key, 'test'));
    assert.equal(await volume(build, { Encrypted: true, KmsKeyId: key }), undefined);
    const failed = (await eventsOf(key)).find(({ event }) => event.errorCode !== undefined);
    assert.deepEqual(
      [failed?.event.errorCode, failed?.event.errorMessage],
      ['DisabledException', `${key} is disabled.`],
    );
  });
});

describe('copies', () => {
  it('CS-1, CS-2, G-6: CopySnapshot takes the default key where none is given, whether by default or not; A must be named', async () => {
    await withDefault(build, defaultKey, async () => {
      assert.equal((await copy(build, sealed)).KmsKeyId, defaultKey);
      await test.call(build, 'EnableEbsEncryptionByDefault', {});
      assert.equal((await copy(build, sealed)).KmsKeyId, defaultKey);
    });
    assert.equal((await copy(build, sealed, { Encrypted: true, KmsKeyId: keyA })).KmsKeyId, keyA);
  });

  it('G-5: a key without Encrypted is an error for a plain source, and enough for an encrypted one', async () => {
    const ask = { SourceSnapshotId: plain.id, SourceRegion: REGION, KmsKeyId: keyB };
    await refused(test.call(build, 'CopySnapshot', ask), 'InvalidParameterDependency');
    assert.equal((await copy(build, sealed, { KmsKeyId: keyB })).KmsKeyId, keyB);
  });

  it('CS-3: the key lives in the destination region, and the request goes there', async () => {
    const far = test.as(test.build, OTHER_REGION);
    const there = await test.key(far);
    assert.equal((await copy(far, sealed, { Encrypted: true, KmsKeyId: there })).KmsKeyId, there);
    const wrong = { SourceSnapshotId: sealed.id, SourceRegion: REGION, Encrypted: true };
    await refused(test.call(far, 'CopySnapshot', { ...wrong, KmsKeyId: keyB }), 'InvalidParameterValue');
    await refused(test.call(far, 'CopySnapshot', { ...wrong, DestinationRegion: REGION }), 'InvalidParameterValue');
  });

  it('CS-13, CS-16: each call makes a new snapshot without volume, tags, permissions or description of the source', async () => {
    const source = await test.snapshot(build);
    await share(source);
    await test.call(build, 'CreateTags', { Resources: [source.id], Tags: [{ Key: 'of', Value: 'source' }] });
    const [one, two] = [await copy(build, source), await copy(build, source, { Description: 'two' })];
    assert.notEqual(one.SnapshotId, two.SnapshotId);
    assert.deepEqual(
      [one.VolumeId, one.Tags, one.Description, two.Description],
      ['vol-ffffffff', undefined, '', 'two'],
    );
    assert.deepEqual((await test.snapshots.find(REGION, one.SnapshotId!))?.sharedWith, []);
  });

  it('SH-16, SH-28, CI-5: whom a snapshot is shared with may copy it with the rights on its key, and not without', async () => {
    const closed = await test.snapshot(build, { encrypted: true, keyArn: keyB });
    for (const snapshot of [sealed, closed]) await share(snapshot);
    assert.equal((await copy(prod, sealed)).State, 'completed');
    assert.deepEqual((await copy(prod, closed)).StateMessage, 'Given key ID is not accessible');
  });

  const register = async (devices: object[]) => {
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'RegisterImage', {
      Name: fresh('registered'),
      Architecture: 'x86_64',
      VirtualizationType: 'hvm',
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: devices,
    });
    return ImageId;
  };
  const keysOf = async (call: Call, id: string) => {
    const image = await imageIn(test, call, id, 'available');
    const ids = image.BlockDeviceMappings.map(({ Ebs }) => Ebs?.SnapshotId as string);
    const snapshots = await test.snapshots.findMany(call.region, ids);
    return ids.map((each) => snapshots.find((snapshot) => snapshot.id === each)?.kmsKeyArn);
  };

  it('CI-1, CI-2, G-7: within a region an image keeps the keys of its devices, or takes one given for all', async () => {
    const other = await test.snapshot(build, { encrypted: true, keyArn: keyB });
    const SourceImageId = await register([
      { DeviceName: '/dev/xvda', Ebs: { SnapshotId: sealed.id } },
      { DeviceName: '/dev/xvdb', Ebs: { SnapshotId: other.id } },
    ]);
    const copyOf = async (more: object) =>
      (
        await test.call<{ ImageId: string }>(build, 'CopyImage', {
          Name: fresh('copied'),
          SourceImageId,
          SourceRegion: REGION,
          ...more,
        })
      ).ImageId;
    assert.deepEqual(await keysOf(build, await copyOf({})), [keyA, keyB]);
    assert.deepEqual(await keysOf(build, await copyOf({ Encrypted: true, KmsKeyId: defaultKey })), [
      defaultKey,
      defaultKey,
    ]);
  });

  it('G-8: CopyImage refuses a key without Encrypted, and a copy that failed says Client.InternalError', async () => {
    const SourceImageId = await register([{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: plain.id } }]);
    const ask = (more: object) => ({ Name: fresh('failing'), SourceImageId, SourceRegion: REGION, ...more });
    await refused(test.call(build, 'CopyImage', ask({ KmsKeyId: keyB })), 'InvalidParameterDependency');
    const unknown = `arn:aws:kms:${REGION}:${test.build}:key/11111111-2222-3333-4444-555555555555`;
    const { ImageId } = await test.call<{ ImageId: string }>(
      build,
      'CopyImage',
      ask({ Encrypted: true, KmsKeyId: unknown }),
    );
    const { StateReason } = (await imageIn(test, build, ImageId, 'failed')) as unknown as Image;
    // L-1: a failed image has code and message.
    assert.deepEqual(StateReason, {
      Code: 'Client.InternalError',
      Message: 'Copy image failed with an internal error',
    });
  });

  it('BI-11, D-12: under encryption by default a plain image gives encrypted volumes and still reads plain', async () => {
    const ImageId = await register([{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: plain.id } }]);
    await withDefault(build, defaultKey, async () => {
      await test.call(build, 'EnableEbsEncryptionByDefault', {});
      const outcome = await test.volumes.decideEncryption(build, { snapshotId: plain.id });
      assert.deepEqual([outcome.encrypted, outcome.kmsKeyArn], [true, defaultKey]);
      const image = await imageIn(test, build, ImageId, 'available');
      assert.equal(image.BlockDeviceMappings[0]?.Ebs?.Encrypted, false);
      const started = await test.direct.decide(build, {
        parent: undefined,
        encrypted: undefined,
        kmsKeyArn: undefined,
      });
      assert.equal(started.kmsKeyArn, defaultKey);
    });
  });

  it('SH-13, SH-15: sharing an image looks at no key policy, and its volumes come under the consumer’s key', async () => {
    const closed = await test.snapshot(build, { encrypted: true, keyArn: keyB });
    const ImageId = await register([{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: closed.id } }]);
    await test.call(build, 'ModifyImageAttribute', { ImageId, LaunchPermission: { Add: [{ UserId: test.prod }] } });
    const { items } = await test.keys.listGrants(systemPermit('kms:ListGrants', keyB, 'test'), {}, { limit: 100 });
    assert.ok(!JSON.stringify(items).includes(test.prod));
    const outcome = await test.volumes.decideEncryption(prod, { snapshotId: closed.id });
    assert.equal(parseArn(outcome.kmsKeyArn ?? '')?.account, test.prod);
  });

  it('SH-33: a public image whose snapshots are hidden stays launchable', async () => {
    const snapshot = await test.snapshot(build);
    const ImageId = await register([{ DeviceName: '/dev/xvda', Ebs: { SnapshotId: snapshot.id } }]);
    await test.call(build, 'DisableImageBlockPublicAccess', {});
    await test.call(build, 'ModifyImageAttribute', { ImageId, LaunchPermission: { Add: [{ Group: 'all' }] } });
    await test.call(build, 'EnableSnapshotBlockPublicAccess', { State: 'block-all-sharing' });
    const image = await test.images.find(REGION, ImageId);
    assert.ok(await test.images.mayLaunch(image!, test.prod));
    assert.equal((await test.volumes.decideEncryption(prod, { snapshotId: snapshot.id })).encrypted, false);
    await test.call(build, 'DisableSnapshotBlockPublicAccess', {});
  });
});

describe('the EBS direct APIs', () => {
  it('E-12: the key is named by its key ARN only, and needs no Encrypted', async () => {
    const start = (KmsKeyArn: string) => startSnapshot(test)(build, { VolumeSize: 1, KmsKeyArn });
    for (const wrong of [keyB.split('/')[1]!, 'alias/x', keyB.replace(/key.*/, 'alias/x')]) {
      await assert.rejects(start(wrong), { code: 'ValidationException' }, wrong);
    }
    assert.equal((await start(keyB)).KmsKeyArn, keyB);
  });
});

describe('rights on resources', () => {
  const allowed = (action: string, Resource: string | string[]) =>
    test.userOf(test.build, fresh('holder').replace(' ', '-'), [
      { Effect: 'Allow', Action: [action, 'kms:*'], Resource },
    ]);

  it('P-8: ARNs of images and snapshots have no account; a policy that names one matches nothing', async () => {
    const ImageId = await test.image(build, plain, fresh('named'));
    const wrong = await allowed('ec2:DisableImage', `arn:aws:ec2:${REGION}:${test.build}:image/*`);
    await refused(
      test.call(wrong, 'DisableImage', { ImageId }),
      'UnauthorizedOperation',
      new RegExp(`ec2:${REGION}::image/${ImageId}`),
    );
    await test.call(await allowed('ec2:DisableImage', `arn:aws:ec2:${REGION}::image/${ImageId}`), 'DisableImage', {
      ImageId,
    });
    const locker = await allowed('ec2:LockSnapshot', `arn:aws:ec2:${REGION}:${test.build}:snapshot/*`);
    await refused(
      test.call(locker, 'LockSnapshot', { SnapshotId: plain.id, LockMode: 'governance', LockDuration: 1 }),
      'UnauthorizedOperation',
    );
  });

  it('P-9: CopyImage needs the right on the source image as well', async () => {
    const SourceImageId = await test.image(build, plain, fresh('source'));
    const ask = () => ({ Name: fresh('copy'), SourceImageId, SourceRegion: REGION });
    const made = [`arn:aws:ec2:${REGION}::image/ami-x`, `arn:aws:ec2:${REGION}::snapshot/*`];
    await refused(
      test.call(await allowed('ec2:CopyImage', made), 'CopyImage', ask()),
      'UnauthorizedOperation',
      new RegExp(SourceImageId),
    );
    await test.call(await allowed('ec2:CopyImage', [`arn:aws:ec2:${REGION}::image/*`, made[1]!]), 'CopyImage', ask());
  });

  it('L-28: parameters and references come first, then rights', async () => {
    const nobody = await allowed('s3:ListBucket', '*');
    await refused(test.call(nobody, 'CreateVolume', { Size: 1 }), 'MissingParameter');
    await refused(
      test.call(nobody, 'CreateVolume', { AvailabilityZone: ZONE, SnapshotId: newEc2Id('snap') }),
      'InvalidSnapshot.NotFound',
    );
    await refused(test.call(nobody, 'CreateVolume', { AvailabilityZone: ZONE, Size: 1 }), 'UnauthorizedOperation');
  });

  it('SH-22: AWS’s own providers are known by name and have no images here', async () => {
    const named = async (owner: string) =>
      (await test.call<{ Images: Image[] }>(build, 'DescribeImages', { Owners: [owner] })).Images.length;
    for (const owner of ['amazon', 'aws-marketplace', 'aws-backup-vault']) assert.equal(await named(owner), 0);
    assert.equal(await named('self'), await named(test.build));
    await refused(named('somebody'), 'InvalidUserID.Malformed');
  });
});

describe('identifiers and states', () => {
  it('L-4: ids are a prefix and 17 digits; 8 are taken as well', async () => {
    for (const id of [plain.id, newEc2Id('ami'), newEc2Id('lt')]) assert.match(id, /^[a-z]+-[0-9a-f]{17}$/);
    await refused(test.call(build, 'DescribeImages', { ImageIds: ['ami-01234567'] }), 'InvalidAMIID.NotFound');
    await refused(test.call(build, 'DescribeImages', { ImageIds: ['ami-012345678'] }), 'InvalidAMIID.Malformed');
  });

  it('L-2: a deleted volume is soon not found', async () => {
    const made = await volume(build, {});
    await test.call(build, 'DeleteVolume', { VolumeId: made?.VolumeId });
    await until('the volume is gone', async () =>
      test.call(build, 'DescribeVolumes', { VolumeIds: [made?.VolumeId] }).then(
        () => false,
        (error: { code: string }) => error.code === 'InvalidVolume.NotFound',
      ),
    );
  });

  it('G-9: the words for deregistration protection and for snapshots that must not be public', async () => {
    const ImageId = await test.image(build, plain, fresh('protected'));
    await test.call(build, 'EnableImageDeregistrationProtection', { ImageId });
    await refused(test.call(build, 'DeregisterImage', { ImageId }), 'OperationNotPermitted', /protection is enabled/);
    await test.call(build, 'EnableSnapshotBlockPublicAccess', { State: 'block-new-sharing' });
    await refused(
      test.call(build, 'ModifySnapshotAttribute', {
        SnapshotId: plain.id,
        CreateVolumePermission: { Add: [{ Group: 'all' }] },
      }),
      'OperationNotPermitted',
    );
    await test.call(build, 'DisableSnapshotBlockPublicAccess', {});
  });
});
