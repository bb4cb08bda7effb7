/** The NBD server over a device in memory: what the protocol document asks, and what hostile clients send. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NbdClient } from '../../test/sim/storage-model.ts';
import {
  type BlockDevice,
  CMD,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  ERRNO,
  NBD_LIMITS,
  TRANSMISSION_FLAGS,
} from './protocol.ts';
import { NbdServer } from './server.ts';
import { type Request, validateRequest } from './transmission.ts';

class MemoryDevice implements BlockDevice {
  readonly bytes: Buffer;
  flushes = 0;
  failing = false;
  constructor(sizeBytes: number) {
    this.bytes = Buffer.alloc(sizeBytes);
  }
  get sizeBytes(): number {
    return this.bytes.byteLength;
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    if (this.failing) throw new Error('the disk is gone');
    return Buffer.from(this.bytes.subarray(offset, offset + length));
  }
  async write(offset: number, data: Uint8Array): Promise<void> {
    if (this.failing) throw new Error('the disk is gone');
    this.bytes.set(data, offset);
  }
  async zero(offset: number, length: number): Promise<void> {
    this.bytes.fill(0, offset, offset + length);
  }
  async flush(): Promise<void> {
    this.flushes++;
  }
}

interface Served extends AsyncDisposable {
  readonly device: MemoryDevice;
  readonly socketPath: string;
  readonly errors: unknown[];
}

async function serve(sizeBytes = 1 << 20): Promise<Served> {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-nbd-'));
  const socketPath = join(folder, 's');
  const device = new MemoryDevice(sizeBytes);
  const errors: unknown[] = [];
  const server = await NbdServer.listen({ socketPath, exportName: 'vol', device, onError: (e) => errors.push(e) });
  return {
    device,
    socketPath,
    errors,
    async [Symbol.asyncDispose]() {
      await server.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const SIZE = 1 << 20;
const base: Request = { flags: 0, type: CMD.read, cookie: Buffer.alloc(8), offset: 0n, length: 4096 };
const verdicts: [string, Partial<Request>, string | number][] = [
  ['a read', {}, 'serve'],
  ['the last byte', { offset: BigInt(SIZE - 1), length: 1 }, 'serve'],
  ['the whole', { length: SIZE }, 'serve'],
  ['one byte too far', { offset: BigInt(SIZE - 1), length: 2 }, ERRNO.invalid],
  ['an offset beyond the end', { offset: BigInt(SIZE) }, ERRNO.invalid],
  ['an offset that wraps', { offset: 0xffff_ffff_ffff_ffffn, length: 1 }, ERRNO.invalid],
  ['a read of nothing', { length: 0 }, ERRNO.invalid],
  ['a read beyond the bound', { length: NBD_LIMITS.payloadBytesMax + 1 }, ERRNO.overflow],
  ['a write beyond the end', { type: CMD.write, offset: BigInt(SIZE) }, ERRNO.noSpace],
  ['a write beyond the bound', { type: CMD.write, length: NBD_LIMITS.payloadBytesMax + 1 }, 'leave'],
  ['FUA on a write', { type: CMD.write, flags: CMD_FLAG_FUA }, 'serve'],
  ['an unknown flag', { flags: 0x80 }, ERRNO.invalid],
  ['NO_HOLE on write zeroes', { type: CMD.writeZeroes, flags: CMD_FLAG_NO_HOLE }, 'serve'],
  ['NO_HOLE on a trim', { type: CMD.trim, flags: CMD_FLAG_NO_HOLE }, ERRNO.invalid],
  ['a trim of the whole', { type: CMD.trim, length: SIZE }, 'serve'],
  ['write zeroes beyond the end', { type: CMD.writeZeroes, length: SIZE + 1 }, ERRNO.noSpace],
  ['a flush', { type: CMD.flush, length: 0 }, 'serve'],
  ['a flush with a length', { type: CMD.flush, length: 1 }, ERRNO.invalid],
  ['an unknown command', { type: 5 }, ERRNO.invalid],
  ['a disconnect', { type: CMD.disconnect, length: 0 }, 'serve'],
];
for (const [what, change, expected] of verdicts) {
  test(`validation: ${what}: ${expected}`, () => {
    const verdict = validateRequest({ ...base, ...change }, SIZE);
    assert.equal(verdict.kind === 'refuse' ? verdict.errno : verdict.kind, expected);
  });
}

test('GO tells size and flags, for the default name and its own, and refuses others', async () => {
  await using served = await serve();
  for (const name of ['', 'vol']) {
    await using client = await NbdClient.connect(served.socketPath, name);
    assert.deepEqual([client.sizeBytes, client.flags], [SIZE, TRANSMISSION_FLAGS]);
  }
  await assert.rejects(NbdClient.connect(served.socketPath, 'other'), /80000006/);
});

test('a refused request leaves the connection in step, payload and all', async () => {
  await using served = await serve();
  await using client = await NbdClient.connect(served.socketPath);
  const data = Buffer.alloc(5000, 3);
  const refused = await client.request({ type: CMD.write, offset: SIZE - 4999, length: 5000, data });
  assert.equal(refused.errno, ERRNO.noSpace);
  assert.ok(served.device.bytes.every((byte) => byte === 0));
  await client.write(SIZE - 5000, data);
  assert.ok((await client.read(SIZE - 5000, 5000)).equals(data));
});

test('FUA and flush reach the device; a failing device is EIO and is reported', async () => {
  await using served = await serve();
  await using client = await NbdClient.connect(served.socketPath);
  await client.write(0, Buffer.alloc(10, 1), CMD_FLAG_FUA);
  await client.flush();
  assert.equal(served.device.flushes, 2);
  served.device.failing = true;
  assert.equal((await client.request({ type: CMD.read, offset: 0, length: 1 })).errno, ERRNO.io);
  assert.equal(served.errors.length, 1);
  served.device.failing = false;
  assert.deepEqual(await client.read(0, 1), Buffer.from([1]));
});

test('more requests at once than are allowed under way are all answered', async () => {
  await using served = await serve();
  await using client = await NbdClient.connect(served.socketPath);
  const count = NBD_LIMITS.requestsInFlightMax * 3;
  await Promise.all(Array.from({ length: count }, (_, i) => client.write(i * 100, Buffer.alloc(100, i))));
  const read = await Promise.all(Array.from({ length: count }, (_, i) => client.read(i * 100, 100)));
  for (const [i, bytes] of read.entries()) assert.ok(bytes.equals(Buffer.alloc(100, i)));
});

/** Sends bytes and gives everything that comes back until the server leaves. */
async function talk(socketPath: string, ...parts: Buffer[]): Promise<Buffer> {
  const socket = createConnection(socketPath);
  const received: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => received.push(chunk));
  socket.on('error', () => {});
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  for (const part of parts) socket.write(part);
  await closed;
  return Buffer.concat(received);
}

const u32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const option = (number: number, data: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([Buffer.from('IHAVEOPT'), u32(number), u32(data.byteLength), data]);
const request = (type: number, length: number): Buffer =>
  Buffer.concat([u32(0x25609513), u32(type), Buffer.alloc(8), Buffer.alloc(8), u32(length)]);

const hostile: [string, Buffer[]][] = [
  ['unknown client flags', [u32(0x80)]],
  ['a wrong option magic', [u32(3), Buffer.alloc(16, 0x41)]],
  ['an endless option', [u32(3), Buffer.from('IHAVEOPT'), u32(7), u32(0xffff_ffff)]],
  ['options without end', [u32(3), ...Array.from({ length: NBD_LIMITS.optionsMax }, () => option(3))]],
  ['EXPORT_NAME of another export', [u32(3), option(1, Buffer.from('other'))]],
  ['a wrong request magic', [u32(3), option(7, Buffer.alloc(6)), Buffer.alloc(28)]],
  ['a write that is too large', [u32(3), option(7, Buffer.alloc(6)), request(CMD.write, 0xffff_ffff)]],
  ['abort', [u32(3), option(2)]],
];
for (const [what, parts] of hostile) {
  test(`the server leaves a client that sends ${what}, and serves the next`, async () => {
    await using served = await serve();
    await talk(served.socketPath, ...parts);
    await using client = await NbdClient.connect(served.socketPath);
    await client.write(0, Buffer.from('x'));
    assert.deepEqual(served.errors, []);
  });
}

test('malformed and unknown options are refused and the handshake goes on', async () => {
  await using served = await serve();
  const name = Buffer.concat([u32(1000), Buffer.alloc(2)]);
  const answer = await talk(served.socketPath, u32(3), option(8), option(7, name), option(7, Buffer.alloc(3)), option(6, Buffer.alloc(6)), option(2)); // biome-ignore format: one line
  const kinds: number[] = [];
  for (let at = 18; at < answer.byteLength; at += 20 + answer.readUInt32BE(at + 16))
    kinds.push(answer.readUInt32BE(at + 12));
  assert.deepEqual(kinds, [0x8000_0001, 0x8000_0003, 0x8000_0003, 3, 1, 1]);
});

test('connections beyond the bound are turned away, and places come free again', async () => {
  await using served = await serve();
  const clients = await Promise.all(
    Array.from({ length: NBD_LIMITS.connectionsMax }, () => NbdClient.connect(served.socketPath)),
  );
  await assert.rejects(NbdClient.connect(served.socketPath));
  await clients[0]![Symbol.asyncDispose]();
  for (;;) {
    const again = await NbdClient.connect(served.socketPath).catch(() => undefined);
    if (!again) continue;
    await again[Symbol.asyncDispose]();
    break;
  }
  for (const client of clients.slice(1)) await client[Symbol.asyncDispose]();
});
