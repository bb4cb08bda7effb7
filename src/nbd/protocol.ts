/**
 * The numbers of the NBD protocol that Ingot speaks: fixed newstyle handshake, simple replies.
 * Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
 */

/** A disk as the server sees it. Offsets and lengths are bytes; a request lies within `sizeBytes`. */
export interface BlockDevice {
  readonly sizeBytes: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  /** `data` may be changed by others once the promise has resolved, not before. */
  write(offset: number, data: Uint8Array): Promise<void>;
  /** The range reads as zeros afterwards. */
  zero(offset: number, length: number): Promise<void>;
  /** Every write that was acknowledged before, on whatever connection, is durable when it resolves. */
  flush(): Promise<void>;
}

/** `NBDMAGIC` and `IHAVEOPT`. */
export const INIT_MAGIC = Buffer.from('NBDMAGIC', 'latin1');
export const OPTION_MAGIC = Buffer.from('IHAVEOPT', 'latin1');
export const OPTION_REPLY_MAGIC = Buffer.from('0003e889045565a9', 'hex');
export const REQUEST_MAGIC = 0x25609513;
export const SIMPLE_REPLY_MAGIC = 0x67446698;

export const FLAG_FIXED_NEWSTYLE = 1;
export const FLAG_NO_ZEROES = 2;

export const OPT = { exportName: 1, abort: 2, list: 3, info: 6, go: 7 } as const;
export const REP = {
  ack: 1,
  server: 2,
  info: 3,
  errorUnsupported: 0x8000_0001,
  errorInvalid: 0x8000_0003,
  errorUnknown: 0x8000_0006,
  errorTooBig: 0x8000_0009,
} as const;
export const INFO = { export: 0, blockSize: 3 } as const;

/**
 * HAS_FLAGS, SEND_FLUSH, SEND_FUA, SEND_TRIM, SEND_WRITE_ZEROES, CAN_MULTI_CONN. Several connections are safe because
 * all of them share one device, whose flush covers every acknowledged write of all of them.
 */
export const TRANSMISSION_FLAGS = 1 | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 6) | (1 << 8);

export const CMD = { read: 0, write: 1, disconnect: 2, flush: 3, trim: 4, writeZeroes: 6 } as const;
export const CMD_FLAG_FUA = 1;
export const CMD_FLAG_NO_HOLE = 2;

export const ERRNO = { ok: 0, io: 5, invalid: 22, noSpace: 28, overflow: 75 } as const;

export const NBD_LIMITS = {
  /** As many machines as one volume can be attached to, and a few that come again. */
  connectionsMax: 20,
  optionBytesMax: 4096,
  optionsMax: 64,
  /** Largest read or write; announced to clients that ask, and what clients assume that do not. */
  payloadBytesMax: 32 * 1024 * 1024,
  requestsInFlightMax: 64,
  /** Per connection: payloads of reads and writes under way. One request may exceed it alone. */
  bytesInFlightMax: 16 * 1024 * 1024,
  handshakeMs: 10_000,
  preferredBlockBytes: 4096,
} as const;
