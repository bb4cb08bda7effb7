/**
 * Rotation (kms §16): new material becomes current, older material stays to open what it sealed.
 *
 * A schedule is a durable job per key. The key's `rotation_revision` counts changes of the schedule; a job of an
 * earlier revision finds itself superseded and ends.
 */
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { Arn } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { newMaterial } from './material.ts';
import { DAY_MS, type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord, MaterialRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { requireState } from './states.ts';
import { readKey } from './store.ts';
import type { KeysTables } from './tables.ts';

const ON_DEMAND_ROTATIONS_MAX = 25;
const NAP_MS_MAX = DAY_MS;
const PROGRAM = 'keys-rotate';

interface RotationPayload {
  readonly keyArn: Arn;
  readonly revision: number;
}

export interface RotationStatus {
  readonly enabled: boolean;
  readonly periodInDays?: number;
  readonly nextAt?: Date;
}

/** What the rest of this module needs of rotation. */
export interface Rotation {
  /** Starts or replaces the automatic schedule: the first rotation is due one period from now. */
  schedule(tx: Tx, keyArn: Arn, periodInDays: number): Promise<void>;
  /** A key that is enabled again rotates at once if it should have while it was disabled (16.4). */
  rotateIfOverdue(tx: Tx, key: KeyRecord): Promise<boolean>;
  /** The audit record of an automatic rotation. */
  record(key: KeyRecord): Promise<void>;
}

export function rotationMethods(parts: KeyParts) {
  const { store, rootKey, jobs, audit, clock } = parts;

  async function rotate(tx: Tx, key: KeyRecord, type: 'AUTOMATIC' | 'ON_DEMAND'): Promise<string> {
    const tables = tx.as<KeysTables>();
    const { newest } = await tables
      .selectFrom('keys_material')
      .select((e) => e.fn.max<number>('version').as('newest'))
      .where('key_arn', '=', key.arn)
      .executeTakeFirstOrThrow();
    const material = newMaterial(rootKey, key.arn);
    await tables
      .insertInto('keys_material')
      .values({
        key_arn: key.arn,
        material_id: material.materialId,
        version: newest + 1,
        rotation: type,
        created_at: clock().getTime(),
        sealed: material.sealed,
      })
      .execute();
    await tables
      .updateTable('keys_key')
      .set({ current_material_id: material.materialId })
      .where('arn', '=', key.arn)
      .execute();
    store.changed(tx, key.arn);
    return material.materialId;
  }

  async function rotateBySchedule(tx: Tx, key: KeyRecord): Promise<void> {
    await rotate(tx, key, 'AUTOMATIC');
    await tx
      .as<KeysTables>()
      .updateTable('keys_key')
      .set({ rotation_next_at: clock().getTime() + key.rotation.periodInDays * DAY_MS })
      .where('arn', '=', key.arn)
      .execute();
  }

  function record(key: Pick<KeyRecord, 'arn' | 'accountId' | 'region' | 'keyId'>): Promise<void> {
    const facts = { keyId: key.keyId, rotationType: 'AUTOMATIC' };
    return audit.record(serviceEvent('RotateKey', key, clock(), facts));
  }

  const program: Program<RotationPayload> = {
    kind: PROGRAM,
    start: 'wait',
    attemptsMax: 1_000_000,
    steps: {
      async wait({ payload }) {
        return store.write(async (tables, tx) => {
          const key = await readKey(tables, payload.keyArn);
          const { nextAt, enabled, revision } = key?.rotation ?? {};
          if (!key || !enabled || !nextAt || revision !== payload.revision) return { kind: 'done' } as const;
          const ms = nextAt.getTime() - clock().getTime();
          if (ms > 0) return { kind: 'nap', ms: Math.min(ms, NAP_MS_MAX) } as const;
          // Disabled keys do not rotate; EnableKey catches up (16.4).
          if (key.state !== 'Enabled') return { kind: 'nap', ms: NAP_MS_MAX } as const;
          await rotateBySchedule(tx, key);
          return { kind: 'hop', to: 'record' } as const;
        });
      },
      async record({ payload: { keyArn: arn } }) {
        await record({ arn, ...readKeyArn(arn) });
        return { kind: 'hop', to: 'wait' };
      },
    },
  };
  jobs.register(program);

  const rotation: Rotation = {
    async schedule(tx, keyArn, periodInDays) {
      const key = await readKey(tx.as<KeysTables>(), keyArn);
      if (!key) throw refuse('key-not-found', { arn: keyArn });
      const revision = key.rotation.revision + 1;
      await tx
        .as<KeysTables>()
        .updateTable('keys_key')
        .set({
          rotation_enabled: 1,
          rotation_period_days: periodInDays,
          rotation_next_at: clock().getTime() + periodInDays * DAY_MS,
          rotation_revision: revision,
        })
        .where('arn', '=', keyArn)
        .execute();
      await jobs.enqueue<RotationPayload>(tx, PROGRAM, { keyArn, revision });
      store.changed(tx, keyArn);
    },
    async rotateIfOverdue(tx, key) {
      const { enabled, nextAt } = key.rotation;
      if (!enabled || !nextAt || nextAt.getTime() > clock().getTime()) return false;
      await rotateBySchedule(tx, key);
      return true;
    },
    record,
  };

  const methods = {
    async enableRotation(permit: Permit<'kms:EnableKeyRotation'>, periodInDays: number): Promise<void> {
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'EnableKeyRotation');
        if (key.rotation.enabled && key.rotation.periodInDays === periodInDays) return;
        await rotation.schedule(tx, key.arn, periodInDays);
      });
    },

    async disableRotation(permit: Permit<'kms:DisableKeyRotation'>): Promise<void> {
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'DisableKeyRotation');
        await tables
          .updateTable('keys_key')
          .set({ rotation_enabled: 0, rotation_next_at: null, rotation_revision: key.rotation.revision + 1 })
          .where('arn', '=', key.arn)
          .execute();
        store.changed(tx, key.arn);
      });
    },

    /** A key that is pending deletion reports false, and what it had comes back with CancelKeyDeletion (16.4). */
    async rotationStatus(permit: Permit<'kms:GetKeyRotationStatus'>): Promise<RotationStatus> {
      const key = await permittedKey(store, permit);
      requireState(key, 'GetKeyRotationStatus');
      if (!key.rotation.enabled || key.state === 'PendingDeletion') return { enabled: false };
      return { enabled: true, periodInDays: key.rotation.periodInDays, nextAt: key.rotation.nextAt };
    },

    /** Does not move the automatic schedule (16.6). */
    async rotateOnDemand(permit: Permit<'kms:RotateKeyOnDemand'>): Promise<void> {
      await store.write(async (tables, tx) => {
        const key = await readKey(tables, permit.resource);
        if (!key) throw refuse('key-not-found', { arn: permit.resource });
        requireState(key, 'RotateKeyOnDemand');
        const { count } = await tables
          .selectFrom('keys_material')
          .select((e) => e.fn.countAll<number>().as('count'))
          .where('key_arn', '=', key.arn)
          .where('rotation', '=', 'ON_DEMAND')
          .executeTakeFirstOrThrow();
        if (count >= ON_DEMAND_ROTATIONS_MAX) throw refuse('rotation-limit', { arn: key.arn });
        await rotate(tx, key, 'ON_DEMAND');
      });
    },

    /** All material of the key, oldest first. */
    async listMaterial(permit: Permit<'kms:ListKeyRotations'>): Promise<readonly MaterialRecord[]> {
      const key = await permittedKey(store, permit);
      const rows = await store
        .read()
        .selectFrom('keys_material')
        .select(['material_id', 'created_at', 'rotation'])
        .where('key_arn', '=', key.arn)
        .orderBy('version')
        .execute();
      return rows.map((row) => ({
        materialId: row.material_id,
        createdAt: new Date(row.created_at),
        current: row.material_id === key.currentMaterialId,
        ...(row.rotation === null ? {} : { rotation: row.rotation as 'AUTOMATIC' | 'ON_DEMAND' }),
      }));
    },
  };
  return { rotation, methods };
}
