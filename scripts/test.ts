/**
 * `npm test`: type check, lint, and every test. Arguments narrow it to files whose path holds one of them.
 *
 *     npm test                     all but the heavy ones
 *     npm run test:heavy           the heavy ones (*.heavy.test.ts)
 *     npm test -- src/keys         tests below src/keys, without type check and lint
 */
import { spawn } from 'node:child_process';
import { glob } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { ensureQemu } from './ensure-qemu.ts';

const REPOSITORY = new URL('..', import.meta.url).pathname;
const FOLDERS = ['policy', 'src', 'test', 'cli', 'scripts', 'demo', 'bench'];
const FILES_AT_A_TIME = 2;
const TEST_TIMEOUT_MS = 5 * 60_000;
const HEAVY_TIMEOUT_MS = 20 * 60_000;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

process.chdir(REPOSITORY);
const heavy = process.argv.includes('--heavy');
const narrowing = process.argv.slice(2).filter((argument) => !argument.startsWith('--'));

const checks =
  heavy || narrowing.length > 0 ? [] : [runCheck('tsc', ['--noEmit']), runCheck('biome', ['ci', '--colors=off', '.'])];
const checked = await Promise.all(checks);
await ensureQemu();
const counts = await runTests(await findTests());
counts.passed += checked.filter(Boolean).length;
counts.failed += checked.filter((passed) => !passed).length;
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed === 0 && counts.passed > 0 ? 0 : 1;

async function findTests(): Promise<string[]> {
  const files = await Array.fromAsync(glob(FOLDERS.map((folder) => `${folder}/**/*.test.ts`)));
  return files
    .filter((file) => file.endsWith('.heavy.test.ts') === heavy)
    .filter((file) => narrowing.length === 0 || narrowing.some((part) => file.includes(part)))
    .sort()
    .map((file) => join(REPOSITORY, file));
}

async function runTests(files: string[]): Promise<Counts> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  if (files.length === 0) return counts;
  const how = heavy
    ? { concurrency: 1, timeout: HEAVY_TIMEOUT_MS }
    : { concurrency: FILES_AT_A_TIME, timeout: TEST_TIMEOUT_MS };
  const stream = run({ files, ...how });
  stream.on('test:summary', ({ file, counts: all }) => {
    if (file !== undefined) return;
    counts.passed = all.passed;
    counts.skipped = all.skipped + all.todo;
    counts.failed = all.tests - all.passed - counts.skipped;
  });
  const report = stream.compose(spec);
  for await (const text of report) process.stdout.write(text);
  return counts;
}

/** A check counts as one test; what it says is shown only if it fails. */
async function runCheck(name: string, args: string[]): Promise<boolean> {
  const child = spawn(join(REPOSITORY, 'node_modules/.bin', name), args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => {
    said += piece;
  });
  child.stderr.on('data', (piece: Buffer) => {
    said += piece;
  });
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  process.stdout.write(code === 0 ? `✔ ${name}\n` : `✖ ${name}\n${said}\n`);
  return code === 0;
}
