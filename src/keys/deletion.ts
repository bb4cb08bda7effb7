/** Ending keys (kms §19): a waiting time, and then the key and everything that hangs on it is gone. */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { type Arn, keyArn } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { changeKey, updateKey } from './change.ts';
import { DAY_MS, type KeyParts } from './parts.ts';
import type { KeyRecord } from './records.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { isReplica, readKey } from './store.ts';
import type { KeysTables } from './tables.ts';

/** Longest nap of a job that waits for a date. */
const NAP_MS_MAX = DAY_MS;

interface DeletionPayload {
  readonly keyArn: Arn;
  /** Epoch ms of the deletion this job was made for. */
  readonly deletionAt: number;
}
const DELETION = 'keys-delete';

export interface ScheduledDeletion {
  readonly state: 'PendingDeletion' | 'PendingReplicaDeletion';
  /** From when the key may be gone; absent while replicas are there (18.8). */
  readonly deletionAt?: Date;
}

export function deletionMethods(parts: KeyParts) {
  const { store, jobs, audit, clock } = parts;

  const deletion: Program<DeletionPayload> = {
    kind: DELETION,
    start: 'wait',
    attemptsMax: 1_000_000,
    steps: {
      async wait({ payload }) {
        const key = await store.byArn(payload.keyArn);
        if (key?.state !== 'PendingDeletion' || key.deletionAt?.getTime() !== payload.deletionAt)
          return { kind: 'done' };
        const ms = payload.deletionAt - clock().getTime();
        if (ms > 0) return { kind: 'nap', ms: Math.min(ms, NAP_MS_MAX) };
        return (await destroy(key, payload.deletionAt)) ? { kind: 'hop', to: 'record' } : { kind: 'done' };
      },
      async record({ payload: { keyArn: arn } }) {
        const name = readKeyArn(arn);
        await audit.record(serviceEvent('DeleteKey', { arn, ...name }, clock(), { keyId: name.keyId }));
        return { kind: 'done' };
      },
    },
  };
  jobs.register(deletion);

  /** The key and everything that hangs on it. Sealed material is overwritten first: a freed page keeps its bytes. */
  function destroy(key: KeyRecord, deletionAt: number): Promise<boolean> {
    return store.write(async (tables, tx) => {
      const row = await tables
        .selectFrom('keys_key')
        .select('arn')
        .where('arn', '=', key.arn)
        .where('state', '=', 'PendingDeletion')
        .where('deletion_at', '=', deletionAt)
        .executeTakeFirst();
      if (!row) return false;
      const materials = await tables.selectFrom('keys_material').selectAll().where('key_arn', '=', key.arn).execute();
      for (const material of materials) {
        await tables
          .updateTable('keys_material')
          .set({ sealed: new Uint8Array(material.sealed.byteLength) })
          .where('key_arn', '=', key.arn)
          .where('material_id', '=', material.material_id)
          .execute();
      }
      await tables.deleteFrom('keys_key').where('arn', '=', key.arn).execute();
      store.changedRelated(tx, key);
      if (isReplica(key)) await endWaitOfPrimary(tx, key);
      return true;
    });
  }

  /** The waiting time of a primary key begins when its last replica is gone (18.8). */
  async function endWaitOfPrimary(tx: Tx, replica: KeyRecord): Promise<void> {
    const arn = keyArn(replica.related!.primaryRegion, replica.accountId, replica.keyId);
    const primary = await readKey(tx.as<KeysTables>(), arn);
    if (primary?.state !== 'PendingReplicaDeletion' || primary.related!.regions.length > 1) return;
    await waitFrom(tx, arn, primary.deletionWindowInDays!);
  }

  async function waitFrom(tx: Tx, arn: Arn, windowInDays: number): Promise<Date> {
    const deletionAt = clock().getTime() + windowInDays * DAY_MS;
    await updateKey(tx.as<KeysTables>(), arn, {
      state: 'PendingDeletion',
      deletion_at: deletionAt,
      deletion_window_days: null,
    });
    await jobs.enqueue<DeletionPayload>(tx, DELETION, { keyArn: arn, deletionAt });
    return new Date(deletionAt);
  }

  return {
    async scheduleDeletion(
      permit: Permit<'kms:ScheduleKeyDeletion'>,
      windowInDays: number,
    ): Promise<ScheduledDeletion> {
      return changeKey(parts, permit, 'ScheduleKeyDeletion', async (key, tables, tx) => {
        if (key.related && !isReplica(key) && key.related.regions.length > 1) {
          await updateKey(tables, key.arn, { state: 'PendingReplicaDeletion', deletion_window_days: windowInDays });
          return { state: 'PendingReplicaDeletion' };
        }
        return { state: 'PendingDeletion', deletionAt: await waitFrom(tx, key.arn, windowInDays) };
      });
    },

    /** The key is Disabled afterwards, whatever it was before (4.3). */
    async cancelDeletion(permit: Permit<'kms:CancelKeyDeletion'>): Promise<void> {
      await changeKey(parts, permit, 'CancelKeyDeletion', (key, tables) =>
        updateKey(tables, key.arn, { state: 'Disabled', deletion_at: null, deletion_window_days: null }),
      );
    },
  };
}
