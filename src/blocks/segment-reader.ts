/** Reads and opens blocks of segments. Nothing that fails to authenticate leaves it. Used within worker threads. */

import type { KeyObject } from 'node:crypto';
import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { deriveSegmentKey, openBlock } from '../crypto/block-cipher.ts';
import { IntegrityError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { type Entry, hex, segmentOf, slotOf, tagOf } from './entry.ts';
import { Lru } from './lru.ts';
import { encodeSegmentHeader, openDirect, SEGMENT_HEADER_BYTES, segmentPath, slotOffset } from './segment.ts';

/** A data key as it travels to a worker thread. */
export interface WorkerKey {
  readonly id: string;
  readonly key: KeyObject;
}

const FILES_OPEN_MAX = 64;
const KEYS_HELD_MAX = 256;

/** Segment keys that were derived lately; the bound is also how long an unused key stays in memory. */
export class SegmentKeys {
  readonly #keys = new Lru<KeyObject>(KEYS_HELD_MAX);

  get(dataKey: WorkerKey, segment: Uint8Array): KeyObject {
    const name = `${dataKey.id}/${hex(segment)}`;
    let key = this.#keys.get(name);
    if (!key) {
      key = deriveSegmentKey(dataKey.key, segment);
      this.#keys.set(name, key);
    }
    return key;
  }
  clear(): void {
    this.#keys.clear();
  }
}

/** A file that closes when it is out of the cache and nobody reads from it. */
class SharedFile {
  readonly opened: Promise<FileHandle>;
  users = 0;
  evicted = false;
  constructor(opened: Promise<FileHandle>) {
    this.opened = opened;
  }
  closeIfUnused(): void {
    if (!this.evicted || this.users > 0) return;
    this.opened.then((file) => file.close()).catch(() => {});
  }
}

export class SegmentReader {
  readonly #dir: string;
  readonly #keys: SegmentKeys;
  readonly #files = new Lru<SharedFile>(
    FILES_OPEN_MAX,
    () => 1,
    (file) => {
      file.evicted = true;
      file.closeIfUnused();
    },
  );

  constructor(dir: string, keys: SegmentKeys) {
    this.#dir = dir;
    this.#keys = keys;
  }

  /** Opens the block of a data entry. `scratch` is an aligned buffer of at least one block. */
  async open(dataKey: WorkerKey, entry: Entry, scratch: Buffer): Promise<Uint8Array<ArrayBuffer>> {
    const segment = segmentOf(entry);
    const slot = slotOf(entry);
    const what = `block ${hex(segment)}:${slot} of data key ${dataKey.id}`;
    const shared = this.#share(dataKey, segment, what, scratch);
    shared.users++;
    try {
      const file = await shared.opened;
      const { bytesRead } = await file.read(scratch, 0, LIMITS.blockBytes, slotOffset(slot));
      if (bytesRead !== LIMITS.blockBytes) throw new IntegrityError(what);
    } finally {
      shared.users--;
      shared.closeIfUnused();
    }
    const place = { dataKeyId: dataKey.id, segment, slot };
    const ciphertext = scratch.subarray(0, LIMITS.blockBytes);
    const plaintext = openBlock(this.#keys.get(dataKey, segment), place, ciphertext, tagOf(entry));
    if (!plaintext) throw new IntegrityError(what);
    return plaintext;
  }

  close(): void {
    this.#files.clear();
    this.#keys.clear();
  }

  #share(dataKey: WorkerKey, segment: Uint8Array, what: string, scratch: Buffer): SharedFile {
    // The header names the data key, so a file checked for one key is not checked for another.
    const name = `${dataKey.id}/${hex(segment)}`;
    const cached = this.#files.get(name);
    if (cached) return cached;
    const shared = new SharedFile(this.#openFile(dataKey, segment, what, scratch));
    this.#files.set(name, shared);
    shared.opened.catch(() => this.#files.delete(name));
    return shared;
  }

  async #openFile(dataKey: WorkerKey, segment: Uint8Array, what: string, scratch: Buffer): Promise<FileHandle> {
    const path = segmentPath(this.#dir, segment);
    let file: FileHandle;
    try {
      ({ file } = await openDirect(path, constants.O_RDONLY));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new IntegrityError(what, { cause: error });
      throw error;
    }
    const expected = Buffer.alloc(SEGMENT_HEADER_BYTES);
    encodeSegmentHeader(expected, segment, dataKey.id);
    const { bytesRead } = await file.read(scratch, 0, SEGMENT_HEADER_BYTES, 0);
    if (bytesRead !== SEGMENT_HEADER_BYTES || !expected.equals(scratch.subarray(0, SEGMENT_HEADER_BYTES))) {
      await file.close();
      throw new IntegrityError(`header of segment ${hex(segment)}`);
    }
    return file;
  }
}
