/** What somebody without credentials can make the server hold or put off. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { EBSClient, PutSnapshotBlockCommand, StartSnapshotCommand } from '@aws-sdk/client-ebs';
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
async function beginRequest(path: string, bodyBytes: number, headers: readonly string[] = []): Promise<Socket> {
  const { hostname, port } = new URL(ingot.endpoint);
  const socket = connect(Number(port), hostname);
  socket.on('error', () => {});
  const head = [
    `PUT ${path} HTTP/1.1`,
    'Host: ingot',
    `Content-Length: ${bodyBytes}`,
    'x-amz-Data-Length: 524288',
    ...headers,
  ];
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

/** A body that has to wait where bodies of strangers fill the bound. */
const largeServed = async () => {
  const ebs = new EBSClient(await ingot.client());
  const { SnapshotId } = await ebs.send(new StartSnapshotCommand({ VolumeSize: 1 }));
  const BlockData = Buffer.alloc(524_288, 7);
  await ebs.send(
    new PutSnapshotBlockCommand({
      SnapshotId,
      BlockIndex: 0,
      BlockData,
      DataLength: BlockData.length,
      Checksum: createHash('sha256').update(BlockData).digest('base64'),
      ChecksumAlgorithm: 'SHA256',
    }),
  );
};

describe('a stranger who begins requests and does not end them', () => {
  it('holds no body of theirs in memory, and keeps nobody from being served', async (context) => {
    await served();
    const before = await residentBytes();
    const path = '/snapshots/snap-0123456789abcdef0/blocks/0';
    const scope = `AKIAIOSFODNN7EXAMPLE/${new Date().toISOString().slice(0, 10).replaceAll('-', '')}/eu-central-1/ebs`;
    const signed = [
      `X-Amz-Date: ${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, '')}`,
      `Authorization: AWS4-HMAC-SHA256 Credential=${scope}/aws4_request, SignedHeaders=host, Signature=${'0'.repeat(64)}`,
    ];
    // Half of them pretend to be somebody.
    const sockets = await Promise.all(
      Array.from({ length: 400 }, (_, at) => beginRequest(path, 524_288, at % 2 ? signed : [])),
    );
    let grown = 0;
    for (let look = 0; look < 10; look += 1) {
      await served();
      grown = Math.max(grown, (await residentBytes()) - before);
    }
    await largeServed();
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
