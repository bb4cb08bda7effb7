/**
 * Page-aligned memory for O_DIRECT. The pool is a fixed number of page-aligned buffers: the memory bound of everything a worker has in flight.
 * WebAssembly memory starts on a page, which no ordinary ArrayBuffer promises.
 */

// Declared here because the compiler's `esnext` library leaves it to the browser's.
declare const WebAssembly: {
  readonly Memory: new (size: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
};

/** Zeroed memory that starts on a page. */
export function alignedBuffer(byteCount: number): Buffer {
  const pages = Math.ceil(byteCount / 65_536);
  return Buffer.from(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, byteCount);
}

export class AlignedPool {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];

  constructor(count: number, bytesEach: number) {
    const memory = alignedBuffer(count * bytesEach);
    for (let i = 0; i < count; i++) this.#free.push(memory.subarray(i * bytesEach, (i + 1) * bytesEach));
  }

  /** Runs `work` with a buffer of the pool, waiting for a free one. */
  async use<Result>(work: (buffer: Buffer) => Promise<Result>): Promise<Result> {
    const buffer = this.#free.pop() ?? (await new Promise<Buffer>((resolve) => this.#waiting.push(resolve)));
    try {
      return await work(buffer);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(buffer);
      else this.#free.push(buffer);
    }
  }
}
