/**
 * Key material under the newest root key: after a rotation, what an earlier key sealed is opened and sealed again,
 * while the keys are in use. May be stopped at any moment and run again; what is current is left alone.
 */
import type { Fields } from '../crypto/fields.ts';
import type { RootKeyRing } from '../crypto/root-key.ts';
import type { Db } from '../db/db.ts';
import type { Arn } from '../ids.ts';
import type { KeySpec } from './key-specs.ts';
import { ROOT_CHECK_FIELDS } from './keys.ts';
import { materialDigestFields, materialFields } from './material.ts';
import type { KeysTables } from './tables.ts';

const ROWS_PER_COMMIT = 100;

/** Resolves when every sealed thing of KMS is under the newest key, durably; gives how many were sealed anew. */
export async function sealKeyMaterialAnew(db: Db, ring: RootKeyRing): Promise<number> {
  let count = 0;
  let after: { readonly arn: string; readonly material: string } | undefined;
  for (;;) {
    const rows = await nextRows(db, after);
    const last = rows.at(-1);
    if (!last) break;
    const outdated = rows.flatMap((row) => {
      const place = { keyArn: row.key_arn as Arn, materialId: row.material_id, spec: row.spec as KeySpec };
      // Imported material that is not there leaves an empty place.
      const sealed = row.sealed.byteLength > 0 ? anew(ring, row.sealed, materialFields(place)) : undefined;
      const digest = row.digest ? anew(ring, row.digest, materialDigestFields(place)) : undefined;
      return sealed || digest ? [{ row, sealed, digest }] : [];
    });
    if (outdated.length > 0) {
      await db.write(async (tx) => {
        for (const { row, sealed, digest } of outdated) {
          const update = tx.as<KeysTables>().updateTable('keys_material');
          const at = [row.key_arn, row.material_id] as const;
          // Only what is still as it was read: material may have been deleted or imported anew meanwhile.
          if (sealed) {
            await update
              .set({ sealed })
              .where('key_arn', '=', at[0])
              .where('material_id', '=', at[1])
              .where('sealed', '=', row.sealed)
              .execute();
          }
          if (digest) {
            await update
              .set({ digest })
              .where('key_arn', '=', at[0])
              .where('material_id', '=', at[1])
              .where('digest', '=', row.digest)
              .execute();
          }
        }
      });
      count += outdated.length;
    }
    after = { arn: last.key_arn, material: last.material_id };
  }
  // Last: from here on the earlier keys alone do not open this database.
  return count + (await sealCheckAnew(db, ring));
}

function nextRows(db: Db, after: { readonly arn: string; readonly material: string } | undefined) {
  let query = db
    .read<KeysTables>()
    .selectFrom('keys_material')
    .innerJoin('keys_key', 'keys_key.arn', 'keys_material.key_arn')
    .select(['key_arn', 'material_id', 'sealed', 'digest', 'spec'])
    .orderBy('key_arn')
    .orderBy('material_id')
    .limit(ROWS_PER_COMMIT);
  if (after) {
    const { arn, material } = after;
    query = query.where(({ or, and, eb }) =>
      or([eb('key_arn', '>', arn), and([eb('key_arn', '=', arn), eb('material_id', '>', material)])]),
    );
  }
  return query.execute();
}

async function sealCheckAnew(db: Db, ring: RootKeyRing): Promise<number> {
  const row = await db.read<KeysTables>().selectFrom('keys_root_check').select('sealed').executeTakeFirst();
  const sealed = row && anew(ring, row.sealed, ROOT_CHECK_FIELDS);
  if (!sealed) return 0;
  await db.write(async (tx) => {
    await tx.as<KeysTables>().updateTable('keys_root_check').set({ sealed }).execute();
  });
  return 1;
}

/** `undefined` where the newest key sealed it. */
function anew(ring: RootKeyRing, blob: Uint8Array, fields: Fields): Uint8Array | undefined {
  if (ring.isCurrent(blob, fields)) return undefined;
  const plaintext = ring.open(blob, fields);
  const sealed = ring.seal(plaintext, fields);
  plaintext.fill(0);
  return sealed;
}
