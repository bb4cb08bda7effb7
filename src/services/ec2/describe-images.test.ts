/** DescribeImages: pages, filters and the errors of 7.2. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { refused } from './test-ec2.ts';
import { build, plain, prod, sealed, share, test } from './test-images.ts';

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
