/**
 * Auto Scaling groups: so many instances of a launch template, kept so by a durable job. Every launch is EC2's own
 * RunInstances, made by the service in its service-linked role, so that image, template, policies and keys decide as
 * they do for everybody else (ec2-encryption P-12, P-13).
 *
 *     group ─── member: Pending ──▶ InService ──▶ Terminating        each arrow is an activity, which tells
 *       └────── activity: InProgress ──▶ PreInService ──▶ Successful   what was done, why, and what came of it
 *                              └──▶ Failed    └──▶ Cancelled
 *
 * This file is the contract that the service sees.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, Arn, InstanceId, LaunchTemplateId, Region } from '../ids.ts';

export interface GroupTag {
  readonly Key: string;
  readonly Value: string;
  readonly PropagateAtLaunch: boolean;
}

/** One place that a group launches in. */
export interface Place {
  readonly subnetId: string;
  readonly zone: string;
}

export interface GroupTemplate {
  readonly id: LaunchTemplateId;
  readonly name: string;
  /** A number, `$Latest` or `$Default`, as given: what it stands for is decided at each launch (LT-15). */
  readonly version: string;
}

export interface GroupSettings {
  readonly template: GroupTemplate;
  readonly min: number;
  readonly max: number;
  readonly desired: number;
  /** At least one. */
  readonly places: readonly Place[];
  /** Ids of subnets with commas, as given; empty where zones were given instead. */
  readonly subnetIds: string;
  /** For how long after its launch the status checks of an instance do not count. */
  readonly healthCheckGraceSeconds: number;
  /** Whose rights the launches have. */
  readonly serviceLinkedRoleArn: Arn;
}

export interface GroupRecord extends GroupSettings {
  /** UUID. */
  readonly id: string;
  readonly arn: Arn;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly name: string;
  readonly tags: readonly GroupTag[];
  readonly createdAt: Date;
  readonly deleting: boolean;
}

export interface MemberRecord {
  readonly instanceId: InstanceId;
  readonly groupId: string;
  readonly lifecycle: 'Pending' | 'InService' | 'Terminating';
  readonly healthy: boolean;
  readonly instanceType: string;
  readonly imageId: string;
  readonly zone: string;
  readonly subnetId: string;
  /** The version it was launched by, as a number. */
  readonly template: GroupTemplate;
  readonly launchedAt: Date;
}

export type ActivityStatus = 'InProgress' | 'PreInService' | 'Successful' | 'Failed' | 'Cancelled';

export interface ActivityRecord {
  /** UUID; also the client token of the launch. */
  readonly id: string;
  readonly groupId: string;
  readonly kind: 'launch' | 'terminate';
  readonly status: ActivityStatus;
  readonly instanceId?: InstanceId;
  readonly place: Place;
  /** What is launched, as the group was when the activity began. */
  readonly launch?: Omit<GroupLaunch, 'subnetId'>;
  readonly startedAt: Date;
  readonly endedAt?: Date;
  readonly cause: string;
  readonly message?: string;
}

/** One launch as EC2 is asked for it. */
export interface GroupLaunch {
  readonly template: GroupTemplate;
  readonly subnetId: string;
  /** Those of the group that its instances get. */
  readonly tags: readonly { readonly Key: string; readonly Value: string }[];
}

export type Launched = Pick<
  MemberRecord,
  'instanceId' | 'instanceType' | 'imageId' | 'zone' | 'subnetId' | 'launchedAt'
> & { readonly templateVersion: string };

/** EC2 as groups use it. Refusals are {@link Refusal} `launch-refused` with EC2's `code` and `message`. */
export interface Ec2ForGroups {
  /** Whether the caller could launch so: a dry run. */
  check(call: Call, launch: GroupLaunch): Promise<void>;
  /** The same token gives the same instance. */
  launch(call: Call, token: string, launch: GroupLaunch): Promise<Launched>;
  /** Also where the instance is protected from users; one that is gone already is no failure. */
  terminate(call: Call, id: InstanceId): Promise<void>;
}

export type AutoScalingRefusalReason =
  | 'group-exists'
  | 'groups-too-many'
  | 'group-not-found'
  | 'group-deleting'
  | 'group-not-empty'
  | 'group-sizes'
  | 'group-desired-outside'
  | 'group-at-min'
  | 'member-not-found'
  | 'launch-refused';

export type GroupChange = Partial<GroupSettings>;

export interface AutoScaling {
  find(account: AccountId, region: Region, name: string): Promise<GroupRecord | undefined>;
  /** By name. */
  list(account: AccountId, region: Region): Promise<GroupRecord[]>;
  members(groups: readonly GroupRecord[]): Promise<MemberRecord[]>;
  /** Those in progress first, then the newest first. */
  activities(groups: readonly GroupRecord[]): Promise<ActivityRecord[]>;
  /** Groups that launch in this role, by region. */
  usesOfRole(arn: Arn): Promise<{ readonly region: Region; readonly resources: string[] }[]>;
  create(
    tx: Tx,
    permit: Permit<'autoscaling:CreateAutoScalingGroup'>,
    group: GroupSettings & Pick<GroupRecord, 'id' | 'accountId' | 'region' | 'name' | 'tags'>,
  ): Promise<GroupRecord>;
  /** The permit names the group. Sizes that do not fit are brought to fit where only one side was given. */
  update(tx: Tx, permit: Permit<'autoscaling:UpdateAutoScalingGroup'>, change: GroupChange): Promise<void>;
  setDesired(tx: Tx, permit: Permit<'autoscaling:SetDesiredCapacity'>, desired: number): Promise<void>;
  terminateMember(
    tx: Tx,
    permit: Permit<'autoscaling:TerminateInstanceInAutoScalingGroup'>,
    instanceId: string,
    options: { readonly decrement: boolean },
  ): Promise<ActivityRecord>;
  /** With `force` its instances are terminated first, by the job; without it the group must be empty. */
  delete(
    tx: Tx,
    permit: Permit<'autoscaling:DeleteAutoScalingGroup'>,
    options: { readonly force: boolean },
  ): Promise<void>;
  /** `change` sees the tags as they are; nothing comes in between. */
  setTags(
    tx: Tx,
    permit: Permit<'autoscaling:CreateOrUpdateTags' | 'autoscaling:DeleteTags'>,
    change: (before: readonly GroupTag[]) => readonly GroupTag[],
  ): Promise<void>;
}

/** `arn:aws:autoscaling:…:autoScalingGroup:UUID:autoScalingGroupName/NAME`; the UUID is `*` where there is no group. */
export function groupArn(region: Region, account: AccountId, id: string, name: string): Arn {
  return `arn:aws:autoscaling:${region}:${account}:autoScalingGroup:${id}:autoScalingGroupName/${name}` as Arn;
}
