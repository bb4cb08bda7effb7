/**
 * The root key of an installation: the file `root.key`, mode 0600, in the data directory, made on first start. It is
 * there as it is, or sealed under a key from a passphrase or a command; see root-key-file.ts.
 *
 * It seals key material and secrets of access keys; whoever has this key and the database has everything, and who
 * has lost it has lost everything. See docs/formats/key-material.md.
 */
import { type FileHandle, open as openFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { IntegrityError } from '../errors.ts';
import { seal, tryOpen } from './aead.ts';
import type { Fields } from './fields.ts';
import { randomBytes } from './random.ts';
import {
  decodeRootKeys,
  encodeRootKeys,
  KEY_BYTES,
  KEYS_MAX,
  type Protection,
  ROOT_KEY_FILE_BYTES_MAX,
  RootKeyError,
} from './root-key-file.ts';
import { SecretKey } from './secret-key.ts';

export { type Protection, RootKeyError };

const FILE_NAME = 'root.key';

/** Seals small secrets of this installation. The first field names the purpose: `['purpose', 'kms-key-material']`. */
export interface RootKey {
  seal(plaintext: Uint8Array, fields: Fields): Uint8Array;
  /** @throws {IntegrityError} where blob and fields do not fit. Wipe the result after use. */
  open(blob: Uint8Array, fields: Fields): Uint8Array<ArrayBuffer>;
}

/** The root key and those before it: seals under the newest, opens what any of them sealed. */
export interface RootKeyRing extends RootKey {
  readonly keyCount: number;
  /** Whether the newest key sealed the blob. */
  isCurrent(blob: Uint8Array, fields: Fields): boolean;
}

/** A root key over given bytes, which are wiped. For tests, and for key stores other than a file. */
export function rootKeyFrom(bytes: Uint8Array): RootKey {
  return ringOf([bytes]);
}

/** A ring over the bytes of keys, newest first, which are wiped. */
export function ringOf(keys: readonly Uint8Array[]): RootKeyRing {
  return new Ring(keys.map((bytes) => SecretKey.take(bytes)));
}

class Ring implements RootKeyRing {
  /** Newest first. */
  #keys: readonly SecretKey[];

  constructor(keys: readonly SecretKey[]) {
    this.#keys = keys;
  }
  get keyCount(): number {
    return this.#keys.length;
  }
  seal(plaintext: Uint8Array, fields: Fields): Uint8Array {
    return seal(this.#keys[0]!, plaintext, fields);
  }
  open(blob: Uint8Array, fields: Fields): Uint8Array<ArrayBuffer> {
    for (const key of this.#keys) {
      const plaintext = tryOpen(key, blob, fields);
      if (plaintext) return plaintext;
    }
    throw new IntegrityError(`${purposeOf(fields)} under the root key`);
  }
  isCurrent(blob: Uint8Array, fields: Fields): boolean {
    const plaintext = tryOpen(this.#keys[0]!, blob, fields);
    plaintext?.fill(0);
    return plaintext !== undefined;
  }
  /** All keys, newest first; wipe them after use. */
  exposeKeys(): Uint8Array {
    const exposed = this.#keys.map((key) => key.exposeSecretBytes());
    const all = Uint8Array.prototype.slice.call(Buffer.concat(exposed));
    for (const bytes of exposed) bytes.fill(0);
    return all;
  }
  use(keys: readonly SecretKey[]): void {
    this.#keys = keys;
  }
}

/** The root key in its file. */
export interface RootKeyFile extends RootKeyRing {
  /**
   * Seals under a new key from now on. The file holds it, and the keys before it, before it is used; it is sealed
   * under `protection` from then on.
   * @throws {RootKeyError} where the ring is full.
   */
  rotate(protection: Protection | undefined): Promise<void>;
  /** Keeps the newest key alone, in the file and in memory. What earlier keys sealed is lost from then on. */
  dropEarlier(protection: Protection | undefined): Promise<void>;
}

class FileRing extends Ring implements RootKeyFile {
  readonly #path: string;

  constructor(path: string, keys: Uint8Array) {
    super(keysIn(keys));
    this.#path = path;
  }
  async rotate(protection: Protection | undefined): Promise<void> {
    if (this.keyCount >= KEYS_MAX) {
      throw new RootKeyError(`${this.#path} holds ${KEYS_MAX} keys already, and cannot take another`);
    }
    const before = this.exposeKeys();
    const all = new Uint8Array(KEY_BYTES + before.byteLength);
    const fresh = randomBytes(KEY_BYTES);
    all.set(fresh);
    all.set(before, KEY_BYTES);
    fresh.fill(0);
    before.fill(0);
    await writeRootKeys(this.#path, all, protection);
    this.use(keysIn(all));
  }
  async dropEarlier(protection: Protection | undefined): Promise<void> {
    const all = this.exposeKeys();
    // Copied: a slice may share its memory with what is wiped.
    const newest = new Uint8Array(KEY_BYTES);
    newest.set(all.subarray(0, KEY_BYTES));
    all.fill(0);
    await writeRootKeys(this.#path, newest, protection);
    this.use(keysIn(newest));
  }
}

/** Wipes the bytes. */
function keysIn(bytes: Uint8Array): SecretKey[] {
  const keys: SecretKey[] = [];
  for (let at = 0; at < bytes.byteLength; at += KEY_BYTES)
    keys.push(SecretKey.take(bytes.subarray(at, at + KEY_BYTES)));
  return keys;
}

export interface OpenRootKeyOptions {
  readonly create: boolean;
  /** What the file is sealed under; a file that lies there plain is sealed under it from now on. */
  readonly protection?: Protection;
  /** What the file may still be sealed under; it is sealed anew under {@link protection}. */
  readonly previous?: Protection;
}

/**
 * Opens `root.key` in `directory`. Where there is none, makes one if `create` says so: only for a data directory that
 * holds nothing sealed yet, because nothing that an earlier root key sealed opens under a new one.
 * @throws {RootKeyError} where the file is missing, open to others, of a later version, or sealed otherwise.
 * @throws {IntegrityError} where it is damaged.
 */
export async function openRootKey(directory: string, options: OpenRootKeyOptions): Promise<RootKeyFile> {
  const { create, protection, previous } = options;
  const path = join(directory, FILE_NAME);
  let bytes = await readRootKey(path);
  if (!bytes) {
    if (!create) {
      throw new RootKeyError(
        `${path} is missing, and nothing in ${directory} can be opened without it: restore it from a backup`,
      );
    }
    const fresh = randomBytes(KEY_BYTES);
    await writeRootKeys(path, fresh, protection);
    fresh.fill(0);
    bytes = await readRootKey(path);
    if (!bytes) throw new RootKeyError(`${path} disappeared while it was being made`);
  }
  let decoded = await decodeRootKeys(bytes, path, protection).catch((error: unknown) => {
    if (error instanceof RootKeyError && previous) return undefined;
    throw error;
  });
  const sealedAnew = protection !== undefined && decoded?.protectedBy === undefined;
  decoded ??= await decodeRootKeys(bytes, path, previous);
  bytes.fill(0);
  const { keys } = decoded;
  if (sealedAnew) await writeRootKeys(path, keys, protection);
  return new FileRing(path, keys);
}

async function readRootKey(path: string): Promise<Uint8Array | undefined> {
  let file: FileHandle;
  try {
    file = await openFile(path, 'r');
  } catch (cause) {
    if (codeOf(cause) === 'ENOENT') return undefined;
    throw new RootKeyError(`${path} cannot be read`, { cause });
  }
  try {
    const { mode, size } = await file.stat();
    if ((mode & 0o077) !== 0) {
      throw new RootKeyError(`${path} can be read by others than its owner: run chmod 600 ${path}`);
    }
    if (size > ROOT_KEY_FILE_BYTES_MAX) throw new IntegrityError(path);
    const bytes = new Uint8Array(size);
    let at = 0;
    while (at < size) {
      const { bytesRead } = await file.read(bytes, at, size - at, at);
      if (bytesRead === 0) throw new IntegrityError(path);
      at += bytesRead;
    }
    return bytes;
  } finally {
    await file.close();
  }
}

/** Visible only when whole, and there after a power cut: temporary name, fsync, rename, fsync of the directory. */
async function writeRootKeys(path: string, keys: Uint8Array, protection: Protection | undefined): Promise<void> {
  const bytes = await encodeRootKeys(keys, protection);
  const temporary = `${path}.new`;
  await unlink(temporary).catch((cause) => {
    if (codeOf(cause) !== 'ENOENT') throw cause;
  });
  try {
    const file = await openFile(temporary, 'wx', 0o600);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    const directory = await openFile(dirname(path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  } catch (cause) {
    throw new RootKeyError(`${path} cannot be made`, { cause });
  } finally {
    bytes.fill(0);
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

function purposeOf(fields: Fields): string {
  const value = fields[0]?.[1];
  return typeof value === 'string' ? value : 'a secret';
}
