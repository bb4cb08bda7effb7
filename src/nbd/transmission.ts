/**
 * Transmission: requests of one connection, several under way at once, answered as they finish. The receiving side is
 * one loop with one buffer per request, so payloads of different requests or connections cannot meet.
 */
import type { Socket } from 'node:net';
import type { ByteReader } from './byte-reader.ts';
import {
  type BlockDevice,
  CMD,
  CMD_FLAG_FUA,
  CMD_FLAG_NO_HOLE,
  ERRNO,
  NBD_LIMITS,
  REQUEST_MAGIC,
  SIMPLE_REPLY_MAGIC,
} from './protocol.ts';

export interface Request {
  readonly flags: number;
  readonly type: number;
  /** Opaque, 8 bytes. */
  readonly cookie: Buffer;
  readonly offset: bigint;
  readonly length: number;
}

/** What to do with a request: serve it, refuse it, or leave the connection because its bytes cannot be followed. */
export type Verdict =
  | { readonly kind: 'serve' }
  | { readonly kind: 'refuse'; readonly errno: number }
  | { readonly kind: 'leave' };

/** Every rule about requests. The payload of a refused write still has to be read. */
export function validateRequest(request: Request, sizeBytes: number): Verdict {
  const { type, flags, offset, length } = request;
  const refuse = (errno: number): Verdict => ({ kind: 'refuse', errno });
  const hasPayload = type === CMD.write;
  if (hasPayload && length > NBD_LIMITS.payloadBytesMax) return { kind: 'leave' };
  if (type === CMD.disconnect) return { kind: 'serve' };
  const flagsKnown = type === CMD.writeZeroes ? CMD_FLAG_FUA | CMD_FLAG_NO_HOLE : CMD_FLAG_FUA;
  if (flags & ~flagsKnown) return refuse(ERRNO.invalid);
  if (type === CMD.flush) return offset === 0n && length === 0 ? { kind: 'serve' } : refuse(ERRNO.invalid);
  const changes = type === CMD.write || type === CMD.trim || type === CMD.writeZeroes;
  if (type !== CMD.read && !changes) return refuse(ERRNO.invalid);
  if (type === CMD.read && length > NBD_LIMITS.payloadBytesMax) return refuse(ERRNO.overflow);
  if (length === 0) return refuse(ERRNO.invalid);
  if (offset + BigInt(length) > BigInt(sizeBytes))
    return refuse(changes && type !== CMD.trim ? ERRNO.noSpace : ERRNO.invalid);
  return { kind: 'serve' };
}

export function decodeRequest(header: Buffer): Request | undefined {
  if (header.readUInt32BE(0) !== REQUEST_MAGIC) return undefined;
  return {
    flags: header.readUInt16BE(4),
    type: header.readUInt16BE(6),
    cookie: Buffer.from(header.subarray(8, 16)),
    offset: header.readBigUInt64BE(16),
    length: header.readUInt32BE(24),
  };
}

/** Serves requests until the client disconnects or breaks the protocol; then waits for those under way. */
export async function transmit(
  socket: Socket,
  reader: ByteReader,
  device: BlockDevice,
  onError: (error: unknown) => void,
): Promise<void> {
  const flow = new Flow();
  for (;;) {
    const header = await reader.read(28);
    const request = header && decodeRequest(header);
    if (!request) break;
    const verdict = validateRequest(request, device.sizeBytes);
    if (verdict.kind === 'leave' || request.type === CMD.disconnect) break;
    const bytes =
      request.type === CMD.read || request.type === CMD.write
        ? Math.min(request.length, NBD_LIMITS.payloadBytesMax)
        : 0;
    await flow.enter(bytes);
    const payload = request.type === CMD.write && request.length > 0 ? await reader.read(request.length) : undefined;
    if (request.type === CMD.write && request.length > 0 && !payload) {
      flow.leave(bytes);
      break;
    }
    const answered =
      verdict.kind === 'refuse'
        ? reply(socket, request.cookie, verdict.errno)
        : serve(request, payload, device).then(
            (data) => reply(socket, request.cookie, ERRNO.ok, data),
            (error) => {
              onError(error);
              return reply(socket, request.cookie, ERRNO.io);
            },
          );
    void answered.finally(() => flow.leave(bytes));
  }
  await flow.empty();
}

async function serve(
  request: Request,
  payload: Buffer | undefined,
  device: BlockDevice,
): Promise<Uint8Array | undefined> {
  const { type, length } = request;
  const offset = Number(request.offset);
  if (type === CMD.read) return device.read(offset, length);
  if (type === CMD.write) await device.write(offset, payload!);
  else if (type === CMD.trim || type === CMD.writeZeroes) await device.zero(offset, length);
  if (type === CMD.flush || request.flags & CMD_FLAG_FUA) await device.flush();
  return undefined;
}

/** Resolves when the reply has left for the kernel, so that a slow reader holds its requests' place. */
function reply(socket: Socket, cookie: Buffer, errno: number, data?: Uint8Array): Promise<void> {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(SIMPLE_REPLY_MAGIC, 0);
  header.writeUInt32BE(errno, 4);
  cookie.copy(header, 8);
  return new Promise((resolve) => {
    if (socket.destroyed) return resolve();
    socket.cork();
    // The callback also runs when the socket is destroyed first.
    if (data) {
      socket.write(header);
      socket.write(data, () => resolve());
    } else {
      socket.write(header, () => resolve());
    }
    socket.uncork();
  });
}

/** Bounds what one connection has under way. */
class Flow {
  #requests = 0;
  #bytes = 0;
  #wake: (() => void) | undefined;

  async enter(bytes: number): Promise<void> {
    const full = (): boolean =>
      this.#requests >= NBD_LIMITS.requestsInFlightMax ||
      (this.#requests > 0 && this.#bytes + bytes > NBD_LIMITS.bytesInFlightMax);
    while (full()) await this.#change();
    this.#requests++;
    this.#bytes += bytes;
  }
  leave(bytes: number): void {
    this.#requests--;
    this.#bytes -= bytes;
    this.#wake?.();
  }
  async empty(): Promise<void> {
    while (this.#requests > 0) await this.#change();
  }
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
