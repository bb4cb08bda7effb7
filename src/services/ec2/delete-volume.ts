import type { DeleteVolumeCommand } from '@aws-sdk/client-ec2';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, dryRun } from './common.ts';
import { requireVolumeId, volumeNotFound } from './errors.ts';
import { ownVolume, type VolumeDeps, volumeResource } from './volume-shapes.ts';

export const deleteVolume =
  (deps: VolumeDeps): OperationOf<DeleteVolumeCommand> =>
  async (call, input) => {
    const { VolumeId: id } = input;
    requireVolumeId(id);
    const volume = await ownVolume(deps, call, id);
    await authorizeAll(deps.authorizer, call, 'ec2:DeleteVolume', [await volumeResource(deps, call, volume, id)]);
    dryRun(input);
    if (!volume) throw volumeNotFound(id);
    await deps.volumes.delete(volume.id);
    return {};
  };
