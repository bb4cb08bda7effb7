/**
 * Work that outlives a request: programs of labelled steps kept in the database. A step may run twice (a crash falls
 * between its effect and its record), so each step is written to be repeated safely. It ends by naming the next label,
 * by asking to be run again later, or by finishing. After a crash, pending jobs go on at their last recorded label.
 */
import type { Migration, Tx } from '../db/db.ts';

export type JobId = string;

export interface Step<Payload> {
  readonly job: JobId;
  readonly payload: Payload;
  /** 1 on the first run of this label, more after crashes, naps and failures. */
  readonly attempt: number;
  /** Aborted when Ingot stops; a long step stops at a safe place and throws or naps. */
  readonly signal: AbortSignal;
}

export type Outcome<Payload> =
  | { readonly kind: 'hop'; readonly to: string; readonly payload?: Payload }
  | { readonly kind: 'nap'; readonly ms: number; readonly payload?: Payload }
  | { readonly kind: 'done' };

export interface Program<Payload> {
  /** Never changes once released: it stands in the database. */
  readonly kind: string;
  readonly start: string;
  readonly steps: Readonly<Record<string, (step: Step<Payload>) => Promise<Outcome<Payload>>>>;
  /** A step that throws is run this many times in all (default 5), with growing pauses; then `failed` runs, durably, once or more. */
  readonly attemptsMax?: number;
  failed?(payload: Payload, cause: unknown): Promise<void>;
}

export interface Jobs {
  /** All programs are registered before `start`. */
  register<Payload>(program: Program<Payload>): void;
  /** Enqueues within the caller's transaction: the job exists exactly if the transaction commits. */
  enqueue<Payload>(tx: Tx, kind: string, payload: Payload): Promise<JobId>;
  /** Takes up pending jobs, also those of an earlier process. */
  start(): Promise<void>;
  /** Resolves when no job is running or due (tests wait on this; naps in the future do not count). */
  idle(): Promise<void>;
  /** Aborts running steps and waits for them. */
  stop(): Promise<void>;
}

export type JobsMigrations = readonly Migration[];
