/** Nothing that the root key seals is forgotten when it is replaced: every place is in the list of sealed columns. */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { sql } from 'kysely';
import { rootKeyFrom } from '../../src/crypto/root-key.ts';
import type { SealedRow } from '../../src/crypto/sealed-column.ts';
import { openTestDb } from '../../src/db/test-db.ts';
import { migrations, SEALED_COLUMNS } from '../../src/schema.ts';
import { REPOSITORY } from './ingot.ts';

/** Sealed by something else than the root key, or in nothing that Ingot keeps. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'authorization-message': 'a token key seals it',
  'kms-grant-token': 'a token key seals it',
  'kms-import-token': 'a token key seals it',
  'kms-ciphertext': 'key material of KMS seals it',
  'root-key': 'a passphrase or a command’s key seals it, in root.key',
};

/** Columns of bytes that hold nothing the root key sealed. */
const OTHER_BYTES: Readonly<Record<string, string>> = {
  'identity_session.token_digest': 'a digest',
  'storage_job_leaves.page': 'a page of a block map',
  'storage_pages.bytes': 'a page of a block map',
  'storage_pages.id': 'the digest of a page',
  'storage_uploads.entries': 'entries of a block map',
};

/** A row of which every column has a value, and which no KMS key has to do with. */
const ANY_ROW: SealedRow = new Proxy(
  {},
  { get: (_, name) => (String(name).endsWith('kms_key_arn') ? null : name === 'spec' ? 'SYMMETRIC_DEFAULT' : '1') },
);

it('every purpose that src/ names is one of a sealed column, or is sealed by something else', async () => {
  const named = new Set<string>();
  for await (const path of glob('src/**/*.ts', { cwd: REPOSITORY })) {
    if (/\.test\.ts$|\/test-/.test(path)) continue;
    const text = (await readFile(join(REPOSITORY, path), 'utf8')).replaceAll(/\/\*[\s\S]*?\*\//g, '');
    for (const [, purpose] of text.matchAll(/\['purpose', '([^']+)'\]/g)) named.add(purpose!);
  }
  const ofColumns = SEALED_COLUMNS.map((column) => String(column.fieldsOf(ANY_ROW)?.[0]?.[1]));
  assert.deepEqual([...named].sort(), [...new Set([...ofColumns, ...Object.keys(ELSEWHERE)])].sort());
});

it('every column of bytes in the database is a sealed one, or is known to be none', async () => {
  await using database = await openTestDb(migrations(rootKeyFrom(new Uint8Array(32))));
  const { rows } = await sql<{ name: string }>`
    select m.name || '.' || c.name as name from sqlite_master m, pragma_table_info(m.name) c
    where m.type = 'table' and lower(c.type) = 'blob'`.execute(database.db.read());
  const sealed = SEALED_COLUMNS.map(({ table, column }) => `${table}.${column}`);
  assert.deepEqual(rows.map(({ name }) => name).sort(), [...sealed, ...Object.keys(OTHER_BYTES)].sort());
});
