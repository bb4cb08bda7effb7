/**
 * The main thread's side of the block workers: bounded queues, the least busy worker first, and knowledge of which
 * segments are being written. Plaintext that comes in is consumed.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { LIMITS } from '../limits.ts';
import type { BlockReply, BlockRequest, BlockWorkerData, Numbered, ResultOf } from './messages.ts';
import { errorOf } from './messages.ts';
import { segmentIdOfFile } from './segment.ts';
import { syncFolder } from './segment-writer.ts';

export interface BlockStoreOptions {
  readonly segmentsDir: string;
  readonly overlaysDir: string;
  readonly workers: number;
  /** Called once where the file system refuses O_DIRECT. */
  readonly onBuffered?: () => void;
}

interface Waiting {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

class BlockThread {
  readonly pending = new Map<number, Waiting>();
  readonly worker: Worker;
  failure: Error | undefined;
  #lastId = 0;

  constructor(data: BlockWorkerData, onEvent: (reply: BlockReply) => void) {
    this.worker = new Worker(new URL('./block-worker.ts', import.meta.url), { workerData: data, name: 'blocks' });
    this.worker.on('message', (reply: BlockReply) => {
      if (reply.kind !== 'done' && reply.kind !== 'failed') return onEvent(reply);
      const waiting = this.pending.get(reply.id);
      this.pending.delete(reply.id);
      if (reply.kind === 'done') waiting?.resolve(reply.result);
      else waiting?.reject(errorOf(reply.failure));
    });
    const fail = (error: Error): void => {
      this.failure ??= error;
      for (const { reject } of this.pending.values()) reject(error);
      this.pending.clear();
    };
    this.worker.on('error', (error) => fail(error instanceof Error ? error : new Error(String(error))));
    this.worker.on('exit', () => fail(new Error('a block worker has stopped')));
  }

  ask(body: BlockRequest, transfer: ArrayBuffer[]): Promise<unknown> {
    if (this.failure) return Promise.reject(this.failure);
    const id = ++this.#lastId;
    const message: Numbered<BlockRequest> = { id, body };
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      try {
        this.worker.postMessage(message, transfer);
      } catch (error) {
        this.pending.delete(id);
        reject(error);
      }
    });
  }
}

export class BlockStore {
  readonly #options: BlockStoreOptions;
  readonly #threads: BlockThread[];
  /** Segments that a worker may still write to. */
  readonly #open = new Set<string>();
  readonly #queue: (() => void)[] = [];
  readonly #perWorkerMax: number;
  #buffered = false;
  #closed = false;

  private constructor(options: BlockStoreOptions) {
    this.#options = options;
    this.#perWorkerMax = Math.max(2, Math.floor(LIMITS.cryptoQueueBlocks / options.workers));
    const { segmentsDir, overlaysDir } = options;
    this.#threads = Array.from(
      { length: options.workers },
      () => new BlockThread({ segmentsDir, overlaysDir }, (reply) => this.#onEvent(reply)),
    );
  }

  static async open(options: BlockStoreOptions): Promise<BlockStore> {
    await mkdir(options.segmentsDir, { recursive: true, mode: 0o700 });
    await mkdir(options.overlaysDir, { recursive: true, mode: 0o700 });
    await syncFolder(dirname(options.segmentsDir));
    await syncFolder(dirname(options.overlaysDir));
    return new BlockStore(options);
  }

  /** Gives a request to the least busy worker, waiting while all of them have enough to do. */
  async ask<Request extends BlockRequest>(request: Request, transfer: ArrayBuffer[] = []): Promise<ResultOf<Request>> {
    for (;;) {
      if (this.#closed) throw new Error('the block store is closed');
      const thread = this.#threads.reduce((a, b) => (b.pending.size < a.pending.size ? b : a));
      if (thread.pending.size < this.#perWorkerMax) {
        try {
          return (await thread.ask(request, transfer)) as ResultOf<Request>;
        } finally {
          this.#queue.shift()?.();
        }
      }
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    }
  }

  /** Segments on disk that no worker writes to any more, with their sizes in bytes. */
  async closedSegments(): Promise<Map<string, number>> {
    const names = await readdir(this.#options.segmentsDir);
    // A worker announces a segment before it makes the file: after a round trip every name above is known here.
    await Promise.all(this.#threads.map((thread) => thread.ask({ kind: 'ping' }, [])));
    const closed = new Map<string, number>();
    for (const name of names) {
      const id = segmentIdOfFile(name);
      if (id === undefined || this.#open.has(id)) continue;
      closed.set(id, (await stat(join(this.#options.segmentsDir, name))).size);
    }
    return closed;
  }

  async deleteSegment(id: string): Promise<void> {
    await rm(join(this.#options.segmentsDir, `${id}.seg`), { force: true });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const wake of this.#queue.splice(0)) wake();
    await Promise.allSettled(this.#threads.map((thread) => thread.ask({ kind: 'close' }, [])));
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()));
  }

  #onEvent(reply: BlockReply): void {
    if (reply.kind === 'opened') this.#open.add(reply.segment);
    else if (reply.kind === 'closed') this.#open.delete(reply.segment);
    else if (reply.kind === 'buffered' && !this.#buffered) {
      this.#buffered = true;
      this.#options.onBuffered?.();
    }
  }
}
