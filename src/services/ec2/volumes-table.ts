import type { Ec2Part } from './common.ts';
import { copySnapshot } from './copy-snapshot.ts';
import { copyVolumes } from './copy-volumes.ts';
import { createSnapshot } from './create-snapshot.ts';
import { createVolume } from './create-volume.ts';
import { deleteSnapshot } from './delete-snapshot.ts';
import { deleteVolume } from './delete-volume.ts';
import { describeSnapshots } from './describe-snapshots.ts';
import { describeVolumeAttribute, describeVolumeStatus } from './describe-volume-status.ts';
import { describeVolumes } from './describe-volumes.ts';
import {
  disableEbsEncryptionByDefault,
  enableEbsEncryptionByDefault,
  getEbsDefaultKmsKeyId,
  getEbsEncryptionByDefault,
  modifyEbsDefaultKmsKeyId,
  resetEbsDefaultKmsKeyId,
} from './ebs-encryption-by-default.ts';
import {
  describeFastSnapshotRestores,
  disableFastSnapshotRestores,
  enableFastSnapshotRestores,
} from './fast-snapshot-restores.ts';
import {
  describeSnapshotAttribute,
  modifySnapshotAttribute,
  resetSnapshotAttribute,
} from './modify-snapshot-attribute.ts';
import { describeVolumesModifications, modifyVolume, modifyVolumeAttribute } from './modify-volume.ts';
import { type BinDeps, listSnapshotsInRecycleBin, restoreSnapshotFromRecycleBin } from './recycle-bin.ts';
import {
  disableSnapshotBlockPublicAccess,
  enableSnapshotBlockPublicAccess,
  getSnapshotBlockPublicAccessState,
} from './snapshot-block-public-access.ts';
import { describeLockedSnapshots, lockSnapshot, unlockSnapshot } from './snapshot-locks.ts';
import { describeSnapshotTierStatus, modifySnapshotTier, restoreSnapshotTier } from './snapshot-tiers.ts';
import type { VolumeDeps } from './volume-shapes.ts';

/** Volumes, snapshots and encryption by default. */
export function volumeOperations(deps: VolumeDeps & BinDeps): Ec2Part {
  return {
    operations: {
      CopySnapshot: copySnapshot(deps),
      CopyVolumes: copyVolumes(deps),
      CreateSnapshot: createSnapshot(deps),
      CreateVolume: createVolume(deps),
      DeleteSnapshot: deleteSnapshot(deps),
      DeleteVolume: deleteVolume(deps),
      DescribeFastSnapshotRestores: describeFastSnapshotRestores(deps),
      DescribeLockedSnapshots: describeLockedSnapshots(deps),
      DescribeSnapshotAttribute: describeSnapshotAttribute(deps),
      DescribeSnapshots: describeSnapshots(deps),
      DescribeSnapshotTierStatus: describeSnapshotTierStatus(deps),
      DescribeVolumeAttribute: describeVolumeAttribute(deps),
      DescribeVolumeStatus: describeVolumeStatus(deps),
      DescribeVolumes: describeVolumes(deps),
      DescribeVolumesModifications: describeVolumesModifications(deps),
      DisableEbsEncryptionByDefault: disableEbsEncryptionByDefault(deps),
      DisableFastSnapshotRestores: disableFastSnapshotRestores(deps),
      DisableSnapshotBlockPublicAccess: disableSnapshotBlockPublicAccess(deps),
      EnableEbsEncryptionByDefault: enableEbsEncryptionByDefault(deps),
      EnableFastSnapshotRestores: enableFastSnapshotRestores(deps),
      EnableSnapshotBlockPublicAccess: enableSnapshotBlockPublicAccess(deps),
      GetEbsDefaultKmsKeyId: getEbsDefaultKmsKeyId(deps),
      GetEbsEncryptionByDefault: getEbsEncryptionByDefault(deps),
      GetSnapshotBlockPublicAccessState: getSnapshotBlockPublicAccessState(deps),
      ListSnapshotsInRecycleBin: listSnapshotsInRecycleBin(deps),
      LockSnapshot: lockSnapshot(deps),
      ModifyEbsDefaultKmsKeyId: modifyEbsDefaultKmsKeyId(deps),
      ModifySnapshotAttribute: modifySnapshotAttribute(deps),
      ModifySnapshotTier: modifySnapshotTier(deps),
      ModifyVolume: modifyVolume(deps),
      ModifyVolumeAttribute: modifyVolumeAttribute(deps),
      ResetEbsDefaultKmsKeyId: resetEbsDefaultKmsKeyId(deps),
      ResetSnapshotAttribute: resetSnapshotAttribute(deps),
      RestoreSnapshotFromRecycleBin: restoreSnapshotFromRecycleBin(deps),
      RestoreSnapshotTier: restoreSnapshotTier(deps),
      UnlockSnapshot: unlockSnapshot(deps),
    },
  };
}
