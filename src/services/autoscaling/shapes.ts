/** Groups, instances and activities as Auto Scaling shows them. */
import type {
  Activity,
  AutoScalingGroup,
  AutoScalingInstanceDetails,
  Instance,
  TagDescription,
} from '@aws-sdk/client-auto-scaling';
import type { ActivityRecord, GroupRecord, GroupTemplate, MemberRecord } from '../../auto-scaling/auto-scaling.ts';
import { descriptionOf } from '../../auto-scaling/words.ts';
import { COOLDOWN_SECONDS } from './settings.ts';

const GROUP = 'auto-scaling-group';

export function showTemplate({ id, name, version }: GroupTemplate) {
  return { LaunchTemplateId: id, LaunchTemplateName: name, Version: version };
}

export function showTags(group: GroupRecord): TagDescription[] {
  return group.tags.map((tag) => ({ ResourceId: group.name, ResourceType: GROUP, ...tag }));
}

export function showGroup(group: GroupRecord, members: readonly MemberRecord[]): AutoScalingGroup {
  return {
    AutoScalingGroupName: group.name,
    AutoScalingGroupARN: group.arn,
    LaunchTemplate: showTemplate(group.template),
    MinSize: group.min,
    MaxSize: group.max,
    DesiredCapacity: group.desired,
    DefaultCooldown: COOLDOWN_SECONDS,
    AvailabilityZones: [...new Set(group.places.map(({ zone }) => zone))],
    LoadBalancerNames: [],
    TargetGroupARNs: [],
    HealthCheckType: 'EC2',
    HealthCheckGracePeriod: group.healthCheckGraceSeconds,
    Instances: members.map(showMember),
    CreatedTime: group.createdAt,
    SuspendedProcesses: [],
    VPCZoneIdentifier: group.subnetIds,
    EnabledMetrics: [],
    ...(group.deleting ? { Status: 'Delete in progress' } : {}),
    Tags: showTags(group),
    TerminationPolicies: ['Default'],
    NewInstancesProtectedFromScaleIn: false,
    ServiceLinkedRoleARN: group.serviceLinkedRoleArn,
    TrafficSources: [],
  };
}

function showMember(member: MemberRecord): Instance {
  return {
    InstanceId: member.instanceId,
    InstanceType: member.instanceType,
    AvailabilityZone: member.zone,
    LifecycleState: member.lifecycle,
    HealthStatus: member.healthy ? 'Healthy' : 'Unhealthy',
    LaunchTemplate: showTemplate(member.template),
    ImageId: member.imageId,
    ProtectedFromScaleIn: false,
  };
}

export function showInstance(member: MemberRecord, group: GroupRecord): AutoScalingInstanceDetails {
  const { HealthStatus, ...rest } = showMember(member);
  return {
    ...(rest as Required<typeof rest>),
    AutoScalingGroupName: group.name,
    // In capitals, other than within a group.
    HealthStatus: HealthStatus!.toUpperCase(),
  };
}

const PROGRESS: Readonly<Record<ActivityRecord['status'], number>> = {
  InProgress: 0,
  PreInService: 30,
  Successful: 100,
  Failed: 100,
  Cancelled: 100,
};

export function showActivity(activity: ActivityRecord, group: GroupRecord): Activity {
  const { place } = activity;
  return {
    ActivityId: activity.id,
    AutoScalingGroupName: group.name,
    AutoScalingGroupARN: group.arn,
    Description: descriptionOf(activity),
    Cause: activity.cause,
    StartTime: activity.startedAt,
    ...(activity.endedAt ? { EndTime: activity.endedAt } : {}),
    StatusCode: activity.status,
    ...(activity.message === undefined ? {} : { StatusMessage: activity.message }),
    Progress: PROGRESS[activity.status],
    Details: JSON.stringify({ 'Subnet ID': place.subnetId, 'Availability Zone': place.zone }),
  };
}
