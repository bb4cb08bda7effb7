/** Images end to end on real storage and keys: registering, table 1.5, sharing, retiring (ec2-encryption §1.5, §1.6, §5, §7). */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { Arn, ImageId } from '../../ids.ts';
import { OTHER_REGION, REGION, until } from '../../volumes/test-volumes.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { imageIn, openTestEc2, refused, registration, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
let prod: Call;
let keyA: Arn;
let plain: SnapshotRecord;
let sealed: SnapshotRecord;
let managed: SnapshotRecord;
let count = 0;
const fresh = (what: string) => `${what} ${++count}`;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  prod = test.as(test.prod);
  keyA = await test.key(build, [
    { Effect: 'Allow', Principal: { AWS: [test.build, test.prod] }, Action: 'kms:*', Resource: '*' },
  ]);
  plain = await test.snapshot(build);
  sealed = await test.snapshot(build, { encrypted: true, keyArn: keyA });
  managed = await test.snapshot(build, { encrypted: true });
});
after(() => test[Symbol.asyncDispose]());

const describeOne = async (call: Call, id: string, more: object = {}) => {
  const { Images } = await test.call<{ Images: Record<string, unknown>[] }>(call, 'DescribeImages', {
    ImageIds: [id],
    ...more,
  });
  return Images[0];
};
const share = (call: Call, ImageId: string, Add: object[]) =>
  test.call(call, 'ModifyImageAttribute', { ImageId, LaunchPermission: { Add } });

describe('RegisterImage', () => {
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

describe('sharing', () => {
  const permissions = async (call: Call, ImageId: string) => {
    const { LaunchPermissions } = await test.call<{ LaunchPermissions: unknown[] }>(call, 'DescribeImageAttribute', {
      ImageId,
      Attribute: 'launchPermission',
    });
    return LaunchPermissions;
  };

  it('SH-1, SH-6: both request styles, the own id, and removing what is not there', async () => {
    const ImageId = await test.image(build, sealed, fresh('styles'));
    await share(build, ImageId, [{ UserId: test.prod }, { UserId: test.build }]);
    await test.call(build, 'ModifyImageAttribute', {
      ImageId,
      Attribute: 'launchPermission',
      OperationType: 'add',
      UserIds: ['111122223333'],
      OrganizationArns: ['arn:aws:organizations::111122223333:organization/o-abcdefghij'],
    });
    assert.deepEqual(await permissions(build, ImageId), [
      ...[test.prod, test.build, '111122223333'].sort().map((UserId) => ({ UserId })),
      { OrganizationArn: 'arn:aws:organizations::111122223333:organization/o-abcdefghij' },
    ]);
    for (const UserIds of [['111122223333'], ['999999999999']]) {
      await test.call(build, 'ModifyImageAttribute', {
        ImageId,
        Attribute: 'launchPermission',
        OperationType: 'remove',
        UserIds,
      });
    }
    assert.equal((await permissions(build, ImageId)).length, 3);
    await test.call(build, 'ResetImageAttribute', { ImageId, Attribute: 'launchPermission' });
    assert.deepEqual(await permissions(build, ImageId), []);
  });

  const refusals: [string, object, string, string?][] = [
    [
      'SH-4: two attributes',
      { Description: { Value: 'x' }, ImdsSupport: { Value: 'v2.0' } },
      'InvalidParameterCombination',
      'Fields for multiple attribute types specified: description, imdsSupport',
    ],
    ['SH-4: none', {}, 'InvalidParameterCombination', 'No attributes specified.'],
    [
      'SH-4: empty description',
      { Description: {} },
      'MissingParameter',
      'The request must contain the parameter description',
    ],
    [
      'SH-4: empty imdsSupport',
      { ImdsSupport: {} },
      'MissingParameter',
      'The request must contain the parameter imdsSupport with value v2.0',
    ],
    [
      'SH-5: a bad account id',
      { LaunchPermission: { Add: [{ UserId: '123 ' }] } },
      'InvalidAMIAttributeItemValue',
      'Invalid attribute item value "123 " for userId item type.',
    ],
    [
      'SH-1: a bare organization id',
      { LaunchPermission: { Add: [{ OrganizationArn: 'o-abcdefghij' }] } },
      'InvalidAMIAttributeItemValue',
    ],
    ['product codes', { ProductCodes: ['x'] }, 'UnsupportedOperation'],
    [
      'SH-31: public while block public access holds, which it does from the start (SH-30)',
      { LaunchPermission: { Add: [{ Group: 'all' }] } },
      'OperationNotPermitted',
      'You can’t publicly share this image because block public access for AMIs is enabled for this account. To publicly share the image, you must call the DisableImageBlockPublicAccess API.',
    ],
  ];
  for (const [name, change, code, message] of refusals) {
    it(`refuses ${name}`, async () => {
      const ImageId = await test.image(build, plain, fresh('refused'));
      await refused(test.call(build, 'ModifyImageAttribute', { ImageId, ...change }), code, message);
    });
  }

  it('SH-11: not under the AWS managed key, not even with oneself', async () => {
    const ImageId = await test.image(build, managed, fresh('managed'));
    await refused(
      share(build, ImageId, [{ UserId: test.build }]),
      'InvalidParameter',
      "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
    );
  });

  it('SH-12: nothing encrypted is public', async () => {
    const ImageId = await test.image(build, sealed, fresh('public'));
    await refused(
      share(build, ImageId, [{ Group: 'all' }]),
      'UnsupportedOperation',
      "Encrypted snapshots can't be shared publicly. Specify another snapshot.",
    );
  });

  it('SH-3, SH-20: only the owner reads or changes attributes', async () => {
    const ImageId = await test.image(build, plain, fresh('owner'));
    await share(build, ImageId, [{ UserId: test.prod }]);
    for (const [operation, input] of [
      ['ModifyImageAttribute', { Description: { Value: 'x' } }],
      ['DescribeImageAttribute', { Attribute: 'launchPermission' }],
      ['ResetImageAttribute', { Attribute: 'launchPermission' }],
      ['DeregisterImage', {}],
      ['DisableImage', {}],
    ] as const) {
      const error = await refused(
        test.call(prod, operation, { ImageId, ...input }),
        'AuthFailure',
        `Not authorized for image:${ImageId}`,
      );
      assert.equal(error.status, 400);
    }
  });

  it('SH-7, SH-8: what cannot be reset, and what not even the owner reads', async () => {
    const ImageId = await test.image(build, plain, fresh('attributes'));
    await refused(test.call(build, 'ResetImageAttribute', { ImageId, Attribute: 'description' }), 'InvalidRequest');
    await refused(
      test.call(build, 'DescribeImageAttribute', { ImageId, Attribute: 'blockDeviceMapping' }),
      'AuthFailure',
      'Unauthorized attempt to access restricted resource',
    );
    assert.deepEqual(await test.call(build, 'DescribeImageAttribute', { ImageId, Attribute: 'bootMode' }), {
      ImageId,
      BootMode: {},
    });
  });

  it('SH-18, SH-19, SH-21: who sees what', async () => {
    const ImageId = await test.image(build, plain, fresh('seen'));
    await test.call(build, 'CreateTags', { Resources: [ImageId], Tags: [{ Key: 'secret', Value: 'x' }] });
    assert.equal(await describeOne(prod, ImageId), undefined);
    await refused(
      test.call(prod, 'DescribeImages', { ImageIds: ['ami-0123456789abcdef0'] }),
      'InvalidAMIID.NotFound',
      "The image id '[ami-0123456789abcdef0]' does not exist",
    );
    await share(build, ImageId, [{ UserId: test.prod }]);
    const seen = await describeOne(prod, ImageId);
    assert.deepEqual(seen?.Tags, []);
    assert.equal(seen?.DeregistrationProtection, undefined);
    assert.equal((await describeOne(build, ImageId))?.DeregistrationProtection, 'disabled');

    const ids = async (call: Call, input: object) => {
      const { Images } = await test.call<{ Images: { ImageId: string }[] }>(call, 'DescribeImages', input);
      return Images.map((image) => image.ImageId);
    };
    assert.ok((await ids(prod, { ExecutableUsers: ['self'] })).includes(ImageId));
    assert.ok(!(await ids(build, { ExecutableUsers: ['self'] })).includes(ImageId));
    assert.ok((await ids(build, { ExecutableUsers: [test.prod] })).includes(ImageId));
    assert.ok((await ids(prod, { Owners: [test.build] })).includes(ImageId));
    assert.ok(!(await ids(prod, { Owners: ['self'] })).includes(ImageId));
    assert.deepEqual(await ids(prod, { Owners: ['amazon'] }), []);
    assert.ok(!(await ids(prod, { ExecutableUsers: ['all'] })).includes(ImageId));

    await test.call(prod, 'CancelImageLaunchPermission', { ImageId });
    assert.equal(await describeOne(prod, ImageId), undefined, 'SH-9');
  });

  it('SH-21: organizations and organizational units', async () => {
    const organizationArn = 'arn:aws:organizations::111122223333:organization/o-abcdefghij';
    const unit = 'arn:aws:organizations::111122223333:ou/o-abcdefghij/ou-ab12-11111111';
    test.places.set(test.prod, { organizationArn, organizationalUnitArns: [unit] });
    for (const Add of [[{ OrganizationArn: organizationArn }], [{ OrganizationalUnitArn: unit }]]) {
      const ImageId = await test.image(build, plain, fresh('organization'));
      assert.equal(await describeOne(prod, ImageId), undefined);
      await share(build, ImageId, Add);
      assert.ok(await describeOne(prod, ImageId));
    }
    test.places.delete(test.prod);
  });

  it('SH-30: block public access off, an image becomes public; it stays so when it is on again', async () => {
    const ImageId = await test.image(build, plain, fresh('public'));
    await test.call(build, 'DisableImageBlockPublicAccess', {});
    await share(build, ImageId, [{ Group: 'all' }]);
    await test.call(build, 'EnableImageBlockPublicAccess', { ImageBlockPublicAccessState: 'block-new-sharing' });
    const shown = await describeOne(prod, ImageId);
    assert.equal(shown?.Public, true);
    const twoYears = new Date(String(shown?.CreationDate));
    twoYears.setUTCFullYear(twoYears.getUTCFullYear() + 2);
    assert.equal(shown?.DeprecationTime, twoYears.toISOString(), 'L-12');
    const late = new Date(twoYears.getTime() + 120_000);
    await refused(test.call(build, 'EnableImageDeprecation', { ImageId, DeprecateAt: late }), 'InvalidParameterValue');
    const { ImageBlockPublicAccessState } = await test.call(build, 'GetImageBlockPublicAccessState', {});
    assert.equal(ImageBlockPublicAccessState, 'block-new-sharing');
  });
});

describe('bounds of sharing', () => {
  const accounts = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, at) => ({ UserId: String(100_000_000_000 + from + at) }));

  it('SH-2: 1000 entities an image, 10,000 in one request; a request too many changes nothing', async () => {
    const ImageId = await test.image(build, plain, fresh('bounds'));
    await share(build, ImageId, accounts(0, 1000));
    await share(build, ImageId, accounts(0, 1000));
    await refused(share(build, ImageId, accounts(1000, 1001)), 'ResourceLimitExceeded');
    await refused(share(build, ImageId, accounts(0, 10_001)), 'RequestResourceCountExceeded');
    assert.equal((await test.images.launchPermissions(ImageId as ImageId)).length, 1000);
  });
});

describe('DescribeImages', () => {
  const list = async (call: Call, input: object) =>
    test.call<{ Images: { ImageId: string; Name: string }[]; NextToken?: string }>(call, 'DescribeImages', input);

  it('7.2: pages hold every image once, with filters as well', async () => {
    const names = Array.from({ length: 13 }, (_, at) => `paged ${String(at).padStart(2, '0')}`);
    for (const name of names) await test.image(build, plain, name);
    const seen: string[] = [];
    let NextToken: string | undefined;
    do {
      const answer = await list(build, {
        Owners: ['self'],
        Filters: [{ Name: 'name', Values: ['paged *'] }],
        MaxResults: 5,
        NextToken,
      });
      assert.ok(answer.Images.length <= 5);
      seen.push(...answer.Images.map(({ Name }) => Name));
      ({ NextToken } = answer);
    } while (NextToken);
    assert.deepEqual(seen.sort(), names);
  });

  const FILTERS: [name: string, values: string[], found: boolean][] = [
    ['architecture', ['x86_64'], true],
    ['architecture', ['arm64'], false],
    ['block-device-mapping.snapshot-id', ['SNAPSHOT'], true],
    ['block-device-mapping.encrypted', ['true'], true],
    ['is-public', ['false'], true],
    ['name', ['filtered'], true],
    ['name', ['filter'], false],
    ['owner-id', ['999999999999'], false],
    ['root-device-name', ['/dev/xvd?'], true],
    ['state', ['available', 'pending'], true],
    ['tag:stage', ['golden'], true],
    ['tag:stage', ['silver'], false],
    ['tag-key', ['stage'], true],
    ['virtualization-type', ['hvm'], true],
  ];
  it('finds by every filter what it should', async () => {
    const ImageId = await test.image(build, sealed, 'filtered');
    await test.call(build, 'CreateTags', { Resources: [ImageId], Tags: [{ Key: 'stage', Value: 'golden' }] });
    for (const [Name, values, found] of FILTERS) {
      const Values = values.map((value) => (value === 'SNAPSHOT' ? sealed.id : value));
      const { Images } = await list(build, { ImageIds: [ImageId], Filters: [{ Name, Values }] });
      assert.equal(Images.length, found ? 1 : 0, `${Name}=${values}`);
    }
    // A consumer cannot filter by what it does not see (SH-18).
    await share(build, ImageId, [{ UserId: test.prod }]);
    const { Images } = await list(prod, {
      ImageIds: [ImageId],
      Filters: [{ Name: 'tag:stage', Values: ['golden'] }],
    });
    assert.deepEqual(Images, []);
  });

  const REFUSED: [name: string, input: object, code: string, message?: string][] = [
    ['a wrong prefix', { ImageIds: ['x'] }, 'InvalidAMIID.Malformed', 'Invalid id: "x" (expecting "ami-...")'],
    ['a bad body', { ImageIds: ['ami-xyz'] }, 'InvalidAMIID.Malformed', 'Invalid id: "ami-xyz"'],
    [
      'two ids that never were',
      { ImageIds: ['ami-0123456789abcdef0', 'ami-0123456789abcdef1'] },
      'InvalidAMIID.NotFound',
      "The image ids '[ami-0123456789abcdef0, ami-0123456789abcdef1]' do not exist",
    ],
    [
      'a small page',
      { MaxResults: 1 },
      'InvalidParameterValue',
      "Invalid value '1' for maxResults. Expecting a value greater than 5.",
    ],
    [
      'an unknown filter',
      { Filters: [{ Name: 'x', Values: ['y'] }] },
      'InvalidParameterValue',
      "The filter 'x' is invalid",
    ],
    ['an owner that is none', { Owners: ['me'] }, 'InvalidUserID.Malformed'],
  ];
  for (const [name, input, code, message] of REFUSED) {
    it(`7.2: refuses ${name}`, async () => {
      await refused(list(build, input), code, message);
    });
  }
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
