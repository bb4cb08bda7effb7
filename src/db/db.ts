/**
 * The metadata database: Kysely over SQLite (WAL), one file in the data directory.
 *
 * Reading and writing are different: {@link Db.read} sees durable rows only, and whatever changes rows holds a
 * {@link Tx}. Transactions run one after another; one that resolves is on disk. Each domain module owns its tables,
 * hands its {@link Migration}s to `app.ts`, and no other folder names those tables.
 */
import type { Kysely } from 'kysely';

/** An open transaction. `as<Tables>()` gives a query builder typed by the module that owns the tables. */
export interface Tx {
  as<Tables>(): Kysely<Tables>;
  /** Runs `effect` after the transaction has committed, and not at all if it rolls back. */
  afterCommit(effect: () => void): void;
}

export interface Db {
  /** Query builder over what is committed and durable, typed by the module that owns the tables. */
  read<Tables>(): Kysely<Tables>;
  /** Runs `work` in one transaction: committed and durable when the promise resolves, rolled back if it rejects. */
  write<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result>;
  close(): Promise<void>;
}

/** One numbered step of one module's schema; runs once per database, in the order of `id`. */
export interface Migration {
  /** `<module>-<nnnn>`, for example `keys-0001`. Never changes once released. */
  readonly id: string;
  /** It takes away what must not stay in the file either: right after the migrations, the file is written anew. */
  readonly leavesNothing?: true;
  up(schema: Kysely<unknown>): Promise<void>;
}
