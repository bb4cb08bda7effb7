/**
 * TCP with a guest (RFC 9293), one connection a stream. The link below hardly loses anything, so this is the plain part
 * of the protocol: segments in order, one retransmission timer that goes back to the first unacknowledged byte, no
 * window scaling, no selective acknowledgement, no congestion window.
 */
import { Duplex } from 'node:stream';

export const FIN = 1;
export const SYN = 2;
export const RST = 4;
export const PSH = 8;
export const ACK = 16;

export interface Segment {
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly flags: number;
  readonly window: number;
  /** Largest segment the sender takes; only with SYN. */
  readonly segmentBytesMax?: number;
  readonly payload: Buffer;
}

/** What fits beside the headers into an Ethernet frame. */
export const SEGMENT_BYTES = 1460;
const SEGMENT_BYTES_MIN = 64;
const SEGMENT_BYTES_UNSAID = 536;
const WINDOW_BYTES = 65_535;
const FIRST_WAIT_MS = 300;
const WAIT_MS_MAX = 5_000;
const TRIES_MAX = 8;

const NOTHING = Buffer.alloc(0);

/** Distance from `from` to `to` on the circle of sequence numbers; negative where `to` is behind. */
function distance(from: number, to: number): number {
  return (to - from) | 0;
}

export function readSegment(bytes: Buffer): { sourcePort: number; port: number; segment: Segment } | undefined {
  if (bytes.length < 20) return undefined;
  const headerBytes = (bytes[12]! >> 4) * 4;
  if (headerBytes < 20 || headerBytes > bytes.length) return undefined;
  const segmentBytesMax = readSegmentBytesMax(bytes.subarray(20, headerBytes));
  return {
    sourcePort: bytes.readUInt16BE(0),
    port: bytes.readUInt16BE(2),
    segment: {
      sequence: bytes.readUInt32BE(4),
      acknowledgment: bytes.readUInt32BE(8),
      flags: bytes[13]!,
      window: bytes.readUInt16BE(14),
      ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
      payload: bytes.subarray(headerBytes),
    },
  };
}

function readSegmentBytesMax(options: Buffer): number | undefined {
  for (let at = 0; at < options.length; ) {
    const kind = options[at]!;
    if (kind === 0) return undefined;
    const length = kind === 1 ? 1 : (options[at + 1] ?? 0);
    if (kind === 2 && length === 4 && at + 4 <= options.length) return options.readUInt16BE(at + 2);
    if (length < 1 || (kind !== 1 && length < 2)) return undefined;
    at += length;
  }
  return undefined;
}

/** The segment without its checksum, which stands at byte 16. */
export function segmentBytes(sourcePort: number, port: number, segment: Segment): Buffer {
  const options = segment.segmentBytesMax === undefined ? 0 : 4;
  const header = Buffer.alloc(20 + options);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(port, 2);
  header.writeUInt32BE(segment.sequence, 4);
  header.writeUInt32BE(segment.acknowledgment, 8);
  header[12] = ((20 + options) / 4) << 4;
  header[13] = segment.flags;
  header.writeUInt16BE(segment.window, 14);
  if (segment.segmentBytesMax !== undefined) {
    header.set([2, 4], 20);
    header.writeUInt16BE(segment.segmentBytesMax, 22);
  }
  return Buffer.concat([header, segment.payload]);
}

/** The answer to a segment that belongs to no connection, or `undefined` for one that gets none. */
export function resetFor(segment: Segment): Segment | undefined {
  if (segment.flags & RST) return undefined;
  const length = segment.payload.length + (segment.flags & SYN ? 1 : 0) + (segment.flags & FIN ? 1 : 0);
  return segment.flags & ACK
    ? { sequence: segment.acknowledgment, acknowledgment: 0, flags: RST, window: 0, payload: NOTHING }
    : {
        sequence: 0,
        acknowledgment: (segment.sequence + length) >>> 0,
        flags: RST | ACK,
        window: 0,
        payload: NOTHING,
      };
}

export interface TcpOptions {
  send(segment: Segment): void;
  /** The connection is established. */
  opened(): void;
  /** The connection is over, and nothing more is sent or taken. */
  over(): void;
}

export class TcpStream extends Duplex {
  readonly #options: TcpOptions;
  #state: 'idle' | 'syn-sent' | 'syn-received' | 'open' | 'over' = 'idle';
  /** Next byte expected from the guest. */
  #expected = 0;
  #guestFinished = false;
  #shownWindow = WINDOW_BYTES;
  /** Sequence number of the first byte of {@link #unacknowledged}. */
  #first = 0;
  #unacknowledged: Buffer = NOTHING;
  /** Of the unacknowledged bytes, how many are on their way; and how many ever were (with the FIN, one more). */
  #sent = 0;
  #everSent = 0;
  #finishing: (() => void) | undefined;
  #finishSent = false;
  #finishAcknowledged = false;
  #guestWindow = 0;
  #segmentBytes = SEGMENT_BYTES_UNSAID;
  #written: (() => void) | undefined;
  #timer: NodeJS.Timeout | undefined;
  #tries = 0;

  constructor(options: TcpOptions) {
    super({ allowHalfOpen: true, readableHighWaterMark: WINDOW_BYTES, writableHighWaterMark: WINDOW_BYTES });
    this.#options = options;
    this.#first = globalThis.crypto.getRandomValues(new Uint32Array(1))[0]!;
  }

  /** Opens a connection to the guest. */
  connect(): void {
    this.#state = 'syn-sent';
    this.#sendSyn();
  }

  /** Answers the guest's SYN. */
  accept(syn: Segment): void {
    this.#state = 'syn-received';
    this.#expected = (syn.sequence + 1) >>> 0;
    this.#hear(syn);
    this.#sendSyn();
  }

  /** Takes a segment of the guest. */
  receive(segment: Segment): void {
    if (this.#state === 'over') return;
    if (segment.flags & RST) {
      const refused = this.#state === 'syn-sent';
      if (refused ? segment.acknowledgment === (this.#first + 1) >>> 0 : segment.sequence === this.#expected) {
        this.#leave();
        this.destroy(new Error(refused ? 'the guest refused the connection' : 'the guest reset the connection'));
      }
      return;
    }
    if (this.#state === 'syn-sent' || this.#state === 'syn-received') {
      if (!this.#shakeHands(segment)) return;
    }
    if (segment.flags & SYN) this.#acknowledge();
    if (segment.flags & SYN || !(segment.flags & ACK)) return;
    this.#takeAcknowledgment(segment);
    this.#takePayload(segment);
    this.#flush();
    if (this.#finishAcknowledged && this.#guestFinished) this.#leave();
  }

  #shakeHands(segment: Segment): boolean {
    if (!(segment.flags & ACK) || segment.acknowledgment !== (this.#first + 1) >>> 0) {
      if (this.#state === 'syn-received' && segment.flags & SYN) this.#sendSyn();
      return false;
    }
    if (this.#state === 'syn-sent') {
      if (!(segment.flags & SYN)) return false;
      this.#expected = (segment.sequence + 1) >>> 0;
      this.#hear(segment);
    }
    this.#first = (this.#first + 1) >>> 0;
    this.#state = 'open';
    this.#quiet();
    this.#guestWindow = segment.window;
    if (segment.flags & SYN) this.#acknowledge();
    this.#options.opened();
    this.emit('connect');
    this.#flush();
    return !(segment.flags & SYN);
  }

  #hear(syn: Segment): void {
    const theirs = Math.max(SEGMENT_BYTES_MIN, syn.segmentBytesMax ?? SEGMENT_BYTES_UNSAID);
    this.#segmentBytes = Math.min(SEGMENT_BYTES, theirs);
    this.#guestWindow = syn.window;
  }

  #takeAcknowledgment({ acknowledgment, window }: Segment): void {
    const progress = distance(this.#first, acknowledgment);
    if (progress < 0 || progress > this.#everSent) return;
    this.#guestWindow = window;
    // It answers, so it is there, if only with a closed window: go on asking.
    this.#tries = Math.min(this.#tries, TRIES_MAX - 3);
    if (progress === 0) return;
    const bytes = Math.min(progress, this.#unacknowledged.length);
    this.#first = (this.#first + bytes) >>> 0;
    this.#unacknowledged = this.#unacknowledged.subarray(bytes);
    this.#sent = Math.max(0, this.#sent - bytes);
    this.#everSent -= progress;
    if (progress > bytes) this.#finishAcknowledged = true;
    this.#quiet();
    if (this.#written && this.#unacknowledged.length < WINDOW_BYTES) {
      const written = this.#written;
      this.#written = undefined;
      written();
    }
    if (this.#finishAcknowledged) {
      this.#finishing?.();
      this.#finishing = undefined;
    }
  }

  #takePayload(segment: Segment): void {
    let { payload } = segment;
    const isFinished = (segment.flags & FIN) !== 0;
    if (payload.length === 0 && !isFinished) return;
    const behind = distance(segment.sequence, this.#expected);
    // A gap before it, or nothing new in it: say again what is expected.
    if (behind < 0 || behind > payload.length || this.#guestFinished) {
      this.#acknowledge();
      return;
    }
    const room = this.#window();
    const whole = payload.length - behind <= room;
    payload = payload.subarray(behind, behind + room);
    if (payload.length > 0) {
      this.#expected = (this.#expected + payload.length) >>> 0;
      // A copy: the frame's memory is the socket's.
      this.push(Buffer.from(payload));
    }
    if (isFinished && whole) {
      this.#expected = (this.#expected + 1) >>> 0;
      this.#guestFinished = true;
      this.push(null);
    }
    this.#acknowledge();
  }

  #window(): number {
    return Math.max(0, WINDOW_BYTES - this.readableLength);
  }

  #acknowledge(): void {
    this.#send(ACK, this.#next(), NOTHING);
  }

  /** Sequence number behind everything that was sent. */
  #next(): number {
    return (this.#first + this.#everSent) >>> 0;
  }

  #send(flags: number, sequence: number, payload: Buffer, segmentBytesMax?: number): void {
    this.#shownWindow = this.#window();
    this.#options.send({
      sequence,
      acknowledgment: flags & ACK ? this.#expected : 0,
      flags,
      window: this.#shownWindow,
      payload,
      ...(segmentBytesMax === undefined ? {} : { segmentBytesMax }),
    });
  }

  #sendSyn(): void {
    this.#send(this.#state === 'syn-sent' ? SYN : SYN | ACK, this.#first, NOTHING, SEGMENT_BYTES);
    this.#expectAnswer();
  }

  /** Sends what the guest's window has room for. */
  #flush(): void {
    if (this.#state !== 'open') return;
    // A window of nothing is asked with one byte, by the timer.
    const window = this.#guestWindow === 0 && this.#tries > 0 ? 1 : this.#guestWindow;
    while (this.#sent < this.#unacknowledged.length && this.#sent < window) {
      const end = Math.min(this.#sent + this.#segmentBytes, this.#unacknowledged.length, window);
      this.#send(ACK | PSH, (this.#first + this.#sent) >>> 0, this.#unacknowledged.subarray(this.#sent, end));
      this.#sent = end;
    }
    this.#everSent = Math.max(this.#everSent, this.#sent);
    if (this.#finishing && !this.#finishSent && this.#sent === this.#unacknowledged.length) {
      this.#send(FIN | ACK, (this.#first + this.#sent) >>> 0, NOTHING);
      this.#finishSent = true;
      this.#everSent = Math.max(this.#everSent, this.#sent + 1);
    }
    if (this.#unacknowledged.length > 0 || (this.#finishSent && !this.#finishAcknowledged)) this.#expectAnswer();
  }

  #expectAnswer(): void {
    // What was sent just now may have been answered, and ended everything, already.
    if (this.#state === 'over') return;
    this.#timer ??= setTimeout(() => this.#again(), Math.min(WAIT_MS_MAX, FIRST_WAIT_MS * 2 ** this.#tries));
  }

  #quiet(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#tries = 0;
  }

  #again(): void {
    this.#timer = undefined;
    this.#tries += 1;
    if (this.#tries > TRIES_MAX) {
      this.destroy(new Error('the guest does not answer'));
      return;
    }
    if (this.#state !== 'open') {
      this.#sendSyn();
      return;
    }
    this.#sent = 0;
    this.#finishSent = false;
    this.#flush();
  }

  #leave(): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    this.#quiet();
    this.#options.over();
  }

  override _read(): void {
    // The guest may be waiting for room.
    if (this.#state === 'open' && this.#shownWindow < 2 * SEGMENT_BYTES && this.#window() > this.#shownWindow) {
      this.#acknowledge();
    }
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#unacknowledged = Buffer.concat([this.#unacknowledged, chunk]);
    if (this.#unacknowledged.length < WINDOW_BYTES) done();
    else this.#written = done;
    this.#flush();
  }

  override _final(done: () => void): void {
    this.#finishing = done;
    this.#flush();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    if (this.#state !== 'over' && this.#state !== 'idle') this.#send(RST | ACK, this.#next(), NOTHING);
    this.#leave();
    done(error);
  }
}
