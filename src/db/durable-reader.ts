/**
 * The reading side: read-only connections that see what is durable, and nothing that a crash could still take back.
 *
 * Two connections take turns. One holds the snapshot that queries read; before a flush the other one takes a snapshot
 * of what the flush will make durable, and after it they change places.
 */
import type { CompiledQuery, DatabaseConnection, QueryResult } from 'kysely';
import { SqliteConnection } from './connection.ts';

export class DurableReader implements DatabaseConnection {
  #current: SqliteConnection;
  #next: SqliteConnection;

  /** Everything in `file` must be durable. */
  constructor(file: string) {
    this.#current = new SqliteConnection(file, { readOnly: true });
    this.#next = new SqliteConnection(file, { readOnly: true });
    hold(this.#current);
  }

  /** What is committed now is what {@link advance} will show. */
  prepare(): void {
    hold(this.#next);
  }
  advance(): void {
    [this.#current, this.#next] = [this.#next, this.#current];
    this.#next.commit();
  }
  /** Takes the same snapshot again after a checkpoint, so that the log may start anew. */
  renew(): void {
    this.#current.commit();
    hold(this.#current);
  }

  executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    return this.#current.executeQuery<Row>(query);
  }
  streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    return this.#current.streamQuery<Row>();
  }
  close(): void {
    this.#current.close();
    this.#next.close();
  }
}

function hold(connection: SqliteConnection): void {
  connection.begin('deferred');
  connection.touch();
}
