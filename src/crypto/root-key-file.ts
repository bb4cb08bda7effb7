/**
 * The bytes of `root.key` (docs/formats/key-material.md).
 *
 *     version 1:  "ingot root key\n" (15) | 01 | key (32) | digest (16)
 *     version 2:  "ingot root key\n" (15) | 02 | protection (1) | log2 N, r, p (3) | salt (32) | keys | digest (16)
 *
 * Version 2 holds one to eight keys of 32 bytes, the newest first, as they are or sealed under another: one made by
 * scrypt from a passphrase, or one that a command gives. Version 1 is written for one key without protection. The digest, the first 16 bytes of SHA-256 over all before it, finds damage; it protects nothing.
 */
import { IntegrityError } from '../errors.ts';
import { SEAL_OVERHEAD_BYTES, seal, tryOpen } from './aead.ts';
import type { Fields } from './fields.ts';
import { equalInConstantTime, sha256 } from './hash.ts';
import { randomBytes } from './random.ts';
import { SCRYPT_COST, type ScryptCost, scryptKey } from './scrypt.ts';
import { SecretKey } from './secret-key.ts';

/** What the key in the file is sealed under; the bytes are wiped by whoever made them. */
export type Protection =
  | { readonly kind: 'passphrase'; readonly passphrase: Uint8Array }
  | { readonly kind: 'command'; readonly key: Uint8Array };

/** The root key file cannot be used; the message tells the operator what to do. */
export class RootKeyError extends Error {
  override readonly name = 'RootKeyError';
}

export const KEY_BYTES = 32;
const MAGIC = Buffer.from('ingot root key\n', 'latin1');
const VERSION_AT = MAGIC.byteLength;
const DIGEST_BYTES = 16;
const SALT_BYTES = 32;
const PLAIN_BYTES = VERSION_AT + 1 + KEY_BYTES + DIGEST_BYTES;
const HEAD_BYTES = VERSION_AT + 1 + 1 + 3 + SALT_BYTES;
const KINDS = { none: 0, passphrase: 1, command: 2 } as const;

export const KEYS_MAX = 8;
export const ROOT_KEY_FILE_BYTES_MAX = HEAD_BYTES + SEAL_OVERHEAD_BYTES + KEYS_MAX * KEY_BYTES + DIGEST_BYTES;

/** The file for `keys`, one after the other, newest first; they stay the caller's to wipe. */
export async function encodeRootKeys(keys: Uint8Array, protection?: Protection): Promise<Uint8Array> {
  if (!protection && keys.byteLength === KEY_BYTES) return finished(Buffer.concat([MAGIC, Buffer.of(1), keys]));
  const cost: ScryptCost = protection?.kind === 'passphrase' ? SCRYPT_COST : { logN: 0, r: 0, p: 0 };
  const head = Buffer.concat([
    MAGIC,
    Buffer.of(2, KINDS[protection?.kind ?? 'none'], cost.logN, cost.r, cost.p),
    randomBytes(SALT_BYTES),
  ]);
  const body = protection ? seal(await wrappingKey(head, protection), keys, fieldsOf(head)) : keys;
  return finished(Buffer.concat([head, body]));
}

function finished(bytes: Uint8Array): Uint8Array {
  const digest = sha256(bytes).subarray(0, DIGEST_BYTES);
  const whole = new Uint8Array(bytes.byteLength + DIGEST_BYTES);
  whole.set(bytes);
  whole.set(digest, bytes.byteLength);
  bytes.fill(0);
  return whole;
}

export interface DecodedRootKeys {
  /** One after the other, newest first. */
  readonly keys: Uint8Array;
  readonly protectedBy?: Protection['kind'];
}

/** @throws {RootKeyError} where the protection does not fit; {@link IntegrityError} where the file is damaged. */
export async function decodeRootKeys(
  bytes: Uint8Array,
  path: string,
  protection?: Protection,
): Promise<DecodedRootKeys> {
  if (!equalInConstantTime(bytes.subarray(0, VERSION_AT), MAGIC)) throw new IntegrityError(path);
  const version = bytes[VERSION_AT];
  if (version !== 1 && version !== 2) throw new RootKeyError(`${path} was made by a later version of Ingot`);
  const least = version === 1 ? PLAIN_BYTES : HEAD_BYTES + KEY_BYTES + DIGEST_BYTES;
  if (bytes.byteLength < least || (version === 1 && bytes.byteLength > least)) throw new IntegrityError(path);
  const end = bytes.byteLength - DIGEST_BYTES;
  const digest = sha256(bytes.subarray(0, end)).subarray(0, DIGEST_BYTES);
  if (!equalInConstantTime(digest, bytes.subarray(end))) throw new IntegrityError(path);
  if (version === 1) return { keys: bytes.slice(VERSION_AT + 1, end) };

  const kind = (['none', 'passphrase', 'command'] as const).find((known) => KINDS[known] === bytes[VERSION_AT + 1]);
  if (!kind) throw new RootKeyError(`${path} was made by a later version of Ingot`);
  if (kind === 'none') return { keys: whole(bytes.slice(HEAD_BYTES, end), path) };
  if (protection?.kind !== kind) throw new RootKeyError(`${path} is sealed under ${WANTED[kind]}`);
  const head = bytes.subarray(0, HEAD_BYTES);
  const keys = tryOpen(await wrappingKey(head, protection), bytes.subarray(HEAD_BYTES, end), fieldsOf(head));
  if (!keys) throw new RootKeyError(`${path} does not open with this ${kind === 'passphrase' ? 'passphrase' : 'key'}`);
  return { keys: whole(keys, path), protectedBy: kind };
}

function whole(keys: Uint8Array, path: string): Uint8Array {
  const count = keys.byteLength / KEY_BYTES;
  if (!Number.isInteger(count) || count < 1 || count > KEYS_MAX) throw new IntegrityError(path);
  return keys;
}

const WANTED = {
  passphrase: 'a passphrase: name the file that holds it with --root-passphrase-file',
  command: 'a key that a command gives: name the command with --root-key-command',
} as const;

async function wrappingKey(head: Uint8Array, protection: Protection): Promise<SecretKey> {
  if (protection.kind === 'command') return SecretKey.take(protection.key.slice());
  const [logN, r, p] = head.subarray(VERSION_AT + 2, VERSION_AT + 5) as unknown as [number, number, number];
  return SecretKey.take(
    await scryptKey(protection.passphrase, head.subarray(HEAD_BYTES - SALT_BYTES), { logN, r, p }, KEY_BYTES),
  );
}

function fieldsOf(head: Uint8Array): Fields {
  return [
    ['purpose', 'root-key'],
    ['head', head],
  ];
}
