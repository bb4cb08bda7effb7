/** What is in the Recycle Bin, and taking it out again (L-9). */
import type {
  ListImagesInRecycleBinCommand,
  ListSnapshotsInRecycleBinCommand,
  RestoreImageFromRecycleBinCommand,
  RestoreSnapshotFromRecycleBinCommand,
} from '@aws-sdk/client-ec2';
import type { SnapshotId } from '../../ids.ts';
import type { RecycleBin } from '../../recycle-bin/recycle-bin.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne, dryRun } from './common.ts';
import { imageNotFound, invalidParameterValue, requireImageId, requireSnapshotId, snapshotNotFound } from './errors.ts';
import { type ImageDeps, imageResource } from './image-access.ts';
import { page } from './paging.ts';
import { showNewSnapshot, snapshotResource, type VolumeDeps } from './volume-shapes.ts';

const IDS_MAX = 20;

export interface BinDeps {
  readonly bin: RecycleBin;
}

export const listImagesInRecycleBin =
  (deps: ImageDeps & BinDeps): OperationOf<ListImagesInRecycleBinCommand> =>
  async (call, input) => {
    const { ImageIds: ids } = input;
    for (const id of ids ?? []) requireImageId(id);
    requireFew(ids);
    await authorizeAny(deps.authorizer, call, 'ec2:ListImagesInRecycleBin');
    dryRun(input);
    const items = await deps.bin.items(call.caller.accountId, call.region, 'EC2_IMAGE');
    const missing = ids?.filter((id) => !items.some((item) => item.id === id)) ?? [];
    if (missing.length > 0) throw imageNotFound(missing);
    const asked = items.filter((item) => !ids?.length || ids.includes(item.id));
    const { items: some, NextToken } = page(asked, input, {
      operation: 'ListImagesInRecycleBin',
      key: (item) => item.id,
      ids: { parameter: 'imageIdsSet', given: ids },
    });
    const images = await deps.images.findMany(
      call.region,
      some.map((item) => item.id),
    );
    return {
      Images: some.map((item) => {
        const image = images.find((each) => each.id === item.id);
        return {
          ImageId: item.id,
          ...(image && { Name: image.name }),
          ...(image?.description !== undefined && { Description: image.description }),
          RecycleBinEnterTime: item.enteredAt,
          RecycleBinExitTime: item.exitsAt,
        };
      }),
      ...(NextToken !== undefined && { NextToken }),
    };
  };

export const restoreImageFromRecycleBin =
  (deps: ImageDeps & BinDeps): OperationOf<RestoreImageFromRecycleBinCommand> =>
  async (call, input) => {
    const { ImageId: id } = input;
    requireImageId(id);
    const resource = await imageResource(deps, call, call.region, id);
    const permit = await authorizeOne(deps.authorizer, call, 'ec2:RestoreImageFromRecycleBin', resource);
    dryRun(input);
    if (!(await deps.bin.item(call.caller.accountId, call.region, id))) throw imageNotFound([id]);
    await deps.db.write((tx) => deps.images.restore(tx, permit));
    return { Return: true };
  };

export const listSnapshotsInRecycleBin =
  (deps: VolumeDeps & BinDeps): OperationOf<ListSnapshotsInRecycleBinCommand> =>
  async (call, input) => {
    const { SnapshotIds: ids } = input;
    for (const id of ids ?? []) requireSnapshotId(id);
    requireFew(ids);
    await authorizeAny(deps.authorizer, call, 'ec2:ListSnapshotsInRecycleBin');
    dryRun(input);
    const items = await deps.bin.items(call.caller.accountId, call.region, 'EBS_SNAPSHOT');
    const missing = ids?.find((id) => !items.some((item) => item.id === id));
    if (missing !== undefined) throw snapshotNotFound(missing);
    const asked = items.filter((item) => !ids?.length || ids.includes(item.id));
    const { items: some, NextToken } = page(asked, input, {
      operation: 'ListSnapshotsInRecycleBin',
      key: (item) => item.id,
      ids: { parameter: 'snapshotIdsSet', given: ids },
    });
    const snapshots = await deps.snapshots.findMany(
      call.region,
      some.map((item) => item.id),
    );
    return {
      Snapshots: some.map((item) => {
        const snapshot = snapshots.find((each) => each.id === item.id);
        return {
          SnapshotId: item.id,
          ...(snapshot && { Description: snapshot.description, VolumeId: snapshot.volumeId }),
          RecycleBinEnterTime: item.enteredAt,
          RecycleBinExitTime: item.exitsAt,
        };
      }),
      ...(NextToken !== undefined && { NextToken }),
    };
  };

export const restoreSnapshotFromRecycleBin =
  (deps: VolumeDeps & BinDeps): OperationOf<RestoreSnapshotFromRecycleBinCommand> =>
  async (call, input) => {
    const { SnapshotId: id } = input;
    requireSnapshotId(id);
    const { accountId } = call.caller;
    const item = await deps.bin.item(accountId, call.region, id);
    const binned = item && (await deps.snapshots.find(call.region, id));
    const check = await snapshotResource(deps, call, binned, id);
    await authorizeOne(deps.authorizer, call, 'ec2:RestoreSnapshotFromRecycleBin', check.resource, check.context);
    dryRun(input);
    if (!binned) throw snapshotNotFound(id);
    await deps.db.write((tx) => deps.snapshots.restore(tx, id as SnapshotId));
    const { Tags: _, ...shown } = showNewSnapshot({ ...binned, state: 'completed' }, undefined);
    return shown;
  };

function requireFew(ids: readonly string[] | undefined): void {
  if (ids && ids.length > IDS_MAX) throw invalidParameterValue(`At most ${IDS_MAX} ids can be specified.`);
}
