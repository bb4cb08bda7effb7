/**
 * Segments: files of sealed blocks. A 4 KiB header, then slots of 524,288 bytes, all aligned for O_DIRECT:
 *
 *     0   8  magic `INGOTSEG`         8   4  format version 1       12  4  slots at most
 *     16 16  segment id               32  2  length of the data key id, then the id, then zeros up to 4096
 *
 * A segment is under one data key and has one writer, for one life of the process. docs/formats/segment.md.
 */
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../limits.ts';
import { hex } from './entry.ts';

export const SEGMENT_HEADER_BYTES = 4096;
const MAGIC = 'INGOTSEG';
const FORMAT_VERSION = 1;

export function segmentPath(dir: string, segment: Uint8Array): string {
  return join(dir, `${hex(segment)}.seg`);
}

/** The id of a segment file, or `undefined` where `name` is none. */
export function segmentIdOfFile(name: string): string | undefined {
  return /^([0-9a-f]{32})\.seg$/.exec(name)?.[1];
}

export const slotOffset = (slot: number): number => SEGMENT_HEADER_BYTES + slot * LIMITS.blockBytes;

export function encodeSegmentHeader(target: Uint8Array, segment: Uint8Array, dataKeyId: string): void {
  const header = Buffer.from(target.buffer, target.byteOffset, SEGMENT_HEADER_BYTES).fill(0);
  const keyId = Buffer.from(dataKeyId);
  if (keyId.byteLength > 256) throw new RangeError('a data key id is at most 256 bytes');
  header.write(MAGIC, 0, 'latin1');
  header.writeUInt32BE(FORMAT_VERSION, 8);
  header.writeUInt32BE(LIMITS.segmentBlocks, 12);
  header.set(segment, 16);
  header.writeUInt16BE(keyId.byteLength, 32);
  header.set(keyId, 34);
}

/** Id of the data key that a segment's header names; `undefined` where there is no such file, or it has no such header. */
export async function dataKeyOfSegment(dir: string, segment: string): Promise<string | undefined> {
  const file = await open(join(dir, `${segment}.seg`), 'r').catch(() => undefined);
  if (!file) return undefined;
  try {
    const header = Buffer.alloc(SEGMENT_HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, SEGMENT_HEADER_BYTES, 0);
    if (bytesRead !== SEGMENT_HEADER_BYTES || header.toString('latin1', 0, MAGIC.length) !== MAGIC) return undefined;
    const length = header.readUInt16BE(32);
    return length <= 256 ? header.toString('utf8', 34, 34 + length) : undefined;
  } finally {
    await file.close();
  }
}

/** Opens for O_DIRECT where the file system can, and says whether it could. */
export async function openDirect(
  path: string,
  flags: number,
  mode?: number,
): Promise<{ file: FileHandle; direct: boolean }> {
  // O_DIRECT is Linux; some file systems (tmpfs, some FUSE) refuse it with EINVAL.
  if (constants.O_DIRECT !== undefined) {
    try {
      return { file: await open(path, flags | constants.O_DIRECT, mode), direct: true };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
    }
  }
  // An open that failed with EINVAL may have created the file, so O_EXCL must not stand in the way.
  return { file: await open(path, flags & ~constants.O_EXCL, mode), direct: false };
}
