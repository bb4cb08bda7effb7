/**
 * Disks in other formats, by the programs of QEMU: qemu-img says what is in them, qemu-nbd serves them on a socket. So
 * no copy of the disk in clear is ever made, blocks can be read in any order, and an interrupted upload can go on.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { CliError } from '../error.ts';
import { FOREIGN_FORMATS, type ForeignFormat } from './format.ts';
import { NbdClient } from './nbd-client.ts';

export interface Extent {
  readonly start: number;
  readonly length: number;
}

const CONNECTIONS = 2;
const RETRY_MS = 10;

type QemuFormat = ForeignFormat | 'raw';
const qemuName = (format: QemuFormat) => (format === 'raw' ? 'raw' : FOREIGN_FORMATS[format]);

function missing(program: string, cause: unknown): CliError {
  return new CliError(
    `${program} is needed for this and is not installed (Debian and Ubuntu: apt install qemu-utils).`,
    {
      cause,
    },
  );
}

/** Standard output of qemu-img. */
async function qemuImg(args: readonly string[]): Promise<string> {
  const child = spawn('qemu-img', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (piece: string) => {
    out += piece;
  });
  child.stderr.setEncoding('utf8').on('data', (piece: string) => {
    err += piece;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', (cause) => reject(missing('qemu-img', cause)));
    child.once('close', resolve);
  });
  if (code !== 0) throw new CliError(err.trim() || `qemu-img ended with code ${code}.`);
  return out;
}

interface ImageInfo {
  readonly 'virtual-size': number;
  readonly 'backing-filename'?: string;
  readonly encrypted?: boolean;
  readonly 'format-specific'?: {
    readonly data?: { readonly 'data-file'?: string; readonly extents?: readonly { readonly filename?: string }[] };
  };
}

/**
 * A disk file may name other files, and qemu would read them: a backing file, a data file, extents. What a stranger's
 * image names must not end up in a snapshot, so only a VMDK's extents beside its descriptor are taken.
 */
export async function requireSelfContained(path: string, format: ForeignFormat): Promise<void> {
  const text = await qemuImg(['info', '--force-share', '--output=json', '-f', qemuName(format), resolve(path)]);
  const info = JSON.parse(text) as ImageInfo;
  const { 'data-file': dataFile, extents = [] } = info['format-specific']?.data ?? {};
  const folder = dirname(resolve(path));
  const outside = extents.find(
    ({ filename }) => filename !== undefined && dirname(resolve(folder, filename)) !== folder,
  );
  const named = info['backing-filename'] ?? dataFile ?? outside?.filename;
  if (named !== undefined) {
    throw new CliError(`${path} takes data from another file, ${named}: flatten it first (qemu-img convert).`);
  }
  if (info.encrypted) throw new CliError(`${path} is encrypted: open it first (qemu-img convert with its secret).`);
}

/** Where there is data: all else reads as zero. */
export async function dataExtents(path: string, format: QemuFormat): Promise<Extent[]> {
  const text = await qemuImg(['map', '--force-share', '--output=json', '-f', qemuName(format), resolve(path)]);
  const map = JSON.parse(text) as { start: number; length: number; data: boolean; zero: boolean }[];
  return map.filter(({ data, zero }) => data && !zero);
}

/** Makes an empty disk file. */
export async function createDisk(path: string, format: ForeignFormat, sizeBytes: number): Promise<void> {
  await qemuImg(['create', '-q', '-f', qemuName(format), resolve(path), String(sizeBytes)]);
}

/** A disk file that qemu-nbd serves to this process alone, for as long as this is open. */
export class ServedDisk implements AsyncDisposable {
  readonly sizeBytes: number;
  readonly #clients: readonly NbdClient[];
  readonly #server: ChildProcess;
  readonly #folder: string;
  #turn = 0;

  private constructor(clients: readonly NbdClient[], server: ChildProcess, folder: string) {
    this.#clients = clients;
    this.#server = server;
    this.#folder = folder;
    this.sizeBytes = clients[0]!.sizeBytes;
  }

  static async open(path: string, format: ForeignFormat, access: 'read' | 'write'): Promise<ServedDisk> {
    const folder = await mkdtemp(join(tmpdir(), 'ingot-nbd-'));
    const socket = join(folder, 'socket');
    const args = ['--socket', socket, '--format', qemuName(format), '--shared', String(CONNECTIONS)];
    if (access === 'read') args.push('--read-only');
    // In a process group of its own: Ctrl-C on the terminal is for this process, which then takes leave in good order.
    const server = spawn('qemu-nbd', [...args, resolve(path)], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    let said = '';
    server.stderr.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
    });
    let ended: Error | undefined;
    server.once('error', (cause) => {
      ended = missing('qemu-nbd', cause);
    });
    server.once('close', (code) => {
      ended ??= new CliError(said.trim() || `qemu-nbd ended with code ${code}.`);
    });
    try {
      const first = await connectWhenReady(socket, () => ended);
      const more = await Promise.all(Array.from({ length: CONNECTIONS - 1 }, () => NbdClient.connect(socket)));
      return new ServedDisk([first, ...more], server, folder);
    } catch (error) {
      server.kill();
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Fills `into`; what lies beyond the end is zero. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    const inside = Math.max(0, Math.min(into.length, this.sizeBytes - offset));
    if (inside < into.length) into.fill(0, inside);
    if (inside > 0) await this.#next().read(offset, into.subarray(0, inside));
  }

  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#next().write(offset, data);
  }

  flush(): Promise<void> {
    return this.#clients[0]!.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise<void>((resolve) => {
      if (this.#server.exitCode !== null || this.#server.signalCode !== null) resolve();
      else this.#server.once('close', () => resolve());
    });
    await Promise.all(this.#clients.map((client) => client.close()));
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }

  #next(): NbdClient {
    this.#turn = (this.#turn + 1) % this.#clients.length;
    return this.#clients[this.#turn]!;
  }
}

async function connectWhenReady(socket: string, ended: () => Error | undefined): Promise<NbdClient> {
  for (;;) {
    const failure = ended();
    if (failure) throw failure;
    try {
      return await NbdClient.connect(socket);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ECONNREFUSED') throw error;
    }
    await pause(RETRY_MS);
  }
}
