/** The EBS direct APIs: snapshots written and read block by block. */
import type { OperationTable, Service } from '../operation.ts';
import type { EbsDeps } from './common.ts';
import { completeSnapshot } from './complete-snapshot.ts';
import { translateEbs } from './errors.ts';
import { getSnapshotBlock } from './get-snapshot-block.ts';
import { listChangedBlocks } from './list-changed-blocks.ts';
import { listSnapshotBlocks } from './list-snapshot-blocks.ts';
import { putSnapshotBlock } from './put-snapshot-block.ts';
import { startSnapshot } from './start-snapshot.ts';

export type { EbsDeps } from './common.ts';

export function ebsService(deps: EbsDeps): Service {
  const operations: OperationTable = {
    StartSnapshot: startSnapshot(deps),
    PutSnapshotBlock: putSnapshotBlock(deps),
    CompleteSnapshot: completeSnapshot(deps),
    ListSnapshotBlocks: listSnapshotBlocks(deps),
    ListChangedBlocks: listChangedBlocks(deps),
    GetSnapshotBlock: getSnapshotBlock(deps),
  };
  return { name: 'ebs', operations, translate: (error, _call, operation) => translateEbs(error, operation) };
}
