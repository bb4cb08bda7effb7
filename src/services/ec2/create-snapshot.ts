import type { CreateSnapshotCommand } from '@aws-sdk/client-ec2';
import { ec2Arn, snapshotArn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { requireVolumeId, volumeNotFound } from './errors.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { ownVolume, showNewSnapshot, type VolumeDeps, volumeContext, volumeResource } from './volume-shapes.ts';

export const createSnapshot =
  (deps: VolumeDeps): OperationOf<CreateSnapshotCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['Description', 'DryRun', 'TagSpecifications', 'VolumeId']);
    const { VolumeId: id } = input;
    requireVolumeId(id);
    const tags = tagSpecifications(input.TagSpecifications, ['snapshot']).get('snapshot');
    const volume = await ownVolume(deps, call, id);
    const newArn = snapshotArn(call.region, '*');
    const [permit] = await authorizeAll(deps.authorizer, call, 'ec2:CreateSnapshot', [
      await volumeResource(deps, call, volume, id),
      {
        resource: { arn: newArn },
        context: {
          ...(volume && volumeContext(volume)),
          'ec2:ParentVolume': ec2Arn(call.region, call.caller.accountId, 'volume', id),
          ...requestTagContext(tags),
        },
      },
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CreateSnapshot', [{ resource: { arn: newArn }, tags }]);
    dryRun(input);
    if (!volume) throw volumeNotFound(id);
    const snapshot = await deps.snapshots.startSnapshot(
      call,
      permit!,
      { volumeId: volume.id, description: input.Description ?? '' },
      async (tx, made) => {
        if (tags) await deps.tags.put(tx, made.ownerId, made.region, 'snapshot', made.id, tags);
      },
    );
    return showNewSnapshot(snapshot, tags);
  };
