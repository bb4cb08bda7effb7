/** Block device mappings of RegisterImage and CreateImage (BI-1 to BI-4, BI-7, BI-9). */
import type { BlockDeviceMapping, EbsBlockDevice } from '@aws-sdk/client-ec2';
import type { ImageDevice, ImageVolume } from '../../images/images.ts';
import type { SnapshotRecord } from '../../volumes/volumes.ts';
import { refuseAllBut } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';

/** GiB from and to, and IOPS from and to where the type takes them (CV-12). */
const VOLUME_TYPES: Readonly<
  Record<string, { readonly sizeGiB: readonly [number, number]; readonly iops?: readonly [number, number] }>
> = {
  gp2: { sizeGiB: [1, 16_384] },
  gp3: { sizeGiB: [1, 65_536], iops: [3000, 80_000] },
  io1: { sizeGiB: [4, 16_384], iops: [100, 64_000] },
  io2: { sizeGiB: [4, 65_536], iops: [100, 256_000] },
  st1: { sizeGiB: [125, 16_384] },
  sc1: { sizeGiB: [125, 16_384] },
  standard: { sizeGiB: [1, 1024] },
};
const THROUGHPUT_MIB = [125, 2000] as const;

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

/** Size, type, IOPS and throughput of a volume that is to be. Type and size are the defaults where not given. */
export function volumeShape(
  ebs: EbsBlockDevice,
  defaults: { readonly type: string; readonly sizeGiB?: number },
): Pick<ImageVolume, 'volumeSizeGiB' | 'volumeType' | 'iops' | 'throughput'> {
  const volumeType = ebs.VolumeType ?? defaults.type;
  const bounds = Object.hasOwn(VOLUME_TYPES, volumeType) ? VOLUME_TYPES[volumeType] : undefined;
  if (!bounds) throw ec2Error('UnknownVolumeType', `Unsupported volume type '${volumeType}' for volume creation.`);
  const volumeSizeGiB = ebs.VolumeSize ?? defaults.sizeGiB;
  if (volumeSizeGiB === undefined) {
    throw missingParameter('BlockDeviceMapping.Ebs.VolumeSize');
  }
  const [from, to] = bounds.sizeGiB;
  if (volumeSizeGiB < from || volumeSizeGiB > to) {
    throw invalidParameterValue(
      `Volume of ${volumeSizeGiB}GiB is ${volumeSizeGiB < from ? 'smaller' : 'larger'} than the ${volumeSizeGiB < from ? 'minimum' : 'maximum'} of ${volumeSizeGiB < from ? from : to}GiB for volume type ${volumeType}.`,
    );
  }
  if (ebs.Iops !== undefined) {
    if (!bounds.iops) {
      throw invalidParameterCombination(`The parameter iops is not supported for ${volumeType} volumes.`);
    }
    const [least, most] = bounds.iops;
    if (ebs.Iops < least || ebs.Iops > most) {
      throw invalidParameterValue(
        `Volume iops of ${ebs.Iops} is out of range; ${volumeType} takes ${least} to ${most}.`,
      );
    }
  } else if (volumeType === 'io1' || volumeType === 'io2') {
    throw missingParameter('BlockDeviceMapping.Ebs.Iops');
  }
  if (ebs.Throughput !== undefined) {
    if (volumeType !== 'gp3') {
      throw invalidParameterCombination(`The parameter throughput is not supported for ${volumeType} volumes.`);
    }
    if (ebs.Throughput < THROUGHPUT_MIB[0] || ebs.Throughput > THROUGHPUT_MIB[1]) {
      throw invalidParameterValue(`Volume throughput of ${ebs.Throughput} MiB/s is out of range.`);
    }
  }
  return {
    volumeSizeGiB,
    volumeType,
    ...(ebs.Iops === undefined ? {} : { iops: ebs.Iops }),
    ...(ebs.Throughput === undefined ? {} : { throughput: ebs.Throughput }),
  };
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
  const shape = volumeShape(ebs, { type: 'gp2', ...(snapshot ? { sizeGiB: snapshot.volumeSizeGiB } : {}) });
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
