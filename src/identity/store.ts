/** What the modules of identity share: the database, time, the root key, and the count of changes caches go by. */
import type { RootKey } from '../crypto/root-key.ts';
import type { Db, Tx } from '../db/db.ts';
import type { IdentityTables } from './tables.ts';

export interface Store {
  readonly db: Db;
  readonly clock: () => Date;
  readonly rootKey: RootKey;
  /** Committed state. */
  read(): Tables;
  /** One transaction; caches forget when it commits. */
  write<Result>(work: (tx: Tables, full: Tx) => Promise<Result>): Promise<Result>;
  /** Joins a transaction that is open already. */
  within(tx: Tx): Tables;
  /** Grows with every committed change. */
  generation(): number;
}

export type Tables = ReturnType<typeof readTables>;

function readTables(db: Db) {
  return db.read<IdentityTables>();
}

export function createStore(db: Db, clock: () => Date, rootKey: RootKey): Store {
  let generation = 0;
  const within = (tx: Tx): Tables => {
    tx.afterCommit(() => {
      generation += 1;
    });
    return tx.as<IdentityTables>();
  };
  return {
    db,
    clock,
    rootKey,
    read: () => readTables(db),
    write: (work) => db.write((tx) => work(within(tx), tx)),
    within,
    generation: () => generation,
  };
}

/**
 * A bounded cache of what was read from the database, emptied when identity changes. A value that was read while a
 * change committed is handed out but not kept.
 */
export function cacheOf<Value>(store: Store, entriesMax: number) {
  let generation = -1;
  const entries = new Map<string, Value>();
  return {
    /** What `load` does not find is not kept: asking for made-up ids must not push real ones out. */
    async get<Loaded extends Value | undefined>(key: string, load: () => Promise<Loaded>): Promise<Loaded | Value> {
      const now = store.generation();
      if (now !== generation) {
        entries.clear();
        generation = now;
      }
      const known = entries.get(key);
      if (known !== undefined) return known;
      const value = await load();
      if (value !== undefined && store.generation() === now && generation === now) {
        if (entries.size >= entriesMax) entries.delete(entries.keys().next().value!);
        entries.set(key, value);
      }
      return value;
    },
  };
}
