/**
 * Volumes' overlays and the worker threads that serve attached volumes. Everything about one volume happens in turn.
 */
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { PageId } from '../../blocks/map-page.ts';
import { errorOf, failureOf } from '../../blocks/messages.ts';
import { createOverlayFiles, newOverlayName, overlayFolder, removeOverlayFiles } from '../../blocks/overlay.ts';
import { sha256Hex } from '../../crypto/hash.ts';
import type { VolumeId } from '../../ids.ts';
import type { Log } from '../../log.ts';
import type { SealedMap, VolumeLayers } from '../storage.ts';
import type { PageStore } from './pages.ts';
import { workerKey } from './sealing.ts';
import type { FromVolume, ToVolume, VolumeCommand, VolumeWorkerData } from './volume-messages.ts';

/** What the kernel allows for the path of a unix socket, less its final zero. */
const SOCKET_PATH_BYTES_MAX = 107;

interface Folders {
  /** The data directory, absolute. */
  readonly dir: string;
  readonly segmentsDir: string;
  readonly overlaysDir: string;
}

export class Attachments {
  readonly #folders: Folders;
  readonly #pages: PageStore;
  readonly #log: Log;
  readonly #volumes = new Map<VolumeId, VolumeThread>();
  readonly #turns = new Map<VolumeId, Promise<unknown>>();
  /** How many sealing jobs read an overlay, and which of those are to be removed afterwards. */
  readonly #readers = new Map<string, number>();
  readonly #doomed = new Set<string>();

  constructor(folders: Folders, pages: PageStore, log: Log) {
    this.#folders = folders;
    this.#pages = pages;
    this.#log = log;
  }

  async createOverlay(volume: VolumeId): Promise<string> {
    const name = newOverlayName(volume);
    await createOverlayFiles(this.#folders.overlaysDir, name);
    return name;
  }

  deleteOverlays(volume: VolumeId): Promise<void> {
    return this.#inTurn(volume, async () => {
      if (this.#volumes.has(volume)) throw new Error(`${volume} is attached; its overlays cannot be deleted`);
      const folder = overlayFolder(this.#folders.overlaysDir, volume);
      const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return [];
        throw error;
      });
      const overlays = new Set(names.map((name) => `${volume}/${basename(name).split('.')[0]}`));
      const inUse = [...overlays].filter((name) => this.#readers.has(name));
      for (const name of inUse) this.#doomed.add(name);
      if (inUse.length === 0) await rm(folder, { recursive: true, force: true });
      else
        for (const name of overlays)
          if (!inUse.includes(name)) await removeOverlayFiles(this.#folders.overlaysDir, name);
    });
  }

  /** Removes the files of overlays that are not named, and folders with nothing else. For the start, before any work. */
  async removeOverlaysExcept(named: ReadonlySet<string>): Promise<number> {
    const { overlaysDir } = this.#folders;
    const removed = new Set<string>();
    for (const volume of await readdir(overlaysDir)) {
      const folder = overlayFolder(overlaysDir, volume as VolumeId);
      const files = await readdir(folder);
      const strays = files.filter((file) => !named.has(`${volume}/${file.split('.')[0]}`));
      for (const file of strays) {
        removed.add(`${volume}/${file.split('.')[0]}`);
        await rm(join(folder, file), { force: true });
      }
      if (strays.length === files.length) await rm(folder, { recursive: true });
    }
    return removed.size;
  }

  attach(volume: VolumeId, layers: VolumeLayers): Promise<{ socketPath: string }> {
    return this.#inTurn(volume, async () => {
      const attached = this.#volumes.get(volume);
      if (attached) return { socketPath: attached.socketPath };
      const socketPath = await this.#socketPath(volume);
      const { segmentsDir, overlaysDir } = this.#folders;
      const data: VolumeWorkerData = {
        volume,
        segmentsDir,
        overlaysDir,
        socketPath,
        sizeBytes: layers.sizeBytes,
        overlays: [...layers.frozen, layers.overlay],
        dataKey: workerKey(layers.dataKey),
        ...(layers.base && { base: { root: layers.base.root, dataKey: workerKey(layers.base.dataKey) } }),
      };
      const thread = new VolumeThread(data, layers.base?.root, this.#pages, this.#log);
      await thread.listening;
      this.#volumes.set(volume, thread);
      void thread.ended.then(() => {
        if (this.#volumes.get(volume) === thread) this.#volumes.delete(volume);
      });
      return { socketPath };
    });
  }

  detach(volume: VolumeId): Promise<void> {
    return this.#inTurn(volume, async () => {
      const thread = this.#volumes.get(volume);
      if (!thread) return;
      try {
        await thread.command({ kind: 'close' });
      } finally {
        this.#volumes.delete(volume);
        await thread.end();
      }
    });
  }

  isAttached(volume: VolumeId): boolean {
    return this.#volumes.has(volume);
  }

  freeze(volume: VolumeId, record: (newOverlay: string) => Promise<void>): Promise<{ newOverlay: string }> {
    return this.#inTurn(volume, async () => {
      const newOverlay = await this.createOverlay(volume);
      try {
        const thread = this.#volumes.get(volume);
        if (thread) await thread.command({ kind: 'freeze', newOverlay }, () => record(newOverlay));
        else await record(newOverlay);
      } catch (error) {
        // A thread that died after the record was made leaves the overlay in the record, so it must stay.
        if (!(error instanceof ThreadEnded)) await removeOverlayFiles(this.#folders.overlaysDir, newOverlay);
        throw error;
      }
      return { newOverlay };
    });
  }

  rebase(volume: VolumeId, base: SealedMap, removed: readonly string[]): Promise<void> {
    return this.#inTurn(volume, async () => {
      const thread = this.#volumes.get(volume);
      if (thread) {
        await thread.command({ kind: 'rebase', base: { root: base.root, dataKey: workerKey(base.dataKey) }, removed });
        thread.baseRoot = base.root;
      }
      for (const name of removed) {
        if (this.#readers.has(name)) this.#doomed.add(name);
        else await removeOverlayFiles(this.#folders.overlaysDir, name);
      }
    });
  }

  /** Keeps overlays on disk while `work` reads them, whatever is removed meanwhile. */
  async reading<Result>(names: readonly string[], work: () => Promise<Result>): Promise<Result> {
    for (const name of names) this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
    try {
      return await work();
    } finally {
      for (const name of names) {
        const left = this.#readers.get(name)! - 1;
        if (left > 0) this.#readers.set(name, left);
        else {
          this.#readers.delete(name);
          if (this.#doomed.delete(name)) await removeOverlayFiles(this.#folders.overlaysDir, name);
        }
      }
    }
  }

  /** Bases of attached volumes, for the collector. */
  baseRoots(): PageId[] {
    return [...this.#volumes.values()].flatMap(({ baseRoot }) => (baseRoot === undefined ? [] : [baseRoot]));
  }

  async close(): Promise<void> {
    const outcomes = await Promise.allSettled([...this.#volumes.keys()].map((volume) => this.detach(volume)));
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  }

  #inTurn<Result>(volume: VolumeId, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(volume) ?? Promise.resolve()).then(work, work);
    const over = turn.catch(() => {});
    this.#turns.set(volume, over);
    void over.then(() => {
      if (this.#turns.get(volume) === over) this.#turns.delete(volume);
    });
    return turn;
  }

  /** In the data directory where its path is short enough, else in a private folder named after it. */
  async #socketPath(volume: VolumeId): Promise<string> {
    const near = join(this.#folders.dir, 'run');
    const name = `${volume}.nbd`;
    const fits = (folder: string): boolean => Buffer.byteLength(join(folder, name)) <= SOCKET_PATH_BYTES_MAX;
    const folder = fits(near) ? near : join(tmpdir(), `ingot-${sha256Hex(this.#folders.dir).slice(0, 16)}`);
    if (!fits(folder)) throw new Error(`no path for a unix socket is short enough in ${near} or ${tmpdir()}`);
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // In a shared temporary folder somebody else may have made the name first.
    const found = await lstat(folder);
    if (!found.isDirectory() || found.uid !== process.getuid?.())
      throw new Error(`${folder} is not a folder of this user`);
    await chmod(folder, 0o700);
    return join(folder, name);
  }
}

/** The worker thread of a volume ended before it answered. */
class ThreadEnded extends Error {}

interface Asked {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
  readonly record: (() => Promise<void>) | undefined;
}

class VolumeThread {
  readonly socketPath: string;
  readonly listening: Promise<void>;
  readonly ended: Promise<void>;
  baseRoot: PageId | undefined;
  readonly #worker: Worker;
  readonly #pages: PageStore;
  readonly #log: Log;
  readonly #volume: string;
  readonly #asked = new Map<number, Asked>();
  #lastId = 0;
  #over: Error | undefined;

  constructor(data: VolumeWorkerData, baseRoot: PageId | undefined, pages: PageStore, log: Log) {
    this.socketPath = data.socketPath;
    this.baseRoot = baseRoot;
    this.#pages = pages;
    this.#log = log;
    this.#volume = data.volume;
    this.#worker = new Worker(new URL('./volume-worker.ts', import.meta.url), { workerData: data, name: data.volume });
    let cause: unknown;
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#over = new ThreadEnded(`the worker thread of ${data.volume} has ended`, { cause });
        for (const asked of this.#asked.values()) asked.reject(this.#over);
        this.#asked.clear();
        resolve();
      });
    });
    this.#worker.on('error', (error) => {
      cause = error;
      log.error({ volume: data.volume, error }, 'The worker thread of a volume failed');
    });
    this.listening = new Promise((resolve, reject) => {
      this.#worker.on('message', (message: FromVolume) => {
        if (message.kind === 'listening') resolve();
        else if (message.kind === 'unfit') reject(errorOf(message.failure));
        else this.#receive(message);
      });
      void this.ended.then(() => reject(cause instanceof Error ? cause : this.#over));
    });
  }

  /** `record` runs when the thread asks for it, in the middle of a freeze. */
  command(command: VolumeCommand, record?: () => Promise<void>): Promise<void> {
    if (this.#over) return Promise.reject(this.#over);
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#asked.set(id, { resolve, reject, record });
      this.#say({ kind: 'command', id, command });
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #say(message: ToVolume): void {
    this.#worker.postMessage(message);
  }

  #receive(message: Exclude<FromVolume, { kind: 'listening' | 'unfit' }>): void {
    if (message.kind === 'load') {
      const { id } = message;
      this.#pages.load(message.page, message.level).then(
        (page) => this.#say({ kind: 'page', id, page }),
        (error) => this.#say({ kind: 'page', id, failure: failureOf(error) }),
      );
    } else if (message.kind === 'record') {
      const { id } = message;
      const recording = this.#asked.get(id)?.record?.() ?? Promise.reject(new Error('nothing to record'));
      recording.then(
        () => this.#say({ kind: 'recorded', id }),
        (error) => this.#say({ kind: 'recorded', id, failure: failureOf(error) }),
      );
    } else if (message.kind === 'trouble') {
      const error = errorOf(message.failure);
      this.#log.error({ volume: this.#volume, error }, 'A request of an attached volume failed');
    } else {
      const asked = this.#asked.get(message.id);
      this.#asked.delete(message.id);
      if (message.failure) asked?.reject(errorOf(message.failure));
      else asked?.resolve();
    }
  }
}
