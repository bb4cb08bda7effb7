/**
 * Custom key stores need hardware or another key manager behind KMS. Ingot makes none, so none is ever found;
 * CreateCustomKeyStore is refused by name.
 */
import type {
  ConnectCustomKeyStoreCommand,
  CreateCustomKeyStoreCommand,
  DeleteCustomKeyStoreCommand,
  DescribeCustomKeyStoresCommand,
  DisconnectCustomKeyStoreCommand,
  UpdateCustomKeyStoreCommand,
} from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import { ApiError } from '../../errors.ts';
import type { KmsAction } from '../../keys/access.ts';
import type { OperationOf } from '../operation.ts';
import { unsupported } from './constraints.ts';
import { type Kms, note } from './kms.ts';

export const createCustomKeyStore =
  (kms: Kms): OperationOf<CreateCustomKeyStoreCommand> =>
  async (call) => {
    note(call, false, null);
    await kms.keys.access.authorizeIdentity(call, 'kms:CreateCustomKeyStore', '*');
    throw unsupported('CreateCustomKeyStore');
  };

export const describeCustomKeyStores =
  (kms: Kms): OperationOf<DescribeCustomKeyStoresCommand> =>
  async (call, input) => {
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

export const updateCustomKeyStore =
  (kms: Kms): OperationOf<UpdateCustomKeyStoreCommand> =>
  (call, input) =>
    refuseMissing(kms, call, 'kms:UpdateCustomKeyStore', input.CustomKeyStoreId);

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
