import type { GenerateRandomCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { Constraints, invalid, unsupported } from './constraints.ts';
import { type Kms, note } from './kms.ts';

export const generateRandom =
  ({ keys }: Kms): OperationOf<GenerateRandomCommand> =>
  async (call, input) => {
    if (input.NumberOfBytes === undefined) throw invalid('NumberOfBytes is required.');
    new Constraints().range('numberOfBytes', input.NumberOfBytes, 1, 1024).enforce();
    if (input.CustomKeyStoreId !== undefined) throw unsupported('CustomKeyStoreId');
    if (input.Recipient) throw unsupported('Recipient');
    note(call, true, { numberOfBytes: input.NumberOfBytes });
    const permit = await keys.access.authorizeIdentity(call, 'kms:GenerateRandom', '*');
    return { Plaintext: keys.generateRandom(permit, input.NumberOfBytes) };
  };
