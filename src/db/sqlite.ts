/**
 * {@link Db} on SQLite: one connection that writes, one that reads.
 *
 * Transactions queue for the writer and run one after another; a commit returns after fdatasync (WAL, synchronous=FULL).
 * The reader is opened read-only and holds no transaction between statements, so each query sees everything committed
 * before it and nothing of a transaction in progress. SQLite runs on the event loop: a statement should take
 * microseconds, and a transaction must not wait for the network or for bulk work.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely';
import type { Db, Migration, Tx } from './db.ts';
import { applyMigrations } from './migrate.ts';

const STATEMENTS_CACHED_MAX = 512;
const BUSY_TIMEOUT_MS = 5_000;

export interface SqliteOptions {
  /** False skips fdatasync, for tests whose subject is not durability. */
  readonly durable?: boolean;
  /** Receives what an `afterCommit` effect threw; without it the process ends with that error. */
  readonly onEffectError?: (error: unknown) => void;
}

/** Opens or creates the database `file` and brings its schema up to date. Refuses a file of a newer Ingot. */
export async function openDb(file: string, migrations: readonly Migration[], options: SqliteOptions = {}): Promise<Db> {
  const writer = new SqliteConnection(new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS }));
  try {
    writer.exec('pragma journal_mode = wal');
    writer.exec(`pragma synchronous = ${options.durable === false ? 'off' : 'full'}`);
    const db = new SqliteDb(writer, options);
    await db.write((tx) => applyMigrations(tx.as(), migrations, compileOnly));
    db.openReader(file);
    return db;
  } catch (error) {
    writer.close();
    throw error;
  }
}

class SqliteDb implements Db {
  readonly #writer: SqliteConnection;
  readonly #options: SqliteOptions;
  readonly #inside = new AsyncLocalStorage<OpenTx>();
  #reader: SqliteConnection | undefined;
  #read: Kysely<unknown> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(writer: SqliteConnection, options: SqliteOptions) {
    this.#writer = writer;
    this.#options = options;
  }

  openReader(file: string): void {
    this.#reader = new SqliteConnection(new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, readOnly: true }));
    this.#read = kyselyOver(this.#reader);
  }

  read<Tables>(): Kysely<Tables> {
    if (this.#closed || !this.#read) throw new Error('the database is closed');
    return this.#read as Kysely<Tables>;
  }

  write<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    if (this.#closed) return Promise.reject(new Error('the database is closed'));
    if (this.#inside.getStore()?.open) {
      return Promise.reject(new Error('write() inside write() would wait for itself: pass the Tx on'));
    }
    const turn = this.#last.then(() => this.#transact(work));
    this.#last = turn.then(ignore, ignore);
    return turn;
  }

  async #transact<Result>(work: (tx: Tx) => Promise<Result>): Promise<Result> {
    const tx = new OpenTx(this.#writer);
    this.#writer.exec('begin immediate');
    let result: Result;
    try {
      result = await this.#inside.run(tx, work, tx);
      tx.open = false;
      this.#writer.exec('commit');
    } catch (error) {
      tx.open = false;
      this.#writer.rollback();
      throw error;
    }
    for (const effect of tx.effects) this.#runEffect(effect);
    return result;
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
    this.#reader?.close();
    this.#writer.close();
  }
}

const ignore = () => {};

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

/** A database handle with its prepared statements. */
class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, Prepared>();

  constructor(database: DatabaseSync) {
    this.#database = database;
    database.exec('pragma foreign_keys = on');
  }
  exec(sql: string): void {
    this.#database.exec(sql);
  }
  rollback(): void {
    // Some errors (a full disk) have already rolled back.
    if (this.#database.isTransaction) this.#database.exec('rollback');
  }
  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    try {
      return Promise.resolve(this.#run<Row>(query));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #run<Row>(query: CompiledQuery): QueryResult<Row> {
    const { statement, givesRows } = this.#prepare(query.sql);
    const parameters = query.parameters as readonly SQLInputValue[];
    if (givesRows) {
      // Rows come without a prototype; everything else in the program has one.
      return { rows: statement.all(...parameters).map((row) => ({ ...row })) as Row[] };
    }
    const { changes, lastInsertRowid } = statement.run(...parameters);
    return { numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid), rows: [] };
  }

  #prepare(sql: string): Prepared {
    let prepared = this.#statements.get(sql);
    if (prepared) {
      this.#statements.delete(sql);
    } else {
      const statement = this.#database.prepare(sql);
      prepared = { statement, givesRows: statement.columns().length > 0 };
      if (this.#statements.size >= STATEMENTS_CACHED_MAX) {
        this.#statements.delete(this.#statements.keys().next().value!);
      }
    }
    this.#statements.set(sql, prepared);
    return prepared;
  }

  async *streamQuery<Row>(query: CompiledQuery): AsyncIterableIterator<QueryResult<Row>> {
    const statement = this.#database.prepare(query.sql);
    for (const row of statement.iterate(...(query.parameters as readonly SQLInputValue[]))) {
      yield { rows: [{ ...row } as Row] };
    }
  }
}

interface Prepared {
  readonly statement: StatementSync;
  readonly givesRows: boolean;
}

function kyselyOver(connection: DatabaseConnection, check: () => void = ignore): Kysely<unknown> {
  const driver: Driver = {
    init: async () => {},
    acquireConnection: async () => {
      check();
      return connection;
    },
    beginTransaction: refuseTransaction,
    commitTransaction: refuseTransaction,
    rollbackTransaction: refuseTransaction,
    releaseConnection: async () => {},
    destroy: async () => {},
  };
  return new Kysely({ dialect: dialectOf(driver) });
}

async function refuseTransaction(): Promise<void> {
  throw new Error('transactions are begun by Db.write');
}

function dialectOf(driver: Driver): Dialect {
  return {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => driver,
    createIntrospector: (kysely) => new SqliteIntrospector(kysely),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  };
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
