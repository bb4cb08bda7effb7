/** Launch permissions: who may be given them, and who sees what (ec2-encryption §5). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { ImageId } from '../../ids.ts';
import { refused } from './test-ec2.ts';
import { build, describeOne, fresh, plain, prod, sealed, share, test } from './test-images.ts';

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

  it('SH-1: ids named beside the structure need no OperationType where it names them too, as Packer does', async () => {
    const ImageId = await test.image(build, sealed, fresh('twice'));
    const LaunchPermission = { Add: [{ UserId: test.prod }] };
    await test.call(build, 'ModifyImageAttribute', { ImageId, LaunchPermission, UserIds: [test.prod] });
    assert.deepEqual(await permissions(build, ImageId), [{ UserId: test.prod }]);
    await refused(
      test.call(build, 'ModifyImageAttribute', { ImageId, LaunchPermission, UserIds: [test.prod, '111122223333'] }),
      'MissingParameter',
      'The request must contain the parameter OperationType',
    );
    assert.deepEqual(await permissions(build, ImageId), [{ UserId: test.prod }]);
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
    const managed = await test.snapshot(build, { encrypted: true });
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
