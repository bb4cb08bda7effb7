/**
 * When access keys and roles were last used, by which service and where.
 *
 * Uses gather in memory and are written together every few seconds and at the end, so that a call costs no write of its
 * own; a crash forgets the last seconds only. They are no change of identity: caches stay as they are.
 */
import type { Caller } from '../authz/caller.ts';
import type { Region } from '../ids.ts';
import type { Log } from '../log.ts';
import type { Store } from './store.ts';
import type { IdentityTables } from './tables.ts';

export interface LastUse {
  readonly at: Date;
  readonly service: string;
  readonly region: string;
}

const WRITE_EVERY_MS = 5_000;

export type LastUses = ReturnType<typeof createLastUses>;

export function createLastUses(store: Store) {
  let pending = new Map<string, LastUse>();
  let writing: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  async function write(): Promise<void> {
    const group = pending;
    if (group.size === 0) return;
    pending = new Map();
    try {
      await store.db.write(async (tx) => {
        for (const [subject_id, { at, service, region }] of group) {
          const use = { used_at: at.getTime(), service, region };
          await tx
            .as<IdentityTables>()
            .insertInto('identity_last_use')
            .values({ subject_id, ...use })
            .onConflict((conflict) => conflict.column('subject_id').doUpdateSet(use))
            .execute();
        }
      });
    } catch (error) {
      for (const [subject, use] of group) if (!pending.has(subject)) pending.set(subject, use);
      throw error;
    }
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    const next = writing.then(write);
    // A failure is told to whoever asked for this flush; the next one tries again.
    writing = next.catch(() => undefined);
    return next;
  }

  return {
    /** Notes an authenticated call; costs no write. */
    note(caller: Caller, service: string, region: Region, at: Date, log: Log): void {
      const subject = caller.type === 'AssumedRole' ? caller.uniqueId : caller.accessKeyId;
      if (subject === undefined || subject.startsWith('ASIA')) return;
      pending.set(subject, { at, service, region });
      timer ??= setTimeout(() => {
        flush().catch((error: unknown) => log.error({ error }, 'last uses of access keys could not be written'));
      }, WRITE_EVERY_MS).unref();
    },

    /** Of an access key id, or of a role's unique id. */
    async of(subjectId: string): Promise<LastUse | undefined> {
      const known = pending.get(subjectId);
      if (known) return known;
      const rows = await store
        .read()
        .selectFrom('identity_last_use')
        .selectAll()
        .where('subject_id', '=', subjectId)
        .execute();
      const row = rows[0];
      return row && { at: new Date(row.used_at), service: row.service, region: row.region };
    },

    /** Resolves when everything noted before is durable. */
    flush,
  };
}
