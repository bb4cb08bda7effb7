/** What every implementation of {@link Db} promises; each runs this suite from its own test file. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import type { Db, Migration, Tx } from './db.ts';

interface Tables {
  note: { id: string; body: Uint8Array | null; count: number };
}

export const noteMigrations: readonly Migration[] = [
  {
    id: 'notes-0001',
    up: async (schema) => {
      await schema.schema
        .createTable('note')
        .addColumn('id', 'text', (column) => column.primaryKey())
        .addColumn('body', 'blob')
        .addColumn('count', 'integer', (column) => column.notNull())
        .execute();
    },
  },
];

const put = (tx: Tx, id: string, count = 0) =>
  tx.as<Tables>().insertInto('note').values({ id, body: null, count }).execute();
const ids = async (db: Db) =>
  (await db.read<Tables>().selectFrom('note').select('id').orderBy('id').execute()).map((row) => row.id);

export interface DbUnderTest extends AsyncDisposable {
  readonly db: Db;
  reopen(): Promise<Db>;
}

export function dbContract(name: string, open: () => Promise<DbUnderTest>): void {
  describe(`${name} keeps the contract of Db`, () => {
    it('gives back what was committed, bytes included, also after a restart', async () => {
      await using test = await open();
      const body = Uint8Array.from({ length: 256 }, (_, index) => index);
      await test.db.write((tx) => tx.as<Tables>().insertInto('note').values({ id: 'a', body, count: 7 }).execute());
      const db = await test.reopen();
      assert.deepEqual(await db.read<Tables>().selectFrom('note').selectAll().execute(), [{ id: 'a', body, count: 7 }]);
    });

    it('shows readers nothing of a transaction before it commits', async () => {
      await using test = await open();
      await test.db.write(async (tx) => {
        await put(tx, 'a');
        assert.deepEqual(await ids(test.db), []);
        assert.equal((await tx.as<Tables>().selectFrom('note').select('id').execute()).length, 1);
      });
      assert.deepEqual(await ids(test.db), ['a']);
    });

    it('leaves nothing of a transaction that failed, and goes on', async () => {
      await using test = await open();
      const failure = new Error('no');
      const failing = test.db.write(async (tx) => {
        await put(tx, 'a');
        throw failure;
      });
      await assert.rejects(failing, failure);
      await test.db.write((tx) => put(tx, 'b'));
      assert.deepEqual(await ids(test.db), ['b']);
    });

    it('runs transactions one after another: no increment is lost', async () => {
      await using test = await open();
      await test.db.write((tx) => put(tx, 'a'));
      const increment = () =>
        test.db.write(async (tx) => {
          const { count } = await tx.as<Tables>().selectFrom('note').select('count').executeTakeFirstOrThrow();
          await turnOfTheLoop();
          await tx
            .as<Tables>()
            .updateTable('note')
            .set({ count: count + 1 })
            .execute();
        });
      await Promise.all(Array.from({ length: 20 }, increment));
      assert.deepEqual(await test.db.read<Tables>().selectFrom('note').select('count').execute(), [{ count: 20 }]);
    });

    it('runs afterCommit effects after the commit, and none after a rollback', async () => {
      await using test = await open();
      const ran: string[] = [];
      await test.db.write(async (tx) => {
        tx.afterCommit(() => ran.push('kept'));
        await put(tx, 'a');
        assert.deepEqual(ran, []);
      });
      assert.deepEqual(ran, ['kept']);
      const failing = test.db.write(async (tx) => {
        tx.afterCommit(() => ran.push('lost'));
        throw new Error('no');
      });
      await assert.rejects(failing);
      assert.deepEqual(ran, ['kept']);
    });

    it('lets an afterCommit effect begin another transaction', async () => {
      await using test = await open();
      let second: Promise<unknown> | undefined;
      await test.db.write(async (tx) => {
        tx.afterCommit(() => {
          second = test.db.write((next) => put(next, 'b'));
        });
        await put(tx, 'a');
      });
      await second;
      assert.deepEqual(await ids(test.db), ['a', 'b']);
    });

    it('refuses a transaction inside a transaction instead of waiting for ever', async () => {
      await using test = await open();
      const nested = test.db.write(async () => test.db.write((tx) => put(tx, 'a')));
      await assert.rejects(nested, /inside write/);
    });

    it('refuses a transaction that is used after its end', async () => {
      await using test = await open();
      let escaped: Tx | undefined;
      await test.db.write(async (tx) => {
        escaped = tx;
      });
      await assert.rejects(put(escaped!, 'a'), /has ended/);
    });

    it('refuses to write through the reading side', async () => {
      await using test = await open();
      const writing = test.db.read<Tables>().insertInto('note').values({ id: 'a', body: null, count: 0 }).execute();
      await assert.rejects(writing);
    });

    it('close() waits for the transactions that were asked for', async () => {
      await using test = await open();
      const last = test.db.write((tx) => put(tx, 'a'));
      const db = await test.reopen();
      await last;
      assert.deepEqual(await ids(db), ['a']);
    });
  });
}
