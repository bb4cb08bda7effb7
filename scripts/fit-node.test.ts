import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';

const REPOSITORY = join(import.meta.dirname, '..');

function runAs(version: string) {
  const pretend = `Object.defineProperty(process.versions, 'node', { value: '${version}' })`;
  return spawnSync(
    process.execPath,
    ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`, join(REPOSITORY, 'bin/ingot.js'), '--help'],
    { encoding: 'utf8' },
  );
}

test('a Node.js that is too old is told so in one sentence', () => {
  const { status, stderr, stdout } = runAs('20.20.2');
  assert.equal(status, 1);
  assert.match(stderr, /^Ingot needs Node\.js 24 or newer .*\n$/);
  assert.equal(stdout, '');
  assert.equal(runAs('24.0.0').status, 0);
});

test('every script that starts Node.js looks at its version first', async () => {
  const { scripts } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8'));
  for (const [name, command] of Object.entries<string>(scripts)) {
    if (/\bnode\b/.test(command)) assert.match(command, /^exec node (--import \.\/bin\/fit-node|bin\/ingot)\.js/, name);
  }
});
