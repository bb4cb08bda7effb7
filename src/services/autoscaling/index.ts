/** Auto Scaling: groups that keep instances of a launch template, launched in the service-linked role. */
import type { Service } from '../operation.ts';
import type { AutoScalingServiceDeps } from './autoscaling.ts';
import * as change from './change-groups.ts';
import { createAutoScalingGroup } from './create-auto-scaling-group.ts';
import * as describe from './describe-groups.ts';
import { translate } from './errors.ts';
import * as tags from './tags.ts';
import { updateAutoScalingGroup } from './update-auto-scaling-group.ts';

export function autoscalingService(deps: AutoScalingServiceDeps): Service {
  return {
    name: 'autoscaling',
    operations: {
      CreateAutoScalingGroup: createAutoScalingGroup(deps),
      UpdateAutoScalingGroup: updateAutoScalingGroup(deps),
      SetDesiredCapacity: change.setDesiredCapacity(deps),
      TerminateInstanceInAutoScalingGroup: change.terminateInstanceInAutoScalingGroup(deps),
      DeleteAutoScalingGroup: change.deleteAutoScalingGroup(deps),
      DescribeAutoScalingGroups: describe.describeAutoScalingGroups(deps),
      DescribeAutoScalingInstances: describe.describeAutoScalingInstances(deps),
      DescribeScalingActivities: describe.describeScalingActivities(deps),
      CreateOrUpdateTags: tags.createOrUpdateTags(deps),
      DeleteTags: tags.deleteTags(deps),
      DescribeTags: tags.describeTags(deps),
    },
    translate,
  };
}
