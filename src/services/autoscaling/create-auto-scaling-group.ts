import type { CreateAutoScalingGroupCommand } from '@aws-sdk/client-auto-scaling';
import type { Call } from '../../authz/caller.ts';
import type { GroupTag, GroupTemplate, Place } from '../../auto-scaling/auto-scaling.ts';
import { groupArn } from '../../auto-scaling/auto-scaling.ts';
import { newUuid } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { type AutoScalingServiceDeps, refuseAllBut, requestTags, validation } from './autoscaling.ts';
import {
  GIVEN,
  GRACE_SECONDS,
  graceOf,
  placesOf,
  refuseWithoutEffect,
  roleArnOf,
  sizeContext,
  templateOf,
} from './settings.ts';
import { readTags } from './tags.ts';

export const createAutoScalingGroup =
  (deps: AutoScalingServiceDeps): OperationOf<CreateAutoScalingGroupCommand> =>
  async (call, input) => {
    refuseAllBut(input, [...GIVEN, 'Tags']);
    refuseWithoutEffect(input);
    const name = requireName(input.AutoScalingGroupName);
    const tags = readTags(input.Tags, name);
    const { accountId } = call.caller;
    const { MinSize: min = 0, MaxSize: max = 0 } = input;
    const permit = await deps.authorizer.authorize(
      call,
      'autoscaling:CreateAutoScalingGroup',
      { arn: groupArn(call.region, accountId, '*', name) },
      { ...sizeContext(input), ...requestTags(tags) },
    );
    if (!input.LaunchTemplate) {
      throw validation(
        'Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or MixedInstancesPolicy parameter.',
      );
    }
    const places = await placesOf(deps, call, input);
    if (!places) throw validation('At least one Availability Zone or VPC Subnet is required.');
    const template = await templateOf(deps, call, input.LaunchTemplate);
    await checkLaunch(deps, call, template, places.places[0]!, tags);
    const serviceLinkedRoleArn = await roleArnOf(deps, call, input.ServiceLinkedRoleARN);
    await deps.db.write((tx) =>
      deps.autoScaling.create(tx, permit, {
        id: newUuid(),
        accountId,
        region: call.region,
        name,
        tags,
        template,
        min,
        max,
        desired: input.DesiredCapacity ?? min,
        ...places,
        healthCheckGraceSeconds: graceOf(input) ?? GRACE_SECONDS.create,
        serviceLinkedRoleArn,
      }),
    );
    return {};
  };

function requireName(name: string | undefined): string {
  if (!name || name.length > 255 || /[:\p{Cc}]/u.test(name)) {
    throw validation('The name of a group has 1 to 255 characters, of which none is a colon or a control character.');
  }
  return name;
}

/** Whoever makes a group must be allowed to launch by its template themselves, and the template must be launchable. */
export async function checkLaunch(
  deps: AutoScalingServiceDeps,
  call: Call,
  template: GroupTemplate,
  { subnetId }: Place,
  tags: readonly GroupTag[],
): Promise<void> {
  const propagated = tags.filter(({ PropagateAtLaunch }) => PropagateAtLaunch);
  await deps.ec2.check(call, {
    template,
    subnetId,
    tags: propagated.map(({ Key, Value }) => ({ Key, Value })),
  });
}
