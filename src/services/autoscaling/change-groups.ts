/** SetDesiredCapacity, TerminateInstanceInAutoScalingGroup and DeleteAutoScalingGroup. */
import type {
  DeleteAutoScalingGroupCommand,
  SetDesiredCapacityCommand,
  TerminateInstanceInAutoScalingGroupCommand,
} from '@aws-sdk/client-auto-scaling';
import type { OperationOf } from '../operation.ts';
import { type AutoScalingServiceDeps, refuseAllBut, useGroup, validation } from './autoscaling.ts';
import { showActivity } from './shapes.ts';

export const setDesiredCapacity =
  (deps: AutoScalingServiceDeps): OperationOf<SetDesiredCapacityCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['AutoScalingGroupName', 'DesiredCapacity', 'HonorCooldown']);
    // Nothing cools down here, so that there is nothing to honour.
    if (input.HonorCooldown) throw validation('The parameter HonorCooldown is not supported.');
    const { permit } = await useGroup(deps, call, 'autoscaling:SetDesiredCapacity', input.AutoScalingGroupName);
    const desired = input.DesiredCapacity ?? 0;
    await deps.db.write((tx) => deps.autoScaling.setDesired(tx, permit, desired));
    return {};
  };

export const terminateInstanceInAutoScalingGroup =
  (deps: AutoScalingServiceDeps): OperationOf<TerminateInstanceInAutoScalingGroupCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['InstanceId', 'ShouldDecrementDesiredCapacity']);
    const { InstanceId: id = '', ShouldDecrementDesiredCapacity: decrement = false } = input;
    const groups = await deps.autoScaling.list(call.caller.accountId, call.region);
    const member = (await deps.autoScaling.members(groups)).find(({ instanceId }) => instanceId === id);
    const name = groups.find((group) => group.id === member?.groupId)?.name;
    const action = 'autoscaling:TerminateInstanceInAutoScalingGroup';
    const used = await useGroup(deps, call, action, name ?? '*').catch((error: Error) => {
      throw name === undefined && error.name === 'ApiError' ? validation(`Instance Id not found - ${id}`) : error;
    });
    const activity = await deps.db.write((tx) => deps.autoScaling.terminateMember(tx, used.permit, id, { decrement }));
    return { Activity: showActivity(activity, used.group) };
  };

export const deleteAutoScalingGroup =
  (deps: AutoScalingServiceDeps): OperationOf<DeleteAutoScalingGroupCommand> =>
  async (call, input) => {
    const action = 'autoscaling:DeleteAutoScalingGroup';
    const { permit } = await useGroup(deps, call, action, input.AutoScalingGroupName);
    const force = input.ForceDelete === true;
    await deps.db.write((tx) => deps.autoScaling.delete(tx, permit, { force }));
    return {};
  };
