/** A stream of bytes cut into blocks, with a look at its beginning. */
import { Readable } from 'node:stream';
import { BLOCK_BYTES, isZero } from './block.ts';

export class StreamBlocks {
  readonly #bytes: Readable;
  readonly #pieces: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);
  #index = 0;
  #bytesRead = 0;
  /** One reader at a time: callers queue here. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(bytes: Readable) {
    this.#bytes = bytes;
    this.#pieces = bytes[Symbol.asyncIterator]();
  }

  /** So much has been given out as blocks. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** At most `length` bytes from the beginning, fewer where the stream is shorter; they stay to be read. */
  async peek(length: number): Promise<Buffer> {
    const pieces = [this.#rest];
    let sum = this.#rest.length;
    while (sum < length) {
      const { done, value } = await this.#pieces.next();
      if (done) break;
      pieces.push(value);
      sum += value.length;
    }
    this.#rest = Buffer.concat(pieces);
    return this.#rest.subarray(0, length);
  }

  /** All that has not been read yet, as a stream; this object is not to be read from any more. */
  rest(): Readable {
    const first = this.#rest;
    const pieces = this.#pieces;
    const all = async function* () {
      if (first.length > 0) yield first;
      for (;;) {
        const { done, value } = await pieces.next();
        if (done) return;
        yield value;
      }
    };
    return Readable.from(all(), { objectMode: false });
  }

  /** The next block that is not all zero; the last is filled up with zeros. */
  next(buffer: Buffer): Promise<number | undefined> {
    const turn = this.#turn.then(async () => {
      for (;;) {
        const filled = await this.#fill(buffer);
        if (filled === 0) return undefined;
        this.#bytesRead += filled;
        buffer.fill(0, filled);
        this.#index += 1;
        if (!isZero(buffer)) return this.#index - 1;
      }
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }

  close(): void {
    this.#bytes.destroy();
  }

  async #fill(buffer: Buffer): Promise<number> {
    let filled = 0;
    while (filled < BLOCK_BYTES) {
      if (this.#rest.length === 0) {
        const { done, value } = await this.#pieces.next();
        if (done) break;
        this.#rest = value;
      }
      const taken = this.#rest.copy(buffer, filled);
      filled += taken;
      this.#rest = this.#rest.subarray(taken);
    }
    return filled;
  }
}
