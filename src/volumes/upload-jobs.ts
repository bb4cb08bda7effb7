/** Ends of direct uploads: completion with its checks (E-20), and the time limit (E-13). */
import type { SnapshotId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import type { Context } from './context.ts';
import { failSnapshot, finishSnapshot } from './snapshot-ends.ts';
import { reading, snapshotRow } from './tables.ts';

export const COMPLETE_UPLOAD = 'uploads.complete';
export const UPLOAD_TIMEOUT = 'uploads.timeout';
const PUT_PAUSE_MS = 50;

export interface CompletePayload {
  readonly id: SnapshotId;
  readonly changedBlocks: number;
  /** Base64. */
  readonly linearSha256?: string;
}
export interface TimeoutPayload {
  readonly id: SnapshotId;
}

/** Blocks being put, and when the last one was: in memory, because a restart ends every put and begins a new wait. */
export class UploadActivity {
  readonly #clock: () => Date;
  readonly #startedAtMs: number;
  readonly #running = new Map<SnapshotId, number>();
  readonly #lastMs = new Map<SnapshotId, number>();

  constructor(clock: () => Date) {
    this.#clock = clock;
    this.#startedAtMs = clock().getTime();
  }
  /** Gives the function that ends it. */
  begin(id: SnapshotId): () => void {
    this.#running.set(id, this.running(id) + 1);
    return () => {
      this.#lastMs.set(id, this.#clock().getTime());
      const left = this.running(id) - 1;
      if (left > 0) this.#running.set(id, left);
      else this.#running.delete(id);
    };
  }
  running(id: SnapshotId): number {
    return this.#running.get(id) ?? 0;
  }
  lastMs(id: SnapshotId): number {
    return this.#lastMs.get(id) ?? this.#startedAtMs;
  }
  forget(id: SnapshotId): void {
    this.#lastMs.delete(id);
  }
}

export function completeUploadProgram(ctx: Context, activity: UploadActivity): Program<CompletePayload> {
  return {
    kind: COMPLETE_UPLOAD,
    start: 'complete',
    steps: {
      async complete({ payload }): Promise<Outcome<CompletePayload>> {
        const { id } = payload;
        const row = await snapshotRow(reading(ctx.db), id);
        if (row?.state !== 'pending') return { kind: 'done' };
        // Puts that began before the end of the upload; they will be told that it has ended.
        if (activity.running(id) > 0) return { kind: 'nap', ms: PUT_PAUSE_MS };
        activity.forget(id);
        const { blockCount, linearSha256 } = await ctx.storage.uploadSummary(id);
        if (blockCount !== payload.changedBlocks) {
          await failSnapshot(ctx, id, 'Changed blocks count mismatch for snapshot');
        } else if (
          payload.linearSha256 !== undefined &&
          payload.linearSha256 !== Buffer.from(linearSha256).toString('base64')
        ) {
          await failSnapshot(ctx, id, 'Checksum mismatch for snapshot');
        } else {
          await ctx.db.write(async (tx) => {
            const root = await ctx.storage.completeUpload(tx, id, row.source_root ?? undefined);
            await finishSnapshot(ctx, tx, id, root);
          });
        }
        return { kind: 'done' };
      },
    },
    async failed({ id }, cause) {
      ctx.log.error({ snapshotId: id, error: cause }, 'a direct snapshot could not be completed');
      await failSnapshot(ctx, id, 'An internal error has occurred');
    },
  };
}

export function uploadTimeoutProgram(ctx: Context, activity: UploadActivity): Program<TimeoutPayload> {
  return {
    kind: UPLOAD_TIMEOUT,
    start: 'wait',
    steps: {
      async wait({ payload: { id } }): Promise<Outcome<TimeoutPayload>> {
        const row = await snapshotRow(reading(ctx.db), id);
        if (row?.state !== 'pending' || row.upload !== 'open') return { kind: 'done' };
        const last = Math.max(row.start_time, activity.running(id) > 0 ? ctx.clock().getTime() : activity.lastMs(id));
        const leftMs = last + (row.upload_timeout_ms ?? 0) - ctx.clock().getTime();
        if (leftMs > 0) return { kind: 'nap', ms: leftMs };
        activity.forget(id);
        await failSnapshot(ctx, id, 'The snapshot was not completed in time');
        return { kind: 'done' };
      },
    },
  };
}
