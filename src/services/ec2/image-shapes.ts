/** Image records as DescribeImages shows them. */
import type { BlockDeviceMapping, Image, LaunchPermission as PermissionShape } from '@aws-sdk/client-ec2';
import type { AccountId } from '../../ids.ts';
import type { ImageDevice, ImageRecord, LaunchPermission } from '../../images/images.ts';
import type { Tag } from '../../tags/tags.ts';

/** AWS's minute precision (L-12) with milliseconds spelled out. */
export const isoTime = (date: Date): string => date.toISOString();

export function deviceShape({ deviceName, virtualName, ebs }: ImageDevice): BlockDeviceMapping {
  if (!ebs) return { DeviceName: deviceName, ...(virtualName ? { VirtualName: virtualName } : {}) };
  return {
    DeviceName: deviceName,
    Ebs: {
      ...(ebs.snapshotId ? { SnapshotId: ebs.snapshotId } : {}),
      VolumeSize: ebs.volumeSizeGiB,
      VolumeType: ebs.volumeType as NonNullable<BlockDeviceMapping['Ebs']>['VolumeType'],
      ...(ebs.iops === undefined ? {} : { Iops: ebs.iops }),
      ...(ebs.throughput === undefined ? {} : { Throughput: ebs.throughput }),
      DeleteOnTermination: ebs.deleteOnTermination,
      Encrypted: ebs.encrypted,
    },
  };
}

/** As `viewer` sees it: tags and deregistration protection are for the owner (SH-18). */
export function imageShape(image: ImageRecord, viewer: AccountId, tags: readonly Tag[]): Image {
  const own = image.ownerId === viewer;
  return {
    ImageId: image.id,
    Name: image.name,
    ...(image.description === undefined ? {} : { Description: image.description }),
    OwnerId: image.ownerId,
    State: image.state,
    ...(image.stateReason ? { StateReason: { Code: image.stateReason.code, Message: image.stateReason.message } } : {}),
    CreationDate: isoTime(image.creationDate),
    Public: image.public,
    ImageLocation: image.imageLocation,
    ImageType: 'machine',
    Architecture: image.architecture as Image['Architecture'],
    ...(image.bootMode ? { BootMode: image.bootMode } : {}),
    ...(image.tpmSupport ? { TpmSupport: image.tpmSupport } : {}),
    ...(image.imdsSupport ? { ImdsSupport: image.imdsSupport } : {}),
    ...(image.platform ? { Platform: 'Windows' } : {}),
    PlatformDetails: image.platformDetails,
    UsageOperation: 'RunInstances',
    RootDeviceName: image.rootDeviceName,
    RootDeviceType: image.rootDeviceType,
    VirtualizationType: image.virtualizationType as Image['VirtualizationType'],
    Hypervisor: 'xen',
    EnaSupport: image.enaSupport,
    ...(image.sriovNetSupport ? { SriovNetSupport: image.sriovNetSupport } : {}),
    BlockDeviceMappings: image.blockDeviceMappings.map(deviceShape),
    ...(image.sourceImageId ? { SourceImageId: image.sourceImageId } : {}),
    ...(image.sourceImageRegion ? { SourceImageRegion: image.sourceImageRegion } : {}),
    ...(image.sourceInstanceId && own ? { SourceInstanceId: image.sourceInstanceId } : {}),
    ...(image.deprecateAt ? { DeprecationTime: isoTime(image.deprecateAt) } : {}),
    ...(own ? { DeregistrationProtection: image.deregistrationProtection.mode } : {}),
    ...(own && image.lastLaunchedAt ? { LastLaunchedTime: isoTime(image.lastLaunchedAt) } : {}),
    Tags: [...tags],
  };
}

export function permissionShape(permission: LaunchPermission): PermissionShape {
  switch (permission.kind) {
    case 'account':
      return { UserId: permission.value };
    case 'group':
      return { Group: permission.value };
    case 'organization':
      return { OrganizationArn: permission.value };
    case 'organizational-unit':
      return { OrganizationalUnitArn: permission.value };
  }
}
