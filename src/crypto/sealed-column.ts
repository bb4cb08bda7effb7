/**
 * Where a table keeps what the root key sealed. Each module lists the columns of its tables; replacing the root key
 * finds by these lists what it must seal anew, so a column that is in none of them would be lost with the earlier key.
 */
import type { Fields } from './fields.ts';

/** A row as the database gives it, with the columns that a {@link SealedColumn} names. */
export type SealedRow = Readonly<Record<string, unknown>>;

export interface SealedColumn {
  readonly table: string;
  readonly column: string;
  /** The primary key. */
  readonly key: readonly string[];
  /** Columns that {@link fieldsOf} looks at besides the key. */
  readonly besides?: readonly string[];
  /** Another table whose row is looked at as well: its `on` equals the first column of the key. */
  readonly joined?: { readonly table: string; readonly on: string };
  /** What the value is bound to; `undefined` where something else than the root key sealed it. */
  fieldsOf(row: SealedRow): Fields | undefined;
}
