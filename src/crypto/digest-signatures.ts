/**
 * RSA and ECDSA over digests that the caller made. Node has no callback form of what they take, and a verification on
 * P-521 takes ten milliseconds, so they run in a thread of their own, which starts with the first of them and keeps no
 * process alive.
 */
import { type KeyObject, randomUUID } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { DigestAnswer, DigestJob, DigestScheme } from './digest-worker.ts';
import type { PrivateKey, PublicKey } from './key-pairs.ts';

interface Waiting {
  readonly resolve: (value: Uint8Array | boolean) => void;
  readonly reject: (error: Error) => void;
}

/** The one thread of the process. */
let thread: DigestThread | undefined;

class DigestThread {
  readonly #worker = new Worker(new URL('./digest-worker.ts', import.meta.url), { name: 'digests' });
  readonly #waiting = new Map<string, Waiting>();

  constructor() {
    this.#worker.unref();
    this.#worker.on('message', ({ id, value, failure }: DigestAnswer) => {
      const waiting = this.#waiting.get(id);
      this.#forget(id);
      if (value !== undefined) waiting?.resolve(value);
      else waiting?.reject(new Error('a signature over a digest failed', { cause: failure }));
    });
    const end = (cause?: unknown): void => {
      if (thread === this) thread = undefined;
      const error = new Error('the thread of signatures over digests has stopped', { cause });
      for (const { reject } of this.#waiting.values()) reject(error);
      this.#waiting.clear();
    };
    this.#worker.on('error', end);
    this.#worker.on('exit', () => end());
  }

  run(job: Omit<DigestJob, 'id'>): Promise<Uint8Array | boolean> {
    const id = randomUUID();
    return new Promise((resolve, reject) => {
      // The process may not end while somebody waits.
      this.#worker.ref();
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...job } satisfies DigestJob);
    });
  }

  #forget(id: string): void {
    this.#waiting.delete(id);
    if (this.#waiting.size === 0) this.#worker.unref();
  }
}

function run(key: KeyObject, scheme: DigestScheme, digest: Uint8Array, signature?: Uint8Array) {
  thread ??= new DigestThread();
  return thread.run({ key, scheme, digest, ...(signature ? { signature } : {}) });
}

export async function signDigestApart(key: PrivateKey, scheme: DigestScheme, digest: Uint8Array): Promise<Uint8Array> {
  return (await run(key.keyObject(), scheme, digest)) as Uint8Array;
}

export async function verifyDigestApart(
  key: PublicKey,
  scheme: DigestScheme,
  digest: Uint8Array,
  signature: Uint8Array,
): Promise<boolean> {
  return (await run(key.keyObject(), scheme, digest, signature)) as boolean;
}
