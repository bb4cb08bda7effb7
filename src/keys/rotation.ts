/**
 * Rotation (kms §16): new material becomes current, older material stays to open what it sealed.
 *
 * A schedule is a durable job per key. The key's `rotation_revision` counts changes of the schedule; a job of an
 * earlier revision finds itself superseded and ends. The schedule of a multi-Region key is its primary's; every rotation
 * reaches all Regions in one transaction (16.9).
 */
import type { Permit } from '../authz/permit.ts';
import { randomBytes } from '../crypto/random.ts';
import type { Tx } from '../db/db.ts';
import type { Arn } from '../ids.ts';
import type { Program } from '../jobs/jobs.ts';
import { changeKey, updateKey } from './change.ts';
import { isSymmetric } from './key-specs.ts';
import { newMaterialId, sealMaterial } from './material.ts';
import { DAY_MS, type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord, MaterialRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { readKeyArn, serviceEvent } from './service-events.ts';
import { requireState } from './states.ts';
import { expirationOf, isReplica, readKey, relatedArns } from './store.ts';
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
  /** The schedule follows the role of the primary key to another Region (18.7). */
  move(tx: Tx, from: KeyRecord, to: Arn): Promise<void>;
  /** The audit record of an automatic rotation. */
  record(key: KeyRecord): Promise<void>;
}

export function rotationMethods(parts: KeyParts) {
  const { store, rootKey, jobs, audit, clock } = parts;

  /** New material, the same in every Region of the key. */
  async function rotate(tx: Tx, key: KeyRecord, type: 'AUTOMATIC' | 'ON_DEMAND'): Promise<void> {
    const tables = tx.as<KeysTables>();
    const { newest } = await tables
      .selectFrom('keys_material')
      .select((e) => e.fn.max<number>('version').as('newest'))
      .where('key_arn', '=', key.arn)
      .executeTakeFirstOrThrow();
    const materialId = newMaterialId();
    const bytes = randomBytes(32);
    for (const keyArn of relatedArns(key)) {
      const relative = keyArn === key.arn ? key : await readKey(tables, keyArn);
      // A replica in the making takes all material when it is made.
      if (!relative || relative.state === 'Creating') continue;
      await tables
        .insertInto('keys_material')
        .values({
          key_arn: keyArn,
          material_id: materialId,
          version: newest + 1,
          rotation: type,
          created_at: clock().getTime(),
          sealed: sealMaterial(rootKey, { keyArn, materialId, spec: key.spec }, bytes.slice()),
        })
        .execute();
      await updateKey(tables, keyArn, { current_material_id: materialId });
    }
    bytes.fill(0);
    store.changedRelated(tx, key);
  }

  /** Imported material that waits becomes current, once every Region has it (16.8). */
  async function rotateToImported(tx: Tx, key: KeyRecord): Promise<void> {
    const tables = tx.as<KeysTables>();
    const waiting = await tables
      .selectFrom('keys_material')
      .selectAll()
      .where('key_arn', 'in', relatedArns(key))
      .where('pending', '=', 1)
      .execute();
    const ready = waiting.length > 0 && waiting.every((row) => row.import_state === 'IMPORTED');
    if (!ready) throw refuse('material-not-pending', { arn: key.arn });
    for (const row of waiting) {
      await tables
        .updateTable('keys_material')
        .set({ pending: 0, rotation: 'ON_DEMAND', created_at: clock().getTime() })
        .where('key_arn', '=', row.key_arn)
        .where('material_id', '=', row.material_id)
        .execute();
      await updateKey(tables, row.key_arn, { current_material_id: row.material_id });
    }
    store.changedRelated(tx, key);
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
          if (!key || isReplica(key) || !enabled || !nextAt || revision !== payload.revision) {
            return { kind: 'done' } as const;
          }
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
      store.changedRelated(tx, key);
    },
    async rotateIfOverdue(tx, key) {
      const { enabled, nextAt } = key.rotation;
      if (isReplica(key) || !enabled || !nextAt || nextAt.getTime() > clock().getTime()) return false;
      await rotateBySchedule(tx, key);
      return true;
    },
    async move(tx, from, to) {
      const { enabled, periodInDays, nextAt, revision } = from.rotation;
      const tables = tx.as<KeysTables>();
      await updateKey(tables, from.arn, {
        rotation_enabled: 0,
        rotation_next_at: null,
        rotation_revision: revision + 1,
      });
      await updateKey(tables, to, {
        rotation_enabled: enabled ? 1 : 0,
        rotation_period_days: periodInDays,
        rotation_next_at: nextAt?.getTime() ?? null,
        rotation_revision: revision + 1,
      });
      if (enabled) await jobs.enqueue<RotationPayload>(tx, PROGRAM, { keyArn: to, revision: revision + 1 });
    },
    record,
  };

  const methods = {
    async enableRotation(permit: Permit<'kms:EnableKeyRotation'>, periodInDays: number): Promise<void> {
      await requireRotatable(permit);
      await changeKey(parts, permit, 'EnableKeyRotation', async (key, _, tx) => {
        if (key.rotation.enabled && key.rotation.periodInDays === periodInDays) return;
        await rotation.schedule(tx, key.arn, periodInDays);
      });
    },

    async disableRotation(permit: Permit<'kms:DisableKeyRotation'>): Promise<void> {
      await requireRotatable(permit);
      await changeKey(parts, permit, 'DisableKeyRotation', async (key, tables, tx) => {
        const revision = key.rotation.revision + 1;
        await updateKey(tables, key.arn, { rotation_enabled: 0, rotation_next_at: null, rotation_revision: revision });
        store.changedRelated(tx, key);
      });
    },

    /** A key that is pending deletion reports false, and what it had comes back with CancelKeyDeletion (16.4). */
    async rotationStatus(permit: Permit<'kms:GetKeyRotationStatus'>): Promise<RotationStatus> {
      const key = await permittedKey(store, permit);
      if (key.origin === 'EXTERNAL') throw refuse('key-origin-external', { arn: key.arn });
      requireState(key, 'GetKeyRotationStatus');
      if (!key.rotation.enabled || key.state === 'PendingDeletion') return { enabled: false };
      return { enabled: true, periodInDays: key.rotation.periodInDays, nextAt: key.rotation.nextAt };
    },

    /** Does not move the automatic schedule (16.6). */
    async rotateOnDemand(permit: Permit<'kms:RotateKeyOnDemand'>): Promise<void> {
      const seen = await permittedKey(store, permit);
      if (!isSymmetric(seen)) throw refuse('key-operation-unsupported', { arn: seen.arn });
      if (isReplica(seen)) throw refuse('key-is-replica', { arn: seen.arn });
      await changeKey(parts, permit, 'RotateKeyOnDemand', async (key, tables, tx) => {
        const { count } = await tables
          .selectFrom('keys_material')
          .select((e) => e.fn.countAll<number>().as('count'))
          .where('key_arn', '=', key.arn)
          .where('rotation', '=', 'ON_DEMAND')
          .executeTakeFirstOrThrow();
        if (count >= ON_DEMAND_ROTATIONS_MAX) throw refuse('rotation-limit', { arn: key.arn });
        await (key.origin === 'EXTERNAL' ? rotateToImported(tx, key) : rotate(tx, key, 'ON_DEMAND'));
      });
    },

    /** All material of the key, oldest first. */
    async listMaterial(permit: Permit<'kms:ListKeyRotations'>): Promise<readonly MaterialRecord[]> {
      const key = await permittedKey(store, permit);
      // Materials of asymmetric and HMAC keys are no versions of anything.
      if (!isSymmetric(key)) throw refuse('key-operation-unsupported', { arn: key.arn });
      const rows = await store
        .read()
        .selectFrom('keys_material')
        .selectAll()
        .where('key_arn', 'in', relatedArns(key))
        .orderBy('version')
        .execute();
      const missing = new Set(
        rows.filter((row) => row.import_state === 'PENDING_IMPORT').map((row) => row.material_id),
      );
      const stateOf = (row: (typeof rows)[number]): MaterialRecord['state'] => {
        if (row.pending === 0) return row.material_id === key.currentMaterialId ? 'CURRENT' : 'NON_CURRENT';
        return missing.has(row.material_id) ? 'PENDING_MULTI_REGION_IMPORT_AND_ROTATION' : 'PENDING_ROTATION';
      };
      return rows
        .filter((row) => row.key_arn === key.arn)
        .map((row) => ({
          materialId: row.material_id,
          createdAt: new Date(row.created_at),
          state: stateOf(row),
          ...(row.rotation === null ? {} : { rotation: row.rotation as 'AUTOMATIC' | 'ON_DEMAND' }),
          ...(row.import_state === null ? {} : { importState: row.import_state as 'IMPORTED' | 'PENDING_IMPORT' }),
          ...(row.import_state === 'IMPORTED' ? { expiration: expirationOf(row) } : {}),
          ...(row.description === null ? {} : { description: row.description }),
        }));
    },
  };

  /** Automatic rotation is for symmetric keys whose material Ingot makes, and set on the primary key (16.1, 16.9). */
  async function requireRotatable(permit: Permit): Promise<void> {
    const key = await permittedKey(store, permit);
    if (key.origin === 'EXTERNAL') throw refuse('key-origin-external', { arn: key.arn });
    if (!isSymmetric(key)) throw refuse('key-operation-unsupported', { arn: key.arn });
    if (isReplica(key)) throw refuse('key-is-replica', { arn: key.arn });
  }

  return { rotation, methods };
}
