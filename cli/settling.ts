/** For some seconds after a change AWS may answer as if it had not been: IAM, KMS, and what is shared with an account. */
import { setTimeout as pause } from 'node:timers/promises';

const WAITS_MS = [1_000, 2_000, 4_000];

/** Looks until what is seen is well, a few times at most, and gives what was seen last; stopped, without waiting. */
export async function settling<Seen>(
  look: () => Promise<Seen>,
  isWell: (seen: Seen) => boolean,
  signal: AbortSignal | undefined,
  waitsMs: readonly number[] = WAITS_MS,
): Promise<Seen> {
  let seen = await look();
  for (const waitMs of waitsMs) {
    if (isWell(seen)) break;
    // Whoever stops it is told by the caller what was done.
    await pause(waitMs, undefined, signal ? { signal } : {}).catch(() => undefined);
    if (signal?.aborted) break;
    seen = await look();
  }
  return seen;
}
