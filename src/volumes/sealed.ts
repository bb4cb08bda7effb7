/** What the root key sealed in the tables of volumes: the data keys of plain lineages, and the key of block tokens. */
import type { SealedColumn } from '../crypto/sealed-column.ts';
import { installationFields } from '../keys/on-behalf-calls.ts';
import { ebsContext } from './data-keys.ts';
import { TOKEN_KEY_FIELDS } from './direct-tokens.ts';

/** A KMS key wraps the data keys of encrypted lineages; the root key has nothing to do with those. */
const dataKey = (table: string, prefix = ''): SealedColumn => ({
  table,
  column: `${prefix}wrapped_key`,
  key: ['id'],
  besides: [`${prefix}context_id`, `${prefix}kms_key_arn`],
  fieldsOf: (row) =>
    row[`${prefix}kms_key_arn`] === null
      ? installationFields(ebsContext(String(row[`${prefix}context_id`])))
      : undefined,
});

export const volumesSealed: readonly SealedColumn[] = [
  dataKey('snapshots'),
  dataKey('volumes'),
  dataKey('volumes', 'base_'),
  { table: 'direct_token_key', column: 'sealed', key: ['id'], fieldsOf: () => TOKEN_KEY_FIELDS },
];
