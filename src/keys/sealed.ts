/** What the root key sealed in the tables of KMS. */
import type { SealedColumn, SealedRow } from '../crypto/sealed-column.ts';
import type { Arn } from '../ids.ts';
import type { KeySpec } from './key-specs.ts';
import { type MaterialPlace, materialDigestFields, materialFields } from './material.ts';
import { ROOT_CHECK_FIELDS } from './root-check.ts';

const placeOf = (row: SealedRow): MaterialPlace => ({
  keyArn: row.key_arn as Arn,
  materialId: row.material_id as string,
  spec: row.spec as KeySpec,
});

const MATERIAL = { table: 'keys_material', key: ['key_arn', 'material_id'] } as const;

/** The check comes last: from then on the earlier keys alone do not open this database. */
export const keysSealed: readonly SealedColumn[] = [
  {
    ...MATERIAL,
    column: 'sealed',
    besides: ['spec'],
    joined: { table: 'keys_key', on: 'arn' },
    fieldsOf: (row) => materialFields(placeOf(row)),
  },
  { ...MATERIAL, column: 'digest', fieldsOf: (row) => materialDigestFields(placeOf(row)) },
  { table: 'keys_root_check', column: 'sealed', key: ['id'], fieldsOf: () => ROOT_CHECK_FIELDS },
];
