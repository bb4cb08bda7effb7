import type { GetSnapshotBlockCommand } from '@aws-sdk/client-ebs';
import type { OperationOf } from '../operation.ts';
import {
  authorizeSnapshot,
  BLOCK_BYTES,
  type EbsDeps,
  findSnapshot,
  requireBlockIndex,
  requireReadable,
} from './common.ts';

export const getSnapshotBlock =
  (deps: EbsDeps): OperationOf<GetSnapshotBlockCommand> =>
  async (call, input) => {
    const id = input.SnapshotId ?? '';
    const found = await findSnapshot(deps, call, id);
    await authorizeSnapshot(deps, call, 'ebs:GetSnapshotBlock', id, found);
    const snapshot = requireReadable(call, id, found);
    const index = requireBlockIndex(input.BlockIndex);
    const { block, sha256 } = await deps.direct.read(call, snapshot, index, input.BlockToken ?? '');
    return {
      DataLength: BLOCK_BYTES,
      BlockData: block,
      Checksum: Buffer.from(sha256).toString('base64'),
      ChecksumAlgorithm: 'SHA256',
    };
  };
