/** What the root key sealed in the tables of identity: secrets of access keys, long-term and temporary. */
import type { SealedColumn } from '../crypto/sealed-column.ts';
import { secretFields } from './access-keys.ts';

const secret = (table: string, id: string): SealedColumn => ({
  table,
  column: 'sealed_secret',
  key: [id],
  fieldsOf: (row) => secretFields(String(row[id])),
});

export const identitySealed: readonly SealedColumn[] = [
  secret('identity_access_key', 'id'),
  secret('identity_session', 'access_key_id'),
];
