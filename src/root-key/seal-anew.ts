/**
 * Everything that earlier root keys sealed, under the newest: row by row, while all of it is in use. May be stopped at any
 * moment and run again; what is current is left alone.
 */
import type { Kysely } from 'kysely';
import type { RootKeyRing } from '../crypto/root-key.ts';
import type { SealedColumn, SealedRow } from '../crypto/sealed-column.ts';
import type { Db } from '../db/db.ts';
import { IntegrityError } from '../errors.ts';

const ROWS_PER_COMMIT = 100;

export interface SealedAnew {
  readonly table: string;
  readonly column: string;
  readonly rows: number;
  readonly sealedAnew: number;
  /** Rows that no key of the ring opens: they were lost before, and are left as they are. */
  readonly unreadable: number;
}

/** Tables are named by the modules that own them. */
type AnyTables = Record<string, Record<string, unknown>>;

interface Outdated {
  readonly key: readonly unknown[];
  readonly before: Uint8Array;
  readonly sealed: Uint8Array;
}

/** Resolves when every row of the column is under the newest key, durably. */
export async function sealColumnAnew(db: Db, ring: RootKeyRing, column: SealedColumn): Promise<SealedAnew> {
  let [rows, sealedAnew, unreadable] = [0, 0, 0];
  let after: readonly unknown[] | undefined;
  for (;;) {
    const page = await nextRows(db, column, after);
    const last = page.at(-1);
    if (!last) break;
    after = keyOf(column, last);
    const outdated: Outdated[] = [];
    for (const row of page) {
      const found = outdatedIn(ring, column, row);
      if (found === 'unreadable') unreadable += 1;
      else if (found) outdated.push(found);
    }
    if (outdated.length > 0) await replace(db, column, outdated);
    rows += page.length;
    sealedAnew += outdated.length;
  }
  return { table: column.table, column: column.column, rows, sealedAnew, unreadable };
}

function keyOf(column: SealedColumn, row: SealedRow): readonly unknown[] {
  return column.key.map((name) => row[name]);
}

function outdatedIn(ring: RootKeyRing, column: SealedColumn, row: SealedRow): Outdated | 'unreadable' | undefined {
  const before = row[column.column] as Uint8Array;
  const fields = column.fieldsOf(row);
  // An empty value is a place whose secret is not there, as that of key material which has expired.
  if (!fields || before.byteLength === 0 || ring.isCurrent(before, fields)) return undefined;
  let plaintext: Uint8Array;
  try {
    plaintext = ring.open(before, fields);
  } catch (error) {
    if (error instanceof IntegrityError) return 'unreadable';
    throw error;
  }
  const sealed = ring.seal(plaintext, fields);
  plaintext.fill(0);
  return { key: keyOf(column, row), before, sealed };
}

async function nextRows(db: Db, column: SealedColumn, after: readonly unknown[] | undefined): Promise<SealedRow[]> {
  const { table, key, besides = [], joined } = column;
  const own = [column.column, ...key].map((name) => `${table}.${name}`);
  const other = besides.map((name) => `${joined?.table ?? table}.${name}`);
  let query = (db.read<AnyTables>() as Kysely<AnyTables>)
    .selectFrom(table)
    .select([...own, ...other])
    .where(`${table}.${column.column}`, 'is not', null)
    .limit(ROWS_PER_COMMIT);
  if (joined) query = query.innerJoin(joined.table, `${joined.table}.${joined.on}`, `${table}.${key[0]}`);
  for (const name of key) query = query.orderBy(`${table}.${name}`);
  if (after) {
    // Greater in the first column that differs.
    query = query.where(({ eb, or, and }) =>
      or(
        key.map((name, at) =>
          and([
            ...key.slice(0, at).map((equal, index) => eb(`${table}.${equal}`, '=', after[index])),
            eb(`${table}.${name}`, '>', after[at]),
          ]),
        ),
      ),
    );
  }
  return query.execute();
}

async function replace(db: Db, { table, column, key }: SealedColumn, outdated: readonly Outdated[]): Promise<void> {
  await db.write(async (tx) => {
    for (const row of outdated) {
      // Only what is still as it was read: it may have been changed or deleted meanwhile.
      let update = tx
        .as<AnyTables>()
        .updateTable(table)
        .set({ [column]: row.sealed })
        .where(column, '=', row.before);
      for (const [at, name] of key.entries()) update = update.where(name, '=', row.key[at]);
      await update.execute();
    }
  });
}
