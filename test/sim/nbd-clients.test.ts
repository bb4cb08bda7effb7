/** Clients that others wrote, over the unix socket of an attached volume. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { BLOCK, openTestStorage, type TestStorage, testKey, volumeId } from './storage-model.ts';

const run = promisify(execFile);
const VOLUME = volumeId('vol-0123456789abcdef0');
const SIZE = 32 * BLOCK;

async function missing(program: string): Promise<string | false> {
  return run(program, ['--version']).then(
    () => false,
    () => `${program} is not installed`,
  );
}

async function attachNew(t: TestStorage): Promise<string> {
  const overlay = await t.storage.createOverlay(VOLUME);
  const layers = { sizeBytes: SIZE, frozen: [], overlay, dataKey: testKey(1) };
  const { socketPath } = await t.storage.attach(VOLUME, layers);
  return `nbd+unix:///${VOLUME}?socket=${socketPath}`;
}

test('qemu-img writes an image and reads it back', { skip: await missing('qemu-img') }, async () => {
  await using t = await openTestStorage();
  const uri = await attachNew(t);
  const image = Buffer.concat([randomBytes(5 * BLOCK + 4096), Buffer.alloc(20 * BLOCK), randomBytes(BLOCK)]);
  const content = Buffer.concat([image, Buffer.alloc(SIZE - image.byteLength)]);
  const [input, output] = [join(t.dir, 'in.raw'), join(t.dir, 'out.raw')];
  await writeFile(input, content);
  await run('qemu-img', ['convert', '-n', '-f', 'raw', '-O', 'raw', '-W', '-m', '8', input, uri]);
  await run('qemu-img', ['convert', '-f', 'raw', '-O', 'raw', uri, output]);
  assert.ok(content.equals(await readFile(output)));
  const { stdout } = await run('qemu-img', ['compare', '-f', 'raw', '-F', 'raw', input, uri]);
  assert.match(stdout, /Images are identical/);
});

test('qemu-io writes, discards, zeroes and flushes at odd places', { skip: await missing('qemu-io') }, async () => {
  await using t = await openTestStorage();
  const uri = await attachNew(t);
  const commands = [
    'write -P 0x5a 1000 5000',
    'aio_write -P 0x11 1M 700k',
    'aio_write -P 0x22 3M 1M',
    'aio_flush',
    'write -f -P 0x33 8M 4k',
    'write -z 3M 512k',
    'discard 8M 4k',
    'flush',
    'read -P 0 0 1000',
    'read -P 0x5a 1000 5000',
    'read -P 0 6000 2000',
    'read -P 0x11 1M 700k',
    'read -P 0 3M 512k',
    'read -P 0x22 3584k 512k',
    'read -P 0 8M 4k',
  ];
  const { stdout } = await run('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), uri]);
  assert.doesNotMatch(stdout, /fail|error|verification/i);
  assert.equal(stdout.match(/^read \d+\/\d+ bytes/gm)?.length, commands.filter((c) => c.startsWith('read')).length);
});

test('nbdinfo understands the handshake', { skip: await missing('nbdinfo') }, async () => {
  await using t = await openTestStorage();
  const { stdout } = await run('nbdinfo', ['--json', await attachNew(t)]);
  const [served] = JSON.parse(stdout).exports;
  assert.equal(served['export-size'], SIZE);
  assert.equal(served.can_multi_conn, true);
});
