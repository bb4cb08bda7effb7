/**
 * Custom key stores need hardware or another key manager behind KMS. Ingot makes none, so none is ever found; making
 * and changing one are refused by name.
 */
import type {
  ConnectCustomKeyStoreCommand,
  DeleteCustomKeyStoreCommand,
  DescribeCustomKeyStoresCommand,
  DisconnectCustomKeyStoreCommand,
} from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import { ApiError } from '../../errors.ts';
import type { KmsAction } from '../../keys/access.ts';
import type { OperationOf } from '../operation.ts';
import { type Kms, note } from './kms.ts';
import { pageRequest } from './paging.ts';

export const describeCustomKeyStores =
  (kms: Kms): OperationOf<DescribeCustomKeyStoresCommand> =>
  async (call, input) => {
    pageRequest('DescribeCustomKeyStores', input, { max: 1000, usual: 100 });
    note(call, true, null);
    await kms.keys.access.authorizeIdentity(call, 'kms:DescribeCustomKeyStores', '*');
    const named = input.CustomKeyStoreId ?? input.CustomKeyStoreName;
    if (named !== undefined) throw notFound(named);
    return { CustomKeyStores: [], Truncated: false };
  };

export const connectCustomKeyStore =
  (kms: Kms): OperationOf<ConnectCustomKeyStoreCommand> =>
  (call, input) =>
    refuseMissing(kms, call, 'kms:ConnectCustomKeyStore', input.CustomKeyStoreId);

export const disconnectCustomKeyStore =
  (kms: Kms): OperationOf<DisconnectCustomKeyStoreCommand> =>
  (call, input) =>
    refuseMissing(kms, call, 'kms:DisconnectCustomKeyStore', input.CustomKeyStoreId);

export const deleteCustomKeyStore =
  (kms: Kms): OperationOf<DeleteCustomKeyStoreCommand> =>
  (call, input) =>
    refuseMissing(kms, call, 'kms:DeleteCustomKeyStore', input.CustomKeyStoreId);

async function refuseMissing(kms: Kms, call: Call, action: KmsAction, id: string | undefined): Promise<never> {
  note(call, false, { customKeyStoreId: id });
  await kms.keys.access.authorizeIdentity(call, action, '*');
  throw notFound(id ?? '');
}

function notFound(name: string): ApiError {
  return new ApiError('CustomKeyStoreNotFoundException', `The custom key store ${name} does not exist.`);
}
