import type { ListKeysCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { type Kms, note } from './kms.ts';
import { pageMembers, pageRequest } from './paging.ts';

const LIST = 'ListKeys';

export const listKeys =
  ({ keys }: Kms): OperationOf<ListKeysCommand> =>
  async (call, input) => {
    const request = pageRequest(LIST, input, { max: 1000, usual: 100 });
    note(call, true, null);
    const page = await keys.listKeys(await keys.access.authorizeIdentity(call, 'kms:ListKeys', '*'), request);
    return { Keys: page.items.map(({ keyId, arn }) => ({ KeyId: keyId, KeyArn: arn })), ...pageMembers(LIST, page) };
  };
