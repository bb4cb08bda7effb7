/** Sealed key material against the vectors of the second implementation, and databases of the first version. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { rootKeyFrom } from '../crypto/root-key.ts';
import { openTestDb } from '../db/test-db.ts';
import { IntegrityError } from '../errors.ts';
import type { Arn, KeyId, Region } from '../ids.ts';
import { sealCiphertext } from './ciphertext.ts';
import type { KeySpec } from './key-specs.ts';
import { materialDigestFields, openMaterial, sealMaterial, unsealMaterial } from './material.ts';
import { KeyStore } from './store.ts';
import { keysMigrations } from './tables.ts';

interface Vector {
  readonly rootKey: string;
  readonly keyArn: Arn;
  readonly materialId: string;
  readonly spec: KeySpec;
  readonly material: string;
  readonly sealed: string;
  readonly sealedDigest: string;
}
const file = new URL('../../test/vectors/formats/key-material.json', import.meta.url);
const { tests } = JSON.parse(readFileSync(file, 'utf8')) as { tests: readonly Vector[] };
const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, 'hex'));

test('key material of every kind opens as the second implementation sealed it, for its own place only', () => {
  assert.ok(tests.length >= 6);
  for (const vector of tests) {
    const rootKey = rootKeyFrom(bytes(vector.rootKey));
    const { keyArn, materialId, spec } = vector;
    const place = { keyArn, materialId, spec };
    const sealed = bytes(vector.sealed);
    assert.deepEqual(unsealMaterial(rootKey, place, sealed), bytes(vector.material), spec);
    const opened = openMaterial(rootKey, place, sealed);
    const again = opened.kind === 'secret' ? opened.key.exposeSecretBytes() : opened.pair.exposePkcs8();
    assert.deepEqual(new Uint8Array(again), bytes(vector.material), spec);
    const digest = rootKey.open(bytes(vector.sealedDigest), materialDigestFields(place));
    assert.equal(digest.byteLength, 32);
    for (const other of [
      { ...place, keyArn: `${keyArn}0` as Arn },
      { ...place, materialId: materialId.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) },
      { ...place, spec: spec === 'HMAC_224' ? ('HMAC_512' as const) : ('HMAC_224' as const) },
    ]) {
      assert.throws(() => openMaterial(rootKey, other, sealed), IntegrityError);
    }
  }
});

test('material that is no key of its spec is damage, and says so', () => {
  const rootKey = rootKeyFrom(new Uint8Array(32));
  const place = { keyArn: 'arn:aws:kms:x:1:key/y' as Arn, materialId: 'ab'.repeat(32), spec: 'RSA_2048' } as const;
  const sealed = sealMaterial(rootKey, place, new Uint8Array(40));
  assert.throws(() => openMaterial(rootKey, place, sealed), IntegrityError);
});

test('a database of the first version goes on: its keys are read, and their ciphertext opens', async () => {
  const [first, ...later] = keysMigrations;
  const migrations = [first!];
  await using database = await openTestDb(migrations);
  const region = 'eu-central-1' as Region;
  const keyId = '1234abcd-12ab-34cd-56ef-1234567890ab' as KeyId;
  const arn = `arn:aws:kms:${region}:111122223333:key/${keyId}` as Arn;
  const materialId = 'cd'.repeat(32);
  const place = { keyArn: arn, materialId, spec: 'SYMMETRIC_DEFAULT' } as const;
  const rootKey = rootKeyFrom(new Uint8Array(32).fill(1));
  await database.db.write(async (tx) => {
    const tables = tx.as<Record<string, Record<string, unknown>>>();
    await tables
      .insertInto('keys_key')
      .values({
        arn,
        key_id: keyId,
        account_id: '111122223333',
        region,
        manager: 'CUSTOMER',
        spec: 'SYMMETRIC_DEFAULT',
        usage: 'ENCRYPT_DECRYPT',
        origin: 'AWS_KMS',
        multi_region: 0,
        state: 'Enabled',
        description: '',
        created_at: 1,
        deletion_at: null,
        current_material_id: materialId,
        policy: '{}',
        rotation_enabled: 0,
        rotation_period_days: 365,
        rotation_next_at: null,
        rotation_revision: 0,
      })
      .execute();
    const sealed = sealMaterial(rootKey, place, new Uint8Array(32).fill(7));
    await tables
      .insertInto('keys_material')
      .values({ key_arn: arn, material_id: materialId, version: 0, rotation: null, created_at: 1, sealed })
      .execute();
  });
  migrations.push(...later);
  const began = Date.now();
  const store = new KeyStore(await database.reopen(), rootKey);
  const key = await store.byArn(arn);
  assert.deepEqual([key?.multiRegion, key?.related, key?.imported], [false, undefined, undefined]);
  assert.ok(key && key.usageSince.getTime() >= began, 'uses are recorded from now on');
  const material = await store.currentSecret(key);
  assert.deepEqual(new Uint8Array(material.key.exposeSecretBytes()), new Uint8Array(32).fill(7));
  assert.ok(sealCiphertext(keyId, material, new Uint8Array(1), {}).byteLength > 0);
  const rows = await store.read().selectFrom('keys_material').select(['pending', 'import_state']).execute();
  assert.deepEqual(rows, [{ pending: 0, import_state: null }]);
});
