/** A database for one test: real SQLite in a temporary folder, removed when the test's scope ends. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Db, Migration } from './db.ts';
import { openDb } from './sqlite.ts';

export interface TestDb extends AsyncDisposable {
  readonly db: Db;
  /** Temporary folder, also good for other files of the test. */
  readonly folder: string;
  readonly file: string;
  /** Closes the database and opens it again, as a restart of the server would. */
  reopen(): Promise<Db>;
}

/** `await using test = await openTestDb(keysMigrations)`. Without fdatasync. */
export async function openTestDb(migrations: readonly Migration[]): Promise<TestDb> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-db-'));
  const file = join(folder, 'ingot.db');
  const open = () => openDb(file, migrations, { durable: false });
  let db = await open();
  return {
    get db() {
      return db;
    },
    folder,
    file,
    async reopen() {
      await db.close();
      db = await open();
      return db;
    },
    async [Symbol.asyncDispose]() {
      await db.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
