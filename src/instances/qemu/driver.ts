/**
 * Machines as QEMU processes. Each is started apart from Ingot (own session, no pipes) and is commanded over its QMP
 * socket, so it goes on when Ingot ends and is taken over by the next process. For every machine the runtime folder
 * holds `<instance>.qmp` and `<instance>.net` (the sockets of monitor and network card), `<instance>.json` (its process
 * id), `<instance>.log` (QEMU's own messages; nothing of the guest) and, for a moment, `<instance>.screen` (a FIFO).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { Refusal } from '../../errors.ts';
import type { InstanceId } from '../../ids.ts';
import type { Log } from '../../log.ts';
import type {
  MachineDriver,
  MachineExit,
  MachineRefusalReason,
  MachineSpec,
  MachineVolume,
  Screen,
} from '../machine.ts';
import { CONSOLE_RING_BYTES, type QemuSetup, qemuArguments } from './arguments.ts';
import { attachDisk, isTaken, releaseDisk, takeDisk } from './disks.ts';
import { QEMU } from './probe.ts';
import { Qmp } from './qmp.ts';
import { endFifo, inTime, takeScreen, wake } from './screen.ts';

/** Longest path a unix socket can have on Linux. */
const SOCKET_PATH_BYTES_MAX = 107;
const SOCKET_NAME = '/i-0123456789abcdef0.qmp';

const START_MS = 60_000;
const GREETING_MS = 10_000;
/** For a machine of an earlier process to answer. */
const ADOPT_MS = 20_000;
const RELEASE_MS = 20_000;
/** What a guest gets that is going to lose the disk anyway. */
const FORCED_RELEASE_MS = 5_000;
const QUIT_MS = 5_000;
const POLL_MS = 25;
const SCREEN_MS = 10_000;

/** What there is of every machine in the runtime folder. */
const FILES = ['qmp', 'net', 'json', 'log', 'screen'] as const;

const NOTHING = new Uint8Array(0);

interface Machine {
  readonly id: InstanceId;
  readonly pid: number;
  readonly qmp: Qmp;
  /** Why the machine is about to end, once that is known. */
  ending?: MachineExit['how'];
  ended?: Promise<void>;
  rest: Uint8Array;
}

export interface QemuDriverOptions {
  /** Where sockets are; short, because a socket's path is at most 107 bytes. Made where missing. */
  readonly runtimeDir: string;
  readonly setup: QemuSetup & { readonly version: string };
  readonly log: Log;
  /** How long a picture of a screen is waited for, in ms. */
  readonly screenMs?: number;
}

export async function createQemuDriver(options: QemuDriverOptions): Promise<MachineDriver> {
  const longest = Buffer.byteLength(options.runtimeDir + SOCKET_NAME);
  if (longest > SOCKET_PATH_BYTES_MAX) {
    throw new RangeError(
      `the runtime folder ${options.runtimeDir} is ${longest - SOCKET_PATH_BYTES_MAX} bytes too long`,
    );
  }
  await mkdir(options.runtimeDir, { recursive: true, mode: 0o700 });
  return new QemuDriver(options);
}

class QemuDriver implements MachineDriver {
  readonly kind = 'qemu';
  readonly about: string;
  readonly bootModes: readonly MachineSpec['bootMode'][];
  readonly #options: QemuDriverOptions;
  readonly #machines = new Map<InstanceId, Machine>();
  #listener: (exit: MachineExit) => void = () => {};
  /** One picture at a time: each is some megabytes for a moment. */
  #screens: Promise<unknown> = Promise.resolve();
  /** Machines that were asked for a picture and have not answered: their FIFO stays, or QEMU would make a file. */
  readonly #screensAsked = new Set<InstanceId>();
  #closed = false;

  constructor(options: QemuDriverOptions) {
    this.#options = options;
    const { accelerator, uefiFirmware, version } = options.setup;
    this.bootModes = uefiFirmware === undefined ? ['legacy-bios'] : ['legacy-bios', 'uefi'];
    const how = accelerator === 'kvm' ? 'with KVM' : 'without KVM, which is slow';
    const firmware = uefiFirmware === undefined ? ', without UEFI firmware' : '';
    this.about = `Instances run in QEMU ${version} ${how}${firmware}.`;
  }

  onExit(listener: (exit: MachineExit) => void): void {
    this.#listener = listener;
  }

  isRunning(id: InstanceId): boolean {
    return this.#machines.has(id);
  }

  async start(spec: MachineSpec): Promise<void> {
    const id = spec.instanceId;
    if (this.#machines.has(id) || (await this.#takeOver(id))) return;
    if (!this.bootModes.includes(spec.bootMode)) throw refusal('firmware-missing', { bootMode: spec.bootMode });
    await this.#clear(id);
    const sockets = { qmp: this.#path(id, 'qmp'), network: this.#path(id, 'net') };
    const args = qemuArguments(spec, this.#options.setup, sockets);
    const log = await open(this.#path(id, 'log'), 'w', 0o600);
    let child: ChildProcess;
    try {
      const stdio = ['ignore', log.fd, log.fd] as const;
      // No core file ever: it would hold what the guest has in memory.
      const shell = ['-c', 'ulimit -c 0; exec "$0" "$@"', QEMU, ...args];
      child = spawn('/bin/sh', shell, { detached: true, stdio: [...stdio], cwd: '/' });
    } finally {
      await log.close();
    }
    const started = await this.#untilCommanded(id, child);
    this.#watch(started);
  }

  /** Waits until QEMU answers, and gives up with its last words when it ends before. */
  async #untilCommanded(id: InstanceId, child: ChildProcess): Promise<Machine> {
    let failure: string | undefined;
    child.once('error', (cause) => {
      failure = cause.message;
    });
    child.once('exit', (code, signal) => {
      failure = `QEMU ended with ${signal ?? code}`;
    });
    child.unref();
    const { pid } = child;
    if (pid !== undefined)
      await writeFile(this.#path(id, 'json'), JSON.stringify({ version: 1, id, pid }), { mode: 0o600 });
    const giveUpAt = performance.now() + START_MS;
    let cause: unknown;
    while (failure === undefined && performance.now() < giveUpAt) {
      try {
        const qmp = await Qmp.connect(this.#path(id, 'qmp'), GREETING_MS);
        return { id, pid: pid ?? 0, qmp, rest: NOTHING };
      } catch (error) {
        cause = error;
        await pause(POLL_MS);
      }
    }
    const words = await readFile(this.#path(id, 'log'), 'utf8').catch(() => '');
    if (failure === undefined && pid !== undefined) await this.#killProcess(id, pid);
    await this.#clear(id);
    const why = `${failure ?? 'QEMU did not answer'}: ${words.trim().slice(-400)}`;
    throw refusal('machine-failed', { instanceId: id, why }, { cause });
  }

  async powerDown(id: InstanceId): Promise<void> {
    await this.#machines.get(id)?.qmp.execute('system_powerdown');
  }

  async reset(id: InstanceId): Promise<void> {
    await this.#running(id).qmp.execute('system_reset');
  }

  async kill(id: InstanceId): Promise<void> {
    const machine = this.#machines.get(id);
    if (!machine) return;
    machine.ending ??= 'killed';
    await this.#quit(machine);
  }

  async attachDisk(id: InstanceId, volume: MachineVolume): Promise<void> {
    const { qmp } = this.#running(id);
    if (await isTaken(qmp, volume.device))
      throw refusal('disk-not-released', { instanceId: id, device: volume.device });
    await attachDisk(qmp, volume).catch((cause: unknown) => {
      throw refusal('machine-failed', { instanceId: id, device: volume.device }, { cause });
    });
  }

  async detachDisk(id: InstanceId, device: string, { force = false } = {}): Promise<void> {
    const { qmp } = this.#running(id);
    if (await releaseDisk(qmp, device, force ? FORCED_RELEASE_MS : RELEASE_MS)) return;
    if (!force) throw refusal('disk-not-released', { instanceId: id, device });
    await takeDisk(qmp, device);
  }

  async openNetwork(id: InstanceId): Promise<Duplex | undefined> {
    this.#running(id);
    const socket = connect(this.#path(id, 'net'));
    try {
      await once(socket, 'connect');
      return socket;
    } catch (cause) {
      socket.destroy();
      // A machine without a card, or from before Ingot served it.
      if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw refusal('machine-failed', { instanceId: id }, { cause });
    }
  }

  async takeConsole(id: InstanceId): Promise<Uint8Array> {
    const machine = this.#machines.get(id);
    return machine ? readConsole(machine.qmp) : NOTHING;
  }

  takeScreen(id: InstanceId, { wakeUp }: { readonly wakeUp: boolean }): Promise<Screen> {
    const { qmp } = this.#running(id);
    const take = async () => {
      if (wakeUp) await wake(qmp);
      return takeScreen(qmp, this.#path(id, 'screen'));
    };
    const turn = this.#screens.then(() => {
      if (this.#screensAsked.has(id)) throw new Error('QEMU has not answered with an earlier picture');
      this.#screensAsked.add(id);
      const picture = take().finally(() => this.#screensAsked.delete(id));
      return inTime(picture, this.#options.screenMs ?? SCREEN_MS);
    });
    this.#screens = turn.catch(() => {});
    return turn.catch((cause: unknown) => {
      throw refusal('machine-failed', { instanceId: id }, { cause });
    });
  }

  async adopt(): Promise<readonly InstanceId[]> {
    const names = await readdir(this.#options.runtimeDir);
    for (const name of names) {
      const id = /^(i-[0-9a-f]+)\.json$/.exec(name)?.[1] as InstanceId | undefined;
      if (id === undefined || (await this.#takeOver(id))) continue;
      const pid = await this.#recordedPid(id);
      if (pid !== undefined) await this.#killProcess(id, pid);
      await this.#clear(id);
    }
    return [...this.#machines.keys()];
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const machine of this.#machines.values()) machine.qmp.close();
    this.#machines.clear();
  }

  #running(id: InstanceId): Machine {
    const machine = this.#machines.get(id);
    if (!machine) throw refusal('machine-not-running', { instanceId: id });
    return machine;
  }

  #path(id: InstanceId, kind: (typeof FILES)[number]): string {
    return join(this.#options.runtimeDir, `${id}.${kind}`);
  }

  async #clear(id: InstanceId): Promise<void> {
    for (const kind of FILES) await rm(this.#path(id, kind), { force: true });
  }

  /** Takes command of a machine that an earlier process started. */
  async #takeOver(id: InstanceId): Promise<boolean> {
    const pid = await this.#recordedPid(id);
    if (pid === undefined) return false;
    const giveUpAt = performance.now() + ADOPT_MS;
    let cause: unknown;
    // QEMU may still be letting the last connection go: a guest is not given up for the first refusal.
    while (performance.now() < giveUpAt && (await isMachine(id, pid))) {
      try {
        await endFifo(this.#path(id, 'screen'));
        const qmp = await Qmp.connect(this.#path(id, 'qmp'), GREETING_MS);
        this.#watch({ id, pid, qmp, rest: NOTHING });
        return true;
      } catch (error) {
        cause = error;
        await pause(POLL_MS);
      }
    }
    if (cause) this.#options.log.warn({ instanceId: id, pid, error: cause }, 'a machine does not answer and is ended');
    return false;
  }

  async #recordedPid(id: InstanceId): Promise<number | undefined> {
    try {
      const pid: unknown = JSON.parse(await readFile(this.#path(id, 'json'), 'utf8')).pid;
      return typeof pid === 'number' ? pid : undefined;
    } catch {
      return undefined;
    }
  }

  #watch(machine: Machine): void {
    this.#machines.set(machine.id, machine);
    const { qmp } = machine;
    qmp.onEvent(({ event }) => {
      if (event === 'SHUTDOWN') void this.#guestLeft(machine);
    });
    void qmp.closed.then(() => this.#ended(machine));
    // It may have powered off before anybody listened.
    void qmp.execute<{ status: string }>('query-status').then(
      ({ status }) => (status === 'shutdown' || status === 'guest-panicked' ? this.#guestLeft(machine) : undefined),
      () => {},
    );
  }

  /** The guest has powered off and QEMU waits (`-no-shutdown`): read what it said last, then end the process. */
  async #guestLeft(machine: Machine): Promise<void> {
    if (machine.ending !== undefined) return;
    machine.ending = 'shutdown';
    await this.#quit(machine);
  }

  async #quit(machine: Machine): Promise<void> {
    const { qmp } = machine;
    const patience = new AbortController();
    try {
      machine.rest = Buffer.concat([machine.rest, await readConsole(qmp)]);
      await Promise.race([
        qmp.execute('quit').then(() => qmp.closed),
        pause(QUIT_MS, undefined, { signal: patience.signal }),
      ]);
    } catch {
      // The connection broke: it is ending, or has to be ended below.
    } finally {
      patience.abort();
    }
    qmp.close();
    await this.#ended(machine);
  }

  #ended(machine: Machine): Promise<void> {
    machine.ended ??= this.#cleanUp(machine);
    return machine.ended;
  }

  async #cleanUp(machine: Machine): Promise<void> {
    if (this.#closed) return;
    // The connection can be lost with the process still there; an instance must not have two machines.
    await this.#killProcess(machine.id, machine.pid);
    await this.#clear(machine.id);
    this.#machines.delete(machine.id);
    this.#listener({ instanceId: machine.id, how: machine.ending ?? 'died', console: machine.rest });
  }

  /** Kills the process if it still is the machine's, and waits until it is gone. */
  async #killProcess(id: InstanceId, pid: number): Promise<void> {
    while (await isMachine(id, pid)) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch (cause) {
        this.#options.log.warn({ instanceId: id, pid, error: cause }, 'a machine could not be killed');
        return;
      }
      await pause(POLL_MS);
    }
  }
}

/** Whether the process is there and is the machine's, and not another of the same number. */
async function isMachine(id: InstanceId, pid: number): Promise<boolean> {
  const commandLine = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return commandLine.includes(`guest=${id},`);
}

async function readConsole(qmp: Qmp): Promise<Uint8Array> {
  const request = { device: 'console', size: CONSOLE_RING_BYTES, format: 'base64' };
  return Buffer.from(await qmp.execute<string>('ringbuf-read', request), 'base64');
}

function refusal(
  reason: MachineRefusalReason,
  facts: Refusal['facts'],
  options?: { cause?: unknown },
): Refusal<MachineRefusalReason> {
  return new Refusal(reason, facts, options);
}
