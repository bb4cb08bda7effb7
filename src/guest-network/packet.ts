/** Ethernet, ARP, IPv4, ICMP and UDP as far as one guest on one link needs them: reading frames, and building them. */

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806 } as const;
export const PROTOCOL = { icmp: 1, tcp: 6, udp: 17 } as const;

export interface Ipv4Packet {
  readonly protocol: number;
  /** Addresses as unsigned numbers. */
  readonly source: number;
  readonly destination: number;
  readonly payload: Buffer;
}

export function ipv4Number(text: string): number {
  const parts = text.split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !Number.isInteger(part) || part < 0 || part > 255)) {
    throw new RangeError(`${text} is no IPv4 address`);
  }
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

export function macBytes(text: string): Buffer {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) throw new RangeError(`${text} is no MAC address`);
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

export function ethernetFrame(to: Uint8Array, from: Uint8Array, type: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(14);
  header.set(to, 0);
  header.set(from, 6);
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}

/** `undefined` for what is cut off, has another version, or is a fragment. */
export function readIpv4(bytes: Buffer): Ipv4Packet | undefined {
  if (bytes.length < 20 || bytes[0]! >> 4 !== 4) return undefined;
  const headerBytes = (bytes[0]! & 15) * 4;
  const length = bytes.readUInt16BE(2);
  if (headerBytes < 20 || length < headerBytes || length > bytes.length) return undefined;
  if ((bytes.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
  return {
    protocol: bytes[9]!,
    source: bytes.readUInt32BE(12),
    destination: bytes.readUInt32BE(16),
    payload: bytes.subarray(headerBytes, length),
  };
}

export function ipv4Packet({ protocol, source, destination, payload }: Ipv4Packet, timeToLive = 64): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + payload.length, 2);
  header.writeUInt16BE(0x4000, 6); // do not fragment
  header[8] = timeToLive;
  header[9] = protocol;
  header.writeUInt32BE(source, 12);
  header.writeUInt32BE(destination, 16);
  header.writeUInt16BE(checksum(header), 10);
  return Buffer.concat([header, payload]);
}

/** The sum over addresses, protocol and length that TCP and UDP checksums begin with (RFC 9293 3.1). */
export function pseudoHeaderSum(source: number, destination: number, protocol: number, length: number): number {
  return (source >>> 16) + (source & 0xffff) + (destination >>> 16) + (destination & 0xffff) + protocol + length;
}

/** The Internet checksum (RFC 1071). */
export function checksum(bytes: Uint8Array, initial = 0): number {
  let sum = initial;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes[at]! * 256 + (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

export interface UdpDatagram {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

export function readUdp(bytes: Buffer): UdpDatagram | undefined {
  if (bytes.length < 8) return undefined;
  const length = bytes.readUInt16BE(4);
  if (length < 8 || length > bytes.length) return undefined;
  return {
    sourcePort: bytes.readUInt16BE(0),
    destinationPort: bytes.readUInt16BE(2),
    payload: bytes.subarray(8, length),
  };
}

export function udpDatagram({ sourcePort, destinationPort, payload }: UdpDatagram, source: number, to: number): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  const datagram = Buffer.concat([header, payload]);
  const sum = checksum(datagram, pseudoHeaderSum(source, to, PROTOCOL.udp, datagram.length));
  datagram.writeUInt16BE(sum === 0 ? 0xffff : sum, 6);
  return datagram;
}

/** The answer to an ARP request for one of `owned`, or `undefined`. */
export function arpReply(request: Buffer, own: Uint8Array, owns: (address: number) => boolean): Buffer | undefined {
  const isRequest =
    request.length >= 28 &&
    request.readUInt16BE(0) === 1 &&
    request.readUInt16BE(2) === ETHERTYPE.ipv4 &&
    request.readUInt16BE(6) === 1;
  if (!isRequest || !owns(request.readUInt32BE(24))) return undefined;
  const reply = Buffer.from(request.subarray(0, 28));
  reply.writeUInt16BE(2, 6);
  reply.set(own, 8);
  request.copy(reply, 14, 24, 28);
  request.copy(reply, 18, 8, 18);
  return reply;
}

/** The answer to an ICMP echo request, or `undefined`. */
export function echoReply(request: Buffer): Buffer | undefined {
  if (request.length < 8 || request[0] !== 8 || request[1] !== 0) return undefined;
  const reply = Buffer.from(request);
  reply[0] = 0;
  reply.writeUInt16BE(0, 2);
  reply.writeUInt16BE(checksum(reply), 2);
  return reply;
}
