/** Whether a file has certain bytes anywhere, read piece by piece. Used within worker threads. */
import { open } from 'node:fs/promises';

const PIECE_BYTES = 1024 * 1024;
/** Places that are told; one is enough to be found out. */
const PLACES_MAX = 16;

export interface FileScan {
  readonly bytes: number;
  /** Offsets in the file, at most 16. */
  readonly places: readonly number[];
}

/** `undefined` where the file has gone. `pieceBytes` is for tests. */
export async function scanFile(
  path: string,
  marker: Uint8Array,
  pieceBytes = PIECE_BYTES,
): Promise<FileScan | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    // What could be the beginning of the marker is kept from one piece to the next.
    const overlap = marker.byteLength - 1;
    const buffer = Buffer.alloc(overlap + pieceBytes);
    const places: number[] = [];
    let kept = 0;
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await file.read(buffer, kept, pieceBytes, bytes);
      if (bytesRead === 0) return { bytes, places };
      const filled = kept + bytesRead;
      const start = bytes - kept;
      bytes += bytesRead;
      for (let at = 0; places.length < PLACES_MAX; at++) {
        at = buffer.subarray(0, filled).indexOf(marker, at);
        if (at < 0) break;
        places.push(start + at);
      }
      const next = Math.min(overlap, filled);
      buffer.copyWithin(0, filled - next, filled);
      kept = next;
    }
  } finally {
    await file.close();
  }
}
