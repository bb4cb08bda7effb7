/**
 * A disk file to be written: under a temporary name beside its own, so that under its own name it is whole or not
 * there. Blocks that are never written are holes.
 */
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import type { ForeignFormat } from './format.ts';
import { createDisk, ServedDisk } from './qemu.ts';

export interface DiskSink {
  write(offset: number, data: Uint8Array): Promise<void>;
  /** What was written is on the disk when this resolves. */
  flush(): Promise<void>;
  read(offset: number, into: Buffer): Promise<void>;
  /** Gives the file its name; nothing can be written or read any more. */
  publish(): Promise<void>;
  /** Leaves nothing. */
  discard(): Promise<void>;
}

/** An existing file of that name is replaced when the new one is published. */
export async function createSink(path: string, format: 'raw' | ForeignFormat, sizeBytes: number): Promise<DiskSink> {
  const target = resolve(path);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.part`);
  try {
    const opened =
      format === 'raw' ? await openRaw(temporary, sizeBytes) : await openForeign(temporary, format, sizeBytes);
    return {
      write: opened.write,
      flush: opened.flush,
      read: opened.read,
      async publish() {
        await opened.close();
        await synced(temporary);
        await rename(temporary, target);
        await synced(dirname(target));
      },
      async discard() {
        await opened.close();
        await rm(temporary, { force: true });
      },
    };
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

type Opened = Pick<DiskSink, 'write' | 'flush' | 'read'> & { close(): Promise<void> };

async function openRaw(path: string, sizeBytes: number): Promise<Opened> {
  const file: FileHandle = await open(path, 'wx+', 0o600);
  try {
    await file.truncate(sizeBytes);
  } catch (error) {
    await file.close();
    throw error;
  }
  return {
    write: async (offset, data) => {
      for (let at = 0; at < data.length; ) {
        at += (await file.write(data, at, data.length - at, offset + at)).bytesWritten;
      }
    },
    flush: () => file.datasync(),
    read: async (offset, into) => {
      const { bytesRead } = await file.read(into, 0, into.length, offset);
      into.fill(0, bytesRead);
    },
    close: () => file.close(),
  };
}

async function openForeign(path: string, format: ForeignFormat, sizeBytes: number): Promise<Opened> {
  await (await open(path, 'wx', 0o600)).close();
  await createDisk(path, format, sizeBytes);
  const served = await ServedDisk.open(path, format, 'write');
  return {
    write: (offset, data) => served.write(offset, data),
    flush: () => served.flush(),
    read: (offset, into) => served.read(offset, into),
    close: () => served[Symbol.asyncDispose](),
  };
}

async function synced(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
