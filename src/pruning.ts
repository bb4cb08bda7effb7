/**
 * What has had its time leaves the database, in small batches, so that calls go on in between: events of the audit
 * trail where an age is set for them, and client tokens whose results are gone.
 */
import type { AuditTrail } from './audit/trail.ts';
import type { Idempotency, TokenResult } from './idempotency/idempotency.ts';

const DAY_MS = 86_400_000;
/** EC2 honours a token for at least a day after what it made is gone; a retry that comes later than this is none. */
const TOKENS_KEPT_DAYS = 30;
/** A round that would take longer goes on in the next. */
const BATCHES_PER_ROUND = 200;

export interface PruningDeps {
  readonly audit: Pick<AuditTrail, 'prune'>;
  readonly idempotency: Pick<Idempotency, 'prune'>;
  /** Absent where events stay for ever. */
  readonly auditRetentionDays?: number;
  /** By the first letters of ids: whether the thing is still there. */
  readonly finders: Readonly<Record<string, (result: TokenResult) => Promise<unknown>>>;
  readonly clock: () => Date;
}

/** One round; gives what was deleted, or nothing where nothing was. */
export async function prune(deps: PruningDeps): Promise<object | undefined> {
  const daysAgo = (days: number) => new Date(deps.clock().getTime() - days * DAY_MS);
  const { auditRetentionDays } = deps;

  let [events, tokens] = [0, 0];
  for (let batch = 0; auditRetentionDays !== undefined && batch < BATCHES_PER_ROUND; batch += 1) {
    const deleted = await deps.audit.prune(daysAgo(auditRetentionDays));
    if (deleted === 0) break;
    events += deleted;
  }
  const isThere = async (result: TokenResult): Promise<boolean> => {
    const find = deps.finders[result.resultId.slice(0, result.resultId.indexOf('-'))];
    return find !== undefined && (await find(result)) !== undefined;
  };
  for (let batch = 0; batch < BATCHES_PER_ROUND; batch += 1) {
    const { forgotten, more } = await deps.idempotency.prune(daysAgo(TOKENS_KEPT_DAYS), isThere);
    tokens += forgotten;
    if (!more) break;
  }
  return events + tokens > 0 ? { eventsDeleted: events, tokensForgotten: tokens } : undefined;
}
