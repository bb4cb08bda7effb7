/**
 * The job of a group: sees what has become of its instances, begins what is missing, carries it out, and sleeps. There
 * is one per change that a user made; each ends when it meets a newer one. Steps may overlap for a moment, so that
 * whatever is begun is begun within a transaction, and whatever is finished is finished only from where it was.
 */
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { InstanceId } from '../ids.ts';
import type { InstanceRecord } from '../instances/instances.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { LIMITS } from '../limits.ts';
import type { ActivityRecord, MemberRecord, Place } from './auto-scaling.ts';
import { type Context, callInRoleOf, newActivity, reading, writing } from './context.ts';
import {
  activitiesOf,
  findGroup,
  forgetActivities,
  hasActivitiesToForget,
  insertActivity,
  membersOf,
  moveActivity,
  putMember,
  type Queries,
  removeGroup,
  removeMember,
  replaceGroup,
  type StoredGroup,
} from './tables.ts';
import * as words from './words.ts';

export const RECONCILE = 'auto-scaling.reconcile';
/** As AWS keeps them: six weeks; and no more of them than can be told. */
const ACTIVITIES_KEPT_MS = 42 * 24 * 3600_000;
const GROUP_NAME_TAG = 'aws:autoscaling:groupName';

export interface Reconcile {
  readonly groupId: string;
  readonly generation: number;
}

export function reconcileProgram(ctx: Context): Program<Reconcile> {
  return {
    kind: RECONCILE,
    start: 'reconcile',
    // A group is looked after as long as it is there.
    attemptsMax: Number.POSITIVE_INFINITY,
    steps: {
      async reconcile({ payload: { groupId, generation } }): Promise<Outcome<Reconcile>> {
        const group = await findGroup(reading(ctx), groupId);
        if (group?.generation !== generation) return { kind: 'done' };
        // Nobody launches in a closed account; what is being deleted there is deleted to the end.
        if (!group.deleting && (await ctx.isClosed(group.accountId))) return { kind: 'nap', ms: ctx.rhythm.healthMs };
        await observe(ctx, group);
        if (await isOff(ctx, group.id)) await ctx.db.write((tx) => begin(ctx, tx, group.id));
        await carryOut(ctx, group);
        return rest(ctx, group.id, generation);
      },
    },
  };
}

async function rest(ctx: Context, groupId: string, generation: number): Promise<Outcome<Reconcile>> {
  const { rhythm } = ctx;
  const group = await findGroup(reading(ctx), groupId);
  if (group?.generation !== generation) return { kind: 'done' };
  if ((await activitiesOf(reading(ctx), [groupId], 'unfinished')).length > 0) {
    return { kind: 'nap', ms: rhythm.watchMs };
  }
  if (group.deleting && (await membersOf(reading(ctx), [groupId])).length === 0) {
    await ctx.db.write((tx) => removeGroup(writing(tx), groupId));
    return { kind: 'done' };
  }
  const untilRetry = (group.retryAt ?? Number.POSITIVE_INFINITY) - ctx.clock().getTime();
  return { kind: 'nap', ms: Math.max(0, Math.min(rhythm.healthMs, untilRetry)) };
}

// What has become of it --------------------------------------------------------------------------------------------

async function observe(ctx: Context, group: StoredGroup): Promise<void> {
  // In this order: a launch that is seen here has its member there, unless that has ended since.
  const unfinished = await activitiesOf(reading(ctx), [group.id], 'unfinished');
  const members = await membersOf(reading(ctx), [group.id]);
  for (const activity of unfinished) {
    if (activity.instanceId === undefined) continue;
    const instance = await ctx.instances.find(group.region, activity.instanceId);
    if (activity.kind === 'terminate') await seeEnding(ctx, activity, activity.instanceId, instance);
    else {
      const member = members.find(({ instanceId }) => instanceId === activity.instanceId);
      await seeLaunch(ctx, group, activity, member, instance);
    }
  }
  for (const member of members) {
    if (member.lifecycle === 'InService') await checkHealth(ctx, group, member);
  }
}

async function seeLaunch(
  ctx: Context,
  group: StoredGroup,
  activity: ActivityRecord,
  member: MemberRecord | undefined,
  instance: InstanceRecord | undefined,
): Promise<void> {
  if (instance?.state === 'pending') return;
  const endedAt = ctx.clock();
  // It was taken out of service before it was in: its other activity removes it, or has.
  const isLeaving = !member || member.lifecycle === 'Terminating';
  await ctx.db.write(async (tx) => {
    if (instance?.state === 'running') {
      if (!(await moveActivity(writing(tx), 'PreInService', { ...activity, status: 'Successful', endedAt }))) return;
      if (!isLeaving) await putMember(writing(tx), { ...member, lifecycle: 'InService' });
      await forgetFailures(tx, group.id);
      return;
    }
    const message = words.endedBeforeService(instance?.stateReason?.message);
    const cancelled: ActivityRecord = { ...activity, status: 'Cancelled', message, endedAt };
    if (!(await moveActivity(writing(tx), 'PreInService', cancelled)) || isLeaving) return;
    await noteFailure(ctx, tx, group.id);
    const isEnding = !instance || instance.state === 'shutting-down' || instance.state === 'terminated';
    if (isEnding) await removeMember(writing(tx), member.instanceId);
    else await beginEnding(ctx, tx, { ...member, healthy: false }, words.endedBeneath(endedAt));
  });
}

async function seeEnding(
  ctx: Context,
  activity: ActivityRecord,
  id: InstanceId,
  instance: InstanceRecord | undefined,
): Promise<void> {
  if (instance && instance.state !== 'terminated') return;
  const successful: ActivityRecord = { ...activity, status: 'Successful', endedAt: ctx.clock() };
  await ctx.db.write(async (tx) => {
    if (await moveActivity(writing(tx), 'InProgress', successful)) await removeMember(writing(tx), id);
  });
}

/** What is not running is unhealthy at once; failed status checks count after the grace period. */
async function checkHealth(ctx: Context, group: StoredGroup, member: MemberRecord): Promise<void> {
  const instance = await ctx.instances.find(group.region, member.instanceId);
  const now = ctx.clock();
  const cause = () => {
    if (instance?.state !== 'running') return words.endedBeneath(now);
    const inGrace = now.getTime() - member.launchedAt.getTime() < group.healthCheckGraceSeconds * 1000;
    if (!inGrace && ctx.instances.health(instance).instance === 'failed') return words.checksFailed(now);
    return undefined;
  };
  const found = cause();
  if (found) await ctx.db.write((tx) => beginEnding(ctx, tx, { ...member, healthy: false }, found));
}

async function forgetFailures(tx: Tx, groupId: string): Promise<void> {
  const group = await findGroup(writing(tx), groupId);
  if (!group) return;
  const { retryAt: _, ...rest } = group;
  await replaceGroup(writing(tx), { ...rest, failures: 0 });
}

/** What fails while the group waits already was begun with what it waits for, and counts no further. */
async function noteFailure(ctx: Context, tx: Tx, groupId: string): Promise<void> {
  const group = await findGroup(writing(tx), groupId);
  if (!group || isWaiting(ctx, group)) return;
  const { retryMs, retryMsMax } = ctx.rhythm;
  const pause = Math.min(retryMsMax, retryMs * 2 ** group.failures);
  const retryAt = ctx.clock().getTime() + pause;
  await replaceGroup(writing(tx), { ...group, failures: group.failures + 1, retryAt });
}

/** Takes a member out of service: at most one activity ends it. */
export async function beginEnding(
  ctx: Context,
  tx: Tx,
  member: MemberRecord,
  cause: string,
): Promise<ActivityRecord | undefined> {
  const now = (await membersOf(writing(tx), [member.groupId])).find((each) => each.instanceId === member.instanceId);
  if (!now || now.lifecycle === 'Terminating') return undefined;
  const place: Place = { subnetId: member.subnetId, zone: member.zone };
  const activity = {
    ...newActivity(ctx, { id: member.groupId }, 'terminate', place, cause),
    instanceId: member.instanceId,
  };
  await putMember(writing(tx), { ...member, lifecycle: 'Terminating' });
  await insertActivity(writing(tx), activity);
  return activity;
}

// What is missing, and what is too much ----------------------------------------------------------------------------

/** What a group has or is getting. */
async function standing(queries: Queries, groupId: string) {
  const members = (await membersOf(queries, [groupId])).filter(({ lifecycle }) => lifecycle !== 'Terminating');
  const launching = (await activitiesOf(queries, [groupId], 'unfinished')).filter(
    ({ kind, instanceId }) => kind === 'launch' && instanceId === undefined,
  );
  return { members, launching, has: members.length + launching.length };
}

const keepingAt = (now: Date) => ({
  beforeMs: now.getTime() - ACTIVITIES_KEPT_MS,
  kept: LIMITS.autoScalingActivitiesKept,
});

const isWaiting = (ctx: Context, { retryAt }: StoredGroup) => retryAt !== undefined && retryAt > ctx.clock().getTime();

/** Whether there is something to begin, or to forget: a group that is as it should be costs no transaction. */
async function isOff(ctx: Context, groupId: string): Promise<boolean> {
  const group = await findGroup(reading(ctx), groupId);
  if (!group) return false;
  const { has } = await standing(reading(ctx), groupId);
  if (await hasActivitiesToForget(reading(ctx), groupId, keepingAt(ctx.clock()))) return true;
  return has > group.desired || (!isWaiting(ctx, group) && (has < group.desired || group.retryAt !== undefined));
}

async function begin(ctx: Context, tx: Tx, groupId: string): Promise<void> {
  const group = await findGroup(writing(tx), groupId);
  if (!group) return;
  const now = ctx.clock();
  await forgetActivities(writing(tx), groupId, keepingAt(now));
  const { members, launching, has } = await standing(writing(tx), groupId);
  const lead = group.because === undefined ? '' : `${group.because}  `;

  const wait = isWaiting(ctx, group);
  const places = [...members, ...launching.map(({ place }) => place)];
  // The rest comes with the next look: no group holds the others up. Where launches fail, one tells whether they still do.
  const atATime = group.failures > 0 ? 1 : LIMITS.autoScalingLaunchesAtATime;
  for (let more = wait ? 0 : Math.min(group.desired - has, atATime - launching.length); more > 0; more--) {
    const place = emptiest(group.places, places);
    places.push(place);
    const cause = lead + words.started(now, has, group.desired);
    const activity = newActivity(ctx, group, 'launch', place, cause);
    await insertActivity(writing(tx), { ...activity, launch: launchOf(group) });
  }
  for (const member of surplus(members, has - group.desired)) {
    const cause = lead + words.shrunk(now, has, group.desired, member.instanceId);
    await beginEnding(ctx, tx, member, cause);
  }
  if (!wait) {
    const { because: _, retryAt: __, ...rest } = group;
    await replaceGroup(writing(tx), rest);
  }
}

/** Kept with the activity: a launch that is repeated after a crash is the same launch. */
function launchOf({ template, tags }: StoredGroup): NonNullable<ActivityRecord['launch']> {
  const propagated = tags.filter(({ PropagateAtLaunch }) => PropagateAtLaunch);
  return { template, tags: propagated.map(({ Key, Value }) => ({ Key, Value })) };
}

/** The place with the fewest instances, the first of equals. */
function emptiest(places: readonly Place[], taken: readonly { readonly subnetId: string }[]): Place {
  const count = ({ subnetId }: Place) => taken.filter((each) => each.subnetId === subnetId).length;
  return places.reduce((best, place) => (count(place) < count(best) ? place : best));
}

/** Those to be given up: from the fullest zone, the oldest first. */
export function surplus(members: readonly MemberRecord[], count: number): MemberRecord[] {
  const left = [...members];
  const chosen: MemberRecord[] = [];
  while (chosen.length < count && left.length > 0) {
    const inZone = (zone: string) => left.filter((member) => member.zone === zone).length;
    const next = left.reduce((best, member) => {
      const difference = inZone(member.zone) - inZone(best.zone);
      return difference > 0 || (difference === 0 && member.launchedAt < best.launchedAt) ? member : best;
    });
    left.splice(left.indexOf(next), 1);
    chosen.push(next);
  }
  return chosen;
}

// Doing it ---------------------------------------------------------------------------------------------------------

async function carryOut(ctx: Context, group: StoredGroup): Promise<void> {
  for (const activity of await activitiesOf(reading(ctx), [group.id], 'unfinished')) {
    if (activity.status !== 'InProgress') continue;
    if (activity.kind === 'launch') await launch(ctx, group, activity);
    else await end(ctx, group, activity);
  }
}

async function launch(ctx: Context, group: StoredGroup, activity: ActivityRecord): Promise<void> {
  const fail = (text: string) =>
    ctx.db.write(async (tx) => {
      const message = words.launchFailed(text);
      const failed: ActivityRecord = { ...activity, status: 'Failed', message, endedAt: ctx.clock() };
      if (await moveActivity(writing(tx), 'InProgress', failed)) await noteFailure(ctx, tx, group.id);
    });
  const call = await callInRoleOf(ctx, group);
  if (!call) return fail(`The service-linked role ${group.serviceLinkedRoleArn} does not exist.`);
  const wanted = activity.launch ?? launchOf(group);
  const { subnetId } = activity.place;
  try {
    const { templateVersion, ...launched } = await ctx.ec2.launch(call, activity.id, { ...wanted, subnetId });
    await ctx.db.write(async (tx) => {
      const { instanceId } = launched;
      const going: ActivityRecord = { ...activity, status: 'PreInService', instanceId };
      if (!(await moveActivity(writing(tx), 'InProgress', going))) return;
      await ctx.tags.put(tx, group.accountId, group.region, 'instance', instanceId, [
        { Key: GROUP_NAME_TAG, Value: group.name },
      ]);
      await putMember(writing(tx), {
        ...launched,
        groupId: group.id,
        lifecycle: 'Pending',
        healthy: true,
        template: { ...wanted.template, version: templateVersion },
      });
    });
  } catch (error) {
    if (!isRefused(error)) throw error;
    ctx.log.info({ group: group.arn, error }, 'a launch of a group was refused');
    await fail(String(error.facts.message));
  }
}

async function end(ctx: Context, group: StoredGroup, activity: ActivityRecord): Promise<void> {
  const { instanceId } = activity;
  const instance = instanceId && (await ctx.instances.find(group.region, instanceId));
  if (!instance || instance.state === 'shutting-down' || instance.state === 'terminated') return;
  const call = await callInRoleOf(ctx, group);
  if (!call) throw new Error(`the role ${group.serviceLinkedRoleArn} of ${group.arn} is gone`);
  await ctx.ec2.terminate(call, instance.id);
}

const isRefused = (error: unknown): error is Refusal =>
  error instanceof Refusal && (error as Refusal).reason === 'launch-refused';
