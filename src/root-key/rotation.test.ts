import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import type { Fields } from '../crypto/fields.ts';
import { openRootKey, type RootKeyRing } from '../crypto/root-key.ts';
import type { SealedColumn } from '../crypto/sealed-column.ts';
import type { Migration } from '../db/db.ts';
import { openTestDb } from '../db/test-db.ts';
import { createLog } from '../log.ts';
import { createRootKeyRotation } from './rotation.ts';
import { openTokenKeys, tokenKeyMigrations, tokenKeySealed } from './token-keys.ts';

interface Tables {
  secret: { name: string; part: number; sealed: Uint8Array | null };
}
const migrations: readonly Migration[] = [
  ...tokenKeyMigrations,
  {
    id: 'test-0001',
    async up(schema) {
      await schema.schema
        .createTable('secret')
        .addColumn('name', 'text', (column) => column.notNull())
        .addColumn('part', 'integer', (column) => column.notNull())
        .addColumn('sealed', 'blob')
        .addPrimaryKeyConstraint('secret_key', ['name', 'part'])
        .execute();
    },
  },
];
const fieldsOf = (name: string, part: number): Fields => [
  ['purpose', 'test'],
  ['name', `${name}/${part}`],
];
const SECRETS: SealedColumn = {
  table: 'secret',
  column: 'sealed',
  key: ['name', 'part'],
  fieldsOf: ({ name, part }) => fieldsOf(String(name), Number(part)),
};
const TOKEN: Fields = [['purpose', 'token']];
const NAMES = ['a', 'b', 'c'];
const PARTS = 90;

async function world() {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-rotation-'));
  const database = await openTestDb(migrations);
  const { db } = database;
  const said: string[] = [];
  const open = async (settleMs: number) => {
    const rootKey = await openRootKey(folder, { create: true });
    const tokenKeys = await openTokenKeys({ db, rootKey, clock: () => new Date() });
    const rotation = createRootKeyRotation({
      db,
      rootKey,
      tokenKeys,
      columns: [...tokenKeySealed, SECRETS],
      log: createLog('info', { write: (line: string) => void said.push(line) }),
      withProtection: (use) => use(undefined),
      settleMs,
    });
    return { rootKey, tokenKeys, rotation };
  };
  const put = (ring: RootKeyRing, name: string, part: number) => {
    const sealed = ring.seal(Buffer.from(`${name}${part}`), fieldsOf(name, part));
    return db.write((tx) =>
      tx
        .as<Tables>()
        .insertInto('secret')
        .values({ name, part, sealed })
        .onConflict((conflict) => conflict.columns(['name', 'part']).doUpdateSet({ sealed }))
        .execute(),
    );
  };
  /** Opens everything with what is in the file now. */
  const opensAll = async () => {
    const ring = await openRootKey(folder, { create: false });
    for (const { name, part, sealed } of await db.read<Tables>().selectFrom('secret').selectAll().execute()) {
      if (sealed) assert.equal(Buffer.from(ring.open(sealed, fieldsOf(name, part))).toString(), `${name}${part}`);
    }
    return ring.keyCount;
  };
  const first = await open(1);
  for (const name of NAMES) for (let part = 0; part < PARTS; part += 1) await put(first.rootKey, name, part);
  await db.write((tx) =>
    tx.as<Tables>().insertInto('secret').values({ name: 'none', part: 0, sealed: null }).execute(),
  );
  return {
    ...first,
    folder,
    db,
    said,
    open,
    put,
    opensAll,
    async [Symbol.asyncDispose]() {
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let round = 0; round < 1000 && !holds(); round += 1) await pause(10);
  assert.ok(holds(), what);
}

test('everything is sealed anew, the earlier key is dropped, and tokens of clients still open', async () => {
  await using at = await world();
  const before = await readFile(join(at.folder, 'root.key'));
  const token = at.tokenKeys.seal(Buffer.from('held by a client'), TOKEN);
  await at.rotation.rotate();
  await until('the earlier key was dropped', () => at.rootKey.keyCount === 1);
  assert.equal(await at.opensAll(), 1);
  assert.equal(Buffer.from(at.tokenKeys.open(token, TOKEN)).toString(), 'held by a client');
  const later = await at.open(1);
  assert.equal(Buffer.from(later.tokenKeys.open(token, TOKEN)).toString(), 'held by a client');
  // A new token opens under the new token key only: who has the earlier root key and an earlier copy does not have it.
  const newer = at.tokenKeys.seal(Buffer.from('newer'), TOKEN);
  assert.equal(Buffer.from(later.tokenKeys.open(newer, TOKEN)).toString(), 'newer');
  assert.ok(
    at.said.some((line) => line.includes('"table":"secret"') && line.includes(`"sealedAnew":${NAMES.length * PARTS}`)),
  );

  await writeFile(join(at.folder, 'root.key'), before);
  await assert.rejects(at.opensAll(), { name: 'IntegrityError' });
  await assert.rejects(at.open(1), /the root key beside this database/);
});

test('what was held while the key changed and written later is found, and the earlier key waits for it', async () => {
  await using at = await world();
  const early = await openRootKey(at.folder, { create: false });
  const { rotation, rootKey } = await at.open(200);
  await rotation.rotate();
  await at.put(early, 'late', 1);
  const settled = at.said.length;
  await until('it was sealed anew', () => at.said.slice(settled).some((line) => line.includes('"sealedAnew":1')));
  assert.equal(rootKey.keyCount, 2, 'dropped in the same breath');
  await until('the earlier key was dropped', () => rootKey.keyCount === 1);
  assert.equal(await at.opensAll(), 1);
});

test('stopped before it was done, the next start ends it before anything else', async () => {
  await using at = await world();
  await at.rootKey.rotate(undefined);
  await at.rotation.stop();
  const { rotation, rootKey } = await at.open(60_000);
  assert.equal(rootKey.keyCount, 2);
  await rotation.resume();
  assert.equal(rootKey.keyCount, 1);
  assert.equal(await at.opensAll(), 1);
});

test('a second replacement while the first settles leaves one key', async () => {
  await using at = await world();
  await Promise.all([at.rotation.rotate(), at.rotation.rotate()]);
  await until('the earlier keys were dropped', () => at.rootKey.keyCount === 1);
  assert.equal(await at.opensAll(), 1);
});

test('what no key opens is named in the log and left, and keeps nothing else from being sealed anew', async () => {
  await using at = await world();
  const damaged = Buffer.alloc(64, 1);
  await at.db.write((tx) =>
    tx
      .as<Tables>()
      .updateTable('secret')
      .set({ sealed: damaged })
      .where('name', '=', 'b')
      .where('part', '=', 3)
      .execute(),
  );
  await at.rotation.rotate();
  assert.ok(at.said.some((line) => line.includes('"unreadable":1')));
  const rows = await at.db.read<Tables>().selectFrom('secret').selectAll().execute();
  for (const { name, part, sealed } of rows) {
    if (name === 'b' && part === 3) assert.deepEqual(Buffer.from(sealed!), damaged);
    else if (sealed) assert.ok(at.rootKey.isCurrent(sealed, fieldsOf(name, part)), `${name}${part}`);
  }
});
