import type { Ec2Part } from './common.ts';
import { createLaunchTemplate } from './create-launch-template.ts';
import { createLaunchTemplateVersion } from './create-launch-template-version.ts';
import { deleteLaunchTemplate, deleteLaunchTemplateVersions } from './delete-launch-template.ts';
import { describeLaunchTemplateVersions } from './describe-launch-template-versions.ts';
import { describeLaunchTemplates } from './describe-launch-templates.ts';
import { type LaunchTemplateDeps, launchTemplateRefusals } from './launch-template-access.ts';
import { modifyLaunchTemplate } from './modify-launch-template.ts';

export function launchTemplateOperations(deps: LaunchTemplateDeps): Ec2Part {
  return {
    operations: {
      CreateLaunchTemplate: createLaunchTemplate(deps),
      CreateLaunchTemplateVersion: createLaunchTemplateVersion(deps),
      DeleteLaunchTemplate: deleteLaunchTemplate(deps),
      DeleteLaunchTemplateVersions: deleteLaunchTemplateVersions(deps),
      DescribeLaunchTemplates: describeLaunchTemplates(deps),
      DescribeLaunchTemplateVersions: describeLaunchTemplateVersions(deps),
      ModifyLaunchTemplate: modifyLaunchTemplate(deps),
    },
    refusals: launchTemplateRefusals,
  };
}
