/** CreateReplaceRootVolumeTask: what the new root volume of a running instance is made from, and what it will be. */
import type { CreateReplaceRootVolumeTaskCommand, ReplaceRootVolumeTask } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { hashParameters } from '../../idempotency/idempotency.ts';
import { ec2Arn, imageArn } from '../../ids.ts';
import type { ImageRecord } from '../../images/images.ts';
import type { InstanceRecord } from '../../instances/instances.ts';
import type { RootReplacement, RootReplacementRequest } from '../../instances/root-replacement.ts';
import type { Tag } from '../../tags/tags.ts';
import type { SnapshotRecord, VolumeRecord } from '../../volumes/volumes.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import {
  authorizeAll,
  authorizeOne,
  authorizeTagsOnCreate,
  dryRun,
  type ResourceCheck,
  refuseAllBut,
  requestTagContext,
} from './common.ts';
import { newVolumeContext, tokenMismatch } from './create-volume.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  requireSnapshotId,
  requireVolumeId,
  snapshotNotFound,
  volumeNotFound,
} from './errors.ts';
import { imageContext } from './image-access.ts';
import { type InstanceDeps, showTags, useInstance } from './instance-shapes.ts';
import { refuseWithoutDevices, requireImage } from './run-instances-request.ts';
import { tagSpecifications } from './tag-specifications.ts';
import { snapshotResource, volumeResource } from './volume-shapes.ts';

const ACTION = 'ec2:CreateReplaceRootVolumeTask';
const TASK = 'replace-root-volume-task';

type Input = InputOf<CreateReplaceRootVolumeTaskCommand>;

/** Fails at once for what the request may not ask for; whether the caller may use the key shows in the task's state. */
export const createReplaceRootVolumeTask =
  (deps: InstanceDeps): OperationOf<CreateReplaceRootVolumeTaskCommand> =>
  async (call, input) => {
    refuseAllBut(input, [
      'ClientToken',
      'DeleteReplacedRootVolume',
      'DryRun',
      'ImageId',
      'InstanceId',
      'SnapshotId',
      'TagSpecifications',
      'VolumeId',
    ]);
    const given = [input.SnapshotId, input.ImageId, input.VolumeId].filter((id) => id !== undefined);
    if (given.length > 1) {
      throw invalidParameterCombination('Only one of snapshotId, imageId and volumeId can be given.');
    }
    const tags = tagSpecifications(input.TagSpecifications, [TASK]).get(TASK);
    const { record, permit } = await useInstance(deps, call, ACTION, input.InstanceId);
    await authorizeTask(deps, call, tags);
    const use = input.ClientToken
      ? { account: call.caller.accountId, region: call.region, action: ACTION, token: input.ClientToken }
      : undefined;
    const hash = await hashParameters(input);
    const earlier = use && (await deps.idempotency.find(use));
    const plan = earlier ? undefined : await planReplacement(deps, call, record, input);
    if (plan) await authorizeAll(deps.authorizer, call, ACTION, plan.checks);
    dryRun(input);
    const task = await deps.db.write(async (tx) => {
      const before = use && (await deps.idempotency.find(use, tx));
      if (before || !plan) return before ?? earlier;
      const made = await deps.instances.replaceRoot(tx, permit, call, plan.request);
      if (tags) await deps.tags.put(tx, made.ownerId, made.region, TASK, made.id, tags);
      if (use) await deps.idempotency.remember(tx, use, hash, made.id);
      return made;
    });
    if (task && 'resultId' in task) {
      const tasks = await deps.instances.listReplacements(call.caller.accountId, call.region);
      const found = task.parametersHash === hash ? tasks.find(({ id }) => id === task.resultId) : undefined;
      if (!found) throw tokenMismatch();
      return { ReplaceRootVolumeTask: await shown(deps, call, found) };
    }
    return { ReplaceRootVolumeTask: await shown(deps, call, task!) };
  };

interface Plan {
  readonly request: RootReplacementRequest;
  /** What the caller needs to be allowed besides the instance and the task. */
  readonly checks: readonly ResourceCheck[];
}

async function planReplacement(deps: InstanceDeps, call: Call, record: InstanceRecord, input: Input): Promise<Plan> {
  const { root, volumeIds, launchSnapshotId } = await deps.instances.rootLineage(record);
  if (!root) throw ec2Error('IncorrectState', `Instance '${record.id}' has no root volume attached.`);
  const deleteReplaced = input.DeleteReplacedRootVolume ?? false;
  if (input.VolumeId !== undefined) {
    const volume = await requireReplacement(deps, call, record, root, input.VolumeId);
    const checks = [await volumeResource(deps, call, volume, volume.id)];
    return { request: { volumeId: volume.id, deleteReplaced }, checks };
  }
  const image = input.ImageId === undefined ? undefined : await requireSameKind(deps, call, record, input.ImageId);
  const ofImage = image?.blockDeviceMappings.find(({ deviceName }) => deviceName === image.rootDeviceName)?.ebs;
  const snapshotId = image ? ofImage?.snapshotId : (input.SnapshotId ?? launchSnapshotId);
  if (snapshotId === undefined) {
    throw invalidParameterValue(`There is no snapshot that the root volume of '${record.id}' could be restored from.`);
  }
  if (input.SnapshotId !== undefined) requireSnapshotId(input.SnapshotId);
  const snapshot = await deps.snapshots.find(call.region, snapshotId);
  if (!snapshot || !(image || (await mayUse(deps, call, record, snapshot)))) throw snapshotNotFound(snapshotId);
  if (input.SnapshotId !== undefined && snapshot.id !== launchSnapshotId && !volumeIds.has(snapshot.volumeId)) {
    throw invalidParameterValue(`The snapshot '${snapshot.id}' was not taken of a root volume of '${record.id}'.`);
  }
  const request = {
    availabilityZone: root.availabilityZone,
    sizeGiB: Math.max(root.sizeGiB, snapshot.volumeSizeGiB),
    volumeType: root.volumeType,
    ...(root.iops === undefined ? {} : { iops: root.iops }),
    ...(root.throughput === undefined ? {} : { throughput: root.throughput }),
    snapshotId: snapshot.id,
    // BI-13: what was encrypted stays so, and under the same key.
    ...(root.encrypted ? { encrypted: true } : {}),
    ...(root.encrypted && root.kmsKeyArn ? { kmsKeyId: root.kmsKeyArn } : {}),
  };
  const outcome = await deps.volumes.decideEncryption(call, request);
  const checks = [
    {
      resource: { arn: ec2Arn(call.region, call.caller.accountId, 'volume', '*') },
      context: newVolumeContext(call, request, outcome),
    },
    await snapshotResource(deps, call, snapshot, snapshot.id),
    ...(image ? [{ resource: { arn: imageArn(call.region, image.id) }, context: imageContext(image) }] : []),
  ];
  const { id, bootMode } = image ?? {};
  const ofNew = id ? { image: { id, ...(bootMode === undefined ? {} : { bootMode }) } } : {};
  return { request: { making: { request, outcome }, ...ofNew, snapshotId: snapshot.id, deleteReplaced }, checks };
}

async function requireReplacement(
  deps: InstanceDeps,
  call: Call,
  record: InstanceRecord,
  root: VolumeRecord,
  id: string,
): Promise<VolumeRecord> {
  requireVolumeId(id);
  const volume = await deps.volumes.find(call.region, id);
  if (volume?.ownerId !== call.caller.accountId) throw volumeNotFound(id);
  if (volume.availabilityZone !== record.zone) {
    const text = `The volume '${id}' is not in the same availability zone as instance '${record.id}'`;
    throw ec2Error('InvalidVolume.ZoneMismatch', text);
  }
  if (volume.state !== 'available') {
    throw ec2Error('IncorrectState', `The volume '${id}' is not 'available': ${volume.state}.`);
  }
  if (volume.multiAttach) {
    throw invalidParameterValue(`The volume '${id}' has Multi-Attach and cannot be a root volume.`);
  }
  // BI-13.
  if (root.encrypted && !volume.encrypted) {
    throw invalidParameterValue(
      `The volume '${id}' is not encrypted, and the root volume of instance '${record.id}' is.`,
    );
  }
  return volume;
}

/** An image of the caller's to launch that the instance's machine could have been launched from. */
async function requireSameKind(
  deps: InstanceDeps,
  call: Call,
  record: InstanceRecord,
  id: string,
): Promise<ImageRecord> {
  const image = await requireImage(deps, call, id);
  refuseWithoutDevices(image);
  const differs = (['architecture', 'virtualizationType', 'platformDetails'] as const).find(
    (what) => image[what] !== record[what],
  );
  if (differs) {
    throw invalidParameterValue(
      `The ${differs} '${image[differs]}' of image '${id}' is not that of instance '${record.id}', '${record[differs]}'.`,
    );
  }
  const { bootMode } = image;
  if (bootMode !== undefined && bootMode !== 'uefi-preferred' && bootMode !== record.currentBootMode) {
    throw invalidParameterValue(
      `The boot mode '${bootMode}' of image '${id}' is not that of instance '${record.id}', '${record.currentBootMode}'.`,
    );
  }
  return image;
}

/** The image that an instance was launched from stands for its snapshots (SH-14), as long as it may be launched. */
async function mayUse(deps: InstanceDeps, call: Call, record: InstanceRecord, snapshot: SnapshotRecord) {
  const { accountId } = call.caller;
  if (deps.snapshots.mayUse(snapshot, accountId)) return true;
  const image = await deps.images.find(call.region, record.imageId);
  if (image?.state !== 'available' || !(await deps.images.mayLaunch(image, accountId))) return false;
  return image.blockDeviceMappings.some(({ ebs }) => ebs?.snapshotId === snapshot.id);
}

async function authorizeTask(deps: InstanceDeps, call: Call, tags: readonly Tag[] | undefined): Promise<void> {
  const resource = { arn: ec2Arn(call.region, call.caller.accountId, TASK, '*') };
  await authorizeOne(deps.authorizer, call, ACTION, resource, requestTagContext(tags));
  await authorizeTagsOnCreate(deps.authorizer, call, 'CreateReplaceRootVolumeTask', [{ resource, tags }]);
}

async function shown(deps: InstanceDeps, call: Call, task: RootReplacement): Promise<ReplaceRootVolumeTask> {
  const tags = await deps.tags.of(call.caller.accountId, call.region, [task.id]);
  return showReplacement(task, tags.get(task.id));
}

export function showReplacement(task: RootReplacement, tags: readonly Tag[] | undefined): ReplaceRootVolumeTask {
  return {
    ReplaceRootVolumeTaskId: task.id,
    InstanceId: task.instanceId,
    TaskState: task.state,
    StartTime: task.startedAt.toISOString(),
    ...(task.completedAt ? { CompleteTime: task.completedAt.toISOString() } : {}),
    Tags: showTags(tags),
    ...(task.image ? { ImageId: task.image.id } : {}),
    ...(task.snapshotId === undefined ? {} : { SnapshotId: task.snapshotId }),
    DeleteReplacedRootVolume: task.deleteReplaced,
  };
}
