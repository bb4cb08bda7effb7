/** What the parts of this folder share. Made once, by `createVolumes`. */

import type { Db } from '../db/db.ts';
import { IntegrityError, Refusal } from '../errors.ts';
import type { InstanceId, VolumeId } from '../ids.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { KeysOnBehalf } from '../keys/on-behalf.ts';
import type { Log } from '../log.ts';
import type { RecycleBin } from '../recycle-bin/recycle-bin.ts';
import type { Tags } from '../tags/tags.ts';
import type { Storage } from './storage.ts';
import type { VolumeRefusalReason } from './volumes.ts';

export interface VolumesDeps {
  readonly db: Db;
  readonly storage: Storage;
  readonly keys: KeysOnBehalf;
  readonly jobs: Jobs;
  readonly tags: Tags;
  readonly bin: RecycleBin;
  readonly clock: () => Date;
  readonly log: Log;
}

export interface Context extends VolumesDeps {
  /** Progress of copies in flight, by snapshot id; what stands in the table is what survives a restart. */
  readonly progress: Map<string, string>;
  /** Which instances have each served volume open: it is served until the last of them has closed it. */
  readonly openedBy: Map<VolumeId, Set<InstanceId>>;
  /** Keeps what is decided from a volume's record and done to its storage together, one at a time for each volume. */
  readonly volumeLock: KeyedLock;
}

export type VolumeRefusal = Refusal<VolumeRefusalReason>;

export function refuse(reason: VolumeRefusalReason, facts: Refusal['facts'] = {}): VolumeRefusal {
  return new Refusal(reason, facts);
}

/** What trying again cannot change: policies, keys, rules, damaged bytes. */
export function isFinal(error: unknown): error is Error {
  return error instanceof Refusal || error instanceof IntegrityError;
}

/** `N%`, never 100 before the end. */
export function percent(fraction: number): string {
  return `${Math.min(99, Math.max(0, Math.floor(fraction * 100)))}%`;
}

export class KeyedLock {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs `work` after all earlier work of the same key. Never call inside a transaction: work may open one. */
  async run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const turn = before.then(work);
    const settled = turn.then(
      () => {},
      () => {},
    );
    this.#last.set(key, settled);
    try {
      return await turn;
    } finally {
      if (this.#last.get(key) === settled) this.#last.delete(key);
    }
  }
}
