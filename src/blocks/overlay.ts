/**
 * Overlays: what was written to a volume since its base, as 4 KiB sectors under AES-256-XTS.
 *
 *     <name>.data  sparse; sector i at i * 4096
 *     <name>.bits  a 4 KiB header, then 32 bytes a region of 512 KiB: 128 `present` bits, 128 `zero` bits
 *
 * A sector is data (present), zeros (zero), or whatever the layer below has (neither). Bits are set in memory after the
 * sector is written, and on disk by `flush` after the data is durable: so a crash leaves every sector old or new, and
 * no bit ever vouches for data that is not there. Data is never punched out or moved under a bit that is durable.
 * docs/formats/overlay.md.
 */
import { constants, readSync, writeSync } from 'node:fs';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { randomBytes } from '../crypto/random.ts';
import { decryptSectors, deriveOverlayKey, encryptSectors } from '../crypto/xts.ts';
import { IntegrityError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import { hex } from './entry.ts';
import type { WorkerKey } from './segment-reader.ts';
import { syncFolder, writeFully } from './segment-writer.ts';

export const REGION_SECTORS = LIMITS.blockBytes / LIMITS.sectorBytes;
export const REGION_BITS_BYTES = (REGION_SECTORS / 8) * 2;
const ZERO_BITS_AT = REGION_SECTORS / 8;
const PAGE_BYTES = 4096;
const PAGE_REGIONS = PAGE_BYTES / REGION_BITS_BYTES;
const HEADER_BYTES = 4096;
const MAGIC = 'INGOTOVL';
const FORMAT_VERSION = 1;
const CLEAN_PAGES_MAX = 2048;
/**
 * Small reads and writes of data go to the page cache at once: a trip through the thread pool costs more than the copy.
 * Overlays are opened in worker threads only, so what may block is one volume's own thread.
 */
const SYNCHRONOUS_BYTES_MAX = 65_536;

const NAME = /^vol-[0-9a-f]{8,17}\/([0-9a-f]{32})$/;

export type SectorState = 'below' | 'data' | 'zero';

/** `<volume id>/<32 hex digits>`; the digits are the overlay id that its key is derived from. */
export function newOverlayName(volume: string): string {
  const name = `${volume}/${hex(randomBytes(16))}`;
  idOf(name);
  return name;
}
function idOf(name: string): Uint8Array {
  const id = NAME.exec(name)?.[1];
  if (id === undefined) throw new RangeError(`${JSON.stringify(name)} is not the name of an overlay`);
  return Buffer.from(id, 'hex');
}
export function overlayFolder(dir: string, volume: string): string {
  if (!/^vol-[0-9a-f]{8,17}$/.test(volume)) throw new RangeError(`${JSON.stringify(volume)} is not a volume id`);
  return join(dir, volume);
}
const dataPath = (dir: string, name: string): string => join(dir, `${name}.data`);
const bitsPath = (dir: string, name: string): string => join(dir, `${name}.bits`);

function headerOf(name: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt32BE(FORMAT_VERSION, 8);
  header.writeUInt32BE(LIMITS.sectorBytes, 12);
  header.set(idOf(name), 16);
  return header;
}

/** Makes an empty overlay durably. The bits file appears last and whole: an overlay is there exactly if it is. */
export async function createOverlayFiles(dir: string, name: string): Promise<void> {
  const header = headerOf(name);
  const folder = dirname(dataPath(dir, name));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await (await open(dataPath(dir, name), 'wx', 0o600)).close();
  const unfinished = `${bitsPath(dir, name)}.new`;
  const bits = await open(unfinished, 'wx', 0o600);
  try {
    await writeFully(bits, header, 0);
    await bits.sync();
  } finally {
    await bits.close();
  }
  await rename(unfinished, bitsPath(dir, name));
  await syncFolder(folder);
  await syncFolder(dir);
}

export async function removeOverlayFiles(dir: string, name: string): Promise<void> {
  idOf(name);
  await rm(bitsPath(dir, name), { force: true });
  await rm(dataPath(dir, name), { force: true });
}

interface BitsPage {
  readonly bytes: Buffer;
  dirty: boolean;
}

export class Overlay {
  readonly name: string;
  readonly #data: FileHandle;
  readonly #bits: FileHandle;
  readonly #key: ReturnType<typeof deriveOverlayKey>;
  readonly #pages = new Map<number, BitsPage>();
  readonly #loading = new Map<number, Promise<BitsPage>>();
  #dataDirty = false;
  #lastFlush: Promise<void> = Promise.resolve();

  private constructor(name: string, data: FileHandle, bits: FileHandle, dataKey: WorkerKey) {
    this.name = name;
    this.#data = data;
    this.#bits = bits;
    this.#key = deriveOverlayKey(dataKey.key, idOf(name));
  }

  static async open(dir: string, name: string, dataKey: WorkerKey, access: 'read' | 'write'): Promise<Overlay> {
    const expected = headerOf(name);
    const flags = access === 'read' ? constants.O_RDONLY : constants.O_RDWR;
    const data = await open(dataPath(dir, name), flags);
    try {
      const bits = await open(bitsPath(dir, name), flags);
      try {
        const header = Buffer.alloc(HEADER_BYTES);
        await bits.read(header, 0, HEADER_BYTES, 0);
        if (!header.equals(expected)) throw new IntegrityError(`header of overlay ${name}`);
        return new Overlay(name, data, bits, dataKey);
      } catch (error) {
        await bits.close();
        throw error;
      }
    } catch (error) {
      await data.close();
      throw error;
    }
  }

  /** Loads what `stateOf` and `mark` need for a region; they hold until `trim`. */
  async loadBits(region: number): Promise<void> {
    await this.#page(Math.floor(region / PAGE_REGIONS));
  }

  /** State of a sector whose region is loaded. */
  stateOf(sector: number): SectorState {
    const { page, byte, bit } = this.#at(sector);
    if (page.bytes[byte + ZERO_BITS_AT]! & bit) return 'zero';
    return page.bytes[byte]! & bit ? 'data' : 'below';
  }

  /** Says what sectors are from now on; their regions are loaded, and data was written before. */
  mark(firstSector: number, count: number, state: 'data' | 'zero'): void {
    const end = firstSector + count;
    for (let sector = firstSector; sector < end; ) {
      const { page, byte, bit } = this.#at(sector);
      // Eight sectors at a time where they fill a byte: a guest may discard its whole disk.
      const bits = sector % 8 === 0 && end - sector >= 8 ? 0xff : bit;
      const [set, clear] = state === 'data' ? [byte, byte + ZERO_BITS_AT] : [byte + ZERO_BITS_AT, byte];
      page.bytes[set] = page.bytes[set]! | bits;
      page.bytes[clear] = page.bytes[clear]! & ~bits;
      page.dirty = true;
      sector += bits === 0xff ? 8 : 1;
    }
  }

  /** Whether any sector of a loaded region is data. */
  hasData(region: number): boolean {
    const { page, byte } = this.#at(region * REGION_SECTORS);
    return page.bytes.subarray(byte, byte + ZERO_BITS_AT).some((bits) => bits !== 0);
  }

  /** Reads and decrypts sectors that are data. */
  async readSectors(firstSector: number, target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.byteLength; ) {
      const position = firstSector * LIMITS.sectorBytes + done;
      const left = target.byteLength - done;
      const bytesRead =
        target.byteLength <= SYNCHRONOUS_BYTES_MAX
          ? readSync(this.#data.fd, target, done, left, position)
          : (await this.#data.read(target, done, left, position)).bytesRead;
      if (bytesRead === 0) throw new IntegrityError(`data of overlay ${this.name} at ${position}`);
      done += bytesRead;
    }
    decryptSectors(this.#key, firstSector, target, target);
  }

  /** Encrypts and writes whole sectors, then marks them as data. Their regions are loaded. */
  async writeSectors(firstSector: number, plaintext: Uint8Array): Promise<void> {
    const ciphertext = Buffer.allocUnsafe(plaintext.byteLength);
    encryptSectors(this.#key, firstSector, plaintext, ciphertext);
    this.#dataDirty = true;
    const position = firstSector * LIMITS.sectorBytes;
    let done = 0;
    if (ciphertext.byteLength <= SYNCHRONOUS_BYTES_MAX)
      done = writeSync(this.#data.fd, ciphertext, 0, undefined, position);
    if (done < ciphertext.byteLength) await writeFully(this.#data, ciphertext.subarray(done), position + done);
    this.#dataDirty = true;
    this.mark(firstSector, plaintext.byteLength / LIMITS.sectorBytes, 'data');
  }

  /** What was written and marked before the call is durable when it resolves. */
  flush(): Promise<void> {
    // After a failed sync the kernel may have dropped writes and say yes the next time: once failed, always failed.
    const flush = this.#lastFlush.then(() => this.#flush());
    this.#lastFlush = flush;
    flush.catch(() => {});
    return flush;
  }

  async #flush(): Promise<void> {
    // INVARIANT: the copies are taken before the data is synced, so each bit in them speaks of data written before.
    const copies: { number: number; bytes: Buffer }[] = [];
    for (const [number, page] of this.#pages) {
      if (page.dirty) copies.push({ number, bytes: Buffer.from(page.bytes) });
      page.dirty = false;
    }
    if (this.#dataDirty) {
      this.#dataDirty = false;
      await this.#data.datasync();
    }
    for (const { number, bytes } of copies) {
      await writeFully(this.#bits, bytes, HEADER_BYTES + number * PAGE_BYTES);
    }
    if (copies.length > 0) await this.#bits.datasync();
  }

  /** Regions that hold anything, ascending, for an overlay that nobody writes. */
  async *regions(): AsyncGenerator<number> {
    const { size } = await this.#bits.stat();
    const empty = Buffer.alloc(REGION_BITS_BYTES);
    const window = Buffer.alloc(256 * PAGE_BYTES);
    const windowRegions = window.byteLength / REGION_BITS_BYTES;
    for (let first = 0; HEADER_BYTES + first * REGION_BITS_BYTES < size; first += windowRegions) {
      const { bytesRead } = await this.#bits.read(
        window,
        0,
        window.byteLength,
        HEADER_BYTES + first * REGION_BITS_BYTES,
      );
      for (let at = 0; at < bytesRead; at += REGION_BITS_BYTES) {
        if (empty.compare(window, at, Math.min(at + REGION_BITS_BYTES, bytesRead)) !== 0) {
          yield first + at / REGION_BITS_BYTES;
        }
      }
    }
  }

  /** Drops clean bits beyond a bound. Only while no read or write is under way. */
  trim(): void {
    if (this.#pages.size <= CLEAN_PAGES_MAX) return;
    for (const [number, page] of this.#pages) if (!page.dirty) this.#pages.delete(number);
  }

  /** Closes without flushing. */
  async close(): Promise<void> {
    this.#pages.clear();
    await Promise.allSettled([this.#data.close(), this.#bits.close()]);
  }

  #at(sector: number): { page: BitsPage; byte: number; bit: number } {
    const region = Math.floor(sector / REGION_SECTORS);
    const page = this.#pages.get(Math.floor(region / PAGE_REGIONS));
    if (!page) throw new Error(`bits of region ${region} are not loaded`);
    const inRegion = sector % REGION_SECTORS;
    return { page, byte: (region % PAGE_REGIONS) * REGION_BITS_BYTES + (inRegion >> 3), bit: 1 << (inRegion & 7) };
  }

  async #page(number: number): Promise<BitsPage> {
    const held = this.#pages.get(number);
    if (held) return held;
    let loading = this.#loading.get(number);
    if (!loading) {
      loading = this.#loadPage(number).finally(() => this.#loading.delete(number));
      this.#loading.set(number, loading);
    }
    return loading;
  }

  async #loadPage(number: number): Promise<BitsPage> {
    const bytes = Buffer.alloc(PAGE_BYTES);
    // Short or empty beyond the end of the file: nothing is set there.
    await this.#bits.read(bytes, 0, PAGE_BYTES, HEADER_BYTES + number * PAGE_BYTES);
    const page = { bytes, dirty: false };
    this.#pages.set(number, page);
    return page;
  }
}
