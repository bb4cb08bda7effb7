/**
 * CreateImage: a snapshot of every attached volume, with the guest down in between unless NoReboot (BI-4, BI-5).
 *
 *     down ──▶ snapshots ──▶ up ──▶ wait ──▶ available
 *
 * Whatever fails, the guest is booted again before the image is called failed.
 */
import { type Call, viaEc2 } from '../authz/caller.ts';
import { systemPermit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { ec2Arn, type InstanceId, newEc2Id, type SnapshotId, type VolumeId } from '../ids.ts';
import type { Outcome, Program, Step } from '../jobs/jobs.ts';
import type { Tag } from '../tags/tags.ts';
import { type CallRecord, recallCall, recordCall } from '../volumes/call-record.ts';

import { findImage, insertImage } from './image-store.ts';
import type { ImageCreation, ImageRecord } from './images.ts';
import { type ImagesDeps, newImageRecord } from './new-image.ts';
import { awaitSnapshots, failImage, type PendingImage, settle } from './pending-image.ts';
import type { ImageTables } from './tables.ts';

const KIND = 'images.create';
const FAILED = 'Create image failed with an internal error';

interface Creation extends PendingImage {
  readonly call: CallRecord;
  readonly instanceId: InstanceId;
  readonly reboot: boolean;
  readonly devices: readonly {
    readonly deviceName: string;
    readonly volumeId: VolumeId;
    readonly snapshotId: SnapshotId;
  }[];
  readonly snapshotTags: readonly Tag[];
}

export async function startCreate(deps: ImagesDeps, tx: Tx, call: Call, creation: ImageCreation): Promise<ImageRecord> {
  const { source, image } = creation;
  const owner = call.caller.accountId;
  const record = await newImageRecord(tx, { owner, region: call.region, at: deps.clock() }, image, {
    state: 'pending',
    sourceInstanceId: source.instanceId,
    ...(source.imageId ? { sourceImageId: source.imageId as ImageRecord['id'], sourceImageRegion: call.region } : {}),
  });
  await insertImage(tx, record);
  await deps.tags.put(tx, owner, call.region, 'image', record.id, creation.imageTags);
  await deps.jobs.enqueue<Creation>(tx, KIND, {
    imageId: record.id,
    region: call.region,
    call: recordCall(call),
    instanceId: source.instanceId,
    reboot: creation.reboot,
    devices: creation.devices.map((device) => ({ ...device, snapshotId: newEc2Id<SnapshotId>('snap') })),
    snapshotTags: creation.snapshotTags,
  });
  return record;
}

/** Takes the snapshots that are missing; each writes its id into the image as it is recorded. May run again. */
async function takeSnapshots(deps: ImagesDeps, creation: Creation): Promise<void> {
  const { imageId, region, instanceId } = creation;
  const call = viaEc2(recallCall(creation.call));
  const owner = call.caller.accountId;
  for (const { deviceName, volumeId, snapshotId } of creation.devices) {
    const image = await findImage(deps.db.read<ImageTables>(), region, imageId);
    if (image?.state !== 'pending') return;
    const permit = systemPermit(
      'ec2:CreateSnapshot',
      ec2Arn(region, owner, 'volume', volumeId),
      `CreateImage of ${instanceId} was allowed`,
    );
    const description = `Created by CreateImage(${instanceId}) for ${imageId} from ${volumeId}`;
    await deps.snapshots.startSnapshot(call, permit, { volumeId, description, id: snapshotId }, async (tx) => {
      await deps.tags.put(tx, owner, region, 'snapshot', snapshotId, creation.snapshotTags);
      await settle(tx, creation, (record) => ({
        ...record,
        blockDeviceMappings: record.blockDeviceMappings.map((device) =>
          device.deviceName === deviceName && device.ebs ? { ...device, ebs: { ...device.ebs, snapshotId } } : device,
        ),
      }));
    });
  }
}

export function createProgram(deps: ImagesDeps): Program<Creation> {
  const down = async ({ payload }: Step<Creation>): Promise<Outcome<Creation>> => {
    if (payload.reboot) await deps.instances().pauseForImage(payload.instanceId);
    return { kind: 'hop', to: 'snapshots' };
  };
  const snapshots = async ({ payload }: Step<Creation>): Promise<Outcome<Creation>> => {
    try {
      await takeSnapshots(deps, payload);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // The volume went away or is not in a state to be read: trying again changes nothing.
      await failImage(deps.db, payload, FAILED);
    }
    return { kind: 'hop', to: 'up' };
  };
  const up = async ({ payload }: Step<Creation>): Promise<Outcome<Creation>> => {
    if (payload.reboot) await deps.instances().resumeAfterImage(payload.instanceId);
    return { kind: 'hop', to: 'wait' };
  };
  return {
    kind: KIND,
    start: 'down',
    steps: { down, snapshots, up, wait: (step) => awaitSnapshots(deps, step, FAILED) },
    async failed(payload) {
      if (payload.reboot) await deps.instances().resumeAfterImage(payload.instanceId);
      await failImage(deps.db, payload, FAILED);
    },
  };
}
