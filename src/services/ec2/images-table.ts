import {
  disableAllowedImagesSettings,
  enableAllowedImagesSettings,
  getAllowedImagesSettings,
  replaceImageCriteriaInAllowedImagesSettings,
} from './allowed-images-settings.ts';
import type { Ec2Part } from './common.ts';
import { copyImage } from './copy-image.ts';
import { createImage } from './create-image.ts';
import { createSnapshots } from './create-snapshots.ts';
import { deregisterImage } from './deregister-image.ts';
import { describeImageAttribute } from './describe-image-attribute.ts';
import { describeImages } from './describe-images.ts';
import { getImageAncestry } from './get-image-ancestry.ts';
import { type ImageDeps, imageRefusals } from './image-access.ts';
import {
  disableImageBlockPublicAccess,
  enableImageBlockPublicAccess,
  getImageBlockPublicAccessState,
} from './image-block-public-access.ts';
import {
  disableImage,
  disableImageDeprecation,
  disableImageDeregistrationProtection,
  enableImage,
  enableImageDeprecation,
  enableImageDeregistrationProtection,
} from './image-lifecycle.ts';
import { cancelImageLaunchPermission, resetImageAttribute } from './image-permissions.ts';
import {
  createImageUsageReport,
  deleteImageUsageReport,
  describeImageUsageReportEntries,
  describeImageUsageReports,
} from './image-usage-reports.ts';
import { modifyImageAttribute } from './modify-image-attribute.ts';
import { type BinDeps, listImagesInRecycleBin, restoreImageFromRecycleBin } from './recycle-bin.ts';
import { registerImage } from './register-image.ts';

export function imageOperations(deps: ImageDeps & BinDeps): Ec2Part {
  return {
    operations: {
      CancelImageLaunchPermission: cancelImageLaunchPermission(deps),
      CopyImage: copyImage(deps),
      CreateImage: createImage(deps),
      CreateImageUsageReport: createImageUsageReport(deps),
      CreateSnapshots: createSnapshots(deps),
      DeleteImageUsageReport: deleteImageUsageReport(deps),
      DeregisterImage: deregisterImage(deps),
      DescribeImageAttribute: describeImageAttribute(deps),
      DescribeImages: describeImages(deps),
      DescribeImageUsageReportEntries: describeImageUsageReportEntries(deps),
      DescribeImageUsageReports: describeImageUsageReports(deps),
      DisableAllowedImagesSettings: disableAllowedImagesSettings(deps),
      DisableImage: disableImage(deps),
      DisableImageBlockPublicAccess: disableImageBlockPublicAccess(deps),
      DisableImageDeprecation: disableImageDeprecation(deps),
      DisableImageDeregistrationProtection: disableImageDeregistrationProtection(deps),
      EnableAllowedImagesSettings: enableAllowedImagesSettings(deps),
      EnableImage: enableImage(deps),
      EnableImageBlockPublicAccess: enableImageBlockPublicAccess(deps),
      EnableImageDeprecation: enableImageDeprecation(deps),
      EnableImageDeregistrationProtection: enableImageDeregistrationProtection(deps),
      GetAllowedImagesSettings: getAllowedImagesSettings(deps),
      GetImageAncestry: getImageAncestry(deps),
      GetImageBlockPublicAccessState: getImageBlockPublicAccessState(deps),
      ListImagesInRecycleBin: listImagesInRecycleBin(deps),
      ModifyImageAttribute: modifyImageAttribute(deps),
      RegisterImage: registerImage(deps),
      ReplaceImageCriteriaInAllowedImagesSettings: replaceImageCriteriaInAllowedImagesSettings(deps),
      ResetImageAttribute: resetImageAttribute(deps),
      RestoreImageFromRecycleBin: restoreImageFromRecycleBin(deps),
    },
    refusals: imageRefusals,
  };
}
