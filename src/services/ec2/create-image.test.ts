/** CreateImage on real volumes: snapshots of what is attached, with the volume's key (BI-1, BI-4, BI-5). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { Arn, InstanceId, VolumeId } from '../../ids.ts';
import { REGION } from '../../volumes/test-volumes.ts';
import { imageIn, openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let instance: InstanceId;
let test: TestEc2;
let build: Call;
let key: Arn;
let rootVolume: VolumeId;
let dataVolume: VolumeId;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  key = await test.key(build);
  rootVolume = await test.volume(build, { Encrypted: true, KmsKeyId: key });
  dataVolume = await test.volume(build, {});
  instance = test.instance(build, {
    devices: [
      { deviceName: '/dev/xvda', volumeId: rootVolume, deleteOnTermination: true },
      { deviceName: '/dev/xvdb', volumeId: dataVolume, deleteOnTermination: false },
    ],
  });
});
after(() => test[Symbol.asyncDispose]());

const create = async (Name: string, more: object = {}) => {
  const { ImageId } = await test.call<{ ImageId: string }>(build, 'CreateImage', {
    InstanceId: instance,
    Name,
    ...more,
  });
  return imageIn(test, build, ImageId, 'available');
};

describe('CreateImage', () => {
  it('BI-4, BI-5: one snapshot a volume under the same key, with the guest down in between', async () => {
    test.guestCalls.length = 0;
    const image = await create('golden', {
      TagSpecifications: [{ ResourceType: 'snapshot', Tags: [{ Key: 'a', Value: 'b' }] }],
    });
    assert.deepEqual(test.guestCalls, [`pause ${instance}`, `resume ${instance}`]);
    assert.equal(image.SourceInstanceId, instance);
    assert.equal(image.RootDeviceName, '/dev/xvda');
    const [root, data] = image.BlockDeviceMappings;
    const rootSnapshot = await test.snapshots.find(REGION, String(root?.Ebs?.SnapshotId));
    const dataSnapshot = await test.snapshots.find(REGION, String(data?.Ebs?.SnapshotId));
    assert.equal(rootSnapshot?.volumeId, rootVolume);
    assert.equal(rootSnapshot?.kmsKeyArn, key);
    assert.equal(root?.Ebs?.Encrypted, true);
    assert.equal(dataSnapshot?.encrypted, false);
    assert.equal(data?.Ebs?.DeleteOnTermination, false);
    const tags = await test.tags.of(test.build, REGION, [rootSnapshot?.id ?? '']);
    assert.deepEqual([...tags.values()], [[{ Key: 'a', Value: 'b' }]]);
  });

  it('BI-5: NoReboot leaves the guest alone', async () => {
    test.guestCalls.length = 0;
    await create('live', { NoReboot: true });
    assert.deepEqual(test.guestCalls, []);
  });

  it('BI-4: DeleteOnTermination can be changed, a device left out, and an empty volume added', async () => {
    const image = await create('changed', {
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { DeleteOnTermination: false } },
        { DeviceName: '/dev/xvdb', NoDevice: '' },
        { DeviceName: '/dev/xvdc', Ebs: { VolumeSize: 3, Encrypted: true } },
      ],
    });
    assert.deepEqual(
      image.BlockDeviceMappings.map(({ DeviceName, Ebs }) => [DeviceName, Ebs?.DeleteOnTermination, Ebs?.Encrypted]),
      [
        ['/dev/xvda', false, true],
        ['/dev/xvdc', true, true],
      ],
    );
  });

  const refusals: [name: string, change: object, code: string][] = [
    [
      'BI-1: encrypting a plain volume',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvdb', Ebs: { Encrypted: true } }] },
      'InvalidParameter',
    ],
    [
      'BI-4: another size',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { VolumeSize: 9 } }] },
      'InvalidParameterValue',
    ],
    [
      'BI-3: a key',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: { KmsKeyId: 'alias/x' } }] },
      'UnknownParameter',
    ],
    [
      'an image without a root',
      { BlockDeviceMappings: [{ DeviceName: '/dev/xvda', NoDevice: '' }] },
      'InvalidBlockDeviceMapping',
    ],
    ['an unknown instance', { InstanceId: 'i-00000000000000000' }, 'InvalidInstanceID.NotFound'],
    ['a malformed instance id', { InstanceId: 'x' }, 'InvalidInstanceID.Malformed'],
  ];
  for (const [name, change, code] of refusals) {
    it(`refuses ${name}`, async () => {
      await refused(test.call(build, 'CreateImage', { InstanceId: instance, Name: 'refused', ...change }), code);
    });
  }

  it('SH-12: a pending image is shared with nobody: what its snapshots are sealed under is not known yet', async () => {
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'CreateImage', {
      InstanceId: instance,
      Name: 'pending',
      NoReboot: true,
    });
    const share = { ImageId, LaunchPermission: { Add: [{ UserId: test.prod }] } };
    assert.equal((await test.images.find(REGION, ImageId))?.state, 'pending');
    await refused(test.call(build, 'ModifyImageAttribute', share), 'IncorrectState');
    await imageIn(test, build, ImageId, 'available');
    await test.call(build, 'ModifyImageAttribute', share);
  });

  it('another account’s instance does not exist for the caller', async () => {
    const input = { InstanceId: instance, Name: 'foreign' };
    await refused(test.call(test.as(test.prod), 'CreateImage', input), 'InvalidInstanceID.NotFound');
  });
});
