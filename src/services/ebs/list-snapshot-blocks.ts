import type { ListSnapshotBlocksCommand } from '@aws-sdk/client-ebs';
import type { OperationOf } from '../operation.ts';
import { authorizeSnapshot, BLOCK_BYTES, type EbsDeps, findSnapshot, pageRequest, requireReadable } from './common.ts';

export const listSnapshotBlocks =
  (deps: EbsDeps): OperationOf<ListSnapshotBlocksCommand> =>
  async (call, input) => {
    const id = input.SnapshotId ?? '';
    const found = await findSnapshot(deps, call, id);
    await authorizeSnapshot(deps, call, 'ebs:ListSnapshotBlocks', id, found);
    const snapshot = requireReadable(call, id, found);
    const request = pageRequest(input);
    await deps.direct.describeKeys(call, [snapshot]);
    const page = await deps.direct.list(snapshot, request);
    return {
      Blocks: page.blocks.map(({ index, token }) => ({ BlockIndex: index, BlockToken: token })),
      ExpiryTime: page.expiresAt,
      VolumeSize: snapshot.volumeSizeGiB,
      BlockSize: BLOCK_BYTES,
      ...(page.nextToken !== undefined && { NextToken: page.nextToken }),
    };
  };
