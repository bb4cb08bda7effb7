/** Registering and retiring images, on real storage and keys (ec2-encryption 1.6, 7.2, 7.3). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { REGION } from '../../volumes/test-volumes.ts';
import { refused, registration } from './test-ec2.ts';
import { build, describeOne, fresh, keyA, plain, prod, sealed, share, test } from './test-images.ts';

describe('RegisterImage', () => {
  it('takes empty text for a member that is not given, as Terraform sends it, and refuses it with a value', async () => {
    const request = registration(fresh('empty'), plain.id);
    await refused(
      test.call(build, 'RegisterImage', { ...request, ImageLocation: 's3/manifest' }),
      'UnsupportedOperation',
      'The parameter ImageLocation is not supported.',
    );
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'RegisterImage', { ...request, ImageLocation: '' });
    assert.equal((await describeOne(build, ImageId))?.ImageLocation, `${test.build}/${request.Name}`);
  });

  it('BI-9, BI-10, L-19: shows the image with its defaults, encryption per device and no key', async () => {
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'RegisterImage', {
      Name: fresh('defaults'),
      RootDeviceName: '/dev/xvda',
      BlockDeviceMappings: [
        { DeviceName: '/dev/xvda', Ebs: { SnapshotId: sealed.id } },
        { DeviceName: '/dev/xvdb', Ebs: { VolumeSize: 5, Encrypted: true, VolumeType: 'gp3' } },
      ],
    });
    const image = await describeOne(build, ImageId);
    assert.ok(image);
    assert.equal(image.Architecture, 'i386');
    assert.equal(image.VirtualizationType, 'paravirtual');
    assert.equal(image.State, 'available');
    assert.equal(image.ImageLocation, `${test.build}/${image.Name}`);
    assert.equal(image.UsageOperation, 'RunInstances');
    assert.match(String(image.CreationDate), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(image.BlockDeviceMappings, [
      {
        DeviceName: '/dev/xvda',
        Ebs: {
          SnapshotId: sealed.id,
          VolumeSize: 1,
          VolumeType: 'gp2',
          DeleteOnTermination: true,
          Encrypted: true,
        },
      },
      {
        DeviceName: '/dev/xvdb',
        Ebs: {
          VolumeSize: 5,
          VolumeType: 'gp3',
          Iops: 3000,
          Throughput: 125,
          DeleteOnTermination: true,
          Encrypted: true,
        },
      },
    ]);
  });

  const root = (ebs: object) => ({ BlockDeviceMappings: [{ DeviceName: '/dev/xvda', Ebs: ebs }] });
  const refusals: [name: string, change: () => object, code: string, message?: string][] = [
    [
      'BI-2: Encrypted with a snapshot',
      () => root({ SnapshotId: plain.id, Encrypted: false }),
      'InvalidParameter',
      'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    ],
    [
      'BI-3: a key',
      () => root({ SnapshotId: plain.id, KmsKeyId: keyA }),
      'UnknownParameter',
      'The parameter KmsKeyId is not recognized',
    ],
    [
      'BI-7: no root snapshot',
      () => root({ VolumeSize: 8 }),
      'InvalidBlockDeviceMapping',
      'No root snapshot specified in device mapping.',
    ],
    [
      'BI-8: unknown snapshot',
      () => root({ SnapshotId: 'snap-0123456789abcdef0' }),
      'InvalidSnapshotID.NotFound',
      "The snapshot ID 'snap-0123456789abcdef0' does not exist",
    ],
    ['7.2: bad name', () => ({ Name: 'a!' }), 'InvalidAMIName.Malformed'],
    ['smaller than the snapshot', () => root({ SnapshotId: plain.id, VolumeSize: 0 }), 'InvalidParameterValue'],
    [
      'a device twice',
      () => ({ BlockDeviceMappings: [{ DeviceName: 'a' }, { DeviceName: 'a' }] }),
      'InvalidBlockDeviceMapping',
    ],
    ['L-16: TPM without UEFI', () => ({ TpmSupport: 'v2.0' }), 'InvalidParameterCombination'],
    ['a parameter that is not honoured', () => ({ BillingProducts: ['bp-1'] }), 'UnsupportedOperation'],
    [
      'aws: tags',
      () => ({ TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'aws:x' }] }] }),
      'InvalidParameterValue',
    ],
  ];
  for (const [name, change, code, message] of refusals) {
    it(`refuses: ${name}`, async () => {
      const input = { ...registration(fresh('refused'), plain.id), ...change() };
      await refused(test.call(build, 'RegisterImage', input), code, message);
    });
  }

  it('BI-8: a snapshot that is only shared does not make an image', async () => {
    await test.call(build, 'ModifySnapshotAttribute', {
      SnapshotId: plain.id,
      Attribute: 'createVolumePermission',
      OperationType: 'add',
      UserIds: [test.prod],
    });
    await refused(
      test.call(prod, 'RegisterImage', registration(fresh('foreign'), plain.id)),
      'InvalidParameterValue',
      `Invalid value '${plain.id}' for snapshotId. Snapshot does not belong to ${test.prod}`,
    );
  });

  it('L-5, L-6: a name is free again once its image is deregistered, and the own old id is an empty list', async () => {
    const name = fresh('name');
    const first = await test.image(build, plain, name);
    await refused(
      test.call(build, 'RegisterImage', registration(name, plain.id)),
      'InvalidAMIName.Duplicate',
      `AMI name ${name} is already in use by AMI ${first}`,
    );
    await test.call(build, 'DeregisterImage', { ImageId: first });
    assert.equal(await describeOne(build, first), undefined);
    await refused(
      test.call(build, 'DeregisterImage', { ImageId: first }),
      'InvalidAMIID.Unavailable',
      `The image ID: '${first}' is no longer available`,
    );
    await test.image(build, plain, name);
  });

  it('L-22: a dry run says so and makes nothing', async () => {
    const input = { ...registration(fresh('dry'), plain.id), DryRun: true };
    const error = await refused(
      test.call(build, 'RegisterImage', input),
      'DryRunOperation',
      'Request would have succeeded, but DryRun flag is set.',
    );
    assert.equal(error.status, 412);
    const { Images } = await test.call<{ Images: unknown[] }>(build, 'DescribeImages', {
      Filters: [{ Name: 'name', Values: [input.Name] }],
    });
    assert.deepEqual(Images, []);
  });

  it('P-11: a caller without rights is denied before anything is said of the snapshot', async () => {
    const nobody = await test.userOf(test.build, 'nobody', [
      { Effect: 'Allow', Action: 'ec2:DescribeImages', Resource: '*' },
    ]);
    const error = await refused(
      test.call(nobody, 'RegisterImage', registration('x y z', 'snap-0123456789abcdef0')),
      'UnauthorizedOperation',
      `You are not authorized to perform this operation. User: ${nobody.caller.arn} is not authorized to perform: ec2:RegisterImage on resource: arn:aws:ec2:${REGION}::image/* because no identity-based policy allows the ec2:RegisterImage action. Encoded authorization failure message: TOKEN`,
    );
    assert.equal(error.status, 403);
  });

  it('4.2: tagging on creation needs ec2:CreateTags with ec2:CreateAction', async () => {
    const maker = (Condition: object) => [
      { Effect: 'Allow', Action: 'ec2:RegisterImage', Resource: '*' },
      { Effect: 'Allow', Action: 'ec2:CreateTags', Resource: '*', Condition },
    ];
    const input = () => ({
      ...registration(fresh('tagged'), plain.id),
      TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'team', Value: 'a' }] }],
    });
    const wrong = await test.userOf(
      test.build,
      'tagger-wrong',
      maker({ StringEquals: { 'ec2:CreateAction': 'CopyImage' } }),
    );
    await refused(test.call(wrong, 'RegisterImage', input()), 'UnauthorizedOperation');
    const right = await test.userOf(
      test.build,
      'tagger',
      maker({ StringEquals: { 'ec2:CreateAction': 'RegisterImage', 'aws:RequestTag/team': 'a' } }),
    );
    const { ImageId } = await test.call<{ ImageId: string }>(right, 'RegisterImage', input());
    assert.deepEqual((await describeOne(build, ImageId))?.Tags, [{ Key: 'team', Value: 'a' }]);
  });
});

describe('the end of an image', () => {
  it('L-7: snapshots are deleted on request, but not those of other images', async () => {
    const own = await test.snapshot(build);
    const both = await test.snapshot(build);
    const input = registration(fresh('one'), own.id);
    input.BlockDeviceMappings.push({ DeviceName: '/dev/xvdb', Ebs: { SnapshotId: both.id } });
    const { ImageId } = await test.call<{ ImageId: string }>(build, 'RegisterImage', input);
    const other = await test.image(build, both, fresh('two'));
    await refused(
      test.call(build, 'DeleteSnapshot', { SnapshotId: own.id }),
      'InvalidSnapshot.InUse',
      `The snapshot ${own.id} is currently in use by ${ImageId}`,
    );
    const answer = await test.call(build, 'DeregisterImage', { ImageId, DeleteAssociatedSnapshots: true });
    assert.deepEqual(answer, {
      Return: true,
      DeleteSnapshotResults: [
        { SnapshotId: own.id, ReturnCode: 'success' },
        { SnapshotId: both.id, ReturnCode: 'skipped' },
      ],
    });
    assert.equal(await test.snapshots.find(REGION, own.id), undefined);
    assert.ok(await describeOne(build, other));
  });

  it('L-10: protection with a cool-down holds for a day after it was turned off', async () => {
    const ImageId = await test.image(build, plain, fresh('protected'));
    await test.call(build, 'EnableImageDeregistrationProtection', { ImageId, WithCooldown: true });
    assert.equal((await describeOne(build, ImageId))?.DeregistrationProtection, 'enabled-with-cooldown');
    await refused(test.call(build, 'DeregisterImage', { ImageId }), 'OperationNotPermitted');
    await test.call(build, 'DisableImageDeregistrationProtection', { ImageId });
    await refused(test.call(build, 'DeregisterImage', { ImageId }), 'OperationNotPermitted');
    test.advance(24 * 60 * 60 * 1000 + 1);
    await test.call(build, 'DeregisterImage', { ImageId });
  });

  it('L-11, SH-23: a disabled image is shared with nobody and hidden until asked for', async () => {
    const ImageId = await test.image(build, plain, fresh('disabled'));
    await share(build, ImageId, [{ UserId: test.prod }]);
    await test.call(build, 'DisableImage', { ImageId });
    assert.equal(await describeOne(build, ImageId), undefined);
    assert.equal((await describeOne(build, ImageId, { IncludeDisabled: true }))?.State, 'disabled');
    await refused(
      test.call(build, 'DescribeImages', { Filters: [{ Name: 'state', Values: ['disabled'] }] }),
      'InvalidParameter',
      "When filtering by the 'disabled' state, 'IncludeDisabled' must be set to 'true' in the request.",
    );
    await test.call(build, 'EnableImage', { ImageId });
    assert.equal((await describeOne(build, ImageId))?.State, 'available');
    assert.equal(await describeOne(prod, ImageId), undefined);
  });

  it('L-12: a deprecated image is left out of others’ listings, but not when asked for', async () => {
    const ImageId = await test.image(build, plain, fresh('deprecated'));
    await share(build, ImageId, [{ UserId: test.prod }]);
    const at = new Date(test.clock().getTime() + 3_600_000);
    await test.call(build, 'EnableImageDeprecation', { ImageId, DeprecateAt: at });
    const past = new Date(test.clock().getTime() - 60_000);
    await refused(
      test.call(test.as(test.build), 'EnableImageDeprecation', { ImageId, DeprecateAt: past }),
      'InvalidParameterValue',
    );
    test.advance(2 * 3_600_000);
    const later = test.as(test.prod);
    const list = async (call: Call, input: object) => {
      const { Images } = await test.call<{ Images: { ImageId: string }[] }>(call, 'DescribeImages', input);
      return Images.some((image) => image.ImageId === ImageId);
    };
    assert.equal(await list(later, { Owners: [test.build] }), false);
    assert.equal(await list(later, { Owners: [test.build], IncludeDeprecated: true }), true);
    assert.equal(await list(later, { ImageIds: [ImageId] }), true);
    assert.equal(await list(test.as(test.build), { Owners: ['self'] }), true);
  });
});
