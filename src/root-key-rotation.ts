/**
 * Replacing the root key while the server runs: the new key is in its file before it is used, then key material is
 * sealed anew. What is interrupted goes on at the next start. See docs/decisions/0007-the-root-key-is-replaced-by-a-signal.md.
 */
import { type Protection, RootKeyError, type RootKeyFile } from './crypto/root-key.ts';
import type { Db } from './db/db.ts';
import { sealKeyMaterialAnew } from './keys/seal-anew.ts';
import type { Log } from './log.ts';

export interface RootKeyRotation {
  /** One after another; failures are logged, and leave everything readable. */
  rotate(): Promise<void>;
  /** Goes on with what an earlier process left. */
  resume(): Promise<void>;
  /** Resolves when nothing is under way. */
  idle(): Promise<void>;
}

export function createRootKeyRotation(deps: {
  readonly db: Db;
  readonly rootKey: RootKeyFile;
  readonly log: Log;
  /** What the file is sealed under; read anew for each rotation, and wiped. */
  withProtection<Result>(use: (protection: Protection | undefined) => Promise<Result>): Promise<Result>;
}): RootKeyRotation {
  const { db, rootKey, log, withProtection } = deps;
  let last: Promise<void> = Promise.resolve();

  async function sealAnew(): Promise<number> {
    let count = 0;
    // Again until nothing is left: what was on its way when the key changed may have come after it was looked for.
    for (let round = -1; round !== 0; count += round) round = await sealKeyMaterialAnew(db, rootKey);
    return count;
  }

  function next(work: () => Promise<void>): Promise<void> {
    last = last.then(work).catch((error: unknown) => {
      if (error instanceof RootKeyError) log.error({ why: error.message }, 'the root key was not replaced');
      else log.error({ error }, 'the root key could not be replaced to the end; the next start goes on with it');
    });
    return last;
  }

  return {
    rotate: () =>
      next(async () => {
        await withProtection((protection) => rootKey.rotate(protection));
        const count = await sealAnew();
        log.info({ sealedAnew: count, keys: rootKey.keyCount }, 'the root key was replaced');
      }),
    resume: () =>
      next(async () => {
        if (rootKey.keyCount === 1) return;
        const count = await sealAnew();
        if (count > 0) log.info({ sealedAnew: count }, 'key material was sealed under the newest root key');
      }),
    idle: () => last,
  };
}
