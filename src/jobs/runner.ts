/**
 * The runner of durable jobs: one table, one row per unfinished job. A step's outcome is committed before the next
 * step begins, so after a crash a job goes on at its last recorded label and at most that one step runs again.
 *
 *     pending ──hop──▶ pending …            done: the row is deleted
 *        │  └─nap──▶ pending, due later
 *        └─throws attemptsMax times──▶ failing ──failed() ran──▶ failed (the row stays, with its cause)
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Db, Migration, Tx } from '../db/db.ts';
import { newUuid } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Log } from '../log.ts';
import type { JobId, Jobs, Outcome, Program } from './jobs.ts';

interface JobRow {
  id: string;
  kind: string;
  label: string;
  /** JSON. */
  payload: string;
  state: 'pending' | 'failing' | 'failed';
  /** Runs begun of this label. */
  attempt: number;
  /** Runs of this label that threw. */
  failures: number;
  due_at: number;
  enqueued_at: number;
  cause: string | null;
}

export interface JobsTables {
  job: JobRow;
}

export const jobsMigrations: readonly Migration[] = [
  {
    id: 'jobs-0001',
    up: async (schema) => {
      await schema.schema
        .createTable('job')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('kind', 'text', (column) => column.notNull())
        .addColumn('label', 'text', (column) => column.notNull())
        .addColumn('payload', 'text', (column) => column.notNull())
        .addColumn('state', 'text', (column) => column.notNull())
        .addColumn('attempt', 'integer', (column) => column.notNull())
        .addColumn('failures', 'integer', (column) => column.notNull())
        .addColumn('due_at', 'integer', (column) => column.notNull())
        .addColumn('enqueued_at', 'integer', (column) => column.notNull())
        .addColumn('cause', 'text')
        .execute();
      await schema.schema.createIndex('job_due').on('job').columns(['state', 'due_at']).execute();
    },
  },
];

export interface JobsDeps {
  readonly db: Db;
  readonly clock: () => Date;
  readonly log: Log;
  /** Pause before the run that follows `failures` failed ones; 250 ms growing fourfold up to a minute unless given. */
  readonly pauseMs?: (failures: number) => number;
  /** Steps running at a time. */
  readonly runningMax?: number;
}

const ATTEMPTS_MAX = 5;
const PAUSE_FIRST_MS = 250;
const PAUSE_MAX_MS = 60_000;
/** Longest sleep of the timer; also how far setTimeout can be trusted with a clock that jumps. */
const SLEEP_MAX_MS = 60_000;

const growingPause = (failures: number) => Math.min(PAUSE_MAX_MS, PAUSE_FIRST_MS * 4 ** (failures - 1));

export function createJobs(deps: JobsDeps): Jobs {
  return new JobRunner(deps);
}

class JobRunner implements Jobs {
  readonly #deps: JobsDeps;
  readonly #pauseMs: (failures: number) => number;
  readonly #runningMax: number;
  readonly #programs = new Map<string, Program<unknown>>();
  readonly #running = new Map<JobId, Promise<void>>();
  readonly #abort = new AbortController();
  #phase: 'new' | 'started' | 'stopped' = 'new';
  #pump: Promise<void> | undefined;
  #pumpAgain = false;
  #timer: NodeJS.Timeout | undefined;
  #idleWaiters: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(deps: JobsDeps) {
    this.#deps = deps;
    this.#pauseMs = deps.pauseMs ?? growingPause;
    this.#runningMax = deps.runningMax ?? LIMITS.jobsRunningMax;
  }

  register<Payload>(program: Program<Payload>): void {
    if (this.#phase !== 'new') throw new Error(`job program ${program.kind} is registered after the start`);
    if (this.#programs.has(program.kind)) throw new Error(`two job programs are called ${program.kind}`);
    if (!program.steps[program.start]) throw new Error(`job program ${program.kind} has no step ${program.start}`);
    this.#programs.set(program.kind, program as Program<unknown>);
  }

  async enqueue<Payload>(tx: Tx, kind: string, payload: Payload): Promise<JobId> {
    const program = this.#programs.get(kind);
    if (!program) throw new Error(`no job program is called ${kind}`);
    const id = newUuid();
    const now = this.#now();
    const row: JobRow = {
      id,
      kind,
      label: program.start,
      payload: JSON.stringify(payload ?? null),
      state: 'pending',
      attempt: 0,
      failures: 0,
      due_at: now,
      enqueued_at: now,
      cause: null,
    };
    await tx.as<JobsTables>().insertInto('job').values(row).execute();
    tx.afterCommit(() => this.#wake());
    return id;
  }

  async start(): Promise<void> {
    if (this.#phase !== 'new') throw new Error('jobs were started before');
    this.#phase = 'started';
    const kinds = await this.#deps.db.read<JobsTables>().selectFrom('job').select('kind').distinct().execute();
    for (const { kind } of kinds) {
      if (!this.#programs.has(kind))
        this.#deps.log.error({ kind }, 'pending jobs of an unknown kind stay where they are');
    }
    this.#wake();
  }

  idle(): Promise<void> {
    if (this.#phase !== 'started') return Promise.reject(new Error(`jobs are ${this.#phase}, not running`));
    return new Promise((resolve, reject) => {
      this.#idleWaiters.push({ resolve, reject });
      this.#wake();
    });
  }

  async stop(): Promise<void> {
    this.#phase = 'stopped';
    clearTimeout(this.#timer);
    this.#abort.abort(new Error('Ingot is stopping'));
    await this.#pump;
    await Promise.all(this.#running.values());
    for (const waiter of this.#idleWaiters.splice(0)) waiter.reject(new Error('jobs were stopped'));
  }

  #now(): number {
    return this.#deps.clock().getTime();
  }

  /** Looks at the table again: now, or once more after the look in progress. */
  #wake(): void {
    if (this.#phase !== 'started') return;
    if (this.#pump) {
      this.#pumpAgain = true;
      return;
    }
    this.#pump = this.#takeUpDue()
      .catch((error: unknown) => {
        this.#deps.log.error({ error }, 'the job table could not be read');
        this.#wakeIn(this.#pauseMs(1));
      })
      .finally(() => {
        this.#pump = undefined;
        if (this.#pumpAgain) {
          this.#pumpAgain = false;
          this.#wake();
        }
      });
  }

  async #takeUpDue(): Promise<void> {
    clearTimeout(this.#timer);
    const free = this.#runningMax - this.#running.size;
    // The running ones are still in the table: ask for so many more.
    const rows = await this.#waiting()
      .selectAll()
      .orderBy('due_at')
      .orderBy('enqueued_at')
      .limit(free + this.#running.size + 1)
      .execute();
    if (this.#phase !== 'started') return;
    const waiting = rows.filter((row) => !this.#running.has(row.id));
    const now = this.#now();
    for (const row of waiting) {
      if (row.due_at > now || this.#running.size >= this.#runningMax) {
        // With no slot free, the end of a running step wakes us.
        if (row.due_at > now) this.#wakeIn(row.due_at - now);
        break;
      }
      this.#run(row);
    }
    if (this.#running.size === 0 && !this.#pumpAgain) {
      for (const waiter of this.#idleWaiters.splice(0)) waiter.resolve();
    }
  }

  #waiting() {
    return this.#deps.db
      .read<JobsTables>()
      .selectFrom('job')
      .where('state', 'in', ['pending', 'failing'])
      .where('kind', 'in', [...this.#programs.keys()]);
  }

  #wakeIn(ms: number): void {
    this.#timer = setTimeout(() => this.#wake(), Math.min(ms, SLEEP_MAX_MS));
  }

  #run(row: JobRow): void {
    const running = this.#runUntilPause(row)
      .catch((error: unknown) => {
        // The step's outcome could not be recorded; it runs again after a pause, or after the restart.
        this.#deps.log.error({ error, job: row.id, kind: row.kind }, 'the outcome of a job step could not be recorded');
        return pause(this.#pauseMs(1), undefined, { signal: this.#abort.signal }).catch(() => {});
      })
      .then(() => {
        this.#running.delete(row.id);
        this.#wake();
      });
    this.#running.set(row.id, running);
  }

  /** Runs steps, hop after hop, until the job naps, fails or is done. */
  async #runUntilPause(taken: JobRow): Promise<void> {
    const program = this.#programs.get(taken.kind)!;
    let row = await this.#claim(taken.id);
    if (row?.state === 'failing') return this.#runFailed(program, row, new Error(row.cause ?? 'unknown'));
    while (row && !this.#abort.signal.aborted) row = await this.#runStep(program, row);
  }

  /** Counts the run before it begins, and takes nothing that ended or napped since the table was read. */
  #claim(id: JobId): Promise<JobRow | undefined> {
    return this.#deps.db.write((tx) =>
      tx
        .as<JobsTables>()
        .updateTable('job')
        .set((expression) => ({ attempt: expression('attempt', '+', 1) }))
        .where('id', '=', id)
        .where('state', 'in', ['pending', 'failing'])
        .where('due_at', '<=', this.#now())
        .returningAll()
        .executeTakeFirst(),
    );
  }

  /** Gives the row to run next in the same turn, or `undefined` at a pause. */
  async #runStep(program: Program<unknown>, row: JobRow): Promise<JobRow | undefined> {
    let outcome: Outcome<unknown>;
    try {
      const step = program.steps[row.label];
      if (!step) throw new Error(`job program ${row.kind} has no step ${row.label}`);
      const payload: unknown = JSON.parse(row.payload);
      outcome = await step({ job: row.id, payload, attempt: row.attempt, signal: this.#abort.signal });
    } catch (cause) {
      if (!this.#abort.signal.aborted) await this.#stepThrew(program, row, cause);
      return undefined;
    }
    if (outcome.kind === 'done') {
      await this.#deps.db.write((tx) => tx.as<JobsTables>().deleteFrom('job').where('id', '=', row.id).execute());
      return undefined;
    }
    const payload = outcome.payload === undefined ? row.payload : JSON.stringify(outcome.payload);
    if (outcome.kind === 'nap') {
      await this.#save(row.id, { payload, failures: 0, due_at: this.#now() + outcome.ms });
      return undefined;
    }
    const next = { label: outcome.to, payload, attempt: 1, failures: 0 };
    await this.#save(row.id, next);
    return { ...row, ...next };
  }

  async #stepThrew(program: Program<unknown>, row: JobRow, cause: unknown): Promise<void> {
    const failures = row.failures + 1;
    const facts = { error: cause, job: row.id, kind: row.kind, label: row.label, failures };
    if (failures < (program.attemptsMax ?? ATTEMPTS_MAX)) {
      this.#deps.log.warn(facts, 'a job step failed and will be tried again');
      await this.#save(row.id, { failures, due_at: this.#now() + this.#pauseMs(failures) });
      return;
    }
    this.#deps.log.error(facts, 'a job failed');
    const failing = { ...row, state: 'failing' as const, failures: 0, cause: messageOf(cause) };
    await this.#save(row.id, { state: failing.state, failures: failing.failures, cause: failing.cause });
    await this.#runFailed(program, failing, cause);
  }

  async #runFailed(program: Program<unknown>, row: JobRow, cause: unknown): Promise<void> {
    try {
      await program.failed?.(JSON.parse(row.payload), cause);
    } catch (error) {
      const failures = row.failures + 1;
      const facts = { error, job: row.id, kind: row.kind, failures };
      this.#deps.log.error(facts, 'the failure of a job could not be dealt with and will be tried again');
      await this.#save(row.id, { failures, due_at: this.#now() + this.#pauseMs(failures) });
      return;
    }
    await this.#save(row.id, { state: 'failed' });
  }

  async #save(id: JobId, change: Partial<JobRow>): Promise<void> {
    await this.#deps.db.write((tx) =>
      tx.as<JobsTables>().updateTable('job').set(change).where('id', '=', id).execute(),
    );
  }
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? `${cause.name}: ${cause.message}` : String(cause);
}
