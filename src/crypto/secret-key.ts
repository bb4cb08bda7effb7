/**
 * A symmetric secret that is used, not seen: it prints as redacted everywhere, and its bytes leave by one function
 * with an uncomfortable name. It holds a `KeyObject`, which worker threads receive by structured clone.
 */
import { createSecretKey, type KeyObject } from 'node:crypto';
import { inspect } from 'node:util';

export class SecretKey {
  readonly #key: KeyObject;
  private constructor(key: KeyObject) {
    this.#key = key;
  }
  /** Takes the bytes over and wipes the caller's copy. */
  static take(bytes: Uint8Array): SecretKey {
    const key = createSecretKey(bytes);
    bytes.fill(0);
    return new SecretKey(key);
  }
  static fromKeyObject(key: KeyObject): SecretKey {
    return new SecretKey(key);
  }
  get byteLength(): number {
    return this.#key.symmetricKeySize ?? 0;
  }
  /** For ciphers, HMAC, and for posting to a worker thread. */
  keyObject(): KeyObject {
    return this.#key;
  }
  /** The raw bytes, for wrapping under another key or for an answer that must carry them; wipe them after use. */
  exposeSecretBytes(): Buffer {
    return this.#key.export();
  }
  toString(): string {
    return '[redacted key]';
  }
  toJSON(): string {
    return '[redacted key]';
  }
  [inspect.custom](): string {
    return '[redacted key]';
  }
}
