/**
 * When a key was last used (kms 3.8). Uses are gathered in memory, the latest per key, and written together from time
 * to time ({@link KeyUses.flush}): Encrypt and Decrypt stay free of writes. A crash loses what was not written yet,
 * minutes at most; the audit trail has every call.
 */
import type { Permit } from '../authz/permit.ts';
import { DAY_MS } from './parts.ts';
import type { KeyRecord } from './records.ts';
import type { KeyStore } from './store.ts';

export interface KeyUse {
  readonly operation: string;
  readonly at: Date;
  /** Of the request that used the key. */
  readonly requestId: string;
  /** Of its record in the trail of the caller's account. */
  readonly eventId?: string;
}

export class KeyUses {
  readonly #store: KeyStore;
  readonly #clock: () => Date;
  #unwritten = new Map<string, KeyUse>();

  constructor(store: KeyStore, clock: () => Date) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Notes a successful operation. What Ingot does by itself is no use of the key. */
  note(key: KeyRecord, operation: string, permit: Permit): void {
    if (!permit.call) return;
    const { requestId, audit } = permit.call;
    const use = { operation, at: this.#clock(), requestId };
    this.#unwritten.set(key.arn, audit ? { ...use, eventId: audit.eventId } : use);
  }

  /** `undefined` where the key was not used since {@link KeyRecord.usageSince}. */
  async last(key: KeyRecord): Promise<KeyUse | undefined> {
    const known = this.#unwritten.get(key.arn);
    if (known) return known;
    const row = await this.#store
      .read()
      .selectFrom('keys_usage')
      .selectAll()
      .where('key_arn', '=', key.arn)
      .executeTakeFirst();
    return (
      row && {
        operation: row.operation,
        at: new Date(row.used_at),
        requestId: row.request_id,
        ...(row.event_id === null ? {} : { eventId: row.event_id }),
      }
    );
  }

  /** Whole days since the last use, or since uses are recorded: kms:TrailingDaysWithoutKeyUsage. */
  async trailingDays(key: KeyRecord): Promise<number> {
    const since = (await this.last(key))?.at ?? key.usageSince;
    return Math.max(0, Math.floor((this.#clock().getTime() - since.getTime()) / DAY_MS));
  }

  /** Writes what was noted, in one transaction. What fails to be written is kept for the next time. */
  async flush(): Promise<void> {
    const writing = this.#unwritten;
    if (writing.size === 0) return;
    this.#unwritten = new Map();
    try {
      await this.#store.write(async (tables) => {
        for (const [arn, use] of writing) {
          const key = await tables.selectFrom('keys_key').select('arn').where('arn', '=', arn).executeTakeFirst();
          if (!key) continue;
          const values = {
            operation: use.operation,
            used_at: use.at.getTime(),
            request_id: use.requestId,
            event_id: use.eventId ?? null,
          };
          await tables
            .insertInto('keys_usage')
            .values({ key_arn: arn, ...values })
            .onConflict((conflict) => conflict.column('key_arn').doUpdateSet(values))
            .execute();
        }
      });
    } catch (error) {
      this.#unwritten = new Map([...writing, ...this.#unwritten]);
      throw error;
    }
  }
}
