/**
 * What an interrupted import needs to go on: one JSON file per snapshot under the XDG state folder, and beside it a log
 * of the blocks the server has acknowledged. Both are for their owner only, for the log holds SHA-256 digests of the
 * disk's blocks; both go when the import is done.
 *
 *     offset  bytes
 *     0       4      block index, big-endian
 *     4       32     SHA-256 of the block
 */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import type { SourceIdentity } from '../disk/source.ts';
import { CliError } from '../error.ts';

const ENTRY_BYTES = 36;
const DIGEST_AT = 4;
const PRIVATE = 0o600;

export interface ImportState {
  readonly version: 1;
  readonly snapshotId: string;
  readonly source: string;
  readonly identity: SourceIdentity;
  readonly format: string;
  readonly region: string;
  readonly profile?: string;
  readonly endpointUrl?: string;
  readonly volumeSizeGiB: number;
  readonly mayEndEarly?: true;
  readonly parent?: string;
  /** What to register when the snapshot is done. */
  readonly image?: ImageChoice;
}

export interface ImageChoice {
  readonly name: string;
  readonly description?: string;
  readonly bootMode: string;
  readonly architecture: string;
  readonly rootDevice: string;
  readonly tags: readonly Tag[];
}

export interface Tag {
  readonly Key: string;
  readonly Value: string;
}

function stateDir(): string {
  const base = process.env.XDG_STATE_HOME || join(homedir(), '.local', 'state');
  return join(base, 'ingot', 'imports');
}
const statePath = (snapshotId: string) => join(stateDir(), `${snapshotId}.json`);
const logPath = (snapshotId: string) => join(stateDir(), `${snapshotId}.blocks`);

export async function saveState(state: ImportState): Promise<void> {
  await mkdir(stateDir(), { recursive: true, mode: 0o700 });
  const path = statePath(state.snapshotId);
  await writeFile(`${path}.new`, `${JSON.stringify(state, undefined, 2)}\n`, { mode: PRIVATE });
  await rename(`${path}.new`, path);
}

export async function readState(snapshotId: string): Promise<ImportState> {
  let text: string;
  try {
    text = await readFile(statePath(snapshotId), 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    const others = (await readdir(stateDir()).catch(() => []))
      .filter((name) => name.endsWith('.json'))
      .map((name) => name.slice(0, -'.json'.length));
    const known = others.length > 0 ? `; to be resumed are ${others.join(', ')}` : '';
    throw new CliError(`No import into ${snapshotId} was begun here${known}.`, { cause });
  }
  const state = JSON.parse(text) as ImportState;
  if (state.version !== 1) throw new CliError(`${statePath(snapshotId)} was written by another version of ingot.`);
  return state;
}

export async function removeState(snapshotId: string): Promise<void> {
  await rm(logPath(snapshotId), { force: true });
  await rm(statePath(snapshotId), { force: true });
}

/** The blocks that are in the snapshot, with their digests. */
export class BlockLog implements AsyncDisposable {
  readonly #file: FileHandle;
  readonly #digests: Map<number, Buffer>;
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(file: FileHandle, digests: Map<number, Buffer>) {
    this.#file = file;
    this.#digests = digests;
  }

  static async open(snapshotId: string): Promise<BlockLog> {
    await mkdir(stateDir(), { recursive: true, mode: 0o700 });
    const file = await open(logPath(snapshotId), 'a+', PRIVATE);
    const bytes = await file.readFile();
    const digests = new Map<number, Buffer>();
    const whole = bytes.length - (bytes.length % ENTRY_BYTES);
    for (let at = 0; at < whole; at += ENTRY_BYTES) {
      digests.set(bytes.readUInt32BE(at), bytes.subarray(at + DIGEST_AT, at + ENTRY_BYTES));
    }
    // An entry that was cut off when the process ended is a block to be sent again.
    await file.truncate(whole);
    return new BlockLog(file, digests);
  }

  get size(): number {
    return this.#digests.size;
  }
  get(index: number): Buffer | undefined {
    return this.#digests.get(index);
  }

  add(index: number, digest: Buffer): void {
    this.#digests.set(index, digest);
    const entry = Buffer.alloc(ENTRY_BYTES);
    entry.writeUInt32BE(index, 0);
    digest.copy(entry, DIGEST_AT);
    this.#writing = this.#writing.then(() => this.#file.appendFile(entry));
    // Awaited at the end; a full disk must not end the process in between.
    this.#writing.catch(() => {});
  }

  indexes(): Iterable<number> {
    return this.#digests.keys();
  }
  /** In ascending order of their indexes. */
  digests(): Buffer[] {
    return [...this.#digests].sort(([a], [b]) => a - b).map(([, digest]) => digest);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#writing;
    } finally {
      await this.#file.close();
    }
  }
}
