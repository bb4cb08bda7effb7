/**
 * The picture on a machine's screen. What a guest shows is data of its volumes, so it must not touch a disk: QEMU writes
 * it to a file by name, and the name given is that of a FIFO, whose bytes stay in memory. The FIFO is there, and open for
 * reading, before QEMU is told: QEMU would make a file where there is none, and would wait for a reader.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, open } from 'node:fs';
import { rm } from 'node:fs/promises';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import type { Screen } from '../machine.ts';
import type { Qmp } from './qmp.ts';

/** A screen of 4 MiB of video memory at three bytes a pixel, and room to spare. */
const PICTURE_BYTES_MAX = 32 * 1024 * 1024;
/** Reads the first line of PPM: `P6`, width, height and depth. */
const HEADER = /^P6\s+(\d+)\s+(\d+)\s+255\s/;
const HEADER_BYTES_MAX = 64;
const KEY_MS = 100;
const WAKE_MS = 500;

export async function takeScreen(qmp: Qmp, fifo: string): Promise<Screen> {
  await endFifo(fifo);
  await makeFifo(fifo);
  const reader = await openFifo(fifo);
  try {
    const picture = collect(reader);
    await Promise.all([picture, qmp.execute('screendump', { filename: fifo, format: 'ppm' })]);
    return screenOf(await picture);
  } finally {
    reader.destroy();
    await rm(fifo, { force: true });
  }
}

/** A keystroke that means nothing by itself, and time for the guest to light its screen. */
export async function wake(qmp: Qmp): Promise<void> {
  await qmp.execute('send-key', { keys: [{ type: 'qcode', data: 'shift' }], 'hold-time': KEY_MS });
  await pause(WAKE_MS);
}

/** Waits no longer than that: a machine that does not answer keeps nobody from the picture of another. */
export async function inTime(picture: Promise<Screen>, ms: number): Promise<Screen> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`QEMU gave no picture in ${ms} ms`)), ms);
  try {
    return await Promise.race([picture, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** For what an earlier process left: a machine that still waits for a reader gets one, which goes away at once. */
export async function endFifo(fifo: string): Promise<void> {
  const reader = await openFifo(fifo).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  reader?.destroy();
  await rm(fifo, { force: true });
}

async function makeFifo(path: string): Promise<void> {
  const made = spawn('mkfifo', ['-m', '600', path], { stdio: 'ignore' });
  const [code] = (await once(made, 'close')) as [number | null];
  if (code !== 0) throw new Error(`mkfifo ended with ${code}`);
}

function openFifo(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    open(path, constants.O_RDONLY | constants.O_NONBLOCK, (error, fd) => {
      if (error) reject(error);
      else resolve(new Socket({ fd, readable: true, writable: false }));
    });
  });
}

function collect(reader: Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let length = 0;
    reader.on('data', (part: Buffer) => {
      parts.push(part);
      length += part.byteLength;
      if (length > PICTURE_BYTES_MAX)
        reader.destroy(new RangeError(`a screen of more than ${PICTURE_BYTES_MAX} bytes`));
    });
    reader.once('end', () => resolve(Buffer.concat(parts)));
    reader.once('error', reject);
    reader.once('close', () => reject(new Error('the picture of a screen broke off')));
  });
}

function screenOf(picture: Buffer): Screen {
  const header = HEADER.exec(picture.subarray(0, HEADER_BYTES_MAX).toString('latin1'));
  const [width, height] = [Number(header?.[1]), Number(header?.[2])];
  const pixels = picture.subarray(header?.[0].length ?? 0);
  if (!header || pixels.byteLength !== width * height * 3) throw new Error('QEMU gave no picture in PPM');
  return { width, height, pixels };
}
