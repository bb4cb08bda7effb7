/**
 * The whole network of one guest: a router that hands out its address and answers pings, and TCP to the addresses that
 * the router serves itself. Nothing is routed anywhere: what is not served is refused. The guest is taken for hostile,
 * so everything it can make Ingot hold or do is bounded.
 *
 * Frames come and go over a byte stream, each behind its length in four bytes (QEMU's `stream` network backend).
 */
import type { Duplex } from 'node:stream';
import { answerDhcp, DHCP_CLIENT_PORT, DHCP_SERVER_PORT, type Lease } from './dhcp.ts';
import {
  arpReply,
  checksum,
  ETHERTYPE,
  echoReply,
  ethernetFrame,
  type Ipv4Packet,
  ipv4Number,
  ipv4Packet,
  macBytes,
  PROTOCOL,
  pseudoHeaderSum,
  readIpv4,
  readUdp,
  udpDatagram,
} from './packet.ts';
import { readSegment, resetFor, type Segment, SYN, segmentBytes, TcpStream } from './tcp.ts';

export interface LinkOptions {
  /** The guest's own, for example `0e:12:34:56:78:9a`. */
  readonly mac: string;
  readonly address: string;
  /** For example `172.31.16.0/20`. */
  readonly subnet: string;
  readonly hostName: string;
  readonly domain: string;
  /** Takes a connection of the guest to `address`, or gives `undefined`: then it is refused. */
  serve(address: string, port: number): Service | undefined;
}

export interface Service {
  /** How many routers its answers pass before they are dropped: the time to live of its packets. */
  readonly timeToLive: number;
  accept(stream: Duplex): void;
}

export interface GuestLink {
  /** The link has ended: the machine has, or {@link close} was called. */
  readonly closed: Promise<void>;
  /** The guest has sent something: whatever runs in it has found its network card. */
  readonly heard: boolean;
  /** Opens a connection to a port of the guest. */
  connect(port: number): Duplex;
  close(): void;
}

const ROUTER_MAC = Buffer.from([0x0a, 0x49, 0x4e, 0x47, 0x4f, 0x54]);
const FRAME_BYTES_MAX = 65_536;
const CONNECTIONS_MAX = 64;
/** What one guest may make the event loop look at. */
const BUDGET_BYTES = 1024 * 1024;
const BUDGET_MS = 100;
/** Answers the guest does not fetch are dropped beyond this. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Connections that a guest may open in a second; the others wait until it tries again. */
const OPENINGS_MAX = 100;
const OPENINGS_MS = 1000;
const OWN_PORTS_FROM = 49_152;
const OWN_PORTS = 16_384;
const BROADCAST = 0xffffffff;

export function serveLink(frames: Duplex, options: LinkOptions): GuestLink {
  return new Link(frames, options);
}

class Link implements GuestLink {
  readonly closed: Promise<void>;
  heard = false;
  readonly #frames: Duplex;
  readonly #options: LinkOptions;
  readonly #lease: Lease;
  readonly #connections = new Map<string, TcpStream>();
  #partial: Buffer = Buffer.alloc(0);
  #budget = BUDGET_BYTES;
  #budgetFrom = 0;
  #nextPort = OWN_PORTS_FROM;
  #openings = 0;
  #openingsFrom = 0;

  constructor(frames: Duplex, options: LinkOptions) {
    this.#frames = frames;
    this.#options = options;
    const [base = '', bits = ''] = options.subnet.split('/');
    const mask = (BROADCAST << (32 - Number(bits))) >>> 0;
    this.#lease = {
      mac: macBytes(options.mac),
      address: ipv4Number(options.address),
      mask,
      router: ((ipv4Number(base) & mask) >>> 0) + 1,
      hostName: options.hostName,
      domain: options.domain,
    };
    this.closed = new Promise((resolve) => frames.once('close', () => resolve(this.#end())));
    frames.on('error', () => {});
    frames.on('data', (chunk: Buffer) => this.#takeBytes(chunk));
    frames.once('end', () => frames.destroy());
  }

  connect(port: number): Duplex {
    const address = this.#lease.router;
    const own = this.#freePort(address, port);
    const stream = this.#open(address, own, port, 64, () => {});
    stream.connect();
    return stream;
  }

  close(): void {
    this.#frames.destroy();
  }

  #end(): void {
    for (const stream of [...this.#connections.values()]) stream.destroy();
  }

  #takeBytes(chunk: Buffer): void {
    this.#spend(chunk.length);
    this.#partial = this.#partial.length === 0 ? chunk : Buffer.concat([this.#partial, chunk]);
    let at = 0;
    while (this.#partial.length - at >= 4) {
      const length = this.#partial.readUInt32BE(at);
      if (length > FRAME_BYTES_MAX) {
        this.close();
        return;
      }
      if (this.#partial.length - at - 4 < length) break;
      this.#takeFrame(this.#partial.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
    this.#partial = this.#partial.subarray(at);
  }

  /** Looks away for a moment when the guest sends more than its share. */
  #spend(bytes: number): void {
    const now = performance.now();
    if (now - this.#budgetFrom > BUDGET_MS) {
      this.#budgetFrom = now;
      this.#budget = BUDGET_BYTES;
    }
    this.#budget -= bytes;
    if (this.#budget > 0) return;
    this.#frames.pause();
    setTimeout(() => this.#frames.resume(), BUDGET_MS).unref();
  }

  #takeFrame(frame: Buffer): void {
    if (frame.length < 14 || !frame.subarray(6, 12).equals(this.#lease.mac)) return;
    this.heard = true;
    const payload = frame.subarray(14);
    const type = frame.readUInt16BE(12);
    if (type === ETHERTYPE.arp) {
      const reply = arpReply(payload, ROUTER_MAC, (address) => this.#isOwn(address));
      if (reply) this.#send(ETHERTYPE.arp, reply);
    } else if (type === ETHERTYPE.ipv4) {
      const packet = readIpv4(payload);
      if (packet) this.#takePacket(packet);
    }
  }

  /** The router, and what is reached through it or beside it: link-local services. */
  #isOwn(address: number): boolean {
    return address === this.#lease.router || address >>> 16 === 0xa9fe;
  }

  #takePacket(packet: Ipv4Packet): void {
    const { address } = this.#lease;
    if (packet.protocol === PROTOCOL.udp) {
      const datagram = readUdp(packet.payload);
      if (datagram?.destinationPort === DHCP_SERVER_PORT) this.#answerDhcp(datagram.payload);
      return;
    }
    if (packet.source !== address) return;
    if (packet.protocol === PROTOCOL.tcp) this.#takeTcp(packet);
    else if (packet.protocol === PROTOCOL.icmp && packet.destination === this.#lease.router) {
      const payload = echoReply(packet.payload);
      if (payload) this.#sendPacket({ ...packet, source: packet.destination, destination: packet.source, payload });
    }
  }

  #answerDhcp(message: Buffer): void {
    const answer = answerDhcp(message, this.#lease);
    if (!answer) return;
    const ports = { sourcePort: DHCP_SERVER_PORT, destinationPort: DHCP_CLIENT_PORT };
    const source = this.#lease.router;
    const payload = udpDatagram({ ...ports, payload: answer }, source, BROADCAST);
    this.#sendPacket({ protocol: PROTOCOL.udp, source, destination: BROADCAST, payload });
  }

  #takeTcp({ destination, payload }: Ipv4Packet): void {
    const read = readSegment(payload);
    if (!read) return;
    const { sourcePort, port, segment } = read;
    const known = this.#connections.get(connectionKey(destination, port, sourcePort));
    if (known) {
      known.receive(segment);
      return;
    }
    const isOpening = (segment.flags & ~0xc0) === SYN;
    if (isOpening && !this.#mayOpen()) return;
    const service = isOpening ? this.#serviceAt(destination, port) : undefined;
    if (!service) {
      const reset = resetFor(segment);
      if (reset) this.#sendSegment(destination, port, sourcePort, reset, 64);
      return;
    }
    const stream = this.#open(destination, port, sourcePort, service.timeToLive, () => service.accept(stream));
    stream.accept(segment);
  }

  #mayOpen(): boolean {
    const now = performance.now();
    if (now - this.#openingsFrom > OPENINGS_MS) {
      this.#openingsFrom = now;
      this.#openings = 0;
    }
    this.#openings += 1;
    return this.#openings <= OPENINGS_MAX;
  }

  #serviceAt(address: number, port: number): Service | undefined {
    if (this.#connections.size >= CONNECTIONS_MAX) return undefined;
    const text = [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
    return this.#options.serve(text, port);
  }

  #open(address: number, port: number, guestPort: number, timeToLive: number, opened: () => void): TcpStream {
    const key = connectionKey(address, port, guestPort);
    const stream = new TcpStream({
      send: (segment) => this.#sendSegment(address, port, guestPort, segment, timeToLive),
      opened,
      over: () => {
        this.#connections.delete(key);
      },
    });
    // Whoever uses the stream hears of its end by `close`; nobody may be using it yet.
    stream.on('error', () => {});
    this.#connections.set(key, stream);
    return stream;
  }

  #freePort(address: number, guestPort: number): number {
    for (let tries = 0; tries < OWN_PORTS; tries++) {
      const port = this.#nextPort;
      this.#nextPort = port + 1 < OWN_PORTS_FROM + OWN_PORTS ? port + 1 : OWN_PORTS_FROM;
      if (!this.#connections.has(connectionKey(address, port, guestPort))) return port;
    }
    throw new Error('no port is free');
  }

  #sendSegment(address: number, port: number, guestPort: number, segment: Segment, timeToLive: number): void {
    const payload = segmentBytes(port, guestPort, segment);
    const destination = this.#lease.address;
    const sum = pseudoHeaderSum(address, destination, PROTOCOL.tcp, payload.length);
    payload.writeUInt16BE(checksum(payload, sum), 16);
    this.#sendPacket({ protocol: PROTOCOL.tcp, source: address, destination, payload }, timeToLive);
  }

  #sendPacket(packet: Ipv4Packet, timeToLive?: number): void {
    this.#send(ETHERTYPE.ipv4, ipv4Packet(packet, timeToLive));
  }

  #send(type: number, payload: Buffer): void {
    if (this.#frames.destroyed || this.#frames.writableLength > UNSENT_BYTES_MAX) return;
    const frame = ethernetFrame(this.#lease.mac, ROUTER_MAC, type, payload);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length, 0);
    this.#frames.write(Buffer.concat([length, frame]));
  }
}

function connectionKey(address: number, port: number, guestPort: number): string {
  return `${address}:${port}:${guestPort}`;
}
