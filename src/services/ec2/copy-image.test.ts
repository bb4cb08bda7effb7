/** CopyImage on real storage and keys: table 1.5, and what a copy carries over. */
import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Arn } from '../../ids.ts';
import { OTHER_REGION, REGION, until } from '../../volumes/test-volumes.ts';
import { imageIn, refused } from './test-ec2.ts';
import { build, fresh, keyA, plain, prod, sealed, share, test } from './test-images.ts';

describe('CopyImage, table 1.5', () => {
  type Source = 'plain' | 'own' | 'shared';
  type Key = 'plain' | 'A' | 'B' | 'D';
  /** Row, source, region, Encrypted, key given, outcome with encryption by default off and on. */
  const rows: [
    row: number,
    source: Source,
    region: 'same' | 'other',
    encrypted: boolean | undefined,
    key: boolean,
    off: Key,
    on: Key,
  ][] = [
    [1, 'plain', 'same', undefined, false, 'plain', 'D'],
    [2, 'plain', 'same', true, false, 'D', 'D'],
    [3, 'plain', 'same', true, true, 'B', 'B'],
    [4, 'plain', 'other', false, false, 'plain', 'D'],
    [5, 'own', 'same', undefined, false, 'A', 'A'],
    [5, 'own', 'same', true, false, 'A', 'A'],
    [6, 'own', 'other', undefined, false, 'D', 'D'],
    [7, 'own', 'other', true, true, 'B', 'B'],
    [9, 'shared', 'same', undefined, false, 'D', 'D'],
    [10, 'shared', 'same', true, true, 'B', 'B'],
  ];
  for (const ebd of [false, true]) {
    for (const [row, source, region, encrypted, keyGiven, off, on] of rows) {
      const expected = ebd ? on : off;
      const title = `row ${row}: ${source}, ${region} region, Encrypted ${encrypted}, ${keyGiven ? 'B' : 'no key'}`;
      it(`${title}, encryption by default ${ebd ? 'on' : 'off'}: ${expected}`, async () => {
        const destination = region === 'same' ? REGION : OTHER_REGION;
        const copier = test.as(source === 'shared' ? test.prod : test.build, destination);
        await test.db.write((tx) =>
          test.ebsDefaults.setEncryptionByDefault(tx, copier.caller.accountId, destination, ebd),
        );
        const snapshot = source === 'plain' ? plain : sealed;
        const image = await test.image(build, snapshot, fresh('source'));
        if (source === 'shared') {
          await share(build, image, [{ UserId: test.prod }]);
          await test.call(build, 'ModifySnapshotAttribute', {
            SnapshotId: snapshot.id,
            Attribute: 'createVolumePermission',
            OperationType: 'add',
            UserIds: [test.prod],
          });
        }
        const keyB = keyGiven ? await test.key(copier) : undefined;
        const { ImageId } = await test.call<{ ImageId: string }>(copier, 'CopyImage', {
          Name: fresh('copy'),
          SourceImageId: image,
          SourceRegion: REGION,
          ...(encrypted === undefined ? {} : { Encrypted: encrypted }),
          ...(keyB ? { KmsKeyId: keyB } : {}),
        });
        const copy = await imageIn(test, copier, ImageId, 'available');
        const [device] = copy.BlockDeviceMappings;
        assert.equal(copy.SourceImageId, image);
        assert.equal(copy.SourceImageRegion, REGION);
        assert.equal(copy.OwnerId, copier.caller.accountId);
        assert.equal(device?.Ebs?.Encrypted, expected !== 'plain');
        const made = await test.snapshots.find(destination, String(device?.Ebs?.SnapshotId));
        assert.notEqual(made?.id, snapshot.id);
        const defaultKey = (
          await test.onBehalf.ebsManagedKey({ ...copier, viaService: `ec2.${destination}.amazonaws.com` })
        ).arn;
        const keys: Record<Key, Arn | undefined> = { plain: undefined, A: keyA, B: keyB, D: defaultKey };
        assert.equal(made?.kmsKeyArn, keys[expected]);
        if (expected === 'B' || expected === 'D')
          assert.notEqual(made?.dataKeyId, snapshot.dataKeyId, 'a new data key');
      });
    }
  }
  after(async () => {
    for (const account of [test.build, test.prod]) {
      for (const region of [REGION, OTHER_REGION]) {
        await test.db.write((tx) => test.ebsDefaults.setEncryptionByDefault(tx, account, region, false));
      }
    }
  });

  it('row 8: no plain copy of an encrypted snapshot, whatever the key', async () => {
    const image = await test.image(build, sealed, fresh('row 8'));
    for (const KmsKeyId of [undefined, keyA]) {
      await refused(
        test.call(build, 'CopyImage', {
          Name: fresh('copy'),
          SourceImageId: image,
          SourceRegion: REGION,
          Encrypted: false,
          KmsKeyId,
        }),
        'InvalidRequest',
        `Snapshot ${sealed.id} is encrypted. Creating unencrypted copy from an encrypted snapshot is not supported.`,
      );
    }
  });

  it('row 11: a key needs Encrypted', async () => {
    const image = await test.image(build, plain, fresh('row 11'));
    for (const Encrypted of [undefined, false]) {
      const input = { Name: fresh('copy'), SourceImageId: image, SourceRegion: REGION, Encrypted, KmsKeyId: keyA };
      await refused(test.call(build, 'CopyImage', input), 'InvalidParameterDependency');
    }
  });

  it('CI-3: with a key that is not there the image is pending, then failed', async () => {
    const image = await test.image(build, plain, fresh('ci-3'));
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'CopyImage', {
      Name: fresh('copy'),
      SourceImageId: image,
      SourceRegion: REGION,
      Encrypted: true,
      KmsKeyId: '12345678-1234-1234-1234-123456789012',
    });
    const copy = await imageIn(test, build, ImageId, 'failed');
    assert.deepEqual(copy.StateReason, {
      Code: 'Client.InternalError',
      Message: 'Copy image failed with an internal error',
    });
  });

  it('CI-4, CI-5: launch permission is not enough to copy', async () => {
    const hidden = await test.snapshot(build, { encrypted: true, keyArn: keyA });
    const image = await test.image(build, hidden, fresh('ci-4'));
    const input = () => ({ Name: fresh('copy'), SourceImageId: image, SourceRegion: REGION });
    await refused(
      test.call(prod, 'CopyImage', input()),
      'InvalidAMIID.NotFound',
      `The image id '[${image}]' does not exist`,
    );
    await share(build, image, [{ UserId: test.prod }]);
    await refused(
      test.call(prod, 'CopyImage', input()),
      'InvalidRequest',
      'You do not have permission to access the storage of this ami',
    );
  });

  it('CI-3, CI-5, S9: shared with its snapshots but not its key, the copy is accepted and ends failed', async () => {
    const ownersOnly = await test.key(build);
    const snapshot = await test.snapshot(build, { encrypted: true, keyArn: ownersOnly });
    const image = await test.image(build, snapshot, fresh('s9'));
    await share(build, image, [{ UserId: test.prod }]);
    await test.call(build, 'ModifySnapshotAttribute', {
      SnapshotId: snapshot.id,
      Attribute: 'createVolumePermission',
      OperationType: 'add',
      UserIds: [test.prod],
    });
    const { ImageId } = await test.call<{ ImageId: string }>(prod, 'CopyImage', {
      Name: fresh('copy'),
      SourceImageId: image,
      SourceRegion: REGION,
    });
    const copy = await imageIn(test, prod, ImageId, 'failed');
    const made = await test.snapshots.find(REGION, String(copy.BlockDeviceMappings[0]?.Ebs?.SnapshotId));
    assert.equal(made?.state, 'error');
    assert.equal(made?.stateMessage, 'Given key ID is not accessible');
  });

  it('an image that is deregistered while it is copied stays deregistered', async () => {
    const image = await test.image(build, sealed, fresh('short-lived'));
    const { ImageId } = await test.call<{ ImageId: string }>(test.as(test.build, OTHER_REGION), 'CopyImage', {
      Name: fresh('copy'),
      SourceImageId: image,
      SourceRegion: REGION,
    });
    await test.call(test.as(test.build, OTHER_REGION), 'DeregisterImage', { ImageId });
    const copied = await test.images.find(OTHER_REGION, ImageId);
    const snapshotId = copied?.blockDeviceMappings[0]?.ebs?.snapshotId ?? '';
    await until('its snapshot completed', async () => {
      return (await test.snapshots.find(OTHER_REGION, snapshotId))?.state === 'completed';
    });
    await test.jobs.idle();
    assert.equal((await test.images.find(OTHER_REGION, ImageId))?.state, 'deregistered');
  });

  it('CI-6: tags are copied only when asked, permissions never', async () => {
    const image = await test.image(build, sealed, fresh('ci-6'));
    await share(build, image, [{ UserId: test.prod }]);
    await test.call(build, 'CreateTags', {
      Resources: [image],
      Tags: [
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: '2' },
      ],
    });
    const copy = async (more: object) => {
      const { ImageId } = await test.call<{ ImageId: string }>(build, 'CopyImage', {
        Name: fresh('copy'),
        SourceImageId: image,
        SourceRegion: REGION,
        ...more,
      });
      return imageIn(test, build, ImageId, 'available');
    };
    assert.deepEqual((await copy({})).Tags, []);
    const tagged = await copy({
      CopyImageTags: true,
      TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'b', Value: '3' }] }],
    });
    assert.deepEqual(tagged.Tags, [
      { Key: 'a', Value: '1' },
      { Key: 'b', Value: '3' },
    ]);
    const { LaunchPermissions } = await test.call<{ LaunchPermissions: unknown[] }>(build, 'DescribeImageAttribute', {
      ImageId: tagged.ImageId,
      Attribute: 'launchPermission',
    });
    assert.deepEqual(LaunchPermissions, []);
  });

  it('CI-9, L-21: one token makes one image, and other parameters with it are refused', async () => {
    const image = await test.image(build, plain, fresh('ci-9'));
    const input = { Name: fresh('copy'), SourceImageId: image, SourceRegion: REGION, ClientToken: 'token-1' };
    const twice = await Promise.all([
      test.call<{ ImageId: string }>(build, 'CopyImage', input),
      test.call<{ ImageId: string }>(build, 'CopyImage', input),
    ]);
    assert.equal(twice[0].ImageId, twice[1].ImageId);
    await refused(test.call(build, 'CopyImage', { ...input, Name: fresh('copy') }), 'IdempotentParameterMismatch');
  });

  it('CS-10: an unknown source region is named', async () => {
    const input = { Name: fresh('copy'), SourceImageId: 'ami-0123456789abcdef0', SourceRegion: 'mars' };
    await refused(test.call(build, 'CopyImage', input), 'InvalidRegion', 'mars is not a valid region name.');
  });
});
