/**
 * The root key of an installation: one file of 64 bytes, mode 0600, in the data directory, made on first start.
 *
 *     "ingot root key\n" (15) | 01 | key (32) | first 16 bytes of SHA-256 over all before it
 *
 * It seals key material and secrets of access keys; whoever has this file and the database has everything, and who
 * has lost it has lost everything. The digest finds damage; it protects nothing. See docs/formats/key-material.md.
 */
import { type FileHandle, open as openFile, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { IntegrityError } from '../errors.ts';
import { open, seal } from './aead.ts';
import type { Fields } from './fields.ts';
import { equalInConstantTime, sha256 } from './hash.ts';
import { randomBytes } from './random.ts';
import { SecretKey } from './secret-key.ts';

const FILE_NAME = 'root.key';
const HEADER = Buffer.from('ingot root key\n\u0001', 'latin1');
const KEY_BYTES = 32;
const DIGEST_BYTES = 16;
const FILE_BYTES = HEADER.byteLength + KEY_BYTES + DIGEST_BYTES;

/** Seals small secrets of this installation. The first field names the purpose: `['purpose', 'kms-key-material']`. */
export interface RootKey {
  seal(plaintext: Uint8Array, fields: Fields): Uint8Array;
  /** @throws {IntegrityError} where blob and fields do not fit. Wipe the result after use. */
  open(blob: Uint8Array, fields: Fields): Uint8Array<ArrayBuffer>;
}

/** The root key file cannot be used; the message tells the operator what to do. */
export class RootKeyError extends Error {
  override readonly name = 'RootKeyError';
}

/** A root key over given bytes, which are wiped. For tests, and for key stores other than a file. */
export function rootKeyFrom(bytes: Uint8Array): RootKey {
  const key = SecretKey.take(bytes);
  return {
    seal: (plaintext, fields) => seal(key, plaintext, fields),
    open: (blob, fields) => open(key, blob, fields, `${purposeOf(fields)} under the root key`),
  };
}

/**
 * Opens `root.key` in `directory`. Where there is none, makes one if `create` says so: only for a data directory that
 * holds nothing sealed yet, because nothing that an earlier root key sealed opens under a new one.
 * @throws {RootKeyError} where the file is missing, open to others, or of a later version.
 * @throws {IntegrityError} where it is damaged.
 */
export async function openRootKey(directory: string, options: { readonly create: boolean }): Promise<RootKey> {
  const path = join(directory, FILE_NAME);
  const found = await readRootKey(path);
  if (found) return rootKeyFrom(found);
  if (!options.create) {
    throw new RootKeyError(
      `${path} is missing, and nothing in ${directory} can be opened without it: restore it from a backup`,
    );
  }
  await createRootKey(path);
  const created = await readRootKey(path);
  if (!created) throw new RootKeyError(`${path} disappeared while it was being made`);
  return rootKeyFrom(created);
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
    if (size !== FILE_BYTES) throw new IntegrityError(path);
    const bytes = new Uint8Array(FILE_BYTES);
    let at = 0;
    while (at < FILE_BYTES) {
      const { bytesRead } = await file.read(bytes, at, FILE_BYTES - at, at);
      if (bytesRead === 0) throw new IntegrityError(path);
      at += bytesRead;
    }
    return parseRootKey(bytes, path);
  } finally {
    await file.close();
  }
}

function parseRootKey(bytes: Uint8Array, path: string): Uint8Array {
  const end = HEADER.byteLength + KEY_BYTES;
  const magic = HEADER.byteLength - 1;
  if (!equalInConstantTime(bytes.subarray(0, magic), HEADER.subarray(0, magic))) throw new IntegrityError(path);
  if (bytes[magic] !== HEADER[magic]) throw new RootKeyError(`${path} was made by a later version of Ingot`);
  const digest = sha256(bytes.subarray(0, end)).subarray(0, DIGEST_BYTES);
  if (!equalInConstantTime(digest, bytes.subarray(end))) throw new IntegrityError(path);
  const key = bytes.slice(HEADER.byteLength, end);
  bytes.fill(0);
  return key;
}

/** Visible only when whole, and there after a power cut: temporary name, fsync, rename, fsync of the directory. */
async function createRootKey(path: string): Promise<void> {
  const bytes = new Uint8Array(FILE_BYTES);
  bytes.set(HEADER);
  const key = randomBytes(KEY_BYTES);
  bytes.set(key, HEADER.byteLength);
  key.fill(0);
  const end = HEADER.byteLength + KEY_BYTES;
  bytes.set(sha256(bytes.subarray(0, end)).subarray(0, DIGEST_BYTES), end);
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
