/** How fast work goes and how long it still takes. */

const WINDOW_MS = 5_000;
const SAMPLE_MS = 200;

export class Pace {
  readonly #totalBytes: number | undefined;
  readonly #now: () => number;
  readonly #started: number;
  #doneBytes = 0;
  /** Positions of the last seconds, oldest first: the rate follows a changing line, and does not jump. */
  #samples: { readonly at: number; readonly bytes: number }[];

  /** `now` in milliseconds. */
  constructor(totalBytes: number | undefined, now: () => number) {
    this.#totalBytes = totalBytes;
    this.#now = now;
    this.#started = now();
    this.#samples = [{ at: this.#started, bytes: 0 }];
  }

  advance(bytes: number): void {
    this.#doneBytes += bytes;
    const at = this.#now();
    const last = this.#samples.at(-1)!;
    if (at - last.at < SAMPLE_MS) return;
    this.#samples.push({ at, bytes: this.#doneBytes });
    while (this.#samples.length > 2 && at - this.#samples[1]!.at >= WINDOW_MS) this.#samples.shift();
  }

  get elapsedSeconds(): number {
    return (this.#now() - this.#started) / 1000;
  }

  /** 0 to 1; undefined where the whole is not known. */
  get share(): number | undefined {
    if (this.#totalBytes === undefined) return undefined;
    return this.#totalBytes === 0 ? 1 : Math.min(1, this.#doneBytes / this.#totalBytes);
  }

  get bytesPerSecond(): number {
    const oldest = this.#samples[0]!;
    const spanMs = this.#now() - oldest.at;
    return spanMs > 0 ? ((this.#doneBytes - oldest.bytes) * 1000) / spanMs : 0;
  }

  toString(): string {
    const rate = this.bytesPerSecond;
    const parts = [
      this.#totalBytes === undefined
        ? size(this.#doneBytes)
        : `${size(Math.min(this.#doneBytes, this.#totalBytes))} of ${size(this.#totalBytes)}`,
    ];
    if (rate > 0) parts.push(`${size(rate)}/s`);
    if (rate > 0 && this.#totalBytes !== undefined) {
      parts.push(`${seconds(Math.max(0, this.#totalBytes - this.#doneBytes) / rate)} left`);
    }
    return parts.join('  ');
  }
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 || Number.isInteger(value) ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export function seconds(value: number): string {
  if (value < 10) return `${value.toFixed(1)} s`;
  if (value < 60) return `${Math.round(value)} s`;
  const minutes = Math.floor(value / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(value % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
