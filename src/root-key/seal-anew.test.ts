import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openRootKey, RootKeyError, type RootKeyRing } from '../crypto/root-key.ts';
import type { Db } from '../db/db.ts';
import { openTestDb } from '../db/test-db.ts';
import type { Arn } from '../ids.ts';
import { type KeySpec, SYMMETRIC_DEFAULT } from '../keys/key-specs.ts';
import { materialDigestFields, newSymmetricMaterial, openMaterial, sealMaterial } from '../keys/material.ts';
import { ROOT_CHECK_FIELDS } from '../keys/root-check.ts';
import { keysSealed } from '../keys/sealed.ts';
import { type KeysTables, keysMigrations } from '../keys/tables.ts';
import { sealColumnAnew } from './seal-anew.ts';

const arnOf = (index: number) => `arn:aws:kms:eu-central-1:111122223333:key/${String(index).padStart(4, '0')}` as Arn;

async function sealAllAnew(db: Db, ring: RootKeyRing): Promise<number> {
  let count = 0;
  for (const column of keysSealed) count += (await sealColumnAnew(db, ring, column)).sealedAnew;
  return count;
}

/** 250 keys with one piece of material each; every fifth has a digest as imported material has, every tenth is empty. */
async function world() {
  const folder = await mkdtemp(join(tmpdir(), 'ingot-seal-anew-'));
  const database = await openTestDb(keysMigrations);
  const ring = await openRootKey(folder, { create: true });
  const ids: string[] = [];
  await database.db.write(async (tx) => {
    const tables = tx.as<KeysTables>();
    const check = ring.seal(new Uint8Array(16), ROOT_CHECK_FIELDS);
    await tables.insertInto('keys_root_check').values({ id: 1, sealed: check }).execute();
    for (let index = 0; index < 250; index += 1) {
      const arn = arnOf(index);
      const { materialId, sealed } = newSymmetricMaterial(ring, arn);
      ids.push(materialId);
      await tables
        .insertInto('keys_key')
        .values({
          arn,
          key_id: String(index),
          account_id: '111122223333',
          region: 'eu-central-1',
          manager: 'CUSTOMER',
          spec: SYMMETRIC_DEFAULT,
          usage: 'ENCRYPT_DECRYPT',
          origin: 'AWS_KMS',
          multi_region: 0,
          state: 'Enabled',
          description: '',
          created_at: 0,
          deletion_at: null,
          current_material_id: materialId,
          policy: '{}',
          rotation_enabled: 0,
          rotation_period_days: 365,
          rotation_next_at: null,
          rotation_revision: 0,
          primary_region: null,
          deletion_window_days: null,
        })
        .execute();
      await tables
        .insertInto('keys_material')
        .values({
          key_arn: arn,
          material_id: materialId,
          version: 0,
          rotation: null,
          created_at: 0,
          sealed: index % 10 === 0 ? new Uint8Array(0) : sealed,
          import_state: null,
          expiration_model: null,
          valid_to: null,
          description: null,
          digest:
            index % 5 === 0 ? ring.seal(new Uint8Array(32), materialDigestFields({ keyArn: arn, materialId })) : null,
        })
        .execute();
    }
  });
  return {
    db: database.db,
    folder,
    ring,
    ids,
    [Symbol.asyncDispose]: async () => {
      await database[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

const placeOf = (ids: readonly string[], index: number) => ({
  keyArn: arnOf(index),
  materialId: ids[index]!,
  spec: SYMMETRIC_DEFAULT as KeySpec,
});
const sealedOf = async (db: Db, index: number) =>
  (
    await db
      .read<KeysTables>()
      .selectFrom('keys_material')
      .select('sealed')
      .where('key_arn', '=', arnOf(index))
      .execute()
  )[0]!.sealed;

test('after a rotation everything is sealed anew, once, and the earlier key opens none of it', async () => {
  await using at = await world();
  const before = await readFile(join(at.folder, 'root.key'));
  const secret = openMaterial(at.ring, placeOf(at.ids, 1), await sealedOf(at.db, 1));
  await at.ring.rotate(undefined);
  assert.equal(at.ring.keyCount, 2);
  assert.equal(await sealAllAnew(at.db, at.ring), 225 + 50 + 1);
  assert.equal(await sealAllAnew(at.db, at.ring), 0);
  const after = openMaterial(at.ring, placeOf(at.ids, 1), await sealedOf(at.db, 1));
  assert.ok(secret.kind === 'secret' && after.kind === 'secret');
  assert.deepEqual(after.key.exposeSecretBytes(), secret.key.exposeSecretBytes());
  assert.equal((await sealedOf(at.db, 0)).byteLength, 0);

  // A process that starts later has both keys from the file.
  const later = await openRootKey(at.folder, { create: false });
  assert.equal(later.keyCount, 2);
  assert.equal(await sealAllAnew(at.db, later), 0);
  await writeFile(join(at.folder, 'root.key'), before);
  const earlier = await openRootKey(at.folder, { create: false });
  for (const index of [1, 2, 3]) {
    const sealed = await sealedOf(at.db, index);
    assert.throws(() => openMaterial(earlier, placeOf(at.ids, index), sealed), { name: 'IntegrityError' });
  }
});

test('stopped in the middle, it goes on where it was; what changed meanwhile stays as it is', async () => {
  await using at = await world();
  await at.ring.rotate(undefined);
  let writes = 0;
  const failing: Db = {
    read: () => at.db.read(),
    close: () => at.db.close(),
    write: async (work) => {
      writes += 1;
      if (writes === 2) {
        // Deleted after it was read, before it is written.
        await at.db.write(async (tx) => {
          const update = tx
            .as<KeysTables>()
            .updateTable('keys_material')
            .set({ sealed: new Uint8Array(0) });
          await update.where('key_arn', '=', arnOf(151)).execute();
        });
      }
      if (writes === 3) throw new Error('the power fails');
      return at.db.write(work);
    },
  };
  await assert.rejects(sealAllAnew(failing, at.ring), /power/);
  assert.equal((await sealedOf(at.db, 151)).byteLength, 0);
  const restarted = await openRootKey(at.folder, { create: false });
  // Two pages of ninety were written; of each hundred places of material ten are empty.
  assert.equal(await sealAllAnew(at.db, restarted), 276 - 2 * 90);
});

test('a ring holds eight keys, and refuses a ninth by name', async () => {
  await using at = await world();
  const place = placeOf(at.ids, 1);
  const sealed = [sealMaterial(at.ring, place, new Uint8Array(32))];
  for (let turn = 0; turn < 7; turn += 1) {
    await at.ring.rotate(undefined);
    sealed.push(sealMaterial(at.ring, place, new Uint8Array(32)));
  }
  await assert.rejects(at.ring.rotate(undefined), RootKeyError);
  const later = await openRootKey(at.folder, { create: false });
  for (const blob of sealed) assert.equal(openMaterial(later, place, blob).kind, 'secret');
});
