/** Request bodies within a bound, copied at most once. */
import type { IncomingMessage } from 'node:http';

export type Body = { readonly kind: 'bytes'; readonly bytes: Uint8Array } | { readonly kind: 'too-large' };

const EMPTY = new Uint8Array();

/** Bytes that reading the body may take: none where it is refused unread. */
export function bodyBytes(request: IncomingMessage, bytesMax: number): number {
  if (request.headers['transfer-encoding'] !== undefined) return bytesMax;
  const declared = Number(request.headers['content-length'] ?? 0);
  return declared > bytesMax ? 0 : declared;
}

/**
 * Reads the whole body, or gives `too-large` as soon as it is known to pass `bytesMax`. Rejects when the client goes
 * away. With a declared length the bytes land in a buffer of their own, which may be handed to a worker thread.
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Body> {
  const declared = request.headers['content-length'];
  const chunked = request.headers['transfer-encoding'] !== undefined;
  if (!chunked && (declared === undefined || declared === '0')) {
    request.resume();
    return Promise.resolve({ kind: 'bytes', bytes: EMPTY });
  }
  const length = chunked ? undefined : Number(declared);
  if (length !== undefined && length > bytesMax) return Promise.resolve({ kind: 'too-large' });
  return new Promise((resolve, reject) => {
    const target = length === undefined ? undefined : Buffer.allocUnsafeSlow(length);
    const chunks: Buffer[] = [];
    let received = 0;
    request.on('data', (chunk: Buffer) => {
      const at = received;
      received += chunk.byteLength;
      if (received > bytesMax) {
        request.removeAllListeners('data');
        resolve({ kind: 'too-large' });
      } else if (target) {
        chunk.copy(target, at);
        free(chunk);
      } else {
        chunks.push(chunk);
      }
    });
    request.once('end', () => resolve({ kind: 'bytes', bytes: target ?? Buffer.concat(chunks) }));
    request.once('error', reject);
    request.once('close', () => reject(new Error('the client went away before its request was complete')));
  });
}

/** Below this the collector is cheaper. */
const FREED_BYTES_MIN = 16 * 1024;

/** Gives a chunk's memory back now: left to the garbage collector, chunks make it run for every few blocks. */
function free(chunk: Buffer): void {
  const { buffer } = chunk;
  if (chunk.byteLength < FREED_BYTES_MIN) return;
  if (buffer instanceof ArrayBuffer && buffer.byteLength === chunk.byteLength) buffer.transfer(0);
}
