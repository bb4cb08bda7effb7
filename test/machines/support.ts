/** What the tests with real machines share: is QEMU here, a disk served by qemu-nbd, and waiting for a condition. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { MachineVolume } from '../../src/instances/machine.ts';

/** A reason to skip, or `false`. */
export function noQemu(): string | false {
  for (const tool of ['qemu-system-x86_64', 'qemu-nbd']) {
    if (spawnSync(tool, ['--version']).status !== 0) return `${tool} is not installed`;
  }
  return false;
}

export interface Workplace extends AsyncDisposable {
  readonly dir: string;
  /** Serves a raw image file; the same path again after {@link stopServing}. */
  serve(image: string, device: string, serial: string): Promise<MachineVolume>;
  stopServing(device: string): Promise<void>;
}

/** A temporary folder with disks served in it; everything ends with the test's scope. */
export async function workplace(): Promise<Workplace> {
  const dir = await mkdtemp(join(tmpdir(), 'ingot-m-'));
  const servers = new Map<string, ReturnType<typeof spawn>>();
  const stopServing = async (device: string) => {
    const server = servers.get(device);
    servers.delete(device);
    if (!server || server.exitCode !== null) return;
    const gone = once(server, 'exit');
    server.kill('SIGKILL');
    await gone;
  };
  return {
    dir,
    async serve(image, device, serial) {
      const socketPath = join(dir, `${serial}.nbd`);
      await rm(socketPath, { force: true });
      const args = ['--socket', socketPath, '--persistent', '--shared=0', '--format=raw', image];
      const server = spawn('qemu-nbd', args, { stdio: 'ignore' });
      servers.set(device, server);
      await until('qemu-nbd listens', () =>
        access(socketPath).then(
          () => true,
          () => undefined,
        ),
      );
      return { device, socketPath, serial };
    },
    stopServing,
    async [Symbol.asyncDispose]() {
      for (const device of [...servers.keys()]) await stopServing(device);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Polls until `look` gives something; fails after `timeoutMs`. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 90_000,
): Promise<T> {
  const giveUpAt = performance.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    if (performance.now() > giveUpAt) throw new Error(`waited ${timeoutMs} ms in vain until ${what}`);
    await pause(50);
  }
}

/** Ends the machines that a server left behind, as the end of the host would. */
export async function killMachinesOf(dataDir: string): Promise<void> {
  const folder = join(dataDir, 'machines');
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.endsWith('.json')) continue;
    const { pid } = JSON.parse(await readFile(join(folder, name), 'utf8')) as { pid: number };
    const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (commandLine.includes(`guest=${name.slice(0, -'.json'.length)},`)) process.kill(pid, 'SIGKILL');
  }
}
