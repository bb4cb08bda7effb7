/** What keeps one group from taking more than its share: of launches, of activities, and of accounts that are closed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemPermit } from '../authz/permit.ts';
import { openTestDb } from '../db/test-db.ts';
import { Refusal } from '../errors.ts';
import type { Role } from '../identity/entities.ts';
import type { AccountId, Arn, InstanceId, LaunchTemplateId, Region } from '../ids.ts';
import { newEc2Id } from '../ids.ts';
import type { InstanceRecord } from '../instances/instances.ts';
import { createJobs, jobsMigrations } from '../jobs/runner.ts';
import { LIMITS } from '../limits.ts';
import { createLog } from '../log.ts';
import { createTags, tagMigrations } from '../tags/tags.ts';
import type { GroupLaunch, GroupRecord } from './auto-scaling.ts';
import { autoScalingMigrations, createAutoScaling } from './create-auto-scaling.ts';
import { type AutoScalingTables, insertActivity, removeMember } from './tables.ts';

const ACCOUNT = '111122223333' as AccountId;
const REGION = 'eu-central-1' as Region;
const PLACE = { subnetId: 'subnet-1', zone: 'eu-central-1a' };

/** Groups on a real database, in front of an EC2 whose answers the test chooses. Time stands still but by hand. */
async function world() {
  const { db, ...database } = await openTestDb([autoScalingMigrations, jobsMigrations, tagMigrations].flat());
  const log = createLog('error', { write: () => {} });
  let now = Date.parse('2026-01-01T00:00:00Z');
  const clock = () => new Date(now);
  const jobs = createJobs({ db, clock, log, pauseMs: () => 0 });
  const at = {
    refuses: false,
    /** Happens to the next launch, which then breaks off. */
    breaks: undefined as (() => Promise<void>) | undefined,
    asked: [] as { readonly token: string; readonly wanted: GroupLaunch }[],
    closed: false,
    launches: 0,
    states: new Map<string, InstanceRecord['state']>(),
  };
  const autoScaling = createAutoScaling({
    db,
    jobs,
    tags: createTags(db),
    ec2: {
      check: async () => {},
      launch: async (_call, token, wanted) => {
        at.launches += 1;
        at.asked.push({ token, wanted });
        const { breaks } = at;
        at.breaks = undefined;
        if (breaks) {
          await breaks();
          throw new Error('nobody knows whether it was launched');
        }
        if (at.refuses) throw new Refusal('launch-refused', { code: 'No', message: 'No' });
        const instanceId = newEc2Id<InstanceId>('i');
        at.states.set(instanceId, 'pending');
        const kind = { instanceType: 't3.micro', imageId: 'ami-1', templateVersion: '1' };
        return { instanceId, ...kind, ...PLACE, launchedAt: clock() };
      },
      terminate: async (_call, id) => void at.states.set(id, 'terminated'),
    },
    instances: {
      find: async (_region, id) => ({ id, state: at.states.get(id) }) as InstanceRecord,
      health: () => ({ system: 'passed', instance: 'passed' }),
    },
    roleByArn: async (arn) =>
      ({ accountId: ACCOUNT, name: 'AWSServiceRoleForAutoScaling', id: 'AROA1', arn, tags: {} }) as unknown as Role,
    isClosed: async () => at.closed,
    clock,
    log,
  });
  await jobs.start();
  const create = (name: string, desired: number): Promise<GroupRecord> =>
    db.write((tx) =>
      autoScaling.create(tx, systemPermit('autoscaling:CreateAutoScalingGroup', '*', 'test'), {
        id: name,
        accountId: ACCOUNT,
        region: REGION,
        name,
        tags: [],
        template: { id: 'lt-1' as LaunchTemplateId, name: 'nodes', version: '1' },
        min: 0,
        max: desired,
        desired,
        places: [PLACE],
        subnetIds: '',
        healthCheckGraceSeconds: 0,
        serviceLinkedRoleArn: 'arn:aws:iam::111122223333:role/x' as Arn,
      }),
    );
  return Object.assign(at, {
    db,
    autoScaling,
    create,
    idle: () => jobs.idle(),
    /** Everything that is due by then. */
    async pass(ms: number): Promise<void> {
      now += ms;
      await jobs.idle();
    },
    async [Symbol.asyncDispose]() {
      await jobs.stop();
      await database[Symbol.asyncDispose]();
    },
  });
}

test('a look at a group begins some launches and leaves the rest to the next, however many are missing', async () => {
  await using at = await world();
  const group = await at.create('huge', 2 ** 31 - 1);
  await at.idle();
  assert.equal(at.launches, LIMITS.autoScalingLaunchesAtATime);
  await at.pass(250);
  assert.equal(at.launches, 2 * LIMITS.autoScalingLaunchesAtATime);
  assert.equal((await at.autoScaling.activities([group])).length, at.launches);
});

test('where launches fail, one at a time tells whether they still do, at growing distances', async () => {
  await using at = await world();
  at.refuses = true;
  await at.create('refused', 100);
  await at.idle();
  assert.equal(at.launches, LIMITS.autoScalingLaunchesAtATime);
  for (const [ms, more] of [
    [1_999, 0],
    [1, 1],
    [3_999, 1],
    [1, 2],
    [7_999, 2],
    [1, 3],
  ] as const) {
    await at.pass(ms);
    assert.equal(at.launches, LIMITS.autoScalingLaunchesAtATime + more, `${ms} ms later`);
  }
});

test('activities that ended are kept in bounded number, the newest of them', async () => {
  await using at = await world();
  const group = await at.create('old', 0);
  await at.idle();
  await at.db.write(async (tx) => {
    for (let each = 0; each < LIMITS.autoScalingActivitiesKept + 5; each++) {
      const when = new Date(Date.parse('2025-12-31T00:00:00Z') + each);
      const ended = {
        kind: 'launch',
        status: 'Failed',
        place: PLACE,
        startedAt: when,
        endedAt: when,
        cause: '',
      } as const;
      await insertActivity(tx.as<AutoScalingTables>(), { id: String(each), groupId: group.id, ...ended });
    }
  });
  await at.pass(5_000);
  const kept = await at.autoScaling.activities([group]);
  assert.equal(kept.length, LIMITS.autoScalingActivitiesKept);
  assert.equal(kept.at(-1)!.id, '5');
});

test('an account has groups in bounded number', async () => {
  await using at = await world();
  for (let each = 0; each < LIMITS.autoScalingGroupsMax; each++) await at.create(`group-${each}`, 0);
  await assert.rejects(at.create('one-more', 0), { reason: 'groups-too-many' });
});

test('in a closed account nothing is launched', async () => {
  await using at = await world();
  at.closed = true;
  await at.create('closed', 1);
  await at.idle();
  await at.pass(60_000);
  assert.equal(at.launches, 0);
});

test('a launch whose instance was given up and removed ends, so that its group can be deleted', async () => {
  await using at = await world();
  const group = await at.create('left', 1);
  await at.idle();
  const [launch] = await at.autoScaling.activities([group]);
  assert.equal(launch!.status, 'PreInService');
  // As a death between the two transactions of one look leaves it.
  at.states.set(launch!.instanceId!, 'terminated');
  await at.db.write((tx) => removeMember(tx.as<AutoScalingTables>(), launch!.instanceId!));
  await at.pass(250);
  const after = (await at.autoScaling.activities([group])).find(({ id }) => id === launch!.id);
  assert.equal(after!.status, 'Cancelled');
});

test('a launch of which nobody knows is asked for again as it was, whatever the group has become', async () => {
  await using at = await world();
  at.breaks = async () => {
    const group = (await at.autoScaling.find(ACCOUNT, REGION, 'changed'))!;
    const permit = systemPermit('autoscaling:CreateOrUpdateTags', group.arn, 'test');
    const tags = [{ Key: 'stage', Value: 'later', PropagateAtLaunch: true }];
    await at.db.write((tx) => at.autoScaling.setTags(tx, permit, () => tags));
  };
  const group = await at.create('changed', 1);
  await at.idle();
  assert.equal(at.asked.length, 2);
  assert.deepEqual(at.asked[1], at.asked[0]);
  assert.equal((await at.autoScaling.members([group])).length, 1);
});
