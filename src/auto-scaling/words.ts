/** What Auto Scaling says of its activities: causes, descriptions and status messages, as AWS words them. */
import type { ActivityRecord } from './auto-scaling.ts';

const time = (at: Date) => at.toISOString().replace(/\.\d+Z$/, 'Z');
const changing = (from: number, to: number) => `changing the desired capacity from ${from} to ${to}.`;

export const created = (at: Date, desired: number) =>
  `At ${time(at)} a user request created an AutoScalingGroup ${changing(0, desired)}`;
export const updated = (at: Date, { min, max, desired }: { min: number; max: number; desired: number }, from: number) =>
  `At ${time(at)} a user request update of AutoScalingGroup constraints to min: ${min}, max: ${max}, desired: ${desired} ${changing(from, desired)}`;
export const desiredSet = (at: Date, from: number, to: number) =>
  `At ${time(at)} a user request explicitly set group desired capacity ${changing(from, to)}`;

export const started = (at: Date, from: number, to: number) =>
  `At ${time(at)} an instance was started in response to a difference between desired and actual capacity, increasing the capacity from ${from} to ${to}.`;
export const shrunk = (at: Date, from: number, to: number, instanceId: string) =>
  `At ${time(at)} an instance was taken out of service in response to a difference between desired and actual capacity, shrinking the capacity from ${from} to ${to}.  At ${time(at)} instance ${instanceId} was selected for termination.`;
export const takenByUser = (at: Date, instanceId: string) =>
  `At ${time(at)} instance ${instanceId} was taken out of service in response to a user request.`;
export const endedBeneath = (at: Date) =>
  `At ${time(at)} an instance was taken out of service in response to an EC2 health check indicating it has been terminated or stopped.`;
export const checksFailed = (at: Date) =>
  `At ${time(at)} an instance was taken out of service in response to an EC2 instance status checks failure.`;

/** EC2 refused the launch at once. */
export const launchFailed = (message: string) => `${message.replace(/\.?$/, '.')} Launching EC2 instance failed.`;

/** EC2 took the launch, and the instance ended before it ran. */
export const endedBeforeService = (stateReason: string | undefined) =>
  `Instance became unhealthy while waiting for instance to be in InService state. Termination Reason: ${stateReason ?? 'Client.InternalError: Client error on launch'}`;

export function descriptionOf({ kind, instanceId, status, message }: ActivityRecord): string {
  const what = kind === 'launch' ? 'Launching a new EC2 instance' : 'Terminating EC2 instance';
  const which = instanceId === undefined ? '' : `: ${instanceId}`;
  const reason = (status === 'Failed' || status === 'Cancelled') && message ? `.  Status Reason: ${message}` : '';
  return `${what}${which}${reason}`;
}
