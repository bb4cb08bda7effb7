/**
 * Makes commits durable without stopping the event loop: SQLite appends them to its log, and the thread pool calls
 * fdatasync on it. Commits that arrive during one call share the next.
 */

interface Waiting {
  resolve(): void;
  reject(error: unknown): void;
}

export interface FlushTurn {
  /** Called before a flush: what has been committed so far will be durable after it. */
  before(): void;
  /** Puts what has been committed so far on the disk. */
  flush(): Promise<void>;
  /** Called after a flush that succeeded, before anybody hears of it. */
  after(): void;
}

export class WalFlusher {
  readonly #turn: FlushTurn;
  #waiting: Waiting[] = [];
  #running = false;
  #failure: Error | undefined;

  constructor(turn: FlushTurn) {
    this.#turn = turn;
  }

  /** After a failed flush the kernel may have dropped what it held and say yes the next time: nothing is tried again. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Resolves when everything committed before the call is durable. */
  flushed(): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  /** Ends it, because of what happened to the disk; whoever waits is told. */
  fail(cause: unknown): Error {
    const failure = new Error('the database could not be made durable, and takes no more writes', { cause });
    this.#failure = failure;
    for (const { reject } of this.#waiting.splice(0)) reject(failure);
    return failure;
  }

  async #run(): Promise<void> {
    this.#running = true;
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        this.#turn.before();
        await this.#turn.flush();
        this.#turn.after();
      } catch (cause) {
        const failure = this.fail(cause);
        for (const { reject } of group) reject(failure);
        break;
      }
      for (const { resolve } of group) resolve();
    }
    this.#running = false;
  }
}
