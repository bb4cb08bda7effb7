import type { DescribeVolumesCommand } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { zonesOf } from '../../network/regions.ts';
import type { Tag } from '../../tags/tags.ts';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, dryRun, refuseUnsupported } from './common.ts';
import { requireVolumeId, volumeNotFound } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { showVolume, type VolumeDeps } from './volume-shapes.ts';

const FILTERS: FilterReaders<VolumeRecord> = {
  'attachment.attach-time': (volume) => volume.attachments.map((each) => each.attachTime.toISOString()),
  'attachment.delete-on-termination': (volume) => volume.attachments.map((each) => String(each.deleteOnTermination)),
  'attachment.device': (volume) => volume.attachments.map((each) => each.device),
  'attachment.instance-id': (volume) => volume.attachments.map((each) => each.instanceId),
  'attachment.status': (volume) => volume.attachments.map((each) => each.state),
  'availability-zone': (volume) => volume.availabilityZone,
  'create-time': (volume) => volume.createTime,
  encrypted: (volume) => volume.encrypted,
  'multi-attach-enabled': (volume) => volume.multiAttach,
  size: (volume) => volume.sizeGiB,
  'snapshot-id': (volume) => volume.snapshotId,
  status: (volume) => volume.state,
  'volume-id': (volume) => volume.id,
  'volume-type': (volume) => volume.volumeType,
};

/** The caller's volumes asked for, all of them where no id is given. Throws for an id that is none of them. */
export async function volumesAskedFor(
  deps: VolumeDeps,
  call: Call,
  ids: readonly string[] | undefined,
): Promise<VolumeRecord[]> {
  const own = (volume: VolumeRecord) => volume.ownerId === call.caller.accountId;
  if (!ids?.length) return deps.volumes.listOwned(call.region, call.caller.accountId);
  for (const id of ids) requireVolumeId(id);
  const found = (await deps.volumes.findMany(call.region, [...new Set(ids)])).filter(own);
  const missing = ids.find((id) => !found.some((volume) => volume.id === id));
  if (missing !== undefined) throw volumeNotFound(missing);
  return found;
}

export const describeVolumes =
  (deps: VolumeDeps): OperationOf<DescribeVolumesCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeVolumes');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const volumes = await volumesAskedFor(deps, call, input.VolumeIds);
    const tags = await deps.tags.of(
      call.caller.accountId,
      call.region,
      volumes.map((volume) => volume.id),
    );
    const tagsOf = (volume: VolumeRecord): readonly Tag[] => tags.get(volume.id) ?? [];
    const { items, NextToken } = page(volumes.filter(compileFilters(input.Filters, FILTERS, tagsOf)), input, {
      operation: 'DescribeVolumes',
      key: (volume) => volume.id,
      ids: { parameter: 'volumeIdsSet', given: input.VolumeIds },
    });
    const zones = zonesOf(call.region);
    return {
      Volumes: items.map((volume) => showVolume(volume, tagsOf(volume), zones)),
      ...(NextToken !== undefined && { NextToken }),
    };
  };
