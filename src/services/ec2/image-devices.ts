/** Block device mappings of RegisterImage and CreateImage (BI-1 to BI-4, BI-7, BI-9). */
import type { BlockDeviceMapping, EbsBlockDevice } from '@aws-sdk/client-ec2';
import type { ImageDevice, ImageVolume } from '../../images/images.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterCombination, missingParameter } from './errors.ts';
import { volumeKind } from './volume-types.ts';

/** KmsKeyId has no place in an image: its key is the snapshots' (BI-3). */
export function refuseKmsKey(mappings: readonly BlockDeviceMapping[] | undefined): void {
  if (mappings?.some(({ Ebs }) => Ebs?.KmsKeyId !== undefined)) {
    throw ec2Error('UnknownParameter', 'The parameter KmsKeyId is not recognized');
  }
}

export function checkDeviceNames(mappings: readonly BlockDeviceMapping[]): void {
  const seen = new Set<string>();
  for (const { DeviceName } of mappings) {
    if (!DeviceName) throw missingParameter('BlockDeviceMapping.DeviceName');
    if (seen.has(DeviceName)) {
      throw ec2Error(
        'InvalidBlockDeviceMapping',
        `The device '${DeviceName}' is used in more than one block-device mapping`,
      );
    }
    seen.add(DeviceName);
  }
}

/** Size, type, IOPS and throughput of a volume that is to be, checked and with the defaults of the type (CV-12). */
export function volumeShape(
  ebs: EbsBlockDevice,
  defaultSizeGiB?: number,
): Pick<ImageVolume, 'volumeSizeGiB' | 'volumeType' | 'iops' | 'throughput'> {
  const volumeSizeGiB = ebs.VolumeSize ?? defaultSizeGiB;
  if (volumeSizeGiB === undefined) throw missingParameter('BlockDeviceMapping.Ebs.VolumeSize');
  const { iops, ...kind } = volumeKind(ebs, volumeSizeGiB);
  // The IOPS of a gp2 volume follow from its size, so an image does not say them.
  return { volumeSizeGiB, ...kind, ...(iops === undefined || kind.volumeType === 'gp2' ? {} : { iops }) };
}

/** One device that is not a volume attached to an instance: from a snapshot, empty, or instance storage. */
export function newDevice(
  mapping: BlockDeviceMapping & { DeviceName: string },
  snapshot: SnapshotRecord | undefined,
): ImageDevice {
  const { DeviceName: deviceName, Ebs: ebs, VirtualName } = mapping;
  if (!ebs) {
    if (!VirtualName) throw missingParameter('BlockDeviceMapping.Ebs');
    return { deviceName, virtualName: VirtualName };
  }
  if (VirtualName !== undefined) {
    throw invalidParameterCombination(`The device '${deviceName}' has both Ebs and VirtualName.`);
  }
  refuseAllBut(
    ebs,
    ['SnapshotId', 'VolumeSize', 'VolumeType', 'Iops', 'Throughput', 'DeleteOnTermination', 'Encrypted'],
    'BlockDeviceMapping.Ebs.',
  );
  if (snapshot && ebs.Encrypted !== undefined) {
    throw ec2Error(
      'InvalidParameter',
      'Parameter encrypted is invalid. You cannot specify the encrypted flag if specifying a snapshot id in a block device mapping.',
    );
  }
  const shape = volumeShape(ebs, snapshot?.volumeSizeGiB);
  if (snapshot && shape.volumeSizeGiB < snapshot.volumeSizeGiB) {
    throw ec2Error(
      'InvalidBlockDeviceMapping',
      `Volume of size ${shape.volumeSizeGiB}GB is smaller than snapshot '${snapshot.id}', expect size >= ${snapshot.volumeSizeGiB}GB`,
    );
  }
  return {
    deviceName,
    ebs: {
      ...(snapshot ? { snapshotId: snapshot.id } : {}),
      ...shape,
      deleteOnTermination: ebs.DeleteOnTermination ?? true,
      encrypted: snapshot ? snapshot.encrypted : ebs.Encrypted === true,
    },
  };
}
