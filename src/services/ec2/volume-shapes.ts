/** Volumes and snapshots as EC2 shows them, and what their operations need in common. */
import type { Tag as ShownTag, Snapshot, SnapshotInfo, Volume } from '@aws-sdk/client-ec2';
import type { ConditionValues, ResourceRef } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Idempotency } from '../../idempotency/idempotency.ts';
import { ec2Arn, type Region, snapshotArn } from '../../ids.ts';
import type { KeysOnBehalf } from '../../keys/on-behalf.ts';
import type { Zone } from '../../network/regions.ts';
import type { Tag } from '../../tags/tags.ts';
import type { VolumeModifications } from '../../volumes/modify-volume.ts';
import type { SnapshotLocks } from '../../volumes/snapshot-locks.ts';
import type { SnapshotTiers } from '../../volumes/snapshot-tiers.ts';
import type { EbsDefaults, SnapshotRecord, Snapshots, VolumeRecord, Volumes } from '../../volumes/volumes.ts';
import type { Ec2Deps, ResourceCheck } from './common.ts';
import {
  ec2Error,
  invalidParameterCombination,
  invalidParameterValue,
  missingParameter,
  snapshotNotFound,
  volumeNotFound,
} from './errors.ts';
import type { Taggable } from './tag-resources.ts';

export interface VolumeDeps extends Ec2Deps {
  readonly volumes: Volumes;
  readonly snapshots: Snapshots;
  readonly ebsDefaults: EbsDefaults;
  readonly keys: KeysAtOnce;
  readonly locks: SnapshotLocks;
  readonly tiers: SnapshotTiers;
  readonly modifications: VolumeModifications;
  readonly idempotency: Idempotency;
  readonly clock: () => Date;
  /** Images that name the snapshot; `root` where it is their root device (L-8). */
  readonly imagesUsingSnapshot: (
    id: string,
  ) => Promise<readonly { readonly imageId: string; readonly root: boolean; readonly disabled?: boolean }[]>;
}

/** What is asked of KMS before the answer: the key of a copy (CS-4, CS-5), and the default key. */
export type KeysAtOnce = Pick<KeysOnBehalf, 'describeKey' | 'resolve' | 'ebsManagedKey'>;

export const tagSet = (tags: readonly Tag[] | undefined): { Tags?: ShownTag[] } =>
  tags && tags.length > 0 ? { Tags: tags.map(({ Key, Value }) => ({ Key, Value })) } : {};

export const tagRecordOf = (tags: readonly Tag[] | undefined): Record<string, string> =>
  Object.fromEntries((tags ?? []).map(({ Key, Value }) => [Key, Value]));

export function showVolume(volume: VolumeRecord, tags: readonly Tag[] | undefined, zones: readonly Zone[]): Volume {
  const zoneId = zones.find((zone) => zone.name === volume.availabilityZone)?.id;
  return {
    VolumeId: volume.id,
    Size: volume.sizeGiB,
    SnapshotId: volume.snapshotId ?? '',
    ...(volume.sourceVolumeId && { SourceVolumeId: volume.sourceVolumeId }),
    AvailabilityZone: volume.availabilityZone,
    ...(zoneId !== undefined && { AvailabilityZoneId: zoneId }),
    State: volume.state,
    CreateTime: volume.createTime,
    VolumeType: volume.volumeType as Volume['VolumeType'],
    ...(volume.iops !== undefined && { Iops: volume.iops }),
    ...(volume.throughput !== undefined && { Throughput: volume.throughput }),
    MultiAttachEnabled: volume.multiAttach,
    Encrypted: volume.encrypted,
    ...(volume.kmsKeyArn && { KmsKeyId: volume.kmsKeyArn }),
    Attachments: volume.attachments.map((attachment) => ({
      VolumeId: volume.id,
      InstanceId: attachment.instanceId,
      Device: attachment.device,
      State: attachment.state,
      AttachTime: attachment.attachTime,
      DeleteOnTermination: attachment.deleteOnTermination,
    })),
    ...tagSet(tags),
  };
}

export function showSnapshot(snapshot: SnapshotRecord, tags: readonly Tag[] | undefined): Snapshot {
  return {
    SnapshotId: snapshot.id,
    OwnerId: snapshot.ownerId,
    VolumeId: snapshot.volumeId,
    VolumeSize: snapshot.volumeSizeGiB,
    State: snapshot.state,
    ...(snapshot.stateMessage !== undefined && { StateMessage: snapshot.stateMessage }),
    Progress: snapshot.progress,
    StartTime: snapshot.startTime,
    ...(snapshot.completionTime && { CompletionTime: snapshot.completionTime }),
    Description: snapshot.description,
    Encrypted: snapshot.encrypted,
    ...(snapshot.kmsKeyArn && { KmsKeyId: snapshot.kmsKeyArn }),
    ...(snapshot.dataKeyId && { DataEncryptionKeyId: snapshot.dataKeyId }),
    StorageTier: snapshot.storageTier,
    ...(snapshot.restoreExpiryTime && { RestoreExpiryTime: snapshot.restoreExpiryTime }),
    ...(snapshot.transferType && { TransferType: snapshot.transferType }),
    ...(snapshot.completionDurationMinutes !== undefined && {
      CompletionDurationMinutes: snapshot.completionDurationMinutes,
    }),
    ...tagSet(tags),
  };
}

export function showNewSnapshot(snapshot: SnapshotRecord, tags: readonly Tag[] | undefined): SnapshotInfo {
  return {
    SnapshotId: snapshot.id,
    OwnerId: snapshot.ownerId,
    VolumeId: snapshot.volumeId,
    VolumeSize: snapshot.volumeSizeGiB,
    State: snapshot.state,
    Progress: snapshot.progress,
    StartTime: snapshot.startTime,
    Description: snapshot.description,
    Encrypted: snapshot.encrypted,
    ...tagSet(tags),
  };
}

// Resources with the condition keys they carry (authorization-and-wire 7.3 to 7.7) --------------------------------------

export async function volumeResource(
  deps: Ec2Deps,
  call: Call,
  volume: VolumeRecord | undefined,
  id: string,
): Promise<ResourceCheck> {
  const owner = volume?.ownerId ?? call.caller.accountId;
  const tags = volume && (await deps.tags.of(owner, call.region, [id])).get(id);
  const resource: ResourceRef = {
    arn: ec2Arn(call.region, owner, 'volume', id),
    accountId: owner,
    tags: tagRecordOf(tags),
  };
  return { resource, ...(volume && { context: volumeContext(volume) }) };
}

export function volumeContext(volume: VolumeRecord): ConditionValues {
  return {
    'ec2:AvailabilityZone': volume.availabilityZone,
    'ec2:Encrypted': volume.encrypted,
    'ec2:VolumeID': volume.id,
    'ec2:VolumeSize': volume.sizeGiB,
    'ec2:VolumeType': volume.volumeType,
    ...(volume.iops !== undefined && { 'ec2:VolumeIops': volume.iops }),
    ...(volume.throughput !== undefined && { 'ec2:VolumeThroughput': volume.throughput }),
    ...(volume.snapshotId && { 'ec2:ParentSnapshot': snapshotArn(volume.region, volume.snapshotId) }),
  };
}

export async function snapshotResource(
  deps: Ec2Deps,
  call: Call,
  snapshot: SnapshotRecord | undefined,
  id: string,
  region: Region = call.region,
): Promise<ResourceCheck> {
  const own = snapshot?.ownerId === call.caller.accountId;
  const tags = own ? (await deps.tags.of(snapshot.ownerId, region, [id])).get(id) : undefined;
  const resource: ResourceRef = {
    arn: snapshotArn(region, id),
    ...(snapshot && { accountId: snapshot.ownerId }),
    tags: tagRecordOf(tags),
  };
  return { resource, ...(snapshot && { context: snapshotContext(snapshot) }) };
}

export function snapshotContext(snapshot: SnapshotRecord): ConditionValues {
  return {
    'ec2:Owner': snapshot.ownerId,
    'ec2:Encrypted': snapshot.encrypted,
    'ec2:SnapshotID': snapshot.id,
    'ec2:SnapshotTime': snapshot.startTime,
    'ec2:VolumeSize': snapshot.volumeSizeGiB,
    'ec2:ParentVolume': ec2Arn(snapshot.region, snapshot.ownerId, 'volume', snapshot.volumeId),
  };
}

/** The caller's own volume, or none: volumes of others are not there for the caller. */
export async function ownVolume(deps: VolumeDeps, call: Call, id: string): Promise<VolumeRecord | undefined> {
  const volume = await deps.volumes.find(call.region, id);
  return volume?.ownerId === call.caller.accountId ? volume : undefined;
}

/** The snapshot if the caller may know of it (SH-29). */
export async function visibleSnapshot(deps: VolumeDeps, call: Call, id: string): Promise<SnapshotRecord | undefined> {
  const snapshot = await deps.snapshots.find(call.region, id);
  return snapshot && deps.snapshots.mayUse(snapshot, call.caller.accountId) ? snapshot : undefined;
}

/** CV-11. */
export function requireZone(
  zones: readonly Zone[],
  input: { readonly AvailabilityZone?: string | undefined; readonly AvailabilityZoneId?: string | undefined },
): Zone {
  const { AvailabilityZone: name, AvailabilityZoneId: id } = input;
  if (name && id) {
    throw invalidParameterCombination('Only one of AvailabilityZone and AvailabilityZoneId can be specified.');
  }
  if (!name && !id) throw missingParameter('zone');
  const zone = zones.find((each) => (name ? each.name === name : each.id === id));
  if (zone) return zone;
  throw name
    ? ec2Error('InvalidZone.NotFound', `The zone '${name}' does not exist.`)
    : invalidParameterValue(`Invalid value '${id}' for AvailabilityZoneId.`);
}

/** For the table of what can be tagged, under the id prefixes `vol` and `snap`. */
export function volumeTaggables(deps: Pick<VolumeDeps, 'volumes' | 'snapshots'>): Record<'vol' | 'snap', Taggable> {
  return {
    vol: {
      resourceType: 'volume',
      arn: (call, id) => ec2Arn(call.region, call.caller.accountId, 'volume', id),
      async exists(call, id) {
        return (await deps.volumes.find(call.region, id))?.ownerId === call.caller.accountId;
      },
      notFound: volumeNotFound,
    },
    snap: {
      resourceType: 'snapshot',
      arn: (call, id) => snapshotArn(call.region, id),
      async exists(call, id) {
        const snapshot = await deps.snapshots.find(call.region, id);
        return snapshot !== undefined && deps.snapshots.mayUse(snapshot, call.caller.accountId);
      },
      notFound: snapshotNotFound,
    },
  };
}
