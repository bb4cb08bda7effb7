import type { Ec2Part } from './common.ts';
import { copySnapshot } from './copy-snapshot.ts';
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
  describeSnapshotAttribute,
  modifySnapshotAttribute,
  resetSnapshotAttribute,
} from './modify-snapshot-attribute.ts';
import {
  disableSnapshotBlockPublicAccess,
  enableSnapshotBlockPublicAccess,
  getSnapshotBlockPublicAccessState,
} from './snapshot-block-public-access.ts';
import type { VolumeDeps } from './volume-shapes.ts';

/** Volumes, snapshots and encryption by default. */
export function volumeOperations(deps: VolumeDeps): Ec2Part {
  return {
    operations: {
      CopySnapshot: copySnapshot(deps),
      CreateSnapshot: createSnapshot(deps),
      CreateVolume: createVolume(deps),
      DeleteSnapshot: deleteSnapshot(deps),
      DeleteVolume: deleteVolume(deps),
      DescribeSnapshotAttribute: describeSnapshotAttribute(deps),
      DescribeSnapshots: describeSnapshots(deps),
      DescribeVolumeAttribute: describeVolumeAttribute(deps),
      DescribeVolumeStatus: describeVolumeStatus(deps),
      DescribeVolumes: describeVolumes(deps),
      DisableEbsEncryptionByDefault: disableEbsEncryptionByDefault(deps),
      DisableSnapshotBlockPublicAccess: disableSnapshotBlockPublicAccess(deps),
      EnableEbsEncryptionByDefault: enableEbsEncryptionByDefault(deps),
      EnableSnapshotBlockPublicAccess: enableSnapshotBlockPublicAccess(deps),
      GetEbsDefaultKmsKeyId: getEbsDefaultKmsKeyId(deps),
      GetEbsEncryptionByDefault: getEbsEncryptionByDefault(deps),
      GetSnapshotBlockPublicAccessState: getSnapshotBlockPublicAccessState(deps),
      ModifyEbsDefaultKmsKeyId: modifyEbsDefaultKmsKeyId(deps),
      ModifySnapshotAttribute: modifySnapshotAttribute(deps),
      ResetEbsDefaultKmsKeyId: resetEbsDefaultKmsKeyId(deps),
      ResetSnapshotAttribute: resetSnapshotAttribute(deps),
    },
  };
}
