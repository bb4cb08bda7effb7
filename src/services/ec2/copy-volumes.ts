import type { CopyVolumesCommand } from '@aws-sdk/client-ec2';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { ec2Arn } from '../../ids.ts';
import { zonesOf } from '../../network/regions.ts';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, authorizeTagsOnCreate, dryRun, refuseAllBut, requestTagContext } from './common.ts';
import { newVolumeContext, tokenMismatch } from './create-volume.ts';
import { requireVolumeId, volumeNotFound } from './errors.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { ownVolume, showVolume, type VolumeDeps, volumeResource } from './volume-shapes.ts';
import { multiAttach, volumeKind } from './volume-types.ts';

const ACTION = 'ec2:CopyVolumes';

/** BI-12: a copy in the zone of its source, of the moment of the request. */
export const copyVolumes =
  (deps: VolumeDeps): OperationOf<CopyVolumesCommand> =>
  async (call, input) => {
    refuseAllBut(input, [
      'ClientToken',
      'DryRun',
      'Encrypted',
      'Iops',
      'KmsKeyId',
      'MultiAttachEnabled',
      'Size',
      'SourceVolumeId',
      'TagSpecifications',
      'Throughput',
      'VolumeType',
    ]);
    const { SourceVolumeId: id } = input;
    requireVolumeId(id);
    const tags = tagSpecifications(input.TagSpecifications, ['volume']).get('volume');
    const source = await ownVolume(deps, call, id);
    const arn = ec2Arn(call.region, call.caller.accountId, 'volume', '*');
    const asked = {
      ...(input.Encrypted !== undefined && { encrypted: input.Encrypted }),
      ...(input.KmsKeyId && { kmsKeyId: input.KmsKeyId }),
    };
    const sizeGiB = input.Size ?? source?.sizeGiB ?? 0;
    const outcome = source && (await deps.volumes.decideCopy(call, source, asked));
    const kind = source && volumeKind(input, sizeGiB);
    const request = kind && {
      availabilityZone: source.availabilityZone,
      sizeGiB,
      ...kind,
      ...multiAttach(input.MultiAttachEnabled, kind),
    };
    const [permit] = await authorizeAll(deps.authorizer, call, ACTION, [
      await volumeResource(deps, call, source, id),
      {
        resource: { arn },
        context: {
          ...(request && outcome && newVolumeContext(call, request, outcome)),
          ...requestTagContext(tags),
        },
      },
    ]);
    await authorizeTagsOnCreate(deps.authorizer, call, 'CopyVolumes', [{ resource: { arn }, tags }]);
    dryRun(input);
    if (!source || !outcome || !request) throw volumeNotFound(id);

    const token = input.ClientToken && {
      account: call.caller.accountId,
      region: call.region,
      action: ACTION,
      token: input.ClientToken,
    };
    const hash = await hashParameters(input);
    const earlier = token && (await deps.idempotency.find(token));
    const volume = earlier
      ? await replayed(earlier)
      : await deps.volumes.startCopy(call, permit!, source, request, outcome, async (tx, made) => {
          if (tags) await deps.tags.put(tx, made.ownerId, made.region, 'volume', made.id, tags);
          if (token) await deps.idempotency.remember(tx, token, hash, made.id);
        });
    const shown = (await deps.tags.of(volume.ownerId, volume.region, [volume.id])).get(volume.id);
    return { Volumes: [showVolume(volume, shown, zonesOf(call.region))] };

    async function replayed({
      parametersHash,
      resultId,
    }: {
      parametersHash: string;
      resultId: string;
    }): Promise<VolumeRecord> {
      const volume = parametersHash === hash ? await deps.volumes.find(call.region, resultId) : undefined;
      if (!volume) throw tokenMismatch();
      return volume;
    }
  };
