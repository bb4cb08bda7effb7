/** Reads exact byte counts from a socket, with backpressure. One reader a connection, and one read at a time. */
import type { Socket } from 'node:net';

export class ByteReader {
  readonly #socket: Socket;
  #chunks: Buffer[] = [];
  #buffered = 0;
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#chunks.push(chunk);
      this.#buffered += chunk.byteLength;
      if (this.#buffered >= HIGH_WATER_BYTES) socket.pause();
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('end', end);
    socket.on('close', end);
    socket.on('error', end);
  }

  /** The next `count` bytes in memory of their own, or `undefined` where the peer has gone. */
  async read(count: number): Promise<Buffer | undefined> {
    const target = Buffer.allocUnsafeSlow(count);
    for (let filled = 0; filled < count; ) {
      const chunk = this.#chunks[0];
      if (!chunk) {
        if (this.#ended) return undefined;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
          if (this.#socket.isPaused()) this.#socket.resume();
        });
        this.#wake = undefined;
        continue;
      }
      const taken = Math.min(chunk.byteLength, count - filled);
      target.set(chunk.subarray(0, taken), filled);
      filled += taken;
      this.#buffered -= taken;
      if (taken === chunk.byteLength) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(taken);
    }
    if (this.#socket.isPaused() && this.#buffered < HIGH_WATER_BYTES) this.#socket.resume();
    return target;
  }
}

const HIGH_WATER_BYTES = 1024 * 1024;
