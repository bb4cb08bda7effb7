/**
 * Replacing the root key while the server runs: the new key is in its file before it is used, then everything that
 * earlier keys sealed is sealed anew, and at last the earlier keys leave the file. That the file holds more than one
 * key is the record of what is still to be done: what is interrupted goes on at the next start.
 * See docs/decisions/0007-the-root-key-is-replaced-by-a-signal.md.
 */
import { type Protection, RootKeyError, type RootKeyFile } from '../crypto/root-key.ts';
import type { SealedColumn } from '../crypto/sealed-column.ts';
import type { Db } from '../db/db.ts';
import type { Log } from '../log.ts';
import { sealColumnAnew } from './seal-anew.ts';
import type { TokenKeys } from './token-keys.ts';

/**
 * Earlier keys stay for this long after anything was found that they sealed: a call or a step of a job may hold what it
 * has read, and write it elsewhere. Nothing holds it for more than moments.
 */
const SETTLE_MS = 10 * 60_000;

export interface RootKeyRotation {
  /** One after another; failures are logged, and leave everything readable. */
  rotate(): Promise<void>;
  /** Ends what an earlier process left. To be awaited before anything is read that might be written elsewhere. */
  resume(): Promise<void>;
  /** Lets earlier keys be for the next start, and resolves when nothing is under way. */
  stop(): Promise<void>;
}

export interface RootKeyRotationDeps {
  readonly db: Db;
  readonly rootKey: RootKeyFile;
  readonly tokenKeys: TokenKeys;
  /** All there are; the last one is sealed anew last. */
  readonly columns: readonly SealedColumn[];
  readonly log: Log;
  /** What the file is sealed under; read anew for each use, and wiped. */
  withProtection<Result>(use: (protection: Protection | undefined) => Promise<Result>): Promise<Result>;
  readonly settleMs?: number;
}

export function createRootKeyRotation(deps: RootKeyRotationDeps): RootKeyRotation {
  const { db, rootKey, tokenKeys, columns, log, withProtection, settleMs = SETTLE_MS } = deps;
  let last: Promise<void> = Promise.resolve();
  let settling: NodeJS.Timeout | undefined;
  let stopped = false;

  /** Gives how many values were sealed anew. */
  async function sealAnew(): Promise<number> {
    await tokenKeys.renew();
    let count = 0;
    for (const column of columns) {
      const done = await sealColumnAnew(db, rootKey, column);
      count += done.sealedAnew;
      if (done.sealedAnew > 0) log.info(done, 'sealed anew under the newest root key');
      if (done.unreadable > 0) log.error(done, 'no root key opens these, and none did before');
    }
    return count;
  }

  async function dropEarlier(): Promise<void> {
    const keys = rootKey.keyCount - 1;
    await withProtection((protection) => rootKey.dropEarlier(protection));
    log.info({ keys }, 'the earlier root keys open nothing any more, and were dropped');
  }

  /** Drops the earlier keys when they have sealed nothing for long enough. */
  function settle(): void {
    clearTimeout(settling);
    if (stopped) return;
    const look = async () => ((await sealAnew()) > 0 ? settle() : dropEarlier());
    settling = setTimeout(() => void next(look), settleMs);
    settling.unref();
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
        clearTimeout(settling);
        await withProtection((protection) => rootKey.rotate(protection));
        const count = await sealAnew();
        log.info({ sealedAnew: count, keys: rootKey.keyCount }, 'the root key was replaced');
        settle();
      }),
    resume: () =>
      next(async () => {
        if (rootKey.keyCount === 1) return;
        while ((await sealAnew()) > 0);
        await dropEarlier();
      }),
    stop() {
      stopped = true;
      clearTimeout(settling);
      return last;
    },
  };
}
