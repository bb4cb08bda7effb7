/** What somebody without credentials can make the server hold or put off. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { DescribeRegionsCommand, EC2Client } from '@aws-sdk/client-ec2';
import { type Ingot, startIngot } from './ingot.ts';

const MIB = 1024 * 1024;
let ingot: Ingot;
before(async () => {
  ingot = await startIngot();
});
after(() => ingot[Symbol.asyncDispose]());

async function residentBytes(): Promise<number> {
  const status = await readFile(`/proc/${ingot.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}

/** Begins a request and sends all of its body but the last byte, as far as the server reads it. */
async function beginRequest(path: string, bodyBytes: number): Promise<Socket> {
  const { hostname, port } = new URL(ingot.endpoint);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  const head = [`PUT ${path} HTTP/1.1`, 'Host: ingot', `Content-Length: ${bodyBytes}`, 'x-amz-Data-Length: 524288'];
  socket.write(`${head.join('\r\n')}\r\n\r\n`);
  // Nothing more moves when a while has passed without a drained buffer.
  const piece = Buffer.alloc(64 * 1024, 1);
  for (let sent = 0; sent < bodyBytes - piece.byteLength; sent += piece.byteLength) socket.write(piece);
  return socket;
}

const served = async () => {
  const { Regions } = await new EC2Client(await ingot.client()).send(new DescribeRegionsCommand({}));
  assert.ok(Regions?.length);
};

describe('a stranger who begins requests and does not end them', () => {
  it('holds no more memory than the bound on bodies, and keeps nobody from being served', async (context) => {
    await served();
    const before = await residentBytes();
    const path = '/snapshots/snap-0123456789abcdef0/blocks/0';
    const sockets = await Promise.all(Array.from({ length: 400 }, () => beginRequest(path, 524_288)));
    let grown = 0;
    for (let look = 0; look < 10; look += 1) {
      await served();
      grown = Math.max(grown, (await residentBytes()) - before);
    }
    for (const socket of sockets) socket.destroy();
    context.diagnostic(`grew by ${Math.round(grown / MIB)} MiB`);
    assert.ok(grown < 130 * MIB, `grew by ${Math.round(grown / MIB)} MiB`);
    await served();
  });

  it('keeps nobody from being served by more requests than are served at a time', async () => {
    const sockets = await Promise.all(Array.from({ length: 700 }, () => beginRequest('/', 100)));
    await served();
    for (const socket of sockets) socket.destroy();
  });
});
