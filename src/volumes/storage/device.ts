/**
 * A volume as a block device: reads go through the layers, writes go to the overlay on top. Lives in the volume's
 * worker thread.
 *
 * Two writes never touch one sector at a time, so that a partial sector is completed from what stands there. Freezing
 * and changing the base wait for what is under way and hold what comes, which is short: data is flushed before.
 */
import { type BaseReader, readThrough } from '../../blocks/layers.ts';
import { type Overlay, REGION_SECTORS } from '../../blocks/overlay.ts';
import { LIMITS } from '../../limits.ts';

const SECTOR = LIMITS.sectorBytes;

interface SectorRange {
  readonly first: number;
  readonly end: number;
  readonly over: Promise<void>;
}

export class LayeredDevice {
  readonly sizeBytes: number;
  /** Newest first; the first one is written to. */
  #overlays: readonly Overlay[];
  #base: BaseReader;
  #underWay = 0;
  #held: Promise<void> | undefined;
  #quiet: (() => void) | undefined;
  readonly #writes = new Set<SectorRange>();

  constructor(sizeBytes: number, overlays: readonly Overlay[], base: BaseReader) {
    this.sizeBytes = sizeBytes;
    this.#overlays = overlays;
    this.#base = base;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    return this.#enter(async () => {
      const first = Math.floor(offset / SECTOR);
      const end = Math.ceil((offset + length) / SECTOR);
      const sectors = Buffer.allocUnsafeSlow((end - first) * SECTOR);
      await readThrough(this.#overlays, this.#base, first, sectors);
      return sectors.subarray(offset - first * SECTOR, offset - first * SECTOR + length);
    });
  }

  async write(offset: number, data: Uint8Array): Promise<void> {
    await this.#change(offset, data.byteLength, async (overlay, first, end) => {
      const head = offset - first * SECTOR;
      const whole = head === 0 && data.byteLength % SECTOR === 0;
      const sectors = whole ? data : await this.#completed(first, end, (bytes) => bytes.set(data, head));
      await overlay.writeSectors(first, sectors);
    });
  }

  async zero(offset: number, length: number): Promise<void> {
    // Whole sectors become a mark; what is left at either end is written.
    const wholeFirst = Math.ceil(offset / SECTOR) * SECTOR;
    const wholeEnd = Math.floor((offset + length) / SECTOR) * SECTOR;
    if (wholeFirst >= wholeEnd) {
      for (let at = offset; at < offset + length; ) {
        const end = Math.min(offset + length, (Math.floor(at / SECTOR) + 1) * SECTOR);
        await this.write(at, new Uint8Array(end - at));
        at = end;
      }
      return;
    }
    if (offset < wholeFirst) await this.write(offset, new Uint8Array(wholeFirst - offset));
    // In pieces, so that the marks of a whole-disk discard do not hold the thread or all other writes.
    for (let at = wholeFirst; at < wholeEnd; ) {
      const end = Math.min(wholeEnd, at + ZERO_STEP_BYTES - (at % ZERO_STEP_BYTES));
      await this.#change(at, end - at, async (overlay, first, last) => overlay.mark(first, last - first, 'zero'));
      at = end;
    }
    if (wholeEnd < offset + length) await this.write(wholeEnd, new Uint8Array(offset + length - wholeEnd));
  }

  async flush(): Promise<void> {
    // Frozen overlays were flushed when they froze.
    await this.#enter(() => this.#overlays[0]!.flush());
  }

  /**
   * Puts `next` on top. Everything acknowledged before is durable in the layers below when `record` is called; what
   * comes meanwhile waits. If `record` rejects, nothing has changed.
   */
  async freeze(next: Overlay, record: () => Promise<void>): Promise<void> {
    await this.flush();
    await this.#alone(async () => {
      await this.#overlays[0]!.flush();
      await record();
      this.#overlays = [next, ...this.#overlays];
    });
  }

  /** Exchanges the base, and closes the overlays that went into it. */
  async rebase(base: BaseReader, removed: ReadonlySet<string>): Promise<void> {
    await this.#alone(async () => {
      const gone = this.#overlays.filter((overlay, i) => i > 0 && removed.has(overlay.name));
      this.#overlays = this.#overlays.filter((overlay) => !gone.includes(overlay));
      this.#base = base;
      await Promise.all(gone.map((overlay) => overlay.close()));
    });
  }

  async close(): Promise<void> {
    await this.#alone(async () => {
      try {
        await this.#overlays[0]!.flush();
      } finally {
        await Promise.all(this.#overlays.map((overlay) => overlay.close()));
      }
    });
  }

  /** Runs a change of whole sectors when no other change touches them, with their bits loaded. */
  async #change(
    offset: number,
    length: number,
    work: (overlay: Overlay, firstSector: number, endSector: number) => Promise<void>,
  ): Promise<void> {
    const first = Math.floor(offset / SECTOR);
    const end = Math.ceil((offset + length) / SECTOR);
    await this.#enter(async () => {
      let done = (): void => {};
      const range: SectorRange = { first, end, over: new Promise<void>((resolve) => (done = resolve)) };
      const earlier = [...this.#writes].filter((write) => write.first < end && first < write.end);
      this.#writes.add(range);
      try {
        await Promise.all(earlier.map((write) => write.over));
        const overlay = this.#overlays[0]!;
        for (let region = Math.floor(first / REGION_SECTORS); region * REGION_SECTORS < end; region++) {
          await overlay.loadBits(region);
        }
        await work(overlay, first, end);
      } finally {
        this.#writes.delete(range);
        done();
      }
    });
  }

  async #completed(first: number, end: number, overwrite: (sectors: Buffer) => void): Promise<Uint8Array> {
    const sectors = Buffer.allocUnsafeSlow((end - first) * SECTOR);
    await readThrough(this.#overlays, this.#base, first, sectors);
    overwrite(sectors);
    return sectors;
  }

  async #enter<Result>(work: () => Promise<Result>): Promise<Result> {
    while (this.#held) await this.#held;
    this.#underWay++;
    try {
      return await work();
    } finally {
      this.#underWay--;
      if (this.#underWay === 0) {
        for (const overlay of this.#overlays) overlay.trim();
        this.#quiet?.();
      }
    }
  }

  /** Runs `work` while nothing else is under way. */
  async #alone(work: () => Promise<void>): Promise<void> {
    while (this.#held) await this.#held;
    let release = (): void => {};
    this.#held = new Promise<void>((resolve) => (release = resolve));
    try {
      if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#quiet = resolve));
      this.#quiet = undefined;
      await work();
    } finally {
      this.#held = undefined;
      release();
    }
  }
}

const ZERO_STEP_BYTES = 64 * 1024 * 1024;
