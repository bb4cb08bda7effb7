import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Runs the demo to its end and gives what it said. */
export async function runDemo(...args: string[]): Promise<{ code: number | null; said: string }> {
  return runDemoUntil(undefined, args);
}

/** Presses Ctrl-C once the demo has said `words`; gives also what is left in the folder for temporary files. */
export async function interruptDemo(
  words: string,
  ...args: string[]
): Promise<{ code: number | null; said: string; left: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-interrupted-'));
  try {
    return { ...(await runDemoUntil(words, args, { TMPDIR: folder })), left: await readdir(folder) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runDemoUntil(words: string | undefined, args: string[], environment: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let said = '';
  let waiting = words !== undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      said += piece;
      if (!waiting || !said.includes(words as string)) return;
      waiting = false;
      // Once from the terminal and once from npm.
      child.kill('SIGINT');
      setTimeout(() => child.kill('SIGINT'), 20);
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  return { code, said };
}

/** Whether a process runs whose command line holds `words`. */
export async function someProcessNames(words: string): Promise<boolean> {
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(words)) return true;
  }
  return false;
}
