import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { dbContract, noteMigrations } from './db.contract.ts';
import type { Migration } from './db.ts';
import { openDb } from './sqlite.ts';
import { openTestDb } from './test-db.ts';

dbContract('SQLite', () => openTestDb(noteMigrations));

interface Notes {
  note: { id: string; body: Uint8Array | null; count: number };
}

/** A database whose disk answers when the test says so. */
async function withSlowDisk() {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-db-'));
  const flushes: { readonly descriptor: number; end(error?: Error): void }[] = [];
  const db = await openDb(join(folder, 'ingot.db'), noteMigrations, {
    flush: (descriptor) =>
      new Promise((resolve, reject) => {
        flushes.push({ descriptor, end: (error) => (error ? reject(error) : resolve()) });
      }),
  });
  return {
    db,
    flushes,
    put: (id: string) =>
      db.write((tx) => tx.as<Notes>().insertInto('note').values({ id, body: null, count: 0 }).execute()),
    ids: async () => (await db.read<Notes>().selectFrom('note').select('id').execute()).map(({ id }) => id),
    async [Symbol.asyncDispose]() {
      const closing = db.close();
      const answering = setInterval(() => flushes.at(-1)?.end(), 1);
      await closing;
      clearInterval(answering);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turnOfTheLoop();
}

describe('SQLite commits', () => {
  it('are acknowledged, shown and acted upon when they are durable, not before', async () => {
    await using disk = await withSlowDisk();
    let acknowledged = false;
    let effect = false;
    const writing = disk.db.write(async (tx) => {
      tx.afterCommit(() => {
        effect = true;
      });
      await tx.as<Notes>().insertInto('note').values({ id: 'a', body: null, count: 0 }).execute();
    });
    const done = writing.then(() => {
      acknowledged = true;
    });
    await until(() => disk.flushes.length === 1);
    for (let turn = 0; turn < 10; turn += 1) await turnOfTheLoop();
    assert.deepEqual([acknowledged, effect, await disk.ids()], [false, false, []]);
    disk.flushes[0]!.end();
    await done;
    assert.deepEqual([acknowledged, effect, await disk.ids()], [true, true, ['a']]);
  });

  it('share a flush, but never one that began before them', async () => {
    await using disk = await withSlowDisk();
    const first = disk.put('a');
    await until(() => disk.flushes.length === 1);
    const others = Promise.all(['b', 'c', 'd'].map((id) => disk.put(id)));
    for (let turn = 0; turn < 10; turn += 1) await turnOfTheLoop();
    disk.flushes[0]!.end();
    await first;
    assert.deepEqual(await disk.ids(), ['a']);
    await until(() => disk.flushes.length === 2);
    disk.flushes[1]!.end();
    await others;
    assert.deepEqual(await disk.ids(), ['a', 'b', 'c', 'd']);
    assert.equal(disk.flushes.length, 2);
  });

  it('fail when the disk does, with its reason, and nothing is written after that', async () => {
    await using disk = await withSlowDisk();
    const failure = new Error('the disk is gone');
    const writing = disk.put('a');
    await until(() => disk.flushes.length === 1);
    disk.flushes[0]!.end(failure);
    const because = (error: unknown) => error instanceof Error && error.cause === failure;
    await assert.rejects(writing, because);
    await assert.rejects(disk.put('b'), because);
    assert.deepEqual(await disk.ids(), []);
    assert.equal(disk.flushes.length, 1);
  });

  it('fail, too, when the database file cannot take in its log', async () => {
    await using disk = await withSlowDisk();
    const body = new Uint8Array(20_000_000);
    const writing = disk.db.write((tx) =>
      tx.as<Notes>().insertInto('note').values({ id: 'a', body, count: 0 }).execute(),
    );
    await until(() => disk.flushes.length === 1);
    disk.flushes[0]!.end();
    await writing;
    const failure = new Error('the disk is full');
    const next = disk.put('b');
    await until(() => disk.flushes.length === 2);
    disk.flushes[1]!.end();
    await until(() => disk.flushes.length === 3);
    assert.notEqual(disk.flushes[2]!.descriptor, disk.flushes[1]!.descriptor);
    disk.flushes[2]!.end(failure);
    const because = (error: unknown) => error instanceof Error && error.cause === failure;
    await assert.rejects(next, because);
    await assert.rejects(disk.put('c'), because);
    assert.deepEqual(await disk.ids(), ['a']);
  });

  it('are folded into the database file, and the log does not grow without end', async () => {
    await using test = await openTestDb(noteMigrations);
    const body = new Uint8Array(100_000);
    for (let count = 0; count < 1000; count += 1) {
      await test.db.write((tx) =>
        tx
          .as<Notes>()
          .insertInto('note')
          .values({ id: `${count}`, body, count })
          .execute(),
      );
    }
    const log = await stat(`${test.file}-wal`);
    assert.ok(log.size < 50_000_000, `${log.size} bytes of log after 100 MB`);
    const db = await test.reopen();
    assert.equal((await db.read<Notes>().selectFrom('note').select('id').execute()).length, 1000);
  });
});

const more: Migration = {
  id: 'more-0001',
  up: async (schema) => {
    await schema.schema.createTable('more').addColumn('id', 'text').execute();
  },
};

describe('migrations', () => {
  it('adds what is new to an older database', async () => {
    await using test = await openTestDb(noteMigrations);
    await test.db.close();
    const db = await openDb(test.file, [...noteMigrations, more], { durable: false });
    assert.deepEqual(await db.read<{ more: { id: string } }>().selectFrom('more').selectAll().execute(), []);
    await db.close();
  });

  it('refuses the database of a newer Ingot', async () => {
    await using test = await openTestDb([...noteMigrations, more]);
    await test.db.close();
    await assert.rejects(openDb(test.file, noteMigrations), /newer Ingot \(more-0001\)/);
  });

  it('refuses a migration that was changed after it ran', async () => {
    await using test = await openTestDb([more]);
    await test.db.close();
    const changed: Migration = {
      id: 'more-0001',
      up: async (schema) => {
        await schema.schema.createTable('more').addColumn('name', 'text').execute();
      },
    };
    await assert.rejects(openDb(test.file, [changed]), /another version of migration more-0001/);
  });

  it('leaves nothing behind when one of them fails', async () => {
    await using test = await openTestDb([]);
    await test.db.close();
    const failing: Migration = {
      id: 'other-0001',
      up: async () => {
        throw new Error('no');
      },
    };
    await assert.rejects(openDb(test.file, [more, failing]), /no/);
    const db = await openDb(test.file, [more], { durable: false });
    await db.close();
  });

  it('refuses two of one name', async () => {
    await assert.rejects(openTestDb([more, more]), /two migrations are called more-0001/);
  });
});
