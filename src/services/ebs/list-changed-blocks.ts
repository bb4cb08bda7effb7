import type { ListChangedBlocksCommand } from '@aws-sdk/client-ebs';
import type { OperationOf } from '../operation.ts';
import { authorizeSnapshot, BLOCK_BYTES, type EbsDeps, findSnapshot, pageRequest, requireReadable } from './common.ts';
import { invalidParameter } from './errors.ts';

export const listChangedBlocks =
  (deps: EbsDeps): OperationOf<ListChangedBlocksCommand> =>
  async (call, input) => {
    const { FirstSnapshotId: firstId } = input;
    const secondId = input.SecondSnapshotId ?? '';
    if (!firstId) throw invalidParameter('First snapshot should not be empty or null');
    const firstFound = await findSnapshot(deps, call, firstId);
    const secondFound = await findSnapshot(deps, call, secondId);
    await authorizeSnapshot(deps, call, 'ebs:ListChangedBlocks', firstId, firstFound);
    await authorizeSnapshot(deps, call, 'ebs:ListChangedBlocks', secondId, secondFound);
    const first = requireReadable(call, firstId, firstFound);
    const second = requireReadable(call, secondId, secondFound);
    const request = pageRequest(input);
    await deps.direct.describeKeys(call, [first, second]);
    const page = await deps.direct.listChanged(first, second, request);
    return {
      ChangedBlocks: page.blocks.map(({ index, firstToken, secondToken }) => ({
        BlockIndex: index,
        ...(firstToken !== undefined && { FirstBlockToken: firstToken }),
        ...(secondToken !== undefined && { SecondBlockToken: secondToken }),
      })),
      ExpiryTime: page.expiresAt,
      VolumeSize: second.volumeSizeGiB,
      BlockSize: BLOCK_BYTES,
      ...(page.nextToken !== undefined && { NextToken: page.nextToken }),
    };
  };
