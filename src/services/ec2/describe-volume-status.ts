import type { DescribeVolumeAttributeCommand, DescribeVolumeStatusCommand } from '@aws-sdk/client-ec2';
import type { VolumeRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAll, authorizeAny, dryRun, refuseUnsupported } from './common.ts';
import { volumesAskedFor } from './describe-volumes.ts';
import { invalidParameterValue, missingParameter, requireVolumeId, volumeNotFound } from './errors.ts';
import { compileFilters, type FilterReaders } from './filters.ts';
import { page } from './paging.ts';
import { ownVolume, type VolumeDeps, volumeResource } from './volume-shapes.ts';

const statusOf = (volume: VolumeRecord) => (volume.state === 'error' ? 'impaired' : 'ok');

const FILTERS: FilterReaders<VolumeRecord> = {
  'availability-zone': (volume) => volume.availabilityZone,
  'volume-status.status': statusOf,
};

/** Stored blocks are authenticated when they are read; a volume whose state is not `error` has no known fault. */
export const describeVolumeStatus =
  (deps: VolumeDeps): OperationOf<DescribeVolumeStatusCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeVolumeStatus');
    dryRun(input);
    refuseUnsupported(input, ['IncludeManagedResources']);
    const volumes = await volumesAskedFor(deps, call, input.VolumeIds);
    const usable = volumes.filter((volume) => volume.state !== 'creating' && volume.state !== 'deleting');
    const { items, NextToken } = page(usable.filter(compileFilters(input.Filters, FILTERS)), input, {
      operation: 'DescribeVolumeStatus',
      key: (volume) => volume.id,
      ids: { parameter: 'volumeIdsSet', given: input.VolumeIds },
    });
    return {
      VolumeStatuses: items.map((volume) => ({
        VolumeId: volume.id,
        AvailabilityZone: volume.availabilityZone,
        Actions: [],
        Events: [],
        VolumeStatus: {
          Status: statusOf(volume),
          Details: [{ Name: 'io-enabled', Status: volume.state === 'error' ? 'failed' : 'passed' }],
        },
      })),
      ...(NextToken !== undefined && { NextToken }),
    };
  };

export const describeVolumeAttribute =
  (deps: VolumeDeps): OperationOf<DescribeVolumeAttributeCommand> =>
  async (call, input) => {
    const { VolumeId: id, Attribute: attribute } = input;
    requireVolumeId(id);
    if (!attribute) throw missingParameter('attribute');
    const volume = await ownVolume(deps, call, id);
    await authorizeAll(deps.authorizer, call, 'ec2:DescribeVolumeAttribute', [
      await volumeResource(deps, call, volume, id),
    ]);
    dryRun(input);
    if (!volume) throw volumeNotFound(id);
    // Product codes do not exist here.
    if (attribute === 'autoEnableIO') return { VolumeId: id, AutoEnableIO: { Value: volume.autoEnableIo } };
    if (attribute === 'productCodes') return { VolumeId: id, ProductCodes: [] };
    throw invalidParameterValue(`Value (${attribute}) for parameter attribute is invalid.`);
  };
