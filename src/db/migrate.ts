/**
 * Schema versions. Every migration that ran stands in `schema_migrations` with its SQL, so that a file of a newer Ingot
 * and a migration that was edited after its release are both refused instead of half understood.
 */
import { type Kysely, sql } from 'kysely';
import type { Migration } from './db.ts';

interface MigrationTables {
  schema_migrations: { id: string; statements: string };
}

/** Runs what is pending, in the order of ids, within the caller's transaction, and gives it. */
export async function applyMigrations(
  schema: Kysely<MigrationTables>,
  migrations: readonly Migration[],
  compile: (migration: Migration) => Promise<string>,
): Promise<readonly Migration[]> {
  await schema.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('statements', 'text', (column) => column.notNull())
    .modifyEnd(sql`strict, without rowid`)
    .execute();
  const rows = await schema.selectFrom('schema_migrations').selectAll().execute();
  const applied = new Map(rows.map((row) => [row.id, row.statements]));
  const known = new Set<string>();
  const ran: Migration[] = [];
  for (const migration of [...migrations].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (!/^[a-z]+-\d{4}$/.test(migration.id)) throw new Error(`migration id ${migration.id} is not <module>-<nnnn>`);
    if (known.has(migration.id)) throw new Error(`two migrations are called ${migration.id}`);
    known.add(migration.id);
    const statements = await compile(migration);
    const before = applied.get(migration.id);
    if (before === undefined) {
      await migration.up(schema as Kysely<unknown>);
      await schema.insertInto('schema_migrations').values({ id: migration.id, statements }).execute();
      ran.push(migration);
    } else if (normalized(before) !== normalized(statements)) {
      throw new Error(`The database was made with another version of migration ${migration.id}; it cannot be opened.`);
    }
  }
  const unknown = rows.filter((row) => !known.has(row.id)).map((row) => row.id);
  if (unknown.length > 0) {
    throw new Error(`The database was written by a newer Ingot (${unknown.join(', ')}); it cannot be opened.`);
  }
  return ran;
}

/** Quoting, spacing and case are the query compiler's affair and may change with it. */
function normalized(statements: string): string {
  return statements.replaceAll(/["'`]/g, '').replaceAll(/\s+/g, ' ').toLowerCase();
}
