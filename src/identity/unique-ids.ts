/**
 * Ids of principals and access keys (authorization-and-wire 2.8, 14.9).
 *
 * An access key id is `AKIA` or `ASIA` and 16 characters of base 32 over 10 bytes: a set bit that marks the current
 * form, the account in 40 bits, and random bits.
 */
import { randomBytes } from '../crypto/random.ts';
import type { AccountId } from '../ids.ts';

const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const ACCESS_KEY = /^A(?:KIA|SIA)[A-Z2-7]{16}$/;

export type PrincipalPrefix = 'AIDA' | 'AROA' | 'AGPA' | 'AIPA' | 'ANPA';

/** A fresh unique id such as `AROAQ3EGRWZOLZT7VNB4Y`; never given again. */
export function newUniqueId(prefix: PrincipalPrefix): string {
  let id: string = prefix;
  for (const byte of randomBytes(17)) id += BASE32[byte % 32];
  return id;
}

export function newAccessKeyId(prefix: 'AKIA' | 'ASIA', account: AccountId): string {
  const random = randomBytes(10);
  let value = 0n;
  for (const byte of random) value = (value << 8n) | BigInt(byte);
  // 80 bits: the mark, 40 bits of account, 39 random bits.
  value = (1n << 79n) | (BigInt(account) << 39n) | (value & ((1n << 39n) - 1n));
  let text = '';
  for (let shift = 75n; shift >= 0n; shift -= 5n) text += BASE32[Number((value >> shift) & 31n)];
  return prefix + text;
}

/** Account that an access key id of the current form names; `undefined` for older forms and other text. */
export function accountOfAccessKeyId(id: string): AccountId | undefined {
  if (!ACCESS_KEY.test(id)) return undefined;
  let value = 0n;
  for (const character of id.slice(4)) value = (value << 5n) | BigInt(BASE32.indexOf(character));
  if (value >> 79n === 0n) return undefined;
  const account = (value >> 39n) & ((1n << 40n) - 1n);
  return account > 999_999_999_999n ? undefined : (account.toString().padStart(12, '0') as AccountId);
}

/** A fresh account id of twelve digits, without leading zero. */
export function newAccountId(): AccountId {
  let value = 0n;
  for (const byte of randomBytes(8)) value = (value << 8n) | BigInt(byte);
  return (100_000_000_000n + (value % 900_000_000_000n)).toString() as AccountId;
}

const LOWER = 'abcdefghijklmnopqrstuvwxyz0123456789';

/** Lower-case letters and digits, as ids of Organizations have them. */
export function lowerId(length: number): string {
  return Array.from(randomBytes(length), (byte) => LOWER[byte % LOWER.length]).join('');
}

/** A secret access key: 40 characters of base 64 over 30 random bytes (14.10). */
export function newSecretAccessKey(): string {
  return Buffer.from(randomBytes(30)).toString('base64');
}

/** An opaque session token of 256 characters. */
export function newSessionToken(): string {
  return Buffer.from(randomBytes(192)).toString('base64');
}
