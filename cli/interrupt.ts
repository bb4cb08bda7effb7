/** Ctrl-C: the first asks the command to stop in good order, the second ends it at once. */
import { EXIT } from './error.ts';

/** Aborted by SIGINT or SIGTERM; made once a process. */
export function interruptSignal(): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(EXIT.interrupted);
      controller.abort(new Error(`stopped by ${name}`));
    });
  }
  return controller.signal;
}
