/**
 * A disk to be imported, block by block, whatever holds it: a raw file, a file that qemu-nbd serves, or a stream
 * (standard input, a URL, a compressed file). Only one buffer a caller is in use at a time, whatever the disk's size.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { Readable } from 'node:stream';
import { CliError, UsageError } from '../error.ts';
import { size } from '../pace.ts';
import { BLOCK_BYTES } from './block.ts';
import { decompressed } from './compression.ts';
import {
  type DiskFormat,
  FOOTER_BYTES,
  type ForeignFormat,
  formatOf,
  HEAD_BYTES,
  isCompression,
  isForeign,
} from './format.ts';
import { HEAD_FOR_PARTITIONS_BYTES, sizeByGpt } from './partitions.ts';
import { dataExtents, type Extent, requireSelfContained, ServedDisk } from './qemu.ts';
import { spool } from './spool.ts';
import { StreamBlocks } from './stream-blocks.ts';

/** What a resumed import compares, so that half of one disk and half of another never meet in a snapshot. */
export type SourceIdentity =
  | { readonly kind: 'file'; readonly path: string; readonly sizeBytes: number; readonly modifiedMs: number }
  | { readonly kind: 'stream'; readonly of: string };

export interface Disk extends AsyncDisposable {
  readonly format: DiskFormat;
  readonly identity: SourceIdentity;
  /** Undefined for a stream that does not tell. */
  readonly sizeBytes: number | undefined;
  /** How much {@link next} will give, where that is known: sizes the progress bar. */
  readonly dataBytes: number | undefined;
  /** The first sectors. */
  readonly head: Buffer;
  /**
   * Puts the next block that may hold data into `buffer` and gives its index; undefined at the end. May be called again
   * before it has resolved, with another buffer. What it never gives is zero. `skip` names blocks that need not be
   * given; a stream gives them all the same.
   */
  next(buffer: Buffer, skip: (index: number) => boolean): Promise<number | undefined>;
}

export interface DiskOptions {
  /** Taken from the bytes unless given. */
  readonly format?: DiskFormat;
  /** Folder for a disk in a foreign format that arrives as a stream; see spool.ts. */
  readonly spoolDir?: string;
  /** Takes a stream that ends before its partition table says. */
  readonly mayEndEarly: boolean;
  readonly signal: AbortSignal;
}

/** `source` is a path, `-` for standard input, or an http(s) URL. */
export async function openDisk(source: string, options: DiskOptions): Promise<Disk> {
  if (source === '-') {
    if (process.stdin.isTTY)
      throw new UsageError('Standard input is the terminal: pipe the disk into it, or name a file.');
    return openStream(process.stdin, { kind: 'stream', of: '-' }, undefined, options);
  }
  if (/^https?:\/\//i.test(source)) return openUrl(source, options);
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(source)) {
    throw new UsageError(`${source} is neither a file nor an http or https URL.`);
  }
  return openFile(source, options);
}

async function openFile(path: string, options: DiskOptions): Promise<Disk> {
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new CliError(code === 'ENOENT' ? `There is no ${path}.` : `${path} cannot be read (${code}).`, { cause });
  }
  try {
    const { size, mtimeMs, blocks } = await file.stat();
    if ((await file.stat()).isDirectory()) throw new UsageError(`${path} is a folder, not a disk.`);
    const identity = { kind: 'file', path: resolve(path), sizeBytes: size, modifiedMs: mtimeMs } as const;
    const format = options.format ?? (await detect(file, size));
    if (isForeign(format)) {
      await file.close();
      return await openForeign(path, format, identity);
    }
    if (isCompression(format)) {
      await file.close();
      return await openStream(createReadStream(path), identity, undefined, { ...options, format });
    }
    if (size === 0) throw new CliError(`${path} is empty.`);
    const extents = blocks * 512 < size ? await extentsOf(path) : undefined;
    const read = async (offset: number, into: Buffer) => {
      const { bytesRead } = await file.read(into, 0, into.length, offset);
      if (bytesRead < Math.min(into.length, size - offset))
        throw new CliError(`${path} became shorter while it was read.`);
      into.fill(0, bytesRead);
    };
    return await randomDisk({ format: 'raw', identity, sizeBytes: size, read, extents, close: () => file.close() });
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function detect(file: FileHandle, sizeBytes: number): Promise<DiskFormat> {
  const head = Buffer.alloc(HEAD_BYTES);
  const footer = Buffer.alloc(FOOTER_BYTES);
  await file.read(head, 0, HEAD_BYTES, 0);
  if (sizeBytes > FOOTER_BYTES) await file.read(footer, 0, FOOTER_BYTES, sizeBytes - FOOTER_BYTES);
  return formatOf(head, footer);
}

/** Where a sparse raw file has data; without qemu-img it is read through, holes and all. */
async function extentsOf(path: string): Promise<Extent[] | undefined> {
  try {
    return await dataExtents(path, 'raw');
  } catch (error) {
    if ((error as { cause?: NodeJS.ErrnoException }).cause?.code === 'ENOENT') return undefined;
    throw error;
  }
}

async function openForeign(path: string, format: ForeignFormat, identity: SourceIdentity): Promise<Disk> {
  await requireSelfContained(path, format);
  const extents = await dataExtents(path, format);
  const served = await ServedDisk.open(path, format, 'read');
  try {
    const read = (offset: number, into: Buffer) => served.read(offset, into);
    const close = () => served[Symbol.asyncDispose]();
    return await randomDisk({ format, identity, sizeBytes: served.sizeBytes, read, extents, close });
  } catch (error) {
    await served[Symbol.asyncDispose]();
    throw error;
  }
}

async function randomDisk(parts: {
  format: DiskFormat;
  identity: SourceIdentity;
  sizeBytes: number;
  read(offset: number, into: Buffer): Promise<void>;
  extents: readonly Extent[] | undefined;
  close(): Promise<void>;
}): Promise<Disk> {
  const { sizeBytes, read } = parts;
  const extents = parts.extents ?? [{ start: 0, length: sizeBytes }];
  const head = Buffer.alloc(HEAD_FOR_PARTITIONS_BYTES);
  await read(0, head.subarray(0, Math.min(head.length, sizeBytes)));
  const indexes = blocksOf(extents);
  return {
    ...parts,
    head,
    dataBytes: extents.reduce((sum, { length }) => sum + length, 0),
    async next(buffer, skip) {
      let step = indexes.next();
      while (!step.done && skip(step.value)) step = indexes.next();
      if (step.done) return undefined;
      await read(step.value * BLOCK_BYTES, buffer);
      return step.value;
    },
    [Symbol.asyncDispose]: () => parts.close(),
  };
}

/** Each block that an extent touches, once, in ascending order; so are the extents. */
function* blocksOf(extents: readonly Extent[]): Generator<number, undefined> {
  let next = 0;
  for (const { start, length } of extents) {
    if (length === 0) continue;
    const last = Math.floor((start + length - 1) / BLOCK_BYTES);
    for (next = Math.max(next, Math.floor(start / BLOCK_BYTES)); next <= last; next += 1) yield next;
  }
}

async function openUrl(url: string, options: DiskOptions): Promise<Disk> {
  let response: Response;
  try {
    response = await fetch(url, { headers: { 'accept-encoding': 'identity' }, signal: options.signal });
  } catch (cause) {
    throw new CliError(`${withoutSecrets(url)} cannot be reached.`, { cause });
  }
  if (!response.ok || !response.body) {
    throw new CliError(`${withoutSecrets(url)} answers ${response.status} ${response.statusText}.`);
  }
  const length = response.headers.has('content-encoding') ? null : response.headers.get('content-length');
  const body = Readable.fromWeb(response.body as Parameters<typeof Readable.fromWeb>[0]);
  const identity = { kind: 'stream', of: withoutSecrets(url) } as const;
  return openStream(body, identity, length === null ? undefined : Number(length), options);
}

/** A presigned URL carries credentials in its query: neither shown nor kept. */
export function withoutSecrets(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

async function openStream(
  bytes: Readable,
  identity: SourceIdentity,
  lengthBytes: number | undefined,
  options: DiskOptions,
): Promise<Disk> {
  let format = options.format;
  let blocks = new StreamBlocks(bytes);
  let sizeBytes = lengthBytes;
  try {
    format ??= formatOf(await blocks.peek(HEAD_BYTES));
    if (isCompression(format)) {
      blocks = new StreamBlocks(decompressed(blocks.rest(), format));
      sizeBytes = undefined;
    }
    const inside = isCompression(format) ? formatOf(await blocks.peek(HEAD_BYTES)) : format;
    if (isCompression(inside)) throw new CliError('The disk is compressed twice.');
    if (isForeign(inside)) return await openSpooled(blocks.rest(), inside, identity, options);
    const head = await blocks.peek(HEAD_FOR_PARTITIONS_BYTES);
    if (head.length === 0) throw new CliError('The disk is empty.');
    const expectedBytes = sizeBytes ?? sizeByGpt(head);
    return {
      format,
      identity,
      sizeBytes: expectedBytes,
      dataBytes: expectedBytes,
      head,
      async next(buffer) {
        const index = await blocks.next(buffer);
        if (index === undefined && !options.mayEndEarly && blocks.bytesRead < (expectedBytes ?? 0)) {
          throw new CliError(
            `The disk is cut short: it should have ${size(expectedBytes ?? 0)}, and ended after ${size(blocks.bytesRead)}. ` +
              'To import it all the same, give --volume-size.',
          );
        }
        return index;
      },
      [Symbol.asyncDispose]: async () => blocks.close(),
    };
  } catch (error) {
    blocks.close();
    throw error;
  }
}

async function openSpooled(
  bytes: Readable,
  format: ForeignFormat,
  identity: SourceIdentity,
  { spoolDir }: DiskOptions,
): Promise<Disk> {
  if (spoolDir === undefined) {
    throw new CliError(
      `The disk is ${format}, which cannot be read as a stream: save it to a file first, or name a folder for its bytes ` +
        'with --spool DIR (they are in clear there while the import runs).',
    );
  }
  if (!(await stat(spoolDir).catch(() => undefined))?.isDirectory())
    throw new UsageError(`There is no folder ${spoolDir}.`);
  const spooled = await spool(bytes, spoolDir);
  try {
    const disk = await openForeign(spooled.path, format, identity);
    const close = disk[Symbol.asyncDispose];
    return {
      ...disk,
      async [Symbol.asyncDispose]() {
        await close();
        await spooled.remove();
      },
    };
  } catch (error) {
    await spooled.remove();
    throw error;
  }
}
