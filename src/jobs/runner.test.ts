import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Db } from '../db/db.ts';
import { openTestDb } from '../db/test-db.ts';
import type { Log } from '../log.ts';
import { createLog } from '../log.ts';
import type { Jobs, Program, Step } from './jobs.ts';
import { createJobs, type JobsTables, jobsMigrations } from './runner.ts';

const silent: Log = createLog('silent');

/** A clock that stands until it is moved. */
function standingClock() {
  let now = Date.UTC(2030, 0, 1);
  const clock = () => new Date(now);
  return Object.assign(clock, { advance: (ms: number) => (now += ms) });
}

function runnerOver<Payload>(db: Db, clock: () => Date, program: Program<Payload>, runningMax = 8): Jobs {
  const jobs = createJobs({ db, clock, log: silent, pauseMs: (failures) => failures * 1000, runningMax });
  jobs.register(program);
  return jobs;
}

const rows = (db: Db) => db.read<JobsTables>().selectFrom('job').selectAll().execute();

describe('durable jobs', () => {
  it('runs steps in order, hands the payload on and leaves no row', async () => {
    await using test = await openTestDb(jobsMigrations);
    const seen: unknown[] = [];
    const program: Program<{ n: number }> = {
      kind: 'count',
      start: 'one',
      steps: {
        one: async ({ payload, attempt }) => {
          seen.push(['one', payload, attempt]);
          return { kind: 'hop', to: 'two', payload: { n: payload.n + 1 } };
        },
        two: async ({ payload, attempt }) => {
          seen.push(['two', payload, attempt]);
          return { kind: 'done' };
        },
      },
    };
    const jobs = runnerOver(test.db, standingClock(), program);
    await jobs.start();
    await test.db.write((tx) => jobs.enqueue(tx, 'count', { n: 1 }));
    await jobs.idle();
    assert.deepEqual(seen, [
      ['one', { n: 1 }, 1],
      ['two', { n: 2 }, 1],
    ]);
    assert.deepEqual(await rows(test.db), []);
    await jobs.stop();
  });

  it('has no job of a transaction that rolled back', async () => {
    await using test = await openTestDb(jobsMigrations);
    let runs = 0;
    const program: Program<null> = {
      kind: 'once',
      start: 'one',
      steps: {
        one: async () => {
          runs += 1;
          return { kind: 'done' };
        },
      },
    };
    const jobs = runnerOver(test.db, standingClock(), program);
    await jobs.start();
    const failing = test.db.write(async (tx) => {
      await jobs.enqueue(tx, 'once', null);
      throw new Error('no');
    });
    await assert.rejects(failing);
    await jobs.idle();
    assert.equal(runs, 0);
    await jobs.stop();
  });

  it('naps until the clock says so, and counts the runs', async () => {
    await using test = await openTestDb(jobsMigrations);
    const clock = standingClock();
    const attempts: number[] = [];
    const program: Program<null> = {
      kind: 'nap',
      start: 'one',
      steps: {
        one: async ({ attempt }) => {
          attempts.push(attempt);
          return attempt < 3 ? { kind: 'nap', ms: 60_000 } : { kind: 'done' };
        },
      },
    };
    const jobs = runnerOver(test.db, clock, program);
    await jobs.start();
    await test.db.write((tx) => jobs.enqueue(tx, 'nap', null));
    for (const [advanceMs, expected] of [
      [0, [1]],
      [59_999, [1]],
      [1, [1, 2]],
      [60_000, [1, 2, 3]],
    ] as const) {
      clock.advance(advanceMs);
      await jobs.idle();
      assert.deepEqual(attempts, expected);
    }
    assert.deepEqual(await rows(test.db), []);
    await jobs.stop();
  });

  it('tries a throwing step attemptsMax times with growing pauses, then runs failed() with payload and cause', async () => {
    await using test = await openTestDb(jobsMigrations);
    const clock = standingClock();
    const runsAt: number[] = [];
    const failures: unknown[] = [];
    const start = clock().getTime();
    const program: Program<{ name: string }> = {
      kind: 'fails',
      start: 'one',
      attemptsMax: 3,
      steps: {
        one: async () => {
          runsAt.push(clock().getTime() - start);
          throw new Error('the disk is on fire');
        },
      },
      failed: async (payload, cause) => {
        failures.push([payload, (cause as Error).message]);
      },
    };
    const jobs = runnerOver(test.db, clock, program);
    await jobs.start();
    await test.db.write((tx) => jobs.enqueue(tx, 'fails', { name: 'x' }));
    for (let second = 0; second < 10; second += 1) {
      await jobs.idle();
      clock.advance(1000);
    }
    await jobs.idle();
    assert.deepEqual(runsAt, [0, 1000, 3000]);
    assert.deepEqual(failures, [[{ name: 'x' }, 'the disk is on fire']]);
    const [row] = await rows(test.db);
    assert.equal(row?.state, 'failed');
    assert.equal(row?.cause, 'Error: the disk is on fire');
    await jobs.stop();
  });

  it('runs failed() again until it succeeds, also after a restart', async () => {
    await using test = await openTestDb(jobsMigrations);
    const clock = standingClock();
    let calls = 0;
    const program: Program<null> = {
      kind: 'fails',
      start: 'one',
      attemptsMax: 1,
      steps: {
        one: async () => {
          throw new Error('first cause');
        },
      },
      failed: async (_payload, cause) => {
        calls += 1;
        assert.match((cause as Error).message, /first cause/);
        if (calls < 2) throw new Error('not now');
      },
    };
    const first = runnerOver(test.db, clock, program);
    await first.start();
    await test.db.write((tx) => first.enqueue(tx, 'fails', null));
    await first.idle();
    await first.stop();
    assert.equal(calls, 1);
    const second = runnerOver(await test.reopen(), clock, program);
    await second.start();
    clock.advance(1000);
    await second.idle();
    assert.equal(calls, 2);
    assert.equal((await rows(test.db))[0]?.state, 'failed');
    await second.stop();
  });

  it('goes on at the last recorded label after a stop in the middle of a step', async () => {
    await using test = await openTestDb(jobsMigrations);
    const clock = standingClock();
    const seen: string[] = [];
    let reached: () => void = () => {};
    const inTheMiddle = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const programUntil = (block: boolean): Program<null> => ({
      kind: 'long',
      start: 'one',
      steps: {
        one: async () => {
          seen.push('one');
          return { kind: 'hop', to: 'two' };
        },
        two: async ({ signal, attempt }: Step<null>) => {
          seen.push(`two ${attempt}`);
          if (!block) return { kind: 'done' };
          reached();
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        },
      },
    });
    const first = runnerOver(test.db, clock, programUntil(true));
    await first.start();
    await test.db.write((tx) => first.enqueue(tx, 'long', null));
    await inTheMiddle;
    await first.stop();
    const second = runnerOver(await test.reopen(), clock, programUntil(false));
    await second.start();
    await second.idle();
    assert.deepEqual(seen, ['one', 'two 1', 'two 2']);
    assert.deepEqual(await rows(test.db), []);
    await second.stop();
  });

  it('runs no more steps at a time than it may, and every job exactly once', async () => {
    await using test = await openTestDb(jobsMigrations);
    let inside = 0;
    let most = 0;
    let release: () => void = () => {};
    const three = new Promise<void>((resolve) => {
      release = resolve;
    });
    const ran: number[] = [];
    const program: Program<number> = {
      kind: 'many',
      start: 'one',
      steps: {
        one: async ({ payload }) => {
          inside += 1;
          most = Math.max(most, inside);
          if (inside === 3) release();
          await three;
          ran.push(payload);
          inside -= 1;
          return { kind: 'done' };
        },
      },
    };
    const jobs = runnerOver(test.db, standingClock(), program, 3);
    await jobs.start();
    await Promise.all(Array.from({ length: 40 }, (_, index) => test.db.write((tx) => jobs.enqueue(tx, 'many', index))));
    await jobs.idle();
    assert.deepEqual(
      ran.toSorted((a, b) => a - b),
      Array.from({ length: 40 }, (_, index) => index),
    );
    assert.equal(most, 3);
    await jobs.stop();
  });

  it('refuses an unknown kind, a kind twice, and a missing first step', async () => {
    await using test = await openTestDb(jobsMigrations);
    const program: Program<null> = { kind: 'a', start: 'one', steps: { one: async () => ({ kind: 'done' }) } };
    const jobs = runnerOver(test.db, standingClock(), program);
    assert.throws(() => jobs.register(program), /two job programs/);
    assert.throws(() => jobs.register({ kind: 'b', start: 'two', steps: {} }), /has no step two/);
    await assert.rejects(
      test.db.write((tx) => jobs.enqueue(tx, 'c', null)),
      /no job program is called c/,
    );
  });
});
