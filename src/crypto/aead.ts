/**
 * Sealing of small messages: key material, wrapped data keys, secrets of access keys.
 *
 *     sealed message v1:  01 | salt (32) | AES-256-GCM ciphertext | tag (16)
 *
 * The AES key and the nonce of a message are derived by HKDF-SHA256 from the sealing key and a random 256-bit salt.
 *
 * Why no nonce repeats under a key: every message has an AES key of its own, and uses it once. Two messages share key
 * and nonce only if two salts collide. Of n random 256-bit salts two collide with probability below n² / 2^257: after
 * 2^64 messages under one sealing key that is 2^-129. A machine that seals a million messages a second needs half a
 * million years for 2^64, so the bound holds by construction and nothing has to be counted; with random 96-bit nonces
 * directly under the key it would be 2^32 messages (NIST SP 800-38D, 8.3), which a busy KMS key passes in a week. The
 * length bound of one message ({@link MESSAGE_BYTES_MAX}) is enforced and far below GCM's 2^36 - 32 bytes.
 *
 * GCM does not commit to its key. Nothing here needs that: what is sealed names its key beside it and binds that name
 * in the associated data, and keys are never chosen by whoever hands in a sealed message.
 */
import { createSecretKey } from 'node:crypto';
import { IntegrityError } from '../errors.ts';
import { encodeFields, type Fields } from './fields.ts';
import { GCM_NONCE_BYTES, GCM_TAG_BYTES, gcmOpen, gcmSeal } from './gcm.ts';
import { hkdf } from './hkdf.ts';
import { randomBytes } from './random.ts';
import type { SecretKey } from './secret-key.ts';

export type { Field, Fields } from './fields.ts';

const VERSION = 1;
const SALT_BYTES = 32;
const KEY_BYTES = 32;
const INFO = 'ingot sealed message v1';

/** Bytes a sealed message is longer than its plaintext. */
export const SEAL_OVERHEAD_BYTES = 1 + SALT_BYTES + GCM_TAG_BYTES;
export const MESSAGE_BYTES_MAX = 1024 * 1024;

/**
 * Seals `plaintext` under `key`, bound to `fields`. Every call gives other bytes.
 * @throws {RangeError} where the key has not 32 bytes or the message is longer than {@link MESSAGE_BYTES_MAX}.
 */
export function seal(key: SecretKey, plaintext: Uint8Array, fields: Fields): Uint8Array {
  return sealWithSalt(key, plaintext, fields, randomBytes(SALT_BYTES));
}

/** {@link seal} with a given salt, for the vectors in test/vectors only. */
export function sealWithSalt(key: SecretKey, plaintext: Uint8Array, fields: Fields, salt: Uint8Array): Uint8Array {
  if (plaintext.byteLength > MESSAGE_BYTES_MAX) throw new RangeError('message too long to be sealed in one piece');
  const { messageKey, nonce } = derive(key, salt);
  const body = gcmSeal(messageKey, nonce, encodeFields(fields), plaintext);
  const sealed = new Uint8Array(1 + SALT_BYTES + body.byteLength);
  sealed[0] = VERSION;
  sealed.set(salt, 1);
  sealed.set(body, 1 + SALT_BYTES);
  return sealed;
}

/** The plaintext of a message sealed under `key` for `fields`, or `undefined` where any of the three does not fit. */
export function tryOpen(key: SecretKey, sealed: Uint8Array, fields: Fields): Uint8Array<ArrayBuffer> | undefined {
  if (sealed.byteLength < SEAL_OVERHEAD_BYTES || sealed[0] !== VERSION) return undefined;
  if (sealed.byteLength > MESSAGE_BYTES_MAX + SEAL_OVERHEAD_BYTES) return undefined;
  const { messageKey, nonce } = derive(key, sealed.subarray(1, 1 + SALT_BYTES));
  return gcmOpen(messageKey, nonce, encodeFields(fields), sealed.subarray(1 + SALT_BYTES));
}

/**
 * The plaintext of a stored message that Ingot sealed itself. Wipe the result after use.
 * @param what names the message in the error, for example `key material 3c… of arn:…`.
 * @throws {IntegrityError} where key, bytes or fields do not fit.
 */
export function open(key: SecretKey, sealed: Uint8Array, fields: Fields, what: string): Uint8Array<ArrayBuffer> {
  const plaintext = tryOpen(key, sealed, fields);
  if (plaintext === undefined) throw new IntegrityError(what);
  return plaintext;
}

function derive(key: SecretKey, salt: Uint8Array) {
  if (key.byteLength !== KEY_BYTES) throw new RangeError(`a sealing key has ${KEY_BYTES} bytes`);
  const derived = hkdf(key, salt, INFO, KEY_BYTES + GCM_NONCE_BYTES);
  const messageKey = createSecretKey(derived.subarray(0, KEY_BYTES));
  const nonce = derived.slice(KEY_BYTES);
  derived.fill(0);
  return { messageKey, nonce };
}
