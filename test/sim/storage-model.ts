/** What the storage simulations share: an opened storage in a temporary folder, keys, and a seeded generator. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SecretKey } from '../../src/crypto/secret-key.ts';
import type { Db } from '../../src/db/db.ts';
import { openDb } from '../../src/db/sqlite.ts';
import type { DataKeyId, SnapshotId, VolumeId } from '../../src/ids.ts';
import { LIMITS } from '../../src/limits.ts';
import { type OpenDataKey, openStorage, type Storage, storageMigrations } from '../../src/volumes/storage.ts';

export const BLOCK = LIMITS.blockBytes;
export const SECTOR = LIMITS.sectorBytes;

/** The same key for the same digit, so that another process can open what this one sealed. */
export function testKey(digit: number): OpenDataKey {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => (i * 7 + digit * 31 + 1) & 0xff);
  return { id: `00000000-0000-4000-8000-00000000000${digit}` as DataKeyId, secret: SecretKey.take(bytes) };
}

export const snapshotId = (text: string): SnapshotId => text as SnapshotId;
export const volumeId = (text: string): VolumeId => text as VolumeId;
export const NEVER = new AbortController().signal;
export const quiet = (): void => {};

export interface TestStorage extends AsyncDisposable {
  readonly dir: string;
  readonly db: Db;
  readonly storage: Storage;
  /** Closes and opens again, as an orderly restart does. */
  reopen(): Promise<void>;
}

export async function openTestStorage(options: { dir?: string; durable?: boolean } = {}): Promise<TestStorage> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'ingot-storage-')));
  const open = async (): Promise<{ db: Db; storage: Storage }> => {
    const db = await openDb(join(dir, 'ingot.db'), storageMigrations, { durable: options.durable ?? false });
    return { db, storage: await openStorage({ dir, db, workers: 2 }) };
  };
  let { db, storage } = await open();
  const close = async (): Promise<void> => {
    await storage.close();
    await db.close();
  };
  return {
    dir,
    get db() {
      return db;
    },
    get storage() {
      return storage;
    },
    async reopen() {
      await close();
      ({ db, storage } = await open());
    },
    async [Symbol.asyncDispose]() {
      await close();
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Numbers from a seed (mulberry32), so that a failure can be run again. */
export class Seeded {
  #state: number;
  constructor(seed: number) {
    this.#state = seed >>> 0;
  }
  /** Below `bound`. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
  }
  /** Bytes without repetition (xorshift), so that misplaced ones are noticed. */
  bytes(length: number): Buffer {
    const words = new Uint32Array(Math.ceil(length / 4));
    let x = this.below(0xffff_ffff) + 1;
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
      words[i] = x;
    }
    return Buffer.from(words.buffer, 0, length);
  }
}

/** A small NBD client: one connection, requests one after another or several at once. */
export class NbdClient implements AsyncDisposable {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;
  #ended = false;
  readonly #waiting = new Map<
    bigint,
    { length: number; resolve: (reply: NbdReply) => void; reject: (e: Error) => void }
  >();
  #lastCookie = 0n;
  sizeBytes = 0;
  flags = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.#received = this.#received.byteLength === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#wake?.();
    });
    const end = (): void => {
      this.#ended = true;
      this.#wake?.();
    };
    socket.on('close', end);
    socket.on('error', end);
  }

  static async connect(socketPath: string, exportName = ''): Promise<NbdClient> {
    const socket = createConnection(socketPath);
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    const client = new NbdClient(socket);
    await client.take(18);
    const name = Buffer.from(exportName);
    const hello = Buffer.alloc(4 + 16 + 6 + name.byteLength);
    hello.writeUInt32BE(3, 0);
    hello.write('IHAVEOPT', 4, 'latin1');
    hello.writeUInt32BE(7, 12);
    hello.writeUInt32BE(6 + name.byteLength, 16);
    hello.writeUInt32BE(name.byteLength, 20);
    name.copy(hello, 24);
    socket.write(hello);
    for (;;) {
      const header = await client.take(20);
      const body = await client.take(header.readUInt32BE(16));
      const kind = header.readUInt32BE(12);
      if (kind >= 0x8000_0000) throw new Error(`option refused: ${kind.toString(16)}`);
      if (kind === 3 && body.readUInt16BE(0) === 0) {
        client.sizeBytes = Number(body.readBigUInt64BE(2));
        client.flags = body.readUInt16BE(10);
      }
      if (kind === 1) break;
    }
    void client.#receive();
    return client;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const reply = await this.request({ type: 0, offset, length });
    if (reply.errno !== 0) throw new Error(`read failed: errno ${reply.errno}`);
    return reply.data;
  }
  async write(offset: number, data: Buffer, flags = 0): Promise<void> {
    await this.#expectOk({ type: 1, offset, length: data.byteLength, data, flags });
  }
  async zero(offset: number, length: number): Promise<void> {
    await this.#expectOk({ type: 6, offset, length });
  }
  async trim(offset: number, length: number): Promise<void> {
    await this.#expectOk({ type: 4, offset, length });
  }
  async flush(): Promise<void> {
    await this.#expectOk({ type: 3, offset: 0, length: 0 });
  }

  request(request: {
    type: number;
    offset: number | bigint;
    length: number;
    data?: Buffer;
    flags?: number;
  }): Promise<NbdReply> {
    const cookie = ++this.#lastCookie;
    const header = Buffer.alloc(28);
    header.writeUInt32BE(0x25609513, 0);
    header.writeUInt16BE(request.flags ?? 0, 4);
    header.writeUInt16BE(request.type, 6);
    header.writeBigUInt64BE(cookie, 8);
    header.writeBigUInt64BE(BigInt(request.offset), 16);
    header.writeUInt32BE(request.length, 24);
    return new Promise((resolve, reject) => {
      if (this.#ended) return reject(new Error('the connection has ended'));
      this.#waiting.set(cookie, { length: request.type === 0 ? request.length : 0, resolve, reject });
      this.#socket.write(request.data ? Buffer.concat([header, request.data]) : header);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#ended) {
      await new Promise<void>((resolve) => {
        this.#socket.once('close', () => resolve());
        this.#socket.destroy();
      });
    }
  }

  async #expectOk(request: {
    type: number;
    offset: number;
    length: number;
    data?: Buffer;
    flags?: number;
  }): Promise<void> {
    const reply = await this.request(request);
    if (reply.errno !== 0) throw new Error(`request ${request.type} failed: errno ${reply.errno}`);
  }

  async #receive(): Promise<void> {
    try {
      for (;;) {
        const header = await this.take(16);
        const waiting = this.#waiting.get(header.readBigUInt64BE(8));
        if (!waiting) throw new Error('a reply to nothing');
        const errno = header.readUInt32BE(4);
        const data = errno === 0 ? await this.take(waiting.length) : Buffer.alloc(0);
        this.#waiting.delete(header.readBigUInt64BE(8));
        waiting.resolve({ errno, data });
      }
    } catch (error) {
      for (const { reject } of this.#waiting.values()) reject(error as Error);
      this.#waiting.clear();
    }
  }

  async take(count: number): Promise<Buffer> {
    while (this.#received.byteLength < count) {
      if (this.#ended) throw new Error('the connection has ended');
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const taken = Buffer.from(this.#received.subarray(0, count));
    this.#received = this.#received.subarray(count);
    return taken;
  }
}

export interface NbdReply {
  readonly errno: number;
  readonly data: Buffer;
}
