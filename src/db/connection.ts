/** One SQLite connection under Kysely: prepared statements are kept, rows come as plain objects. */
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

const STATEMENTS_CACHED_MAX = 512;
const BUSY_TIMEOUT_MS = 5_000;

/** A database handle with its prepared statements. */
export class SqliteConnection implements DatabaseConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, Prepared>();
  #bytesWritten = 0;

  constructor(file: string, options: { readonly readOnly?: boolean } = {}) {
    this.#database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, ...options });
    this.#database.exec('pragma foreign_keys = on');
  }
  /** About what this connection has added to the log since it was last asked to forget. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }
  forgetBytesWritten(): void {
    this.#bytesWritten = 0;
  }
  exec(sql: string): void {
    this.#database.exec(sql);
  }
  begin(kind: 'deferred' | 'immediate'): void {
    this.#prepare(`begin ${kind}`).statement.run();
  }
  commit(): void {
    this.#prepare('commit').statement.run();
  }
  /** Takes the snapshot that a deferred transaction reads. */
  touch(): void {
    this.#prepare('select 1 from sqlite_schema limit 1').statement.get();
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
    if (!READS.test(query.sql)) this.#bytesWritten += PAGE_BYTES + bytesOf(parameters);
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

  streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('a query that is read bit by bit would hold on to its snapshot: ask for pages');
  }
}

/** A statement dirties a page at least. */
const PAGE_BYTES = 4096;
const READS = /^select\b/i;

function bytesOf(parameters: readonly SQLInputValue[]): number {
  let bytes = 0;
  for (const value of parameters) {
    if (typeof value === 'string') bytes += value.length;
    else if (ArrayBuffer.isView(value)) bytes += value.byteLength;
  }
  return bytes;
}

interface Prepared {
  readonly statement: StatementSync;
  readonly givesRows: boolean;
}

/** `check` runs before every query. */
export function kyselyOver(connection: DatabaseConnection, check: () => void = () => {}): Kysely<unknown> {
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
