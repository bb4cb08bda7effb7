/**
 * Opened data keys of direct reads and writes, one for each caller and snapshot, kept for a short while as AWS does
 * (K-26): KMS is not asked again for every block, and no opened key outlives its minute.
 */
import { type Call, viaEc2 } from '../authz/caller.ts';
import type { Context } from './context.ts';
import { openAs, wrappedKeyOf } from './data-keys.ts';
import type { OpenDataKey } from './storage.ts';
import type { SnapshotRow } from './tables.ts';

const SESSION_LIFE_MS = 60_000;
const SESSIONS_MAX = 256;

interface Session {
  readonly key: Promise<OpenDataKey>;
  readonly endsAtMs: number;
  readonly epoch: number;
}

export class DirectSessions {
  readonly #ctx: Pick<Context, 'keys' | 'clock'>;
  readonly #epoch: () => number;
  readonly #sessions = new Map<string, Session>();

  /** `authorizationEpoch` changes whenever keys, grants or policies change: sessions opened before end at once. */
  constructor(ctx: Pick<Context, 'keys' | 'clock'>, authorizationEpoch: () => number) {
    this.#ctx = ctx;
    this.#epoch = authorizationEpoch;
  }

  /** Decrypt in the name of the caller, and DescribeKey before a read (3.2), unless a session is open. */
  open(call: Call, row: SnapshotRow, purpose: 'put' | 'get'): Promise<OpenDataKey> {
    const { uniqueId, arn, accessKeyId } = call.caller;
    const name = [purpose, uniqueId, arn, accessKeyId ?? '', row.id].join('|');
    const nowMs = this.#ctx.clock().getTime();
    const epoch = this.#epoch();
    const known = this.#sessions.get(name);
    if (known && known.endsAtMs > nowMs && known.epoch === epoch) return known.key;
    const key = this.#ask(call, row, purpose);
    this.#sessions.delete(name);
    this.#sessions.set(name, { key, endsAtMs: nowMs + SESSION_LIFE_MS, epoch });
    const end = () => {
      if (this.#sessions.get(name)?.key === key) this.#sessions.delete(name);
    };
    key.catch(end);
    // A key that nobody asks for again must not stay in memory.
    setTimeout(end, SESSION_LIFE_MS).unref();
    if (this.#sessions.size > SESSIONS_MAX) this.#sessions.delete(this.#sessions.keys().next().value!);
    return key;
  }

  async #ask(call: Call, row: SnapshotRow, purpose: 'put' | 'get'): Promise<OpenDataKey> {
    const { keys } = this.#ctx;
    const via = viaEc2(call, 'ebs.amazonaws.com');
    const wrapped = wrappedKeyOf(row);
    if (!wrapped) throw new Error(`snapshot ${row.id} has no data key`);
    if (purpose === 'get' && wrapped.kmsKeyArn) await keys.describeKey(via, wrapped.kmsKeyArn);
    return openAs(keys, via, wrapped);
  }
}
