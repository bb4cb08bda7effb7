import type { CreateSnapshotsCommand } from '@aws-sdk/client-ec2';
import type { Permit } from '../../authz/permit.ts';
import { ec2Arn, snapshotArn, type VolumeId } from '../../ids.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeAll,
  authorizeTagsOnCreate,
  dryRun,
  type ResourceCheck,
  refuseAllBut,
  requestTagContext,
} from './common.ts';
import { instanceNotFound, invalidParameterValue, missingParameter, requireInstanceId } from './errors.ts';
import type { ImageDeps } from './image-access.ts';
import { tagRecord } from './tag-resources.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { showNewSnapshot, volumeContext } from './volume-shapes.ts';

/** Snapshots of an instance's volumes at one moment: the writes of all of them wait until all are recorded. */
export const createSnapshots =
  (deps: ImageDeps): OperationOf<CreateSnapshotsCommand> =>
  async (call, input) => {
    refuseAllBut(input, ['CopyTagsFromSource', 'Description', 'DryRun', 'InstanceSpecification', 'TagSpecifications']);
    const specification = input.InstanceSpecification;
    if (!specification) throw missingParameter('InstanceSpecification');
    const { InstanceId: id, ExcludeBootVolume: withoutRoot, ExcludeDataVolumeIds: excluded = [] } = specification;
    requireInstanceId(id);
    const given = tagSpecifications(input.TagSpecifications, ['snapshot']).get('snapshot');
    if (input.CopyTagsFromSource !== undefined && input.CopyTagsFromSource !== 'volume') {
      throw invalidParameterValue(`Value (${input.CopyTagsFromSource}) for parameter copyTagsFromSource is invalid.`);
    }
    const { accountId } = call.caller;
    const found = await deps.instances.imageSource(call.region, id);
    const instance = found?.ownerId === accountId ? found : undefined;
    const devices = (instance?.devices ?? []).filter(
      ({ deviceName, volumeId }) =>
        !(withoutRoot && deviceName === instance?.rootDeviceName) && !excluded.includes(volumeId),
    );
    const ids = devices.map(({ volumeId }) => volumeId);
    const byId = Map.groupBy(await deps.volumes.findMany(call.region, ids), (volume) => volume.id);
    const volumes = ids.flatMap((each) => byId.get(each) ?? []);
    const tagsOf = await deps.tags.of(accountId, call.region, [id, ...volumes.map((volume) => volume.id)]);
    const tagsFor = (volumeId: string) => [
      ...new Map(
        [...(input.CopyTagsFromSource ? (tagsOf.get(volumeId) ?? []) : []), ...(given ?? [])]
          .filter(({ Key }) => !Key.startsWith('aws:'))
          .map((tag) => [tag.Key, tag]),
      ).values(),
    ];

    const newArn = snapshotArn(call.region, '*');
    const checks: ResourceCheck[] = [
      { resource: { arn: ec2Arn(call.region, accountId, 'instance', id), tags: tagRecord(tagsOf.get(id) ?? []) } },
    ];
    for (const volume of volumes) {
      const arn = ec2Arn(call.region, accountId, 'volume', volume.id);
      checks.push({ resource: { arn, tags: tagRecord(tagsOf.get(volume.id) ?? []) }, context: volumeContext(volume) });
      const context = { ...volumeContext(volume), 'ec2:ParentVolume': arn, ...requestTagContext(tagsFor(volume.id)) };
      checks.push({ resource: { arn: newArn }, context });
    }
    const [permit] = await authorizeAll(deps.authorizer, call, 'ec2:CreateSnapshots', checks);
    await authorizeTagsOnCreate(
      deps.authorizer,
      call,
      'CreateSnapshots',
      volumes.map((volume) => ({ resource: { arn: newArn }, tags: tagsFor(volume.id) })),
    );
    dryRun(input);
    if (!instance) throw instanceNotFound([id]);
    const unknown = excluded.find((each) => !instance.devices.some(({ volumeId }) => volumeId === each));
    if (unknown !== undefined) throw invalidParameterValue(`Volume ${unknown} is not attached to instance ${id}.`);
    if (volumes.length === 0) throw invalidParameterValue(`No volume of instance ${id} is left to be snapshotted.`);
    const made = await takeAll(permit!);
    return { Snapshots: made.map((snapshot) => showNewSnapshot(snapshot, tagsFor(snapshot.volumeId))) };

    function takeAll(permit: Permit): Promise<SnapshotRecord[]> {
      const request = {
        volumeIds: volumes.map((volume): VolumeId => volume.id),
        description: input.Description ?? '',
      };
      return deps.snapshots.startSnapshots(call, permit, request, async (tx, snapshots) => {
        for (const { ownerId, region, id, volumeId } of snapshots) {
          await deps.tags.put(tx, ownerId, region, 'snapshot', id, tagsFor(volumeId));
        }
      });
    }
  };
