import type { DeleteSnapshotReturnCode, DeregisterImageRequest, DeregisterImageResult } from '@aws-sdk/client-ec2';
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { Refusal } from '../../errors.ts';
import { type SnapshotId, snapshotArn } from '../../ids.ts';
import { authorizeOne } from './common.ts';
import { type ImageDeps, useOwnImage } from './image-access.ts';
import { tagRecord } from './tag-resources.ts';
import { snapshotContext } from './volume-shapes.ts';

/** L-7: launches end, instances and (unless asked) snapshots stay. */
export const deregisterImage =
  (deps: ImageDeps) =>
  async (call: Call, input: DeregisterImageRequest): Promise<DeregisterImageResult> => {
    const { image, permit } = await useOwnImage(deps, call, 'ec2:DeregisterImage', input);
    await deps.db.write((tx) => deps.images.deregister(tx, permit));
    if (!input.DeleteAssociatedSnapshots) return { Return: true };
    const ids = new Set(image.blockDeviceMappings.flatMap(({ ebs }) => (ebs?.snapshotId ? [ebs.snapshotId] : [])));
    const DeleteSnapshotResults: DeleteSnapshotReturnCode[] = [];
    for (const id of ids) {
      DeleteSnapshotResults.push({ SnapshotId: id, ReturnCode: await deleteSnapshot(deps, call, id) });
    }
    return { Return: true, DeleteSnapshotResults };
  };

/** The image is gone by now, so a snapshot that cannot be deleted is reported, not thrown. */
async function deleteSnapshot(
  deps: ImageDeps,
  call: Call,
  id: SnapshotId,
): Promise<DeleteSnapshotReturnCode['ReturnCode']> {
  const { accountId } = call.caller;
  if ((await deps.images.imagesUsingSnapshot(id)).length > 0) return 'skipped';
  const snapshot = await deps.snapshots.find(call.region, id);
  if (!snapshot) return 'client-error';
  const tags = (await deps.tags.of(accountId, call.region, [id])).get(id) ?? [];
  try {
    const resource = { arn: snapshotArn(call.region, id), tags: tagRecord(tags) };
    await authorizeOne(deps.authorizer, call, 'ec2:DeleteSnapshot', resource, snapshotContext(snapshot));
    await deps.db.write((tx) => deps.snapshots.delete(tx, id));
    return 'success';
  } catch (error) {
    if (error instanceof Denied) return 'missing-permissions';
    if (error instanceof Refusal) return 'client-error';
    throw error;
  }
}
