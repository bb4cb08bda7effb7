/** {@link AutoScaling} on its tables. Every change of a user begins a new generation of the group's job. */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { LIMITS } from '../limits.ts';
import type { AutoScaling, GroupRecord, GroupSettings } from './auto-scaling.ts';
import { groupArn } from './auto-scaling.ts';
import { type AutoScalingDeps, type Context, RHYTHM, reading, refuse, writing } from './context.ts';
import { beginEnding, RECONCILE, type Reconcile, reconcileProgram } from './reconcile.ts';
import {
  activitiesOf,
  findGroup,
  groupOf,
  insertGroup,
  membersOf,
  removeGroup,
  replaceGroup,
  type StoredGroup,
} from './tables.ts';
import * as words from './words.ts';

export { autoScalingMigrations } from './tables.ts';

/** Registers its job program, so call it before `jobs.start()`. */
export function createAutoScaling(deps: AutoScalingDeps): AutoScaling {
  const ctx: Context = { ...deps, rhythm: deps.rhythm ?? RHYTHM };
  ctx.jobs.register(reconcileProgram(ctx));
  return { ...queriesOf(ctx), ...changesOf(ctx) };
}

function queriesOf(ctx: Context): Pick<AutoScaling, 'find' | 'list' | 'members' | 'activities' | 'usesOfRole'> {
  return {
    async find(account, region, name) {
      const row = await reading(ctx)
        .selectFrom('auto_scaling_group')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .where('name', '=', name)
        .executeTakeFirst();
      return row && groupOf(row);
    },
    async list(account, region) {
      const rows = await reading(ctx)
        .selectFrom('auto_scaling_group')
        .selectAll()
        .where('account_id', '=', account)
        .where('region', '=', region)
        .orderBy('name')
        .execute();
      return rows.map(groupOf);
    },
    members: (groups) => membersOf(reading(ctx), idsOf(groups)),
    async activities(groups) {
      const activities = await activitiesOf(reading(ctx), idsOf(groups));
      return activities.toSorted((a, b) => Number(b.endedAt === undefined) - Number(a.endedAt === undefined));
    },
    async usesOfRole(arn) {
      const rows = await reading(ctx)
        .selectFrom('auto_scaling_group')
        .selectAll()
        .where('role_arn', '=', arn)
        .execute();
      const byRegion = Map.groupBy(rows.map(groupOf), ({ region }) => region);
      return [...byRegion].map(([region, groups]) => ({ region, resources: groups.map((group) => group.arn) }));
    },
  };
}

const idsOf = (groups: readonly GroupRecord[]) => groups.map(({ id }) => id);

function changesOf(
  ctx: Context,
): Pick<AutoScaling, 'create' | 'update' | 'setDesired' | 'terminateMember' | 'delete' | 'setTags'> {
  /** The group that the permit names. */
  async function target(tx: Tx, permit: Permit): Promise<StoredGroup> {
    const id = /:autoScalingGroup:([^:]+):/.exec(permit.resource)?.[1] ?? '';
    const group = await findGroup(writing(tx), id);
    if (!group) throw refuse('group-not-found', { arn: permit.resource });
    return group;
  }

  /** What was wrong before need not be wrong any more: launches do not wait. */
  async function replace(tx: Tx, group: StoredGroup): Promise<void> {
    const { retryAt: _, ...rest } = group;
    const changed = { ...rest, generation: group.generation + 1, failures: 0 };
    await replaceGroup(writing(tx), changed);
    await ctx.jobs.enqueue<Reconcile>(tx, RECONCILE, { groupId: group.id, generation: changed.generation });
  }

  return {
    async create(tx, _permit, wanted) {
      requireSizes(wanted);
      const { accountId, region, name, id } = wanted;
      const taken = await writing(tx)
        .selectFrom('auto_scaling_group')
        .selectAll()
        .where('account_id', '=', accountId)
        .where('region', '=', region)
        .where('name', '=', name)
        .executeTakeFirst();
      if (taken) throw refuse(groupOf(taken).deleting ? 'group-deleting' : 'group-exists', { name });
      const { count } = await writing(tx)
        .selectFrom('auto_scaling_group')
        .select((row) => row.fn.countAll<number>().as('count'))
        .where('account_id', '=', accountId)
        .where('region', '=', region)
        .executeTakeFirstOrThrow();
      const max = LIMITS.autoScalingGroupsMax;
      if (count >= max) throw refuse('groups-too-many', { max });
      const createdAt = ctx.clock();
      const group: StoredGroup = {
        ...wanted,
        arn: groupArn(region, accountId, id, name),
        createdAt,
        deleting: false,
        generation: 1,
        failures: 0,
        because: words.created(createdAt, wanted.desired),
      };
      await insertGroup(writing(tx), group);
      await ctx.jobs.enqueue<Reconcile>(tx, RECONCILE, { groupId: id, generation: 1 });
      return group;
    },

    async update(tx, permit, change) {
      const group = await target(tx, permit);
      requireAlive(group);
      const min = change.min ?? group.min;
      const max = change.max ?? group.max;
      const desired = change.desired ?? Math.min(Math.max(group.desired, min), max);
      const changed = { ...group, ...change, min, max, desired };
      requireSizes(changed);
      const resized = desired !== group.desired;
      await replace(tx, {
        ...changed,
        ...(resized ? { because: words.updated(ctx.clock(), changed, group.desired) } : {}),
      });
    },

    async setDesired(tx, permit, desired) {
      const group = await target(tx, permit);
      requireAlive(group);
      if (desired < group.min || desired > group.max) {
        throw refuse('group-desired-outside', { desired, min: group.min, max: group.max });
      }
      await replace(tx, { ...group, desired, because: words.desiredSet(ctx.clock(), group.desired, desired) });
    },

    async terminateMember(tx, permit, instanceId, { decrement }) {
      const group = await target(tx, permit);
      const member = (await membersOf(writing(tx), [group.id])).find((each) => each.instanceId === instanceId);
      if (!member || member.lifecycle === 'Terminating') throw refuse('member-not-found', { instanceId });
      if (decrement && group.desired - 1 < group.min) throw refuse('group-at-min', { min: group.min });
      const activity = await beginEnding(ctx, tx, member, words.takenByUser(ctx.clock(), instanceId));
      if (!activity) throw refuse('member-not-found', { instanceId });
      await replace(tx, decrement ? { ...group, desired: group.desired - 1 } : group);
      return activity;
    },

    async delete(tx, permit, { force }) {
      const group = await target(tx, permit);
      const members = await membersOf(writing(tx), [group.id]);
      const unfinished = await activitiesOf(writing(tx), [group.id], 'unfinished');
      if (members.length === 0 && unfinished.length === 0) return removeGroup(writing(tx), group.id);
      if (!force) throw refuse('group-not-empty', { name: group.name, instances: members.length });
      const none = { min: 0, max: 0, desired: 0 };
      const because = words.updated(ctx.clock(), none, group.desired);
      await replace(tx, { ...group, ...none, deleting: true, because });
    },

    async setTags(tx, permit, change) {
      const group = await target(tx, permit);
      await replaceGroup(writing(tx), { ...group, tags: change(group.tags) });
    },
  };
}

function requireAlive(group: StoredGroup): void {
  if (group.deleting) throw refuse('group-deleting', { name: group.name });
}

function requireSizes({ min, max, desired }: Pick<GroupSettings, 'min' | 'max' | 'desired'>): void {
  if (min < 0 || max < 0 || min > max) throw refuse('group-sizes', { min, max });
  if (desired < min || desired > max) throw refuse('group-desired-outside', { desired, min, max });
}
