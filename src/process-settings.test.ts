import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

const MAIN = join(import.meta.dirname, 'main.ts');

describe('the settings of the process', { skip: process.platform !== 'linux' && 'read from /proc' }, () => {
  it('hold in the process that was started, whose arguments, output and end are the same', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'ingot-settings-'));
    try {
      const args = [MAIN, 'serve', '--data', dataDir, '--listen', '127.0.0.1:0', '--machines', 'none'];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
      for await (const piece of child.stdout.iterator({ destroyOnReturn: false })) {
        if (String(piece).includes('Ingot is listening')) break;
      }
      const of = async (file: string) => (await readFile(`/proc/${child.pid}/${file}`, 'utf8')).split('\0');
      const [commandLine, environment] = [await of('cmdline'), await of('environ')];
      child.kill('SIGTERM');
      const [code] = await once(child, 'exit');
      assert.ok(commandLine.includes('--max-semi-space-size=8'), commandLine.join(' '));
      assert.deepEqual(commandLine.slice(-args.length - 1, -1), args);
      assert.ok(environment.includes('MALLOC_ARENA_MAX=2'));
      assert.equal(code, 0);
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  it('do not hide what is wrong with the arguments', async () => {
    const child = spawn(process.execPath, [MAIN, 'serve', '--listen', 'nowhere'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    const [message, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    assert.match(message, /^--listen must be HOST:PORT/);
    assert.equal(code, 2);
  });
});
