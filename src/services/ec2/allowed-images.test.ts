/** Allowed AMIs (ec2-encryption 5.6) and the ancestry of images. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Call } from '../../authz/caller.ts';
import { OTHER_REGION, REGION } from '../../volumes/test-volumes.ts';
import { imageIn, openTestEc2, refused, type TestEc2 } from './test-ec2.ts';

const DAY_MS = 86_400_000;

let test: TestEc2;
let golden: string;
let other: string;
let own: string;
const build = () => test.as(test.build);
const prod = () => test.as(test.prod);

before(async () => {
  test = await openTestEc2();
  const snapshot = await test.snapshot(build());
  golden = await test.image(build(), snapshot, 'golden-1');
  other = await test.image(build(), snapshot, 'other-1');
  for (const ImageId of [golden, other]) {
    await test.call(build(), 'ModifyImageAttribute', {
      ImageId,
      LaunchPermission: { Add: [{ UserId: test.prod }] },
    });
  }
  own = await test.image(prod(), await test.snapshot(prod()), 'own');
});
after(() => test[Symbol.asyncDispose]());

const allow = (...ImageCriteria: object[]) =>
  test.call(prod(), 'ReplaceImageCriteriaInAllowedImagesSettings', { ImageCriteria });
const turn = (AllowedImagesSettingsState: string) =>
  test.call(prod(), 'EnableAllowedImagesSettings', { AllowedImagesSettingsState });
const seen = async (more: object = {}) => {
  const { Images } = await test.call<{ Images: { Name: string; ImageAllowed?: boolean }[] }>(
    prod(),
    'DescribeImages',
    more,
  );
  return Images.map(({ Name, ImageAllowed }) => `${Name} ${ImageAllowed}`).sort();
};
const launchable = async (id: string) => {
  const image = await test.images.find(REGION, id);
  return test.images.mayLaunch(image!, test.prod);
};

describe('SH-34 to SH-36: allowed images', () => {
  it('SH-34: are off at first, and then show nothing', async () => {
    const settings = await test.call<Record<string, unknown>>(prod(), 'GetAllowedImagesSettings', {});
    assert.deepEqual(settings, { State: 'disabled', ManagedBy: 'account', ImageCriteria: [] });
    assert.deepEqual(await seen(), ['golden-1 undefined', 'other-1 undefined', 'own undefined']);
  });

  it('SH-34: in audit mode every image shows whether it would be allowed, and nothing is refused', async () => {
    await allow({ ImageNames: ['golden-*'] });
    await turn('audit-mode');
    assert.deepEqual(await seen(), ['golden-1 true', 'other-1 false', 'own true']);
    assert.deepEqual(await seen({ Filters: [{ Name: 'image-allowed', Values: ['false'] }] }), ['other-1 false']);
    assert.ok(await launchable(other));
  });

  it('SH-36: enabled, what does not meet the criteria is neither shown nor launched nor copied; own images always are', async () => {
    await turn('enabled');
    assert.deepEqual(await seen(), ['golden-1 true', 'own true']);
    assert.deepEqual(await seen({ ImageIds: [other] }), []);
    assert.deepEqual([await launchable(golden), await launchable(other), await launchable(own)], [true, false, true]);
    await refused(
      test.call(prod(), 'CopyImage', { Name: 'copy', SourceImageId: other, SourceRegion: REGION }),
      'InvalidAMIID.NotFound',
    );
    // Per region and account.
    assert.equal((await test.images.allowed.settings(test.prod, OTHER_REGION)).state, 'disabled');
    assert.equal((await test.images.allowed.settings(test.build, REGION)).state, 'disabled');
    await test.call(prod(), 'DisableAllowedImagesSettings', {});
    assert.ok(await launchable(other));
  });

  const CASES: readonly (readonly [what: string, criteria: () => object[], golden: boolean, other: boolean])[] = [
    ['no criterion', () => [], false, false],
    ['the owner', () => [{ ImageProviders: [test.build] }], true, true],
    ['another owner', () => [{ ImageProviders: ['123456789012', 'amazon'] }], false, false],
    ['none', () => [{ ImageProviders: ['none'] }], false, false],
    ['fields are ANDed', () => [{ ImageProviders: [test.build], ImageNames: ['golden-?'] }], true, false],
    ['fields are ANDed, none fits', () => [{ ImageProviders: ['amazon'], ImageNames: ['golden-?'] }], false, false],
    ['criteria are ORed', () => [{ ImageNames: ['golden-1'] }, { ImageNames: ['other-1'] }], true, true],
    ['product codes', () => [{ MarketplaceProductCodes: ['abc'] }], false, false],
    ['young enough', () => [{ CreationDateCondition: { MaximumDaysSinceCreated: 1 } }], true, true],
    ['not deprecated', () => [{ DeprecationTimeCondition: { MaximumDaysSinceDeprecated: 0 } }], true, true],
  ];
  for (const [what, criteria, isGolden, isOther] of CASES) {
    it(`SH-35: ${what}`, async () => {
      await allow(...criteria());
      await turn('enabled');
      assert.deepEqual([await launchable(golden), await launchable(other)], [isGolden, isOther]);
      assert.ok(await launchable(own));
    });
  }

  it('SH-35: age since creation and since deprecation', async () => {
    await test.call(build(), 'EnableImageDeprecation', {
      ImageId: golden,
      DeprecateAt: new Date(test.clock().getTime() + DAY_MS),
    });
    test.advance(4 * DAY_MS);
    await turn('enabled');
    await allow({ CreationDateCondition: { MaximumDaysSinceCreated: 3 } });
    assert.equal(await launchable(golden), false);
    await allow({ CreationDateCondition: { MaximumDaysSinceCreated: 5 } });
    assert.equal(await launchable(golden), true);
    await allow({ DeprecationTimeCondition: { MaximumDaysSinceDeprecated: 1 } });
    assert.deepEqual([await launchable(golden), await launchable(other)], [false, true]);
    await allow({ DeprecationTimeCondition: { MaximumDaysSinceDeprecated: 5 } });
    assert.equal(await launchable(golden), true);
  });

  it('SH-35: bounds, and settings that would have no effect are refused by name', async () => {
    const many = (count: number, value: (at: number) => string) => Array.from({ length: count }, (_, at) => value(at));
    await refused(allow(...many(11, String).map((name) => ({ ImageNames: [name] }))), 'ResourceLimitExceeded');
    await refused(allow({ ImageNames: many(51, String) }), 'InvalidParameterValue');
    await refused(allow({ ImageProviders: many(201, (at) => String(100_000_000_000 + at)) }), 'InvalidParameterValue');
    await refused(allow({ ImageProviders: ['somebody'] }), 'InvalidParameterValue');
    await refused(allow({ ImageProviders: ['none', 'amazon'] }), 'InvalidParameterCombination');
    await refused(allow({}), 'InvalidParameterValue');
    await refused(allow({ ImageWatermarks: [{}] }), 'UnsupportedOperation', /ImageWatermarks/);
    await refused(allow({ ScanResultCondition: {} }), 'UnsupportedOperation', /ScanResultCondition/);
    await refused(turn('on'), 'InvalidParameterValue');
    const criterion = {
      ImageProviders: ['amazon'],
      ImageNames: ['a*'],
      MarketplaceProductCodes: ['c'],
      CreationDateCondition: { MaximumDaysSinceCreated: 30 },
      DeprecationTimeCondition: { MaximumDaysSinceDeprecated: 0 },
    };
    await allow(criterion);
    const { ImageCriteria } = await test.call<{ ImageCriteria: object[] }>(prod(), 'GetAllowedImagesSettings', {});
    assert.deepEqual(ImageCriteria, [criterion]);
  });
});

describe('CI-7: GetImageAncestry', () => {
  it('CI-7: follows copies back over regions, and ends at images the caller may not see', async () => {
    await test.call(prod(), 'DisableAllowedImagesSettings', {});
    const far = test.as(test.build, OTHER_REGION);
    const { ImageId } = await test.call<{ ImageId: string }>(far, 'CopyImage', {
      Name: 'far',
      SourceImageId: golden,
      SourceRegion: REGION,
    });
    await imageIn(test, far, ImageId, 'available');
    const ancestry = async (call: Call) =>
      (
        await test.call<{ ImageAncestryEntries: { ImageId: string; SourceImageId?: string }[] }>(
          call,
          'GetImageAncestry',
          { ImageId },
        )
      ).ImageAncestryEntries.map((entry) => [entry.ImageId, entry.SourceImageId]);
    assert.deepEqual(await ancestry(far), [
      [ImageId, golden],
      [golden, undefined],
    ]);
    const stranger = test.as(test.prod, OTHER_REGION);
    await refused(ancestry(stranger), 'InvalidAMIID.NotFound');
    await test.call(far, 'ModifyImageAttribute', { ImageId, LaunchPermission: { Add: [{ UserId: test.prod }] } });
    await test.call(build(), 'ModifyImageAttribute', {
      ImageId: golden,
      LaunchPermission: { Remove: [{ UserId: test.prod }] },
    });
    assert.deepEqual(await ancestry(stranger), [[ImageId, golden]]);
  });
});
