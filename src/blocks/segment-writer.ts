/**
 * Seals blocks into segments of its own. One instance a worker thread; no other thread or process appends to a segment
 * it made, and it never appends to one it did not make: that is the argument of crypto/block-cipher.ts.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type BlockPlace, sealBlockInto } from '../crypto/block-cipher.ts';
import { randomBytes } from '../crypto/random.ts';
import { LIMITS } from '../limits.ts';
import { dataEntry, type Entry, hex } from './entry.ts';
import { Lru } from './lru.ts';
import { encodeSegmentHeader, openDirect, SEGMENT_HEADER_BYTES, segmentPath, slotOffset } from './segment.ts';
import type { SegmentKeys, WorkerKey } from './segment-reader.ts';

const SEGMENTS_OPEN_MAX = 32;

export interface SegmentEvents {
  /** Called before the file exists. */
  opened(segment: string): void;
  /** Called when nothing more will be written to it. */
  closed(segment: string): void;
  /** Called once a file, where the file system has no O_DIRECT. */
  buffered(): void;
}

/** A sealed block that is written and not yet durable: `durable` must be called exactly once. */
export interface Appended {
  readonly entry: Entry;
  durable(): Promise<void>;
}

export class SegmentWriter {
  readonly #dir: string;
  readonly #keys: SegmentKeys;
  readonly #events: SegmentEvents;
  readonly #current = new Lru<Promise<OpenSegment>>(
    SEGMENTS_OPEN_MAX,
    () => 1,
    (segment) => {
      segment.then((opened) => opened.retire()).catch(() => {});
    },
  );

  constructor(dir: string, keys: SegmentKeys, events: SegmentEvents) {
    this.#dir = dir;
    this.#keys = keys;
    this.#events = events;
  }

  /** Seals `plaintext` into the next slot. `scratch` is an aligned buffer of one block. */
  async append(dataKey: WorkerKey, plaintext: Uint8Array, scratch: Buffer): Promise<Appended> {
    const { segment, slot } = await this.#takeSlot(dataKey, scratch);
    try {
      const place: BlockPlace = { dataKeyId: dataKey.id, segment: segment.id, slot };
      const ciphertext = scratch.subarray(0, LIMITS.blockBytes);
      const tag = sealBlockInto(this.#keys.get(dataKey, segment.id), place, plaintext, ciphertext);
      await segment.write(ciphertext, slotOffset(slot));
      return {
        entry: dataEntry(segment.id, slot, tag),
        durable: () => segment.sync().finally(() => segment.leave()),
      };
    } catch (error) {
      segment.leave();
      this.#current.delete(dataKey.id);
      throw error;
    }
  }

  /** Nothing more is appended; resolves when the files are closed. */
  async close(): Promise<void> {
    this.#current.clear();
  }

  async #takeSlot(dataKey: WorkerKey, scratch: Buffer): Promise<{ segment: OpenSegment; slot: number }> {
    for (;;) {
      let current = this.#current.get(dataKey.id);
      if (!current) {
        current = this.#create(dataKey, scratch);
        this.#current.set(dataKey.id, current);
        current.catch(() => this.#current.delete(dataKey.id));
      }
      const segment = await current;
      // Not a moment between the look and the taking: `takeSlot` is one synchronous step.
      const slot = segment.takeSlot();
      if (slot !== undefined) return { segment, slot };
      if (this.#current.get(dataKey.id) === current) this.#current.delete(dataKey.id);
    }
  }

  async #create(dataKey: WorkerKey, scratch: Buffer): Promise<OpenSegment> {
    const id = randomBytes(16);
    this.#events.opened(hex(id));
    try {
      const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
      const { file, direct } = await openDirect(segmentPath(this.#dir, id), flags, 0o600);
      if (!direct) this.#events.buffered();
      const header = scratch.subarray(0, SEGMENT_HEADER_BYTES);
      encodeSegmentHeader(header, id, dataKey.id);
      await writeFully(file, header, 0);
      // The name has to be durable before any block in the file is acknowledged.
      await syncFolder(this.#dir);
      return new OpenSegment(id, file, () => this.#events.closed(hex(id)));
    } catch (error) {
      this.#events.closed(hex(id));
      throw error;
    }
  }
}

class OpenSegment {
  readonly id: Uint8Array;
  readonly #file: FileHandle;
  readonly #onClosed: () => void;
  #nextSlot = 0;
  #users = 0;
  #retired = false;
  #running: Promise<void> | undefined;
  #queued: Promise<void> | undefined;

  constructor(id: Uint8Array, file: FileHandle, onClosed: () => void) {
    this.id = id;
    this.#file = file;
    this.#onClosed = onClosed;
  }

  /** The next slot, which is used from here on, whatever becomes of its write; `undefined` where there is none. */
  takeSlot(): number | undefined {
    if (this.#retired || this.#nextSlot >= LIMITS.segmentBlocks) return undefined;
    this.#users++;
    return this.#nextSlot++;
  }
  write(bytes: Uint8Array, position: number): Promise<void> {
    return writeFully(this.#file, bytes, position);
  }

  /** Group commit: what was written before the call is durable when it resolves; calls meanwhile share the next sync. */
  sync(): Promise<void> {
    this.#queued ??= this.#syncAfter(this.#running);
    return this.#queued;
  }

  async #syncAfter(previous: Promise<void> | undefined): Promise<void> {
    await previous?.catch(() => {});
    this.#running = this.#queued;
    this.#queued = undefined;
    try {
      await this.#file.datasync();
    } catch (error) {
      // After a failed sync the kernel may have dropped the writes and say yes the next time: never ask again.
      this.#retired = true;
      throw error;
    }
  }

  leave(): void {
    this.#users--;
    this.#closeIfDone();
  }
  retire(): void {
    this.#retired = true;
    this.#closeIfDone();
  }
  #closeIfDone(): void {
    if (!this.#retired || this.#users !== 0) return;
    this.#users = -1;
    this.#file
      .close()
      .catch(() => {})
      .then(this.#onClosed);
  }
}

export async function writeFully(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    if (bytesWritten === 0) throw new Error('a write wrote nothing');
    done += bytesWritten;
  }
}

/** Makes the names in a folder durable. */
export async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
