/** Auto Scaling's errors, and how refusals of its domain are said in its words. */

import { Denied } from '../../authz/authorizer.ts';
import type { AutoScalingRefusalReason } from '../../auto-scaling/auto-scaling.ts';
import { ApiError, Refusal } from '../../errors.ts';
import { validation } from './autoscaling.ts';

type Say = (facts: Refusal['facts']) => ApiError;

const WORDS: Readonly<Record<AutoScalingRefusalReason, Say>> = {
  'group-exists': () =>
    new ApiError(
      'AlreadyExists',
      'AutoScalingGroup by this name already exists - A group with the name already exists and is not being deleted.',
    ),
  'groups-too-many': ({ max }) =>
    new ApiError('LimitExceeded', `An account has at most ${max} Auto Scaling groups in a region.`),
  'group-not-found': ({ arn }) => validation(`AutoScalingGroup name not found - ${arn} not found`),
  'group-deleting': ({ name }) =>
    new ApiError(
      'ScalingActivityInProgress',
      `AutoScalingGroup ${name} is pending delete: it cannot be changed, nor another be made by its name, until it is gone.`,
    ),
  'group-not-empty': () =>
    new ApiError(
      'ResourceInUse',
      'You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still in the group.',
    ),
  'group-sizes': ({ min, max }) => validation(`Max bound, ${max}, must be greater than or equal to min bound, ${min}`),
  'group-desired-outside': ({ desired, min, max }) =>
    validation(
      Number(desired) > Number(max)
        ? `New SetDesiredCapacity value ${desired} is above max value ${max} for the AutoScalingGroup.`
        : `New SetDesiredCapacity value ${desired} is below min value ${min} for the AutoScalingGroup.`,
    ),
  'group-at-min': ({ min }) =>
    validation(
      `Currently, desiredSize equals minSize (${min}). Terminating instance without replacement will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or lower group's min size.`,
    ),
  'member-not-found': ({ instanceId }) =>
    validation(`Instance Id not found - No managed instance found for instance ID: ${instanceId}`),
  'launch-refused': ({ code, message }) =>
    code === 'UnauthorizedOperation'
      ? new ApiError('AccessDenied', `You are not authorized to use the launch template. ${message}`, { status: 403 })
      : validation(`You must use a valid fully-formed launch template. ${message}`),
};

export function translate(error: unknown): Error | undefined {
  if (error instanceof Denied) return new ApiError('AccessDenied', error.text, { status: 403, cause: error });
  if (error instanceof Refusal && Object.hasOwn(WORDS, error.reason)) {
    const said = WORDS[error.reason as AutoScalingRefusalReason](error.facts);
    return new ApiError(said.code, said.message, { status: said.status, cause: error });
  }
  return undefined;
}
