import type { Ec2Part } from './common.ts';
import { describeImageReferences } from './describe-image-references.ts';
import { describeInstanceImageMetadata } from './describe-instance-image-metadata.ts';
import { getLaunchTemplateData } from './get-launch-template-data.ts';
import type { InstanceDeps } from './instance-shapes.ts';

/** What is asked of images and templates from the side of the instances that use them. */
export function imageUseOperations(deps: InstanceDeps): Ec2Part {
  return {
    operations: {
      DescribeImageReferences: describeImageReferences(deps),
      DescribeInstanceImageMetadata: describeInstanceImageMetadata(deps),
      GetLaunchTemplateData: getLaunchTemplateData(deps),
    },
  };
}
