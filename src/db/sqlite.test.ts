import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { dbContract, noteMigrations } from './db.contract.ts';
import type { Migration } from './db.ts';
import { openDb } from './sqlite.ts';
import { openTestDb } from './test-db.ts';

dbContract('SQLite', () => openTestDb(noteMigrations));

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
