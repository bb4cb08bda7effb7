import type {
  DescribeVolumesModificationsCommand,
  ModifyVolumeAttributeCommand,
  ModifyVolumeCommand,
  VolumeModification as Shown,
} from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import type { VolumeModification, VolumeSpec } from '../../volumes/modify-volume.ts';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne, dryRun, refuseAllBut, refuseUnsupported } from './common.ts';
import { ec2Error, missingParameter, requireVolumeId, unsupportedParameter, volumeNotFound } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { ownVolume, type VolumeDeps, volumeResource } from './volume-shapes.ts';
import { multiAttach, volumeKind } from './volume-types.ts';

async function useOwnVolume(
  deps: VolumeDeps,
  call: Call,
  action: string,
  input: { readonly VolumeId: string | undefined; readonly DryRun?: boolean | undefined },
): Promise<VolumeRecord> {
  const { VolumeId: id } = input;
  requireVolumeId(id);
  const volume = await ownVolume(deps, call, id);
  const { resource, context } = await volumeResource(deps, call, volume, id);
  await authorizeOne(deps.authorizer, call, action, resource, context);
  dryRun(input);
  if (!volume) throw volumeNotFound(id);
  return volume;
}

/** RI-9: size, type and performance; encryption never changes. */
export const modifyVolume =
  (deps: VolumeDeps): OperationOf<ModifyVolumeCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['DryRun', 'Iops', 'MultiAttachEnabled', 'Size', 'Throughput', 'VolumeId', 'VolumeType']);
    if (input.MultiAttachEnabled) throw unsupportedParameter('MultiAttachEnabled');
    const volume = await useOwnVolume(deps, call, 'ec2:ModifyVolume', input);
    const { Size, VolumeType, Iops, Throughput } = input;
    if ([Size, VolumeType, Iops, Throughput].every((value) => value === undefined)) {
      throw missingParameter('Size, VolumeType, Iops or Throughput');
    }
    const target = targetOf(volume, input);
    multiAttach(volume.multiAttach, target);
    const modification = await deps.db.write((tx) => deps.modifications.modify(tx, volume.id, target));
    return { VolumeModification: shapeOf(modification) };
  };

/** IOPS and throughput go on with the type that has them. */
function targetOf(
  volume: VolumeRecord,
  input: Pick<Parameters<typeof volumeKind>[0], 'VolumeType' | 'Iops' | 'Throughput'> & {
    readonly Size?: number | undefined;
  },
): VolumeSpec {
  const sizeGiB = input.Size ?? volume.sizeGiB;
  const keeps = input.VolumeType === undefined || input.VolumeType === volume.volumeType;
  return {
    sizeGiB,
    ...volumeKind(
      {
        VolumeType: input.VolumeType ?? volume.volumeType,
        Iops: input.Iops ?? (keeps && volume.volumeType !== 'gp2' ? volume.iops : undefined),
        Throughput: input.Throughput ?? (keeps ? volume.throughput : undefined),
      },
      sizeGiB,
    ),
  };
}

function shapeOf({ volumeId, original, target, at, multiAttach }: VolumeModification): Shown {
  return {
    VolumeId: volumeId,
    ModificationState: 'completed',
    Progress: 100,
    StartTime: at,
    EndTime: at,
    OriginalSize: original.sizeGiB,
    OriginalVolumeType: original.volumeType as NonNullable<Shown['OriginalVolumeType']>,
    ...(original.iops !== undefined && { OriginalIops: original.iops }),
    ...(original.throughput !== undefined && { OriginalThroughput: original.throughput }),
    OriginalMultiAttachEnabled: multiAttach,
    TargetSize: target.sizeGiB,
    TargetVolumeType: target.volumeType as NonNullable<Shown['TargetVolumeType']>,
    ...(target.iops !== undefined && { TargetIops: target.iops }),
    ...(target.throughput !== undefined && { TargetThroughput: target.throughput }),
    TargetMultiAttachEnabled: multiAttach,
  };
}

const FILTERS: FilterReaders<VolumeModification> = {
  'modification-state': () => 'completed',
  'original-iops': ({ original }) => original.iops,
  'original-size': ({ original }) => original.sizeGiB,
  'original-volume-type': ({ original }) => original.volumeType,
  'start-time': ({ at }) => at,
  'target-iops': ({ target }) => target.iops,
  'target-size': ({ target }) => target.sizeGiB,
  'target-volume-type': ({ target }) => target.volumeType,
  'volume-id': ({ volumeId }) => volumeId,
};

export const describeVolumesModifications =
  (deps: VolumeDeps): OperationOf<DescribeVolumesModificationsCommand> =>
  async (call, input) => {
    const { VolumeIds: ids } = input;
    for (const id of ids ?? []) requireVolumeId(id);
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeVolumesModifications');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const all = await deps.modifications.list(call.region, call.caller.accountId);
    for (const id of ids ?? []) {
      if (all.some((each) => each.volumeId === id)) continue;
      if (!(await ownVolume(deps, call, id))) throw volumeNotFound(id);
      throw ec2Error('InvalidVolumeModification.NotFound', `Modification for volume '${id}' does not exist.`);
    }
    const asked = all.filter((each) => !ids?.length || ids.includes(each.volumeId));
    const { items, NextToken } = page(asked.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeVolumesModifications',
      key: (each) => each.volumeId,
      ids: { parameter: 'volumeIdsSet', given: ids },
    });
    return { VolumesModifications: items.map(shapeOf), ...(NextToken !== undefined && { NextToken }) };
  };

/** AutoEnableIO is the only attribute. I/O of a volume is never suspended here, so that it never has to act. */
export const modifyVolumeAttribute =
  (deps: VolumeDeps): OperationOf<ModifyVolumeAttributeCommand> =>
  async (call, input) => {
    const { id } = await useOwnVolume(deps, call, 'ec2:ModifyVolumeAttribute', input);
    const on = input.AutoEnableIO?.Value;
    if (on === undefined) throw missingParameter('AutoEnableIO');
    await deps.db.write((tx) => deps.modifications.setAutoEnableIo(tx, id, on));
    return {};
  };
