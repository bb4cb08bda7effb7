import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type Duplex, duplexPair } from 'node:stream';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type GuestLink, type LinkOptions, serveLink } from './link.ts';
import {
  checksum,
  ETHERTYPE,
  ethernetFrame,
  ipv4Number,
  ipv4Packet,
  macBytes,
  PROTOCOL,
  pseudoHeaderSum,
  readIpv4,
  readUdp,
  udpDatagram,
} from './packet.ts';
import { RST, readSegment, SYN, segmentBytes, TcpStream } from './tcp.ts';

const MAC = '0e:00:00:00:00:01';
const GUEST = '172.31.16.9';
const ROUTER = '172.31.16.1';
const METADATA = '169.254.169.254';
const BROADCAST_MAC = Buffer.alloc(6, 255);
const OPTIONS: LinkOptions = {
  mac: MAC,
  address: GUEST,
  subnet: '172.31.16.0/20',
  hostName: 'ip-172-31-16-9',
  domain: 'eu-central-1.compute.internal',
  serve: () => undefined,
};

/** The guest's end of a link: what it sends, and the frames it has got. */
class Guest {
  readonly frames: Buffer[] = [];
  readonly line: Duplex;
  #rest: Buffer = Buffer.alloc(0);
  heard: (frame: Buffer) => void = (frame) => this.frames.push(frame);

  constructor(line: Duplex) {
    this.line = line;
    line.on('error', () => {});
    line.on('data', (chunk: Buffer) => {
      this.#rest = Buffer.concat([this.#rest, chunk]);
      while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32BE(0)) {
        const end = 4 + this.#rest.readUInt32BE(0);
        this.heard(Buffer.from(this.#rest.subarray(4, end)));
        this.#rest = this.#rest.subarray(end);
      }
    });
  }
  send(type: number, payload: Uint8Array, from = macBytes(MAC)): void {
    const frame = ethernetFrame(BROADCAST_MAC, from, type, payload);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(frame.length, 0);
    this.line.write(Buffer.concat([length, frame]));
  }
  packet(protocol: number, to: string, payload: Buffer, from = GUEST): void {
    const packet = { protocol, source: ipv4Number(from), destination: ipv4Number(to), payload };
    this.send(ETHERTYPE.ipv4, ipv4Packet(packet));
  }
  /** The next frame, however it comes. */
  async next(): Promise<Buffer> {
    while (this.frames.length === 0) await once(this.line, 'data');
    return this.frames.shift()!;
  }
  /** Whether anything comes before the answer to a ping. */
  async isSilent(): Promise<boolean> {
    const ping = Buffer.from([8, 0, 0, 0, 0, 1, 0, 1]);
    ping.writeUInt16BE(checksum(ping), 2);
    this.packet(PROTOCOL.icmp, ROUTER, ping);
    const packet = readIpv4((await this.next()).subarray(14));
    return packet?.protocol === PROTOCOL.icmp && packet.payload[0] === 0;
  }
  /** A TCP client of the guest, with the link as its wire. */
  dial(to: string, port: number): TcpStream {
    const stream = new TcpStream({
      send: (segment) => {
        const payload = segmentBytes(40_000, port, segment);
        const sum = pseudoHeaderSum(ipv4Number(GUEST), ipv4Number(to), PROTOCOL.tcp, payload.length);
        payload.writeUInt16BE(checksum(payload, sum), 16);
        this.packet(PROTOCOL.tcp, to, payload);
      },
      opened: () => {},
      over: () => {},
    });
    this.heard = (frame) => {
      const packet = readIpv4(frame.subarray(14));
      const read = packet?.protocol === PROTOCOL.tcp ? readSegment(packet.payload) : undefined;
      if (read?.port === 40_000) stream.receive(read.segment);
    };
    stream.connect();
    return stream;
  }
}

function joined(options: Partial<LinkOptions> = {}): { guest: Guest; link: GuestLink } {
  const [ours, theirs] = duplexPair();
  return { link: serveLink(ours, { ...OPTIONS, ...options }), guest: new Guest(theirs) };
}

function dhcp(type: number, options: readonly number[] = [], mac = MAC): Buffer {
  const message = Buffer.alloc(240);
  message[0] = 1;
  message[1] = 1;
  message[2] = 6;
  message.writeUInt32BE(0xabcd1234, 4);
  message.set(macBytes(mac), 28);
  message.writeUInt32BE(0x63825363, 236);
  return Buffer.concat([message, Buffer.from([53, 1, type, ...options, 255])]);
}

function sendDhcp(guest: Guest, message: Buffer): void {
  const datagram = { sourcePort: 68, destinationPort: 67, payload: message };
  guest.packet(PROTOCOL.udp, '255.255.255.255', udpDatagram(datagram, 0, ipv4Number('255.255.255.255')), '0.0.0.0');
}

/** Type, offered address and options of the answer. */
async function lease(guest: Guest) {
  const packet = readIpv4((await guest.next()).subarray(14))!;
  const answer = readUdp(packet.payload)!.payload;
  assert.equal(
    checksum(packet.payload, pseudoHeaderSum(packet.source, packet.destination, 17, packet.payload.length)),
    0,
  );
  assert.equal(answer.readUInt32BE(4), 0xabcd1234);
  const options = new Map<number, string>();
  for (let at = 240; answer[at] !== 255; at += 2 + answer[at + 1]!) {
    options.set(answer[at]!, answer.subarray(at + 2, at + 2 + answer[at + 1]!).toString('hex'));
  }
  return { type: Number.parseInt(options.get(53)!, 16), address: answer.readUInt32BE(16), options };
}

const OFFERED = [50, 4, 172, 31, 16, 9];

describe('the network of a guest', () => {
  test('DHCP offers and gives the address of its interface, with router, mask and name, and no resolver', async () => {
    const { guest, link } = joined();
    assert.equal(link.heard, false);
    sendDhcp(guest, dhcp(1));
    const offer = await lease(guest);
    assert.equal(offer.type, 2);
    sendDhcp(guest, dhcp(3, OFFERED));
    const given = await lease(guest);
    assert.equal(given.type, 5);
    for (const { address, options } of [offer, given]) {
      assert.equal(address, ipv4Number(GUEST));
      assert.equal(options.get(1), 'fffff000');
      assert.equal(options.get(3), 'ac1f1001');
      assert.equal(Buffer.from(options.get(12)!, 'hex').toString(), 'ip-172-31-16-9');
      assert.equal(options.has(6), false);
    }
    assert.equal(link.heard, true);
    link.close();
    await link.closed;
  });

  test('DHCP refuses another address, and says nothing to another card or about another server', async () => {
    const { guest, link } = joined();
    sendDhcp(guest, dhcp(3, [50, 4, 172, 31, 16, 10]));
    assert.equal((await lease(guest)).type, 6);
    sendDhcp(guest, dhcp(1, [], '0e:00:00:00:00:02'));
    sendDhcp(guest, dhcp(3, [...OFFERED, 54, 4, 10, 0, 0, 1]));
    assert.ok(await guest.isSilent());
    link.close();
  });

  const ADDRESSES = [
    [ROUTER, true],
    [METADATA, true],
    ['172.31.16.10', false],
    [GUEST, false],
    ['8.8.8.8', false],
  ] as const;
  for (const [address, answered] of ADDRESSES) {
    test(`ARP for ${address}: ${answered ? 'answered' : 'silence'}`, async () => {
      const { guest, link } = joined();
      const asked = Buffer.alloc(28);
      asked.set([0, 1, 8, 0, 6, 4, 0, 1], 0);
      asked.set(macBytes(MAC), 8);
      asked.writeUInt32BE(ipv4Number(GUEST), 14);
      asked.writeUInt32BE(ipv4Number(address), 24);
      guest.send(ETHERTYPE.arp, asked);
      if (answered) {
        const reply = (await guest.next()).subarray(14);
        assert.equal(reply.readUInt16BE(6), 2);
        assert.equal(reply.readUInt32BE(14), ipv4Number(address));
        assert.equal(reply.readUInt32BE(24), ipv4Number(GUEST));
      } else assert.ok(await guest.isSilent());
      link.close();
    });
  }

  test('only what is served is reached; its packets carry the time to live it asks for', async () => {
    const seen: string[] = [];
    const { guest, link } = joined({
      serve: (address, port) => {
        seen.push(`${address}:${port}`);
        if (address !== METADATA || port !== 80) return undefined;
        return { timeToLive: 2, accept: (stream) => stream.end('hello') };
      },
    });
    const lives = new Set<number>();
    const stream = guest.dial(METADATA, 80);
    const { heard } = guest;
    guest.heard = (frame) => {
      lives.add(frame[14 + 8]!);
      heard(frame);
    };
    assert.equal(String((await once(stream, 'data'))[0]), 'hello');
    assert.deepEqual([...lives], [2]);
    stream.destroy();
    for (const [to, port] of [
      [METADATA, 22],
      [ROUTER, 80],
      ['127.0.0.1', 80],
      ['10.0.0.1', 443],
    ] as const) {
      const refused = guest.dial(to, port);
      assert.match(String((await once(refused, 'error'))[0]), /refused/);
    }
    assert.deepEqual(seen, [
      '169.254.169.254:80',
      '169.254.169.254:22',
      '172.31.16.1:80',
      '127.0.0.1:80',
      '10.0.0.1:443',
    ]);
    link.close();
  });

  test('a packet that lies about its sender is not heard', async () => {
    const { guest, link } = joined({ serve: () => ({ timeToLive: 64, accept: () => {} }) });
    const opening = { sequence: 1, acknowledgment: 0, flags: SYN, window: 9, payload: Buffer.alloc(0) };
    guest.packet(PROTOCOL.tcp, METADATA, segmentBytes(1, 80, opening), '172.31.16.10');
    guest.send(ETHERTYPE.ipv4, Buffer.alloc(40), macBytes('0e:00:00:00:00:09'));
    assert.ok(await guest.isSilent());
    link.close();
  });

  test('connections are bounded: the 65th is reset', async () => {
    const { guest, link } = joined({ serve: () => ({ timeToLive: 64, accept: () => {} }) });
    const answers: number[] = [];
    for (let port = 1; port <= 65; port++) {
      const opening = { sequence: 1, acknowledgment: 0, flags: SYN, window: 9, payload: Buffer.alloc(0) };
      guest.packet(PROTOCOL.tcp, METADATA, segmentBytes(port, 80, opening));
      answers.push(readSegment(readIpv4((await guest.next()).subarray(14))!.payload)!.segment.flags);
    }
    assert.equal(answers.filter((flags) => flags & RST).length, 1);
    assert.ok(answers.at(-1)! & RST);
    link.close();
    await link.closed;
  });

  test('the 101st connection in a second waits: nothing is said until the guest tries again', async () => {
    let opened = 0;
    const { guest, link } = joined({
      serve: () => {
        opened++;
        return undefined;
      },
    });
    const opening = { sequence: 1, acknowledgment: 0, flags: SYN, window: 9, payload: Buffer.alloc(0) };
    for (let port = 1; port <= 110; port++) guest.packet(PROTOCOL.tcp, METADATA, segmentBytes(port, 80, opening));
    for (let answer = 0; answer < 100; answer++) await guest.next();
    assert.ok(await guest.isSilent());
    assert.equal(opened, 100);
    link.close();
  });

  test('a frame longer than any ends the link', async () => {
    const { guest, link } = joined();
    guest.line.write(Buffer.from([0, 1, 0, 1]));
    await link.closed;
  });

  test('whatever a guest sends, the link answers the next ping or has ended', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(ETHERTYPE.arp, ETHERTYPE.ipv4, 0x86dd),
        fc.uint8Array({ maxLength: 400 }),
        fc.constantFrom(0, 1, 6, 17),
        async (type, bytes, protocol) => {
          const { guest, link } = joined();
          guest.send(type, bytes);
          guest.packet(protocol, ROUTER, Buffer.from(bytes));
          let tries = 0;
          while (!(await guest.isSilent()) && tries++ < 4);
          assert.ok(tries <= 4);
          link.close();
          await link.closed;
        },
      ),
      { numRuns: 200, verbose: 1 },
    );
  });
});
