/** A reader's checkout of the repository, for tests that do what the documents print. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../house/ingot.ts';

const LINKED = ['bin', 'cli', 'policy', 'src', 'node_modules'];

/** The repository by links, with a data directory of its own, and a free port in place of the usual one. */
export async function checkOut(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'ingot-checkout-'));
  for (const name of LINKED) await symlink(join(REPOSITORY, name), join(directory, name));
  const manifest = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8'));
  assert.match(manifest.scripts.start, / serve$/, 'npm start is `ingot serve`');
  manifest.scripts.start += ' --machines none --listen 127.0.0.1:0';
  await writeFile(join(directory, 'package.json'), JSON.stringify(manifest));
  return directory;
}

/** `npm start &`, and what a reader waits for before the next line. */
export function startLines(start: string): string[] {
  assert.ok(start.startsWith('npm start &'), 'the first line starts the server');
  return [start.replace('&', '> said &'), 'until grep -qs "Ingot is listening" said; do kill -0 $!; sleep 0.1; done'];
}

/** Ends a shell and what it left behind. */
export function endGroup(leader: number | undefined): void {
  try {
    if (leader !== undefined) process.kill(-leader, 'SIGKILL');
  } catch (error) {
    // None of it is left.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
