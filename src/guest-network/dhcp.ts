/** DHCP for the one guest of a link (RFC 2131): always the same address, for as long as it asks. */

export interface Lease {
  readonly mac: Uint8Array;
  /** Addresses as unsigned numbers. */
  readonly address: number;
  readonly mask: number;
  readonly router: number;
  readonly hostName: string;
  readonly domain: string;
}

const COOKIE = 0x63825363;
const DISCOVER = 1;
const OFFER = 2;
const REQUEST = 3;
const ACK = 5;
const NAK = 6;
const INFORM = 8;
const LEASE_SECONDS = 3600;

export const DHCP_SERVER_PORT = 67;
export const DHCP_CLIENT_PORT = 68;

/** The answer to a message of the guest, or `undefined` where there is none to give. */
export function answerDhcp(message: Buffer, lease: Lease): Buffer | undefined {
  if (message.length < 244 || message[0] !== 1 || message.readUInt32BE(236) !== COOKIE) return undefined;
  if (!message.subarray(28, 34).equals(lease.mac)) return undefined;
  const options = readOptions(message.subarray(240));
  const server = options.get(54);
  // Meant for somebody else's server.
  if (server?.length === 4 && server.readUInt32BE(0) !== lease.router) return undefined;
  const asked = options.get(50);
  const wanted = asked?.length === 4 ? asked.readUInt32BE(0) : message.readUInt32BE(12);
  switch (options.get(53)?.[0]) {
    case DISCOVER:
      return reply(message, lease, OFFER);
    case REQUEST:
      return reply(message, lease, wanted === lease.address ? ACK : NAK);
    case INFORM:
      return reply(message, lease, ACK);
    default:
      return undefined;
  }
}

function readOptions(bytes: Buffer): Map<number, Buffer> {
  const options = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const code = bytes[at]!;
    if (code === 255) break;
    if (code === 0) {
      at += 1;
      continue;
    }
    const length = bytes[at + 1] ?? 0;
    options.set(code, bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  return options;
}

function reply(request: Buffer, lease: Lease, type: number): Buffer {
  const head = Buffer.alloc(240);
  head[0] = 2;
  request.copy(head, 1, 1, 3); // kind and length of the hardware address
  request.copy(head, 4, 4, 8); // transaction
  request.copy(head, 10, 10, 16); // flags, the client's address
  if (type !== NAK && request.readUInt32BE(12) === 0) head.writeUInt32BE(lease.address, 16);
  request.copy(head, 28, 28, 44);
  head.writeUInt32BE(COOKIE, 236);
  const settings =
    type === NAK
      ? []
      : [
          option(51, number(LEASE_SECONDS)),
          option(1, number(lease.mask)),
          option(3, number(lease.router)),
          option(12, Buffer.from(lease.hostName, 'latin1')),
          option(15, Buffer.from(lease.domain, 'latin1')),
        ];
  const end = Buffer.from([255]);
  return Buffer.concat([head, option(53, Buffer.from([type])), option(54, number(lease.router)), ...settings, end]);
}

function option(code: number, value: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([code, value.length]), value]);
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value, 0);
  return bytes;
}
