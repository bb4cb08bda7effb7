import type { DeleteSnapshotCommand } from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, dryRun } from './common.ts';
import { ec2Error, requireSnapshotId } from './errors.ts';
import { requireOwnSnapshot } from './snapshot-access.ts';
import { snapshotResource, type VolumeDeps, visibleSnapshot } from './volume-shapes.ts';

export const deleteSnapshot =
  (deps: VolumeDeps): OperationOf<DeleteSnapshotCommand> =>
  async (call, input) => {
    const { SnapshotId: id } = input;
    requireSnapshotId(id);
    const found = await visibleSnapshot(deps, call, id);
    await authorizeAll(deps.authorizer, call, 'ec2:DeleteSnapshot', [await snapshotResource(deps, call, found, id)]);
    // L-8: a dry run stops at authorization.
    dryRun(input);
    const snapshot = requireOwnSnapshot(call, id, found);
    const use = (await deps.imagesUsingSnapshot(id)).find((image) => image.root);
    if (use) {
      throw ec2Error('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${use.imageId}`);
    }
    await deps.db.write((tx) => deps.snapshots.delete(tx, snapshot.id));
    return {};
  };
