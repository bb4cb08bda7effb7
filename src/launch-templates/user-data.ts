/**
 * User data of launch-template versions. It may hold secrets, so it stands apart from the launch data, sealed under the
 * root key as the user data of instances is.
 */
import { type Kysely, sql } from 'kysely';
import type { Fields } from '../crypto/fields.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { SealedColumn } from '../crypto/sealed-column.ts';
import type { Migration } from '../db/db.ts';
import type { LaunchTemplateTables } from './create-launch-templates.ts';

/** The columns that hold the launch data of one version. */
export interface StoredData {
  /** JSON, without the user data. */
  readonly data: string;
  readonly user_data: Uint8Array | null;
}

const fieldsOf = (templateId: string, number: number): Fields => [
  ['purpose', 'launch-template-user-data'],
  ['template', templateId],
  ['version', String(number)],
];

export function storedData(
  rootKey: RootKey,
  templateId: string,
  number: number,
  { UserData, ...data }: Readonly<Record<string, unknown>>,
): StoredData {
  return {
    data: JSON.stringify(data),
    user_data: typeof UserData === 'string' ? rootKey.seal(Buffer.from(UserData), fieldsOf(templateId, number)) : null,
  };
}

export const launchTemplatesSealed: readonly SealedColumn[] = [
  {
    table: 'launch_template_version',
    column: 'user_data',
    key: ['template_id', 'number'],
    fieldsOf: (row) => fieldsOf(String(row.template_id), Number(row.number)),
  },
];

/** Launch data as the request gave it. */
export function launchData(
  rootKey: RootKey,
  row: StoredData & { readonly template_id: string; readonly number: number },
): Record<string, unknown> {
  const data: Record<string, unknown> = JSON.parse(row.data);
  if (row.user_data === null) return data;
  const opened = rootKey.open(row.user_data, fieldsOf(row.template_id, row.number));
  return { ...data, UserData: Buffer.from(opened).toString() };
}

/** Makes the column, and seals what an earlier Ingot left in clear. */
export const userDataMigration = (rootKey: RootKey): Migration => ({
  id: 'launchtemplates-0002',
  leavesNothing: true,
  up: async (schema: Kysely<unknown>) => {
    await schema.schema.alterTable('launch_template_version').addColumn('user_data', 'blob').execute();
    const versions = schema as Kysely<LaunchTemplateTables>;
    const inClear = await versions
      .selectFrom('launch_template_version')
      .select(['template_id', 'number', 'data'])
      .where(sql`json_type(data, '$.UserData')`, 'is not', null)
      .execute();
    for (const { template_id: id, number, data } of inClear) {
      await versions
        .updateTable('launch_template_version')
        .set(storedData(rootKey, id, number, JSON.parse(data)))
        .where('template_id', '=', id)
        .where('number', '=', number)
        .execute();
    }
  },
});
