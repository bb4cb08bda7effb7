/** IP addresses and CIDR blocks of the conditions IpAddress and NotIpAddress (authorization-and-wire 4.2). */

interface Address {
  readonly value: bigint;
  readonly bits: 32 | 128;
}

export interface CidrBlock {
  contains(address: string): boolean;
}

/** A CIDR block, or a bare address as /32 or /128; `undefined` where `text` is neither. */
export function parseCidr(text: string): CidrBlock | undefined {
  const slash = text.indexOf('/');
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (!address) return undefined;
  const suffix = slash < 0 ? undefined : text.slice(slash + 1);
  if (suffix !== undefined && !/^\d{1,3}$/.test(suffix)) return undefined;
  const prefix = suffix === undefined ? address.bits : Number(suffix);
  if (prefix > address.bits) return undefined;
  const shift = BigInt(address.bits - prefix);
  const network = address.value >> shift;
  return {
    contains(candidate) {
      const parsed = parseAddress(candidate);
      return parsed !== undefined && parsed.bits === address.bits && parsed.value >> shift === network;
    },
  };
}

/** An IPv4 address mapped into IPv6 is the IPv4 address: that is how a dual-stack socket reports it. */
function parseAddress(text: string): Address | undefined {
  const four = parseFour(text);
  if (four !== undefined) return { value: four, bits: 32 };
  const six = parseSix(text);
  if (six === undefined) return undefined;
  return six >> 32n === 0xffffn ? { value: six & 0xffff_ffffn, bits: 32 } : { value: six, bits: 128 };
}

function parseFour(text: string): bigint | undefined {
  if (!/^\d{1,3}(?:\.\d{1,3}){3}$/.test(text)) return undefined;
  let value = 0n;
  for (const part of text.split('.')) {
    if (Number(part) > 255) return undefined;
    value = (value << 8n) | BigInt(part);
  }
  return value;
}

function parseSix(text: string): bigint | undefined {
  if (!text.includes(':')) return undefined;
  let source = text;
  const lastColon = source.lastIndexOf(':');
  const tail = parseFour(source.slice(lastColon + 1));
  if (tail !== undefined) {
    const high = (tail >> 16n).toString(16);
    const low = (tail & 0xffffn).toString(16);
    source = `${source.slice(0, lastColon + 1)}${high}:${low}`;
  }
  const halves = source.split('::');
  if (halves.length > 2) return undefined;
  const head = halves[0] === '' ? [] : halves[0]!.split(':');
  const rest = halves[1] === undefined || halves[1] === '' ? [] : halves[1].split(':');
  const missing = 8 - head.length - rest.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<string>(Math.max(missing, 0)).fill('0'), ...rest];
  let value = 0n;
  for (const group of groups) {
    if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
    value = (value << 16n) | BigInt(`0x${group}`);
  }
  return value;
}
