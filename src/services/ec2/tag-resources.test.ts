/** CreateTags, DeleteTags, DescribeTags. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
let prod: Call;
let snapshot: SnapshotRecord;
let image: string;

before(async () => {
  test = await openTestEc2();
  build = test.as(test.build);
  prod = test.as(test.prod);
  snapshot = await test.snapshot(build);
  image = await test.image(build, snapshot, 'tagged');
});
after(() => test[Symbol.asyncDispose]());

const tagsOf = async (call: Call, id: string) => {
  const { Tags } = await test.call<{ Tags: { Key: string; Value: string; ResourceType: string }[] }>(
    call,
    'DescribeTags',
    {
      Filters: [{ Name: 'resource-id', Values: [id] }],
    },
  );
  return Tags.map(({ Key, Value, ResourceType }) => `${ResourceType} ${Key}=${Value}`);
};

describe('tags', () => {
  it('are put, overwritten and removed, by value or whatever the value', async () => {
    await test.call(build, 'CreateTags', {
      Resources: [image, snapshot.id],
      Tags: [{ Key: 'a', Value: '1' }, { Key: 'b' }],
    });
    await test.call(build, 'CreateTags', { Resources: [image], Tags: [{ Key: 'a', Value: '2' }] });
    assert.deepEqual(await tagsOf(build, image), ['image a=2', 'image b=']);
    assert.deepEqual(await tagsOf(build, snapshot.id), ['snapshot a=1', 'snapshot b=']);
    await test.call(build, 'DeleteTags', { Resources: [image], Tags: [{ Key: 'a', Value: '1' }, { Key: 'b' }] });
    assert.deepEqual(await tagsOf(build, image), ['image a=2']);
    await test.call(build, 'DeleteTags', { Resources: [image, snapshot.id] });
    assert.deepEqual([...(await tagsOf(build, image)), ...(await tagsOf(build, snapshot.id))], []);
  });

  it('LT-14: what AWS put there users neither make nor remove', async () => {
    const aws = { Key: 'aws:ec2launchtemplate:id', Value: 'lt-1' };
    await test.db.write((tx) => test.tags.put(tx, test.build, build.region, 'image', image, [aws]));
    await refused(test.call(build, 'CreateTags', { Resources: [image], Tags: [aws] }), 'InvalidParameterValue');
    await refused(test.call(build, 'DeleteTags', { Resources: [image], Tags: [aws] }), 'InvalidParameterValue');
    await test.call(build, 'DeleteTags', { Resources: [image] });
    assert.deepEqual(await tagsOf(build, image), [`image ${aws.Key}=lt-1`]);
  });

  it('50 a resource, however they come; a call that would make more changes nothing', async () => {
    const many = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, at) => ({ Key: `k${from + at}`, Value: '' }));
    await test.call(build, 'CreateTags', { Resources: [snapshot.id], Tags: many(0, 40) });
    await refused(
      test.call(build, 'CreateTags', { Resources: [image, snapshot.id], Tags: many(40, 51) }),
      'TagLimitExceeded',
    );
    assert.equal((await tagsOf(build, image)).length, 1);
    await test.call(build, 'CreateTags', { Resources: [snapshot.id], Tags: many(35, 50) });
    assert.equal((await tagsOf(build, snapshot.id)).length, 50);
    await test.call(build, 'DeleteTags', { Resources: [snapshot.id] });
  });

  it('of other accounts are not seen, and what the caller cannot see cannot be tagged', async () => {
    await refused(test.call(prod, 'CreateTags', { Resources: [image], Tags: [{ Key: 'a' }] }), 'InvalidAMIID.NotFound');
    await test.call(build, 'ModifyImageAttribute', {
      ImageId: image,
      LaunchPermission: { Add: [{ UserId: test.prod }] },
    });
    await test.call(prod, 'CreateTags', { Resources: [image], Tags: [{ Key: 'mine', Value: 'x' }] });
    assert.deepEqual(await tagsOf(prod, image), ['image mine=x']);
    assert.ok(!(await tagsOf(build, image)).includes('image mine=x'));
  });

  const REFUSED: [name: string, id: string, code: string][] = [
    ['unknown image', 'ami-0123456789abcdef0', 'InvalidAMIID.NotFound'],
    ['unknown snapshot', 'snap-0123456789abcdef0', 'InvalidSnapshot.NotFound'],
    ['unknown volume', 'vol-0123456789abcdef0', 'InvalidVolume.NotFound'],
    ['unknown template', 'lt-0123456789abcdef0', 'InvalidLaunchTemplateId.NotFound'],
    ['unknown kind', 'foo-0123456789abcdef0', 'InvalidID'],
    ['no id at all', 'constructor', 'InvalidID'],
  ];
  for (const [name, id, code] of REFUSED) {
    it(`refuses an ${name}, and to a user without rights only says denied`, async () => {
      const input = { Resources: [id], Tags: [{ Key: 'a' }] };
      await refused(test.call(build, 'CreateTags', input), code);
      if (code === 'InvalidID') return;
      const nobody = await test.userOf(test.build, `nobody-${id}`, [
        { Effect: 'Allow', Action: 's3:*', Resource: '*' },
      ]);
      await refused(test.call(nobody, 'CreateTags', input), 'UnauthorizedOperation');
    });
  }

  it('authz 5.6: aws:RequestTag, aws:TagKeys and aws:ResourceTag decide', async () => {
    const user = await test.userOf(test.build, 'tagger', [
      {
        Effect: 'Allow',
        Action: 'ec2:CreateTags',
        Resource: '*',
        Condition: {
          StringEquals: { 'aws:RequestTag/team': 'a' },
          'ForAllValues:StringEquals': { 'aws:TagKeys': ['team'] },
        },
      },
      {
        Effect: 'Allow',
        Action: 'ec2:DeleteTags',
        Resource: '*',
        Condition: { StringEquals: { 'ec2:ResourceTag/team': 'a' } },
      },
    ]);
    const tag = (Tags: object[]) => test.call(user, 'CreateTags', { Resources: [snapshot.id], Tags });
    await refused(tag([{ Key: 'team', Value: 'b' }]), 'UnauthorizedOperation');
    await refused(tag([{ Key: 'team', Value: 'a' }, { Key: 'x' }]), 'UnauthorizedOperation');
    await refused(
      test.call(user, 'DeleteTags', { Resources: [snapshot.id], Tags: [{ Key: 'team' }] }),
      'UnauthorizedOperation',
    );
    await tag([{ Key: 'team', Value: 'a' }]);
    await test.call(user, 'DeleteTags', { Resources: [snapshot.id], Tags: [{ Key: 'team' }] });
    assert.deepEqual(await tagsOf(build, snapshot.id), []);
  });
});
