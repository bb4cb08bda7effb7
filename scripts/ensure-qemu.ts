/** QEMU for the demo and the tests: installed where that is possible without harm, else asked for in words. */
import { spawn } from 'node:child_process';
import { access, constants, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline/promises';

const PROGRAMS = ['qemu-system-x86_64', 'qemu-img'];
const DEBIAN_PACKAGES = ['qemu-system-x86', 'qemu-utils'];

/** Whether QEMU is there in the end. Installs it for root on Debian and Ubuntu, on a terminal only if told so. */
export async function ensureQemu(): Promise<boolean> {
  if (await isInstalled()) return true;
  const command = `apt-get install --no-install-recommends ${DEBIAN_PACKAGES.join(' ')}`;
  if (!(await isDebian())) {
    say(
      'QEMU is not installed: instances will not boot here. Install qemu-system-x86_64 and qemu-img to see them boot.',
    );
    return false;
  }
  if (process.getuid?.() !== 0) {
    say(`QEMU is not installed: instances will not boot here. To see them boot: sudo ${command}`);
    return false;
  }
  if (process.stdin.isTTY && !(await confirmed(`QEMU is not installed. Run \`${command}\`? [Y/n] `))) return false;
  say(`QEMU is not installed; installing it: ${command}`);
  const done = (await run('apt-get', ['update', '-qq'])) && (await run('apt-get', installArguments()));
  if (!done) say('QEMU could not be installed: instances will not boot here.');
  return done && (await isInstalled());
}

function installArguments(): string[] {
  return ['install', '-y', '-qq', '--no-install-recommends', ...DEBIAN_PACKAGES];
}

function say(sentence: string): void {
  process.stderr.write(`${sentence}\n`);
}

async function isInstalled(): Promise<boolean> {
  const found = await Promise.all(PROGRAMS.map(isOnPath));
  return found.every(Boolean);
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean);
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, program), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return found.includes(true);
}

async function isDebian(): Promise<boolean> {
  const release = await readFile('/etc/os-release', 'utf8').catch(() => '');
  return /^ID(_LIKE)?=.*(debian|ubuntu)/m.test(release) && (await isOnPath('apt-get'));
}

async function confirmed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question(question);
  terminal.close();
  return !/^\s*n/i.test(answer);
}

function run(program: string, args: string[]): Promise<boolean> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  return new Promise((resolve) => {
    const child = spawn(program, args, { stdio: ['ignore', 2, 2], env });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}
