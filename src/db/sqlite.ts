/**
 * {@link Db} on SQLite: one connection that writes, two that take turns in reading.
 *
 * Transactions queue for the writer and run one after another. A commit goes to SQLite's log (WAL, synchronous=NORMAL)
 * and is acknowledged when fdatasync of that log, in the thread pool, has returned: the event loop never waits for a
 * disk, and commits that come meanwhile share the next fdatasync. Readers see exactly what is durable. SQLite itself
 * runs on the event loop: a statement should take microseconds, and a transaction must not wait for the network or for
 * bulk work.
 *
 * The log is folded into the database file by checkpoints of our own, in the queue of transactions: readers always
 * hold a snapshot, and only when all of them hold the last one can the log start anew.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { closeSync, fdatasync, fsyncSync, openSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseConnection, Kysely } from 'kysely';
import { kyselyOver, SqliteConnection } from './connection.ts';
import type { Db, Migration, Tx } from './db.ts';
import { DurableReader } from './durable-reader.ts';
import { applyMigrations } from './migrate.ts';
import { WalFlusher } from './wal-flusher.ts';

/** What the log may hold, about, before it is folded into the database file. */
const LOG_BYTES_MAX = 16 * 1024 * 1024;

export interface SqliteOptions {
  /** False skips fdatasync, for tests whose subject is not durability. */
  readonly durable?: boolean;
  /** In place of fdatasync, for tests whose subject it is. */
  readonly flush?: (descriptor: number) => Promise<void>;
  /** Receives what an `afterCommit` effect threw; without it the process ends with that error. */
  readonly onEffectError?: (error: unknown) => void;
}

/** Opens or creates the database `file` and brings its schema up to date. Refuses a file of a newer Ingot. */
export async function openDb(file: string, migrations: readonly Migration[], options: SqliteOptions = {}): Promise<Db> {
  const writer = new SqliteConnection(file);
  try {
    writer.exec('pragma journal_mode = wal');
    writer.exec(synchronous(options));
    writer.exec('pragma wal_autocheckpoint = 0');
    const ran = await migrate(writer, migrations);
    // SQLite leaves what was deleted where it stood, until it needs the space.
    if (ran.some(({ leavesNothing }) => leavesNothing)) writer.exec('vacuum');
    // Folds in what an earlier process left in the log: the readers begin with a database that is durable.
    writer.exec('pragma wal_checkpoint(truncate)');
    return new SqliteDb(writer, realpathSync(file), options);
  } catch (error) {
    writer.close();
    throw error;
  }
}

async function migrate(writer: SqliteConnection, migrations: readonly Migration[]): Promise<readonly Migration[]> {
  const tx = new OpenTx(writer);
  writer.begin('immediate');
  try {
    const ran = await applyMigrations(tx.as(), migrations, compileOnly);
    writer.commit();
    return ran;
  } catch (error) {
    writer.rollback();
    throw error;
  }
}

interface Committed<Result> {
  readonly result: Result;
  readonly effects: readonly (() => void)[];
  readonly durable: Promise<void>;
}

class SqliteDb implements Db {
  readonly #writer: SqliteConnection;
  readonly #options: SqliteOptions;
  readonly #inside = new AsyncLocalStorage<OpenTx>();
  readonly #reader: DurableReader;
  readonly #read: Kysely<unknown>;
  /** Descriptors of the database file and of its log, to make them durable. */
  readonly #file: number;
  readonly #log: number;
  readonly #flusher: WalFlusher;
  /** The last transaction in the queue: settled when it has committed, though perhaps not durably. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  /** Everything in `file` must be durable, and its log must exist. */
  constructor(writer: SqliteConnection, file: string, options: SqliteOptions) {
    this.#writer = writer;
    this.#options = options;
    this.#reader = new DurableReader(file);
    this.#read = kyselyOver(this.#reader);
    // INVARIANT: these are closed after SQLite's own, and nothing else in the process opens the database file: closing
    // any descriptor of a file gives up all locks that the process holds on it, SQLite's included.
    this.#file = openSync(file, 'r+');
    this.#log = openSync(`${file}-wal`, 'r+');
    if (options.durable !== false) syncFolder(dirname(file));
    this.#flusher = new WalFlusher({
      before: () => this.#reader.prepare(),
      flush: () => this.#flush(this.#log),
      after: () => this.#reader.advance(),
    });
  }

  read<Tables>(): Kysely<Tables> {
    if (this.#closed) throw new Error('the database is closed');
    return this.#read as Kysely<Tables>;
  }

  write<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new Error('the database is closed'));
    if (this.#inside.getStore()?.open) {
      return Promise.reject(new Error('write() inside write() would wait for itself: pass the Tx on'));
    }
    const committed = this.#last.then(() => this.#transact(work));
    this.#last = committed.then(ignore, ignore);
    return this.#whenDurable(committed);
  }

  async #transact<Result>(work: (tx: Tx) => Promise<Result>): Promise<Committed<Result>> {
    if (this.#flusher.failure) throw this.#flusher.failure;
    if (this.#writer.bytesWritten > LOG_BYTES_MAX) await this.#checkpoint();
    const tx = new OpenTx(this.#writer);
    this.#writer.begin('immediate');
    try {
      const result = await this.#inside.run(tx, work, tx);
      tx.open = false;
      this.#writer.commit();
      return { result, effects: tx.effects, durable: this.#flusher.flushed() };
    } catch (error) {
      tx.open = false;
      this.#writer.rollback();
      throw error;
    }
  }

  async #whenDurable<Result>(committing: Promise<Committed<Result>>): Promise<Result> {
    const { result, effects, durable } = await committing;
    await durable;
    for (const effect of effects) this.#runEffect(effect);
    return result;
  }

  /**
   * Runs between two transactions. SQLite copies the log into the file, and the thread pool makes the file durable.
   * INVARIANT: until it is, readers hold the end of the log, so that it cannot start anew, and a crash replays it.
   */
  async #checkpoint(): Promise<void> {
    await this.#flusher.flushed();
    this.#writer.exec('pragma synchronous = off');
    try {
      this.#writer.exec('pragma wal_checkpoint(passive)');
    } finally {
      this.#writer.exec(synchronous(this.#options));
    }
    await this.#flush(this.#file).catch((cause: unknown) => {
      throw this.#flusher.fail(cause);
    });
    this.#writer.forgetBytesWritten();
    this.#reader.renew();
  }

  #flush(descriptor: number): Promise<void> {
    const { flush, durable } = this.#options;
    if (flush) return flush(descriptor);
    if (durable === false) return Promise.resolve();
    return new Promise((resolve, reject) => fdatasync(descriptor, (error) => (error ? reject(error) : resolve())));
  }

  #runEffect(effect: () => void): void {
    try {
      effect();
    } catch (error) {
      // The transaction is committed: its caller must not be told that it failed.
      if (this.#options.onEffectError) this.#options.onEffectError(error);
      else
        queueMicrotask(() => {
          throw error;
        });
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#last;
    await this.#flusher.flushed().catch(ignore);
    this.#reader.close();
    this.#writer.close();
    closeSync(this.#log);
    closeSync(this.#file);
  }
}

const ignore = () => {};
const synchronous = (options: SqliteOptions) => `pragma synchronous = ${options.durable === false ? 'off' : 'normal'}`;

class OpenTx implements Tx {
  open = true;
  readonly effects: (() => void)[] = [];
  readonly #kysely: Kysely<unknown>;

  constructor(writer: SqliteConnection) {
    this.#kysely = kyselyOver(writer, () => {
      if (!this.open) throw new Error('this transaction has ended');
    });
  }
  as<Tables>(): Kysely<Tables> {
    return this.#kysely as Kysely<Tables>;
  }
  afterCommit(effect: () => void): void {
    this.effects.push(effect);
  }
}

/** Makes the name of the log durable. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** The SQL that a migration would run, without running it. */
async function compileOnly(migration: Migration): Promise<string> {
  const statements: string[] = [];
  const recorder: DatabaseConnection = {
    executeQuery: async (query) => {
      statements.push(query.sql);
      return { rows: [] };
    },
    streamQuery: () => {
      throw new Error(`migration ${migration.id} streams, which migrations must not`);
    },
  };
  await migration.up(kyselyOver(recorder));
  return statements.join(';\n');
}
