import type { UpdateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import type { OperationOf } from '../operation.ts';
import { type AutoScalingServiceDeps, refuseAllBut, useGroup } from './autoscaling.ts';
import { checkLaunch } from './create-auto-scaling-group.ts';
import { GIVEN, graceOf, placesOf, refuseWithoutEffect, roleArnOf, sizeContext, templateOf } from './settings.ts';

/** Instances that are there stay as they are; what changes is how many there are and how the next are launched. */
export const updateAutoScalingGroup =
  (deps: AutoScalingServiceDeps): OperationOf<UpdateAutoScalingGroupCommand> =>
  async (call, input) => {
    refuseAllBut(input, [...GIVEN]);
    refuseWithoutEffect(input);
    const { group, permit } = await useGroup(
      deps,
      call,
      'autoscaling:UpdateAutoScalingGroup',
      input.AutoScalingGroupName,
      sizeContext(input),
    );
    const places = await placesOf(deps, call, input);
    const template = input.LaunchTemplate && (await templateOf(deps, call, input.LaunchTemplate));
    if (template) await checkLaunch(deps, call, template, (places ?? group).places[0]!, group.tags);
    const role = input.ServiceLinkedRoleARN;
    const grace = graceOf(input);
    const change = {
      ...places,
      ...(template ? { template } : {}),
      ...(role ? { serviceLinkedRoleArn: await roleArnOf(deps, call, role) } : {}),
      ...(grace === undefined ? {} : { healthCheckGraceSeconds: grace }),
      ...(input.MinSize === undefined ? {} : { min: input.MinSize }),
      ...(input.MaxSize === undefined ? {} : { max: input.MaxSize }),
      ...(input.DesiredCapacity === undefined ? {} : { desired: input.DesiredCapacity }),
    };
    await deps.db.write((tx) => deps.autoScaling.update(tx, permit, change));
    return {};
  };
