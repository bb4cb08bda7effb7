/** Locks of snapshots (L-13): until a lock expires, its snapshot cannot be deleted; after the cool-off, not by anybody. */
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Region, SnapshotId } from '../ids.ts';
import { refuse } from './context.ts';
import { reading, type SnapshotLockRow, type SnapshotRow, snapshotRow, writing } from './tables.ts';

export type LockState = 'compliance-cooloff' | 'compliance' | 'governance' | 'expired';

export interface SnapshotLock {
  readonly snapshotId: SnapshotId;
  readonly ownerId: AccountId;
  readonly state: LockState;
  readonly createdAt: Date;
  readonly startsAt: Date;
  readonly expiresAt: Date;
  readonly durationDays: number;
  readonly coolOffHours?: number;
  readonly coolOffEndsAt?: Date;
}

export interface LockRequest {
  readonly mode: 'governance' | 'compliance';
  readonly coolOffHours?: number;
  readonly term: { readonly durationDays: number } | { readonly expiresAt: Date };
}

export interface SnapshotLocks {
  /** Sets or changes the lock. A compliance lock past its cool-off can only be extended. */
  lock(tx: Tx, id: SnapshotId, request: LockRequest): Promise<SnapshotLock>;
  unlock(tx: Tx, id: SnapshotId): Promise<void>;
  list(region: Region, owner: AccountId): Promise<SnapshotLock[]>;
}

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

function viewOf(lock: SnapshotLockRow, snapshot: SnapshotRow, now: Date): SnapshotLock {
  // While the snapshot is pending, its time has not begun.
  const startsAt = Math.max(lock.created_at, snapshot.completion_time ?? now.getTime());
  const expiresAt = lock.expires_at ?? startsAt + lock.duration_days! * DAY_MS;
  const coolOffEndsAt = lock.cool_off_hours === null ? undefined : lock.created_at + lock.cool_off_hours * HOUR_MS;
  const cooling = coolOffEndsAt !== undefined && now.getTime() < coolOffEndsAt;
  const state =
    now.getTime() >= expiresAt
      ? 'expired'
      : lock.mode === 'governance'
        ? 'governance'
        : cooling
          ? 'compliance-cooloff'
          : 'compliance';
  return {
    snapshotId: lock.snapshot_id,
    ownerId: snapshot.owner_id,
    state,
    createdAt: new Date(lock.created_at),
    startsAt: new Date(startsAt),
    expiresAt: new Date(expiresAt),
    durationDays: lock.duration_days ?? Math.ceil((expiresAt - startsAt) / DAY_MS),
    ...(lock.cool_off_hours === null ? {} : { coolOffHours: lock.cool_off_hours }),
    ...(coolOffEndsAt === undefined ? {} : { coolOffEndsAt: new Date(coolOffEndsAt) }),
  };
}

async function findLock(tx: Tx, snapshot: SnapshotRow, now: Date): Promise<SnapshotLock | undefined> {
  const row = await writing(tx)
    .selectFrom('snapshot_locks')
    .selectAll()
    .where('snapshot_id', '=', snapshot.id)
    .executeTakeFirst();
  return row && viewOf(row, snapshot, now);
}

/** Throws while a lock holds the snapshot. */
export async function requireUnlocked(tx: Tx, snapshot: SnapshotRow, now: Date): Promise<void> {
  const lock = await findLock(tx, snapshot, now);
  if (lock && lock.state !== 'expired') throw refuse('snapshot-locked', { snapshotId: snapshot.id, state: lock.state });
}

export function createSnapshotLocks({ db, clock }: { readonly db: Db; readonly clock: () => Date }): SnapshotLocks {
  return {
    async lock(tx, id, { mode, coolOffHours, term }) {
      const now = clock();
      const snapshot = await snapshotRow(writing(tx), id);
      if (!snapshot) throw refuse('snapshot-not-found', { snapshotId: id });
      const earlier = await findLock(tx, snapshot, now);
      const kept = earlier?.state === 'compliance' ? earlier : undefined;
      const row: SnapshotLockRow = {
        snapshot_id: id,
        mode,
        created_at: earlier && earlier.state !== 'expired' ? earlier.createdAt.getTime() : now.getTime(),
        cool_off_hours: (kept ? kept.coolOffHours : coolOffHours) ?? null,
        duration_days: 'durationDays' in term ? term.durationDays : null,
        expires_at: 'expiresAt' in term ? term.expiresAt.getTime() : null,
      };
      const made = viewOf(row, snapshot, now);
      if (kept && (mode !== 'compliance' || coolOffHours !== undefined || made.expiresAt < kept.expiresAt)) {
        throw refuse('snapshot-lock-compliance', { snapshotId: id });
      }
      await writing(tx)
        .insertInto('snapshot_locks')
        .values(row)
        .onConflict((conflict) => conflict.column('snapshot_id').doUpdateSet(row))
        .execute();
      return made;
    },
    async unlock(tx, id) {
      const snapshot = await snapshotRow(writing(tx), id);
      const lock = snapshot && (await findLock(tx, snapshot, clock()));
      if (!lock) throw refuse('snapshot-lock-absent', { snapshotId: id });
      if (lock.state === 'compliance') throw refuse('snapshot-lock-compliance', { snapshotId: id });
      await writing(tx).deleteFrom('snapshot_locks').where('snapshot_id', '=', id).execute();
    },
    async list(region, owner) {
      const snapshots = await reading(db)
        .selectFrom('snapshots')
        .selectAll()
        .where('region', '=', region)
        .where('owner_id', '=', owner)
        .where('id', 'in', (locked) => locked.selectFrom('snapshot_locks').select('snapshot_id'))
        .execute();
      const locks = await reading(db)
        .selectFrom('snapshot_locks')
        .innerJoin('snapshots', 'snapshots.id', 'snapshot_locks.snapshot_id')
        .selectAll('snapshot_locks')
        .where('snapshots.region', '=', region)
        .where('snapshots.owner_id', '=', owner)
        .execute();
      const byId = new Map(snapshots.map((snapshot) => [snapshot.id, snapshot]));
      const now = clock();
      return locks.flatMap((lock) => {
        const snapshot = byId.get(lock.snapshot_id);
        return snapshot ? [viewOf(lock, snapshot, now)] : [];
      });
    },
  };
}
