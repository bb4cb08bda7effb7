import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { IntegrityError } from '../errors.ts';
import { openRootKey, RootKeyError, rootKeyFrom } from './root-key.ts';

const FIELDS = [['purpose', 'test']] as const;

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'ingot-root-key-'));
  return { path, file: join(path, 'root.key'), [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

test('the first start makes a key of mode 0600, later starts read it', async () => {
  await using data = await folder();
  const first = await openRootKey(data.path, { create: true });
  assert.equal((await stat(data.file)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(data.path), ['root.key']);
  const second = await openRootKey(data.path, { create: false });
  const sealed = first.seal(new Uint8Array([1, 2, 3]), FIELDS);
  assert.deepEqual(second.open(sealed, FIELDS), new Uint8Array([1, 2, 3]));
  assert.throws(() => second.open(sealed, [['purpose', 'other']]), IntegrityError);
});

test('a lost key is never replaced silently', async () => {
  await using data = await folder();
  await assert.rejects(openRootKey(data.path, { create: false }), RootKeyError);
  assert.deepEqual(await readdir(data.path), []);
});

test('a file left half-made by a crash is not taken for the key', async () => {
  await using data = await folder();
  await writeFile(`${data.file}.new`, 'half', { mode: 0o600 });
  await openRootKey(data.path, { create: true });
  assert.deepEqual(await readdir(data.path), ['root.key']);
});

test('a key that others can read is refused, and the message says what to do', async () => {
  await using data = await folder();
  await openRootKey(data.path, { create: true });
  await chmod(data.file, 0o640);
  await assert.rejects(openRootKey(data.path, { create: false }), /chmod 600/);
});

test('damage anywhere in the file is found; a later version is named as such', async () => {
  await using data = await folder();
  await openRootKey(data.path, { create: true });
  const good = await readFile(data.file);
  for (let at = 0; at < good.byteLength; at++) {
    const bad = Buffer.from(good);
    bad[at]! ^= 1;
    await writeFile(data.file, bad);
    const expected = at === 15 ? RootKeyError : IntegrityError;
    await assert.rejects(openRootKey(data.path, { create: false }), expected, `byte ${at}`);
  }
  await writeFile(data.file, good.subarray(1));
  await assert.rejects(openRootKey(data.path, { create: false }), IntegrityError);
});

test('the file is as an independent implementation writes it', async () => {
  await using data = await folder();
  const path = new URL('../../test/vectors/formats/root-key.json', import.meta.url);
  const { tests } = JSON.parse(await readFile(path, 'utf8')) as { tests: { key: string; file: string }[] };
  for (const one of tests) {
    await writeFile(data.file, Buffer.from(one.file, 'hex'), { mode: 0o600 });
    const read = await openRootKey(data.path, { create: false });
    const sealed = rootKeyFrom(new Uint8Array(Buffer.from(one.key, 'hex'))).seal(new Uint8Array(4), FIELDS);
    assert.deepEqual(read.open(sealed, FIELDS), new Uint8Array(4));
  }
});
