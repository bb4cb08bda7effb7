/** What the root key sealed in the table of instances: what guests printed, and what they were given. */
import type { SealedColumn } from '../crypto/sealed-column.ts';
import type { InstanceId } from '../ids.ts';
import { consoleFields } from './console.ts';
import { userDataFields } from './user-data.ts';

const INSTANCE = { table: 'instances', key: ['id'] } as const;

export const instancesSealed: readonly SealedColumn[] = [
  { ...INSTANCE, column: 'console', fieldsOf: ({ id }) => consoleFields(id as InstanceId) },
  { ...INSTANCE, column: 'user_data', fieldsOf: ({ id }) => userDataFields(id as InstanceId) },
];
