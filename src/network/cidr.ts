/** IPv4 and IPv6 ranges as EC2 takes them: an address in its usual spelling, a slash and a prefix length. */
import { isIPv4, isIPv6 } from 'node:net';

export interface Ipv4Range {
  /** First address, as an unsigned number. */
  readonly base: number;
  readonly size: number;
}

export function ipv4Number(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function ipv4Text(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}

/** `undefined` where it is no range. */
export function parseIpv4Range(text: string): Ipv4Range | undefined {
  const match = /^([^/]+)\/(\d{1,2})$/.exec(text);
  if (!match || !isIPv4(match[1]!) || Number(match[2]) > 32) return undefined;
  const size = 2 ** (32 - Number(match[2]));
  return { base: Math.floor(ipv4Number(match[1]!) / size) * size, size };
}

export function isIpv4Range(text: string): boolean {
  return parseIpv4Range(text) !== undefined;
}

export function isIpv6Range(text: string): boolean {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  return match !== null && isIPv6(match[1]!) && Number(match[2]) <= 128;
}

/** Whether an instance may have the address: inside, and not one of the five that AWS keeps. */
export function isUsableAddress(range: Ipv4Range, address: string): boolean {
  if (!isIPv4(address)) return false;
  const offset = ipv4Number(address) - range.base;
  return offset >= 4 && offset < range.size - 1;
}
