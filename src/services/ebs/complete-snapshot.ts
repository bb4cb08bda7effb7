import type { CompleteSnapshotCommand } from '@aws-sdk/client-ebs';
import type { InputOf, OperationOf } from '../operation.ts';
import { authorizeSnapshot, type EbsDeps, findSnapshot, requireOwn } from './common.ts';
import { invalidParameter } from './errors.ts';

export const completeSnapshot =
  (deps: EbsDeps): OperationOf<CompleteSnapshotCommand> =>
  async (call, input) => {
    const id = input.SnapshotId ?? '';
    const snapshot = await findSnapshot(deps, call, id);
    await authorizeSnapshot(deps, call, 'ebs:CompleteSnapshot', id, snapshot);
    requireOwn(call, id, snapshot);
    const linearSha256 = aggregate(input);
    const changedBlocks = input.ChangedBlocksCount;
    if (changedBlocks === undefined || changedBlocks < 0)
      throw invalidParameter('ChangedBlocksCount must not be negative');
    const made = await deps.direct.complete(call.region, id, {
      changedBlocks,
      ...(linearSha256 !== undefined && { linearSha256 }),
    });
    return { Status: made.state === 'completed' ? 'completed' : 'pending' };
  };

/** E-4: all three headers or none. */
function aggregate(input: InputOf<CompleteSnapshotCommand>): string | undefined {
  const { Checksum: checksum } = input;
  const algorithm: string | undefined = input.ChecksumAlgorithm;
  const method: string | undefined = input.ChecksumAggregationMethod;
  if (checksum === undefined && algorithm === undefined && method === undefined) return undefined;
  if (checksum === undefined) throw invalidParameter('Invalid parameter combination. Snapshot checksum is missing.');
  if (algorithm === undefined) throw invalidParameter('Invalid parameter combination. Checksum algorithm is missing.');
  if (method === undefined) {
    throw invalidParameter('Invalid parameter combination. Checksum aggregation method is missing.');
  }
  if (algorithm !== 'SHA256') {
    throw invalidParameter(`Unsupported Checksum Algorithm '${algorithm}', supported algorithms are SHA256`);
  }
  if (method !== 'LINEAR') {
    throw invalidParameter(`Unsupported Checksum Aggregation Method '${method}', supported methods are LINEAR`);
  }
  return checksum;
}
