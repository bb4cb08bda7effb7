/** Work that nobody asks for: now and then, never twice at a time, and over before the parts it uses are closed. */
import type { Log } from './log.ts';

export interface Housekeeping {
  /** Waits for a round in progress. */
  stop(): Promise<void>;
}

export function startHousekeeping(deps: {
  readonly everyMs: number;
  readonly log: Log;
  /** One round; gives what it did for the log, or nothing where there is nothing to tell. */
  readonly round: () => Promise<object | undefined>;
}): Housekeeping {
  let running = Promise.resolve();
  let busy = false;
  const run = async () => {
    busy = true;
    try {
      const done = await deps.round();
      if (done) deps.log.info(done, 'housekeeping');
    } catch (error) {
      deps.log.error({ error }, 'housekeeping failed and will be tried again');
    } finally {
      busy = false;
    }
  };
  const timer = setInterval(() => {
    if (!busy) running = run();
  }, deps.everyMs);
  timer.unref();
  return {
    stop: async () => {
      clearInterval(timer);
      await running;
    },
  };
}
