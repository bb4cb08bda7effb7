/** Devices of a launch: the image's, with what the request says over them (RI-1, RI-2), and what each volume will be. */
import type { BlockDeviceMapping, EbsBlockDevice } from '@aws-sdk/client-ec2';
import type { Call } from '../../authz/caller.ts';
import { isEc2Id, type SnapshotId } from '../../ids.ts';
import type { ImageRecord, ImageVolume } from '../../images/images.ts';
import type { LaunchDevice } from '../../instances/instances.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { refuseAllBut } from './common.ts';
import { ec2Error, missingParameter, snapshotNotFound } from './errors.ts';
import { checkDeviceNames } from './image-devices.ts';
import type { InstanceDeps } from './instance-shapes.ts';
import { volumeKind } from './volume-types.ts';

export interface PlannedDevice extends Omit<LaunchDevice, 'volumeId'> {
  readonly snapshot?: SnapshotRecord;
}

const DEVICES_MAX = 26;

/** The root device first. Throws for what the request may not ask for, rows ERR of table 1.1 included. */
export async function planDevices(
  deps: InstanceDeps,
  call: Call,
  image: ImageRecord,
  mappings: readonly BlockDeviceMapping[],
  availabilityZone: string,
): Promise<PlannedDevice[]> {
  checkDeviceNames(mappings);
  const over = new Map(mappings.map((mapping) => [mapping.DeviceName!, mapping]));
  const planned: PlannedDevice[] = [];
  const add = async (deviceName: string, under: ImageVolume | undefined, ebs: EbsBlockDevice) => {
    planned.push(await planDevice(deps, call, { deviceName, under, ebs, availabilityZone }));
  };
  for (const { deviceName, ebs: under } of image.blockDeviceMappings) {
    const mapping = over.get(deviceName);
    over.delete(deviceName);
    if (mapping?.NoDevice !== undefined) continue;
    if (mapping) refuseAllBut(mapping, ['DeviceName', 'Ebs'], 'BlockDeviceMapping.');
    // Instance storage of an image is nothing on types that have none.
    if (under || mapping?.Ebs) await add(deviceName, under, mapping?.Ebs ?? {});
  }
  for (const [deviceName, mapping] of over) {
    if (mapping.NoDevice !== undefined) continue;
    refuseAllBut(mapping, ['DeviceName', 'Ebs'], 'BlockDeviceMapping.');
    if (!mapping.Ebs) throw missingParameter('BlockDeviceMapping.Ebs');
    await add(deviceName, undefined, mapping.Ebs);
  }
  const root = planned.find((device) => device.deviceName === image.rootDeviceName);
  if (!root) {
    throw ec2Error('InvalidBlockDeviceMapping', `The root device ${image.rootDeviceName} has no volume.`);
  }
  if (planned.length > DEVICES_MAX) {
    throw ec2Error('AttachmentLimitExceeded', `At most ${DEVICES_MAX} volumes can be attached to an instance.`);
  }
  return [root, ...planned.filter((device) => device !== root)];
}

async function planDevice(
  deps: InstanceDeps,
  call: Call,
  device: {
    readonly deviceName: string;
    readonly under: ImageVolume | undefined;
    readonly ebs: EbsBlockDevice;
    readonly availabilityZone: string;
  },
): Promise<PlannedDevice> {
  const { deviceName, under, ebs, availabilityZone } = device;
  refuseAllBut(
    ebs,
    ['DeleteOnTermination', 'Encrypted', 'Iops', 'KmsKeyId', 'SnapshotId', 'Throughput', 'VolumeSize', 'VolumeType'],
    'BlockDeviceMapping.Ebs.',
  );
  const snapshot = await sourceOf(deps, call, under, ebs.SnapshotId);
  const sizeGiB = ebs.VolumeSize ?? under?.volumeSizeGiB ?? snapshot?.volumeSizeGiB;
  if (sizeGiB === undefined) throw missingParameter('BlockDeviceMapping.Ebs.VolumeSize');
  if (snapshot && sizeGiB < snapshot.volumeSizeGiB) {
    throw ec2Error(
      'InvalidBlockDeviceMapping',
      `Volume of size ${sizeGiB}GB is smaller than snapshot '${snapshot.id}', expect size >= ${snapshot.volumeSizeGiB}GB`,
    );
  }
  // IOPS and throughput of the image are for its own volume type.
  const keeps = under && (ebs.VolumeType === undefined || ebs.VolumeType === under.volumeType);
  const kind = volumeKind(
    {
      VolumeType: ebs.VolumeType ?? under?.volumeType,
      Iops: ebs.Iops ?? (keeps && under.volumeType !== 'gp2' ? under.iops : undefined),
      Throughput: ebs.Throughput ?? (keeps ? under.throughput : undefined),
    },
    sizeGiB,
  );
  const encrypted = ebs.Encrypted ?? (!snapshot && under?.encrypted ? true : undefined);
  const kmsKeyId = ebs.KmsKeyId || undefined;
  const request = {
    availabilityZone,
    sizeGiB,
    ...kind,
    ...(snapshot ? { snapshotId: snapshot.id } : {}),
    ...(encrypted === undefined ? {} : { encrypted }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
  return {
    deviceName,
    request,
    outcome: await deps.volumes.decideEncryption(call, request),
    deleteOnTermination: ebs.DeleteOnTermination ?? under?.deleteOnTermination ?? true,
    ...(snapshot ? { snapshot } : {}),
  };
}

/** The image's own snapshot needs no permission but the launch's (SH-14); one that the request names must be visible. */
async function sourceOf(
  deps: InstanceDeps,
  call: Call,
  under: ImageVolume | undefined,
  named: string | undefined,
): Promise<SnapshotRecord | undefined> {
  const id: string | undefined = named || under?.snapshotId;
  if (id === undefined) return undefined;
  if (!isEc2Id(id, 'snap')) throw ec2Error('InvalidSnapshotID.Malformed', `Invalid id: "${id}" (expecting "snap-...")`);
  const snapshot = await deps.snapshots.find(call.region, id as SnapshotId);
  const ofImage = under?.snapshotId === id;
  if (!snapshot || (!ofImage && !deps.snapshots.mayUse(snapshot, call.caller.accountId))) throw snapshotNotFound(id);
  return snapshot;
}
