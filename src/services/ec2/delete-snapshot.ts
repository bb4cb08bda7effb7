import type { DeleteSnapshotCommand } from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { ec2Error } from './errors.ts';
import { useOwnSnapshot } from './snapshot-access.ts';
import type { VolumeDeps } from './volume-shapes.ts';

/** L-8: a dry run stops at authorization, before it is asked whether an image stands on the snapshot. */
export const deleteSnapshot =
  (deps: VolumeDeps): OperationOf<DeleteSnapshotCommand> =>
  async (call, input) => {
    const { id } = await useOwnSnapshot(deps, call, 'ec2:DeleteSnapshot', input);
    const use = (await deps.imagesUsingSnapshot(id)).find((image) => image.root);
    if (use) {
      throw ec2Error('InvalidSnapshot.InUse', `The snapshot ${id} is currently in use by ${use.imageId}`);
    }
    await deps.db.write((tx) => deps.snapshots.delete(tx, id));
    return {};
  };
