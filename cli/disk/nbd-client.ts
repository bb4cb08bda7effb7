/**
 * A client of the Network Block Device protocol, just enough to read and write the disk that qemu-nbd serves: the
 * newstyle handshake with NBD_OPT_GO, and simple replies. Requests are answered in any order.
 * https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */
import { createConnection, type Socket } from 'node:net';
import { CliError } from '../error.ts';

const GREETING = Buffer.from('NBDMAGICIHAVEOPT');
const OPTION_REPLY_MAGIC = 0x3e889045565a9n;
const REQUEST_MAGIC = 0x25609513;
const REPLY_MAGIC = 0x67446698;
const FLAG_FIXED_NEWSTYLE = 1;
const FLAG_NO_ZEROES = 2;
const OPT_GO = 7;
const REP_ACK = 1;
const REP_INFO = 3;
const INFO_EXPORT = 0;
const CMD_READ = 0;
const CMD_WRITE = 1;
const CMD_DISC = 2;
const CMD_FLUSH = 3;
const REPLY_BYTES = 16;

interface Pending {
  readonly into: Uint8Array | undefined;
  resolve(): void;
  reject(error: Error): void;
}

export class NbdClient {
  readonly #socket: Socket;
  readonly #pending = new Map<bigint, Pending>();
  #sizeBytes = 0;
  #cookie = 0n;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static async connect(path: string): Promise<NbdClient> {
    const socket = createConnection(path);
    const client = new NbdClient(socket);
    await client.#handshake();
    return client;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Fills `into`, which must lie within the disk. */
  read(offset: number, into: Uint8Array): Promise<void> {
    return this.#request(CMD_READ, offset, into.length, undefined, into);
  }

  /** `data` must stay as it is until this resolves. */
  write(offset: number, data: Uint8Array): Promise<void> {
    return this.#request(CMD_WRITE, offset, data.length, data);
  }

  flush(): Promise<void> {
    return this.#request(CMD_FLUSH, 0, 0);
  }

  /** Takes leave; the server ends with its last client. */
  async close(): Promise<void> {
    if (this.#socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#socket.once('close', () => resolve());
      this.#socket.end(this.#header(CMD_DISC, 0, 0, 0n));
    });
  }

  #header(type: number, offset: number, length: number, cookie: bigint): Buffer {
    const header = Buffer.alloc(28);
    header.writeUInt32BE(REQUEST_MAGIC, 0);
    header.writeUInt16BE(type, 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(offset), 16);
    header.writeUInt32BE(length, 24);
    return header;
  }

  #request(type: number, offset: number, length: number, data?: Uint8Array, into?: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure);
        return;
      }
      this.#cookie += 1n;
      this.#pending.set(this.#cookie, { into, resolve, reject });
      this.#socket.cork();
      this.#socket.write(this.#header(type, offset, length, this.#cookie));
      if (data) this.#socket.write(data);
      this.#socket.uncork();
    });
  }

  async #handshake(): Promise<void> {
    const socket = this.#socket;
    const reader = new Reader(socket);
    socket.once('error', (error) => this.#fail(error));
    const greeting = await reader.take(18);
    if (!greeting.subarray(0, 16).equals(GREETING))
      throw new CliError('The block device server does not greet as one.');
    const option = Buffer.alloc(4 + 16 + 6);
    option.writeUInt32BE(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES, 0);
    option.write('IHAVEOPT', 4, 'latin1');
    option.writeUInt32BE(OPT_GO, 12);
    option.writeUInt32BE(6, 16);
    socket.write(option);
    for (;;) {
      const header = await reader.take(20);
      const type = header.readUInt32BE(12);
      const body = await reader.take(header.readUInt32BE(16));
      if (header.readBigUInt64BE(0) !== OPTION_REPLY_MAGIC)
        throw new CliError('The block device server answers nonsense.');
      if (type === REP_ACK) break;
      if (type !== REP_INFO) throw new CliError(`The block device server refuses: ${body.toString()}`);
      if (body.readUInt16BE(0) === INFO_EXPORT) this.#sizeBytes = Number(body.readBigUInt64BE(2));
    }
    this.#receive(reader.release());
  }

  /** Replies from here on; `first` is what has arrived already. */
  #receive(first: Buffer): void {
    const header = Buffer.alloc(REPLY_BYTES);
    let headerFill = 0;
    let current: Pending | undefined;
    let filled = 0;
    const take = (piece: Buffer) => {
      let rest = piece;
      while (rest.length > 0) {
        if (!current?.into) {
          const taken = rest.copy(header, headerFill);
          headerFill += taken;
          rest = rest.subarray(taken);
          if (headerFill < REPLY_BYTES) return;
          headerFill = 0;
          if (header.readUInt32BE(0) !== REPLY_MAGIC) throw new CliError('The block device server answers nonsense.');
          const cookie = header.readBigUInt64BE(8);
          const pending = this.#pending.get(cookie);
          if (!pending) throw new CliError('The block device server answers what was not asked.');
          this.#pending.delete(cookie);
          const errno = header.readUInt32BE(4);
          if (errno !== 0) pending.reject(new CliError(`qemu-nbd could not do it (error ${errno}).`));
          else if (pending.into) {
            current = pending;
            filled = 0;
          } else pending.resolve();
        } else {
          const taken = rest.copy(current.into, filled);
          filled += taken;
          rest = rest.subarray(taken);
          if (filled === current.into.length) {
            current.resolve();
            current = undefined;
          }
        }
      }
    };
    const guarded = (piece: Buffer) => {
      try {
        take(piece);
      } catch (error) {
        this.#socket.destroy(error as Error);
      }
    };
    this.#socket.on('data', guarded);
    this.#socket.once('close', () => {
      const gone = new CliError('The block device server went away.');
      current?.reject(gone);
      this.#fail(gone);
    });
    guarded(first);
    this.#socket.resume();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const pending of this.#pending.values()) pending.reject(this.#failure);
    this.#pending.clear();
  }
}

/** Exact pieces of what arrives, for the handshake. */
class Reader {
  readonly #socket: Socket;
  #buffered: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #error: Error | undefined;
  readonly #onData = (piece: Buffer) => {
    this.#buffered = Buffer.concat([this.#buffered, piece]);
    this.#wake?.();
  };
  readonly #onEnd = (error?: Error | boolean) => {
    this.#error = error instanceof Error ? error : new CliError('The block device server went away.');
    this.#wake?.();
  };

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.once('error', this.#onEnd);
    socket.once('close', this.#onEnd);
  }

  async take(length: number): Promise<Buffer> {
    while (this.#buffered.length < length) {
      if (this.#error) throw this.#error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const taken = this.#buffered.subarray(0, length);
    this.#buffered = this.#buffered.subarray(length);
    return taken;
  }

  /** Stops reading; what is left over is the next reader's. */
  release(): Buffer {
    this.#socket.pause();
    this.#socket.off('data', this.#onData);
    this.#socket.off('error', this.#onEnd);
    this.#socket.off('close', this.#onEnd);
    return this.#buffered;
  }
}
