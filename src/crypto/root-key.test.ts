import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { IntegrityError } from '../errors.ts';
import { openRootKey, type Protection, RootKeyError, rootKeyFrom } from './root-key.ts';

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
  const { tests } = JSON.parse(await readFile(path, 'utf8')) as {
    tests: { key: string; file: string; passphrase?: string; command?: string }[];
  };
  assert.equal(tests.length, 4);
  for (const { key, file, passphrase, command } of tests) {
    await writeFile(data.file, Buffer.from(file, 'hex'), { mode: 0o600 });
    const protection: Protection | undefined = passphrase
      ? { kind: 'passphrase', passphrase: Buffer.from(passphrase, 'hex') }
      : command
        ? { kind: 'command', key: Buffer.from(command, 'hex') }
        : undefined;
    const read = await openRootKey(data.path, { create: false, ...(protection ? { protection } : {}) });
    const sealed = rootKeyFrom(new Uint8Array(Buffer.from(key, 'hex'))).seal(new Uint8Array(4), FIELDS);
    assert.deepEqual(read.open(sealed, FIELDS), new Uint8Array(4));
  }
});

const byPassphrase = (text: string): Protection => ({ kind: 'passphrase', passphrase: Buffer.from(text) });
const byCommand = (fill: number): Protection => ({ kind: 'command', key: new Uint8Array(32).fill(fill) });

for (const [name, right, wrong] of [
  ['passphrase', byPassphrase('correct horse battery'), byPassphrase('incorrect horse battery')],
  ['command', byCommand(1), byCommand(2)],
] as const) {
  test(`sealed under a ${name}, the key opens with it and with nothing else`, async () => {
    await using data = await folder();
    const sealed = (await openRootKey(data.path, { create: true, protection: right })).seal(new Uint8Array(3), FIELDS);
    assert.equal((await stat(data.file)).mode & 0o777, 0o600);
    const again = await openRootKey(data.path, { create: false, protection: right });
    assert.deepEqual(again.open(sealed, FIELDS), new Uint8Array(3));
    for (const protection of [wrong, name === 'command' ? byPassphrase('x'.repeat(32)) : byCommand(1)]) {
      await assert.rejects(openRootKey(data.path, { create: false, protection }), RootKeyError);
    }
    await assert.rejects(openRootKey(data.path, { create: false }), /is sealed under a .*--root-/);
    const good = await readFile(data.file);
    for (const at of [3, 20, 40, 60, 100, good.byteLength - 1]) {
      const bad = Buffer.from(good);
      bad[at]! ^= 1;
      await writeFile(data.file, bad);
      await assert.rejects(openRootKey(data.path, { create: false, protection: right }), IntegrityError);
    }
  });
}

test('a key that lies plain is sealed in its place, and is the same key', async () => {
  await using data = await folder();
  const sealed = (await openRootKey(data.path, { create: true })).seal(new Uint8Array(3), FIELDS);
  const plain = await readFile(data.file);
  const key = plain.subarray(16, 48);
  const protection = byCommand(7);
  const opened = await openRootKey(data.path, { create: false, protection });
  assert.deepEqual(opened.open(sealed, FIELDS), new Uint8Array(3));
  assert.deepEqual(await readdir(data.path), ['root.key']);
  const after = await readFile(data.file);
  assert.ok(!after.includes(key));
  assert.equal((await stat(data.file)).mode & 0o777, 0o600);
  await assert.rejects(openRootKey(data.path, { create: false }), RootKeyError);
});

test('what the key is sealed under can change, and the old one opens nothing any more', async () => {
  await using data = await folder();
  const [first, second, third] = [byCommand(1), byPassphrase('correct horse battery'), byCommand(3)];
  const sealed = (await openRootKey(data.path, { create: true, protection: first })).seal(new Uint8Array(3), FIELDS);
  const changed = await openRootKey(data.path, { create: false, protection: second, previous: first });
  assert.deepEqual(changed.open(sealed, FIELDS), new Uint8Array(3));
  await assert.rejects(openRootKey(data.path, { create: false, protection: first }), RootKeyError);
  // Given once more, it changes nothing.
  const after = await readFile(data.file);
  await openRootKey(data.path, { create: false, protection: second, previous: first });
  assert.deepEqual(await readFile(data.file), after);
  await assert.rejects(openRootKey(data.path, { create: false, protection: third, previous: first }), RootKeyError);
  assert.deepEqual(await readFile(data.file), after);
  assert.deepEqual(
    (await openRootKey(data.path, { create: false, protection: second })).open(sealed, FIELDS),
    new Uint8Array(3),
  );
});

test('no part of a root key prints', async () => {
  await using data = await folder();
  const rootKey = await openRootKey(data.path, { create: true });
  const key = (await readFile(data.file)).subarray(16, 48);
  const printed = `${inspect(rootKey, { depth: 9, showHidden: true })} ${JSON.stringify(rootKey)} ${String(rootKey)}`;
  for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const) {
    assert.ok(!printed.includes(key.toString(form)), form);
  }
  assert.ok(!printed.includes([...key].join(', ')));
});
