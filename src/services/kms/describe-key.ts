import type { DescribeKeyCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';
import { keyMetadata } from './shapes.ts';

export const describeKey =
  (kms: Kms): OperationOf<DescribeKeyCommand> =>
  async (call, input) => {
    note(call, true, { keyId: input.KeyId });
    checkGrantTokens(kms, input.GrantTokens);
    const { permit } = await permitted(kms, call, 'kms:DescribeKey', input.KeyId!, {}, 'any');
    return { KeyMetadata: keyMetadata(await kms.keys.describeKey(permit)) };
  };
