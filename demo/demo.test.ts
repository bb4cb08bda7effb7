import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileHolds, sampleFile } from './proof.ts';
import { interruptDemo, runDemo, someProcessNames } from './run-demo.ts';

test('the demo holds without a guest: every step but the boot', async () => {
  const { code, said } = await runDemo('--machines', 'none');
  assert.equal(code, 0, said);
  for (const step of [1, 2, 3, 4, 5, 6, 7]) assert.match(said, new RegExp(`^${step}\\. `, 'm'));
  assert.match(said, /All of it holds/);
  assert.match(said, /no QEMU here/);
});

test('Ctrl-C ends the demo and leaves neither files nor a server', async () => {
  const { code, said, left } = await interruptDemo('3. CopyImage', '--machines', 'none');
  assert.equal(code, 130, said);
  assert.deepEqual(left, []);
  const dataDir = /data in (\S+)/.exec(said)?.[1] as string;
  assert.equal(await someProcessNames(dataDir), false);
});

test('what cannot be used is named in a sentence', async () => {
  for (const args of [['--nope'], ['--image', '/nowhere/disk.img'], ['--image', '/']]) {
    const { code, said } = await runDemo(...args);
    assert.ok(code === 1 || code === 2, said);
    assert.doesNotMatch(said, /^ {4}at /m);
  }
});

test('of an image without a marker, pieces of it are sought', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-own-image-'));
  try {
    const image = join(folder, 'own.img');
    const bytes = Buffer.alloc(3 << 20);
    bytes.set(randomBytes(200), 700_000);
    bytes.set(randomBytes(200), 2_500_000);
    await writeFile(image, bytes);
    const samples = await sampleFile(image);
    assert.equal(samples.length, 2);
    assert.ok(samples.every((sample) => bytes.includes(sample)));
    assert.equal(await fileHolds(image, samples.slice(1)), true);
    await writeFile(image, Buffer.alloc(3 << 20));
    assert.equal(await fileHolds(image, samples), false);
    assert.deepEqual(await sampleFile(image), []);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
