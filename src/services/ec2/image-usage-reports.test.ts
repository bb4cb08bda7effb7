/** Image usage reports: who uses an image, by account and kind of resource. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { ImageUsageReport, ImageUsageReportEntry } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { REGION, until } from '../../volumes/test-volumes.ts';
import { openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

let test: TestEc2;
let build: Call;
let prod: Call;
let image: string;
let other: string;
before(async () => {
  test = await openTestEc2();
  [build, prod] = [test.as(test.build), test.as(test.prod)];
  const snapshot = await test.snapshot(build);
  [image, other] = [await test.image(build, snapshot, 'used'), await test.image(build, snapshot, 'unused')];
  for (const owner of [build, prod, prod]) test.instance(owner, { imageId: image });
  for (const [call, name] of [
    [build, 'one'],
    [prod, 'one'],
    [prod, 'two'],
  ] as const) {
    await template(call, name, image);
  }
  // Its newest version names another image, so that only a deeper look finds the use.
  await template(prod, 'deep', image);
  await test.call(prod, 'CreateLaunchTemplateVersion', {
    LaunchTemplateName: 'deep',
    LaunchTemplateData: { ImageId: other },
  });
});
after(() => test[Symbol.asyncDispose]());

const template = (call: Call, LaunchTemplateName: string, ImageId: string) =>
  test.call(call, 'CreateLaunchTemplate', { LaunchTemplateName, LaunchTemplateData: { ImageId } });
const depth = (value: string) => ({
  ResourceType: 'ec2:LaunchTemplate',
  ResourceTypeOptions: [{ OptionName: 'version-depth', OptionValues: [value] }],
});
const create = async (input: object = {}, call = build) => {
  const { ReportId } = await test.call<{ ReportId: string }>(call, 'CreateImageUsageReport', {
    ImageId: image,
    ResourceTypes: [{ ResourceType: 'ec2:Instance' }, { ResourceType: 'ec2:LaunchTemplate' }],
    ...input,
  });
  return ReportId;
};
const reports = async (input: object = {}, call = build) => {
  const answer = await test.call<{ ImageUsageReports: ImageUsageReport[] }>(call, 'DescribeImageUsageReports', input);
  return answer.ImageUsageReports;
};
const available = (id: string) =>
  until(`${id} is available`, async () => {
    const [report] = await reports({ ReportIds: [id] });
    return report?.State === 'available' && report;
  });
/** `account type count` of every entry. */
async function entries(id: string, more: object = {}): Promise<string[]> {
  await available(id);
  const { ImageUsageReportEntries } = await test.call<{ ImageUsageReportEntries: ImageUsageReportEntry[] }>(
    build,
    'DescribeImageUsageReportEntries',
    { ReportIds: [id], ...more },
  );
  const names = new Map<string | undefined, string>([
    [test.build, 'build'],
    [test.prod, 'prod'],
  ]);
  return ImageUsageReportEntries.map(
    ({ AccountId, ResourceType, UsageCount }) => `${names.get(AccountId)} ${ResourceType} ${UsageCount}`,
  ).sort();
}

describe('image usage reports', () => {
  it('count instances and launch templates of every account', async () => {
    const id = await create();
    assert.match(id, /^amiur-[0-9a-f]{17}$/);
    assert.deepEqual(await entries(id), [
      'build ec2:Instance 1',
      'build ec2:LaunchTemplate 1',
      'prod ec2:Instance 2',
      'prod ec2:LaunchTemplate 3',
    ]);
    const onlyProd = { Filters: [{ Name: 'account-id', Values: [test.prod] }] };
    assert.deepEqual(await entries(id, onlyProd), ['prod ec2:Instance 2', 'prod ec2:LaunchTemplate 3']);
    const onlyInstances = { Filters: [{ Name: 'resource-type', Values: ['ec2:Instance'] }] };
    assert.equal((await entries(id, onlyInstances)).length, 2);
    assert.deepEqual(await entries(await create({ ImageId: other })), ['prod ec2:LaunchTemplate 1']);
  });

  it('look at the accounts, kinds and versions asked for', async () => {
    assert.deepEqual(await entries(await create({ AccountIds: [test.build] })), [
      'build ec2:Instance 1',
      'build ec2:LaunchTemplate 1',
    ]);
    assert.deepEqual(await entries(await create({ ResourceTypes: [depth('1')] })), [
      'build ec2:LaunchTemplate 1',
      'prod ec2:LaunchTemplate 2',
    ]);
    const recipes = { ResourceTypes: [{ ResourceType: 'imagebuilder:ImageRecipe' }] };
    assert.deepEqual(await entries(await create(recipes)), []);
  });

  it('say what they were asked, keep tags, and are gone after thirty days', async () => {
    const id = await create({
      ResourceTypes: [depth('5')],
      AccountIds: [test.prod],
      TagSpecifications: [{ ResourceType: 'image-usage-report', Tags: [{ Key: 'team', Value: 'a' }] }],
    });
    await test.call(build, 'CreateTags', { Resources: [id], Tags: [{ Key: 'more', Value: 'b' }] });
    const report = await available(id);
    assert.deepEqual(
      [report.ImageId, report.AccountIds, report.ResourceTypes, report.Tags?.length],
      [image, [test.prod], [depth('5')], 2],
    );
    const life = report.ExpirationTime!.getTime() - report.CreationTime!.getTime();
    assert.equal(life, 30 * 24 * 3600 * 1000);
    const tagged = { Filters: [{ Name: 'tag:team', Values: ['a'] }] };
    assert.deepEqual(
      (await reports(tagged)).map(({ ReportId }) => ReportId),
      [id],
    );
    test.advance(life);
    assert.deepEqual(await reports(), []);
    await create();
    const { Tags } = await test.call<{ Tags: unknown[] }>(build, 'DescribeTags', {
      Filters: [{ Name: 'resource-id', Values: [id] }],
    });
    assert.deepEqual(Tags, []);
  });

  it('are made once for a token, and deleted by their owner', async () => {
    const id = await create({ ClientToken: 'once' });
    assert.equal(await create({ ClientToken: 'once' }), id);
    await refused(create({ ClientToken: 'once', ImageId: other }), 'IdempotentParameterMismatch');
    assert.deepEqual(await reports({}, prod), []);
    await refused(test.call(prod, 'DeleteImageUsageReport', { ReportId: id }), 'InvalidImageUsageReportId.NotFound');
    await test.call(build, 'DeleteImageUsageReport', { ReportId: id });
    await refused(reports({ ReportIds: [id] }), 'InvalidImageUsageReportId.NotFound');
  });

  it('are for one’s own images, with the right on image and report', async () => {
    await refused(create({}, prod), 'AuthFailure', `Not authorized for image:${image}`);
    const may = (name: string, Resource: string[]) =>
      test.userOf(test.build, name, [{ Effect: 'Allow', Action: 'ec2:*', Resource }]);
    const onImage = `arn:aws:ec2:${REGION}::image/*`;
    await refused(create({}, await may('half', [onImage])), 'UnauthorizedOperation', /image-usage-report\/\*/);
    await create({}, await may('whole', [onImage, `arn:aws:ec2:${REGION}:${test.build}:image-usage-report/*`]));
    await refused(create({ DryRun: true }), 'DryRunOperation');
  });

  const refusals: readonly [what: string, input: object, code: string][] = [
    ['no kind', { ResourceTypes: [] }, 'MissingParameter'],
    ['an unknown kind', { ResourceTypes: [{ ResourceType: 'ssm:Parameter' }] }, 'InvalidParameterValue'],
    ['no depth', { ResourceTypes: [depth('0')] }, 'InvalidParameterValue'],
    ['too deep', { ResourceTypes: [depth('10001')] }, 'InvalidParameterValue'],
    ['a malformed account', { AccountIds: ['1'] }, 'InvalidUserID.Malformed'],
    ['an unknown image', { ImageId: 'ami-00000000000000001' }, 'InvalidAMIID.NotFound'],
    [
      'tags of something else',
      { TagSpecifications: [{ ResourceType: 'image', Tags: [{ Key: 'a', Value: 'b' }] }] },
      'InvalidParameterValue',
    ],
  ];
  for (const [what, input, code] of refusals) {
    it(`refuse ${what}`, async () => {
      await refused(create(input), code);
    });
  }
});
