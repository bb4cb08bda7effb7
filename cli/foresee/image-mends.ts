/** Mends of images, snapshots, templates and the EBS settings of an account. */
import {
  CopyImageCommand,
  type CopyImageCommandInput,
  CopySnapshotCommand,
  type CopySnapshotCommandInput,
  CreateLaunchTemplateVersionCommand,
  DisableImageBlockPublicAccessCommand,
  EnableImageCommand,
  ModifyImageAttributeCommand,
  ModifyLaunchTemplateCommand,
  ModifySnapshotAttributeCommand,
  type RequestLaunchTemplateData,
  ResetEbsDefaultKmsKeyIdCommand,
} from '@aws-sdk/client-ec2';
import type { Aws } from '../aws.ts';
import { type ApiCall, type Mend, mendOf } from './mend.ts';
import { block } from './terraform.ts';

function call(region: string, operation: string, input: object, send: (aws: Aws) => Promise<unknown>): ApiCall {
  return { service: 'ec2', operation, region, input, send };
}

interface Place {
  readonly region: string;
  /** Owner of what is changed. */
  readonly account: string;
}

export function shareImageMend({ region, account }: Place, ImageId: string, withAccount: string): Mend {
  const input = { ImageId, LaunchPermission: { Add: [{ UserId: withAccount }] } };
  return mendOf({
    kind: 'share-image',
    title: `Share ${ImageId} with account ${withAccount}`,
    account,
    json: input.LaunchPermission,
    calls: [call(region, 'ModifyImageAttribute', input, (aws) => aws.ec2.send(new ModifyImageAttributeCommand(input)))],
    terraform: block('resource "aws_ami_launch_permission" "shared"', { image_id: ImageId, account_id: withAccount }),
  });
}

/** Launch permissions do not come back with it (L-11). */
export function enableImageMend({ region, account }: Place, ImageId: string): Mend {
  const input = { ImageId };
  return mendOf({
    kind: 'enable-image',
    title: `Enable the image ${ImageId}`,
    account,
    calls: [call(region, 'EnableImage', input, (aws) => aws.ec2.send(new EnableImageCommand(input)))],
    note: 'Disabling an image took its launch permissions away for good: share it again.',
  });
}

export function shareSnapshotMend(
  { region, account }: Place,
  snapshotIds: readonly string[],
  withAccount: string,
): Mend {
  const inputs = snapshotIds.map((SnapshotId) => ({
    SnapshotId,
    CreateVolumePermission: { Add: [{ UserId: withAccount }] },
  }));
  return mendOf({
    kind: 'share-snapshot',
    title: `Share ${snapshotIds.join(', ')} with account ${withAccount}`,
    account,
    calls: inputs.map((input) =>
      call(region, 'ModifySnapshotAttribute', input, (aws) => aws.ec2.send(new ModifySnapshotAttributeCommand(input))),
    ),
    terraform: snapshotIds
      .map((id, at) =>
        block(`resource "aws_snapshot_create_volume_permission" "shared${at === 0 ? '' : at + 1}"`, {
          snapshot_id: id,
          account_id: withAccount,
        }),
      )
      .join('\n'),
  });
}

/** A copy is the only way from one key to another. */
export function copyImageMend({ region, account }: Place, input: CopyImageCommandInput, title: string): Mend {
  return mendOf({
    kind: 'copy-image',
    title,
    account,
    json: input,
    calls: [call(region, 'CopyImage', input, (aws) => aws.ec2.send(new CopyImageCommand(input)))],
    terraform: block('resource "aws_ami_copy" "encrypted"', {
      name: input.Name ?? '',
      source_ami_id: input.SourceImageId ?? '',
      source_ami_region: input.SourceRegion ?? '',
      encrypted: input.Encrypted,
      kms_key_id: input.KmsKeyId,
    }),
  });
}

export function copySnapshotMend({ region, account }: Place, input: CopySnapshotCommandInput, title: string): Mend {
  return mendOf({
    kind: 'copy-snapshot',
    title,
    account,
    json: input,
    calls: [call(region, 'CopySnapshot', input, (aws) => aws.ec2.send(new CopySnapshotCommand(input)))],
    terraform: block('resource "aws_ebs_snapshot_copy" "encrypted"', {
      source_snapshot_id: input.SourceSnapshotId ?? '',
      source_region: input.SourceRegion ?? '',
      encrypted: input.Encrypted,
      kms_key_id: input.KmsKeyId,
    }),
  });
}

export function resetDefaultKeyMend({ region, account }: Place): Mend {
  const input = {};
  return mendOf({
    kind: 'reset-default-key',
    title: `Make the AWS managed key the default key of EBS again in ${region}`,
    account,
    calls: [
      call(region, 'ResetEbsDefaultKmsKeyId', input, (aws) => aws.ec2.send(new ResetEbsDefaultKmsKeyIdCommand(input))),
    ],
    note: 'In Terraform: remove the aws_ebs_default_kms_key.',
  });
}

export function unblockPublicImagesMend({ region, account }: Place): Mend {
  const input = {};
  return mendOf({
    kind: 'unblock-public-access',
    title: `Let account ${account} share AMIs publicly in ${region}`,
    account,
    calls: [
      call(region, 'DisableImageBlockPublicAccess', input, (aws) =>
        aws.ec2.send(new DisableImageBlockPublicAccessCommand(input)),
      ),
    ],
    terraform: block('resource "aws_ec2_image_block_public_access" "ami"', { state: 'unblocked' }),
    note: 'It may take AWS up to ten minutes.',
  });
}

/** A template's versions never change: a new one, made the default where the one at fault was. */
export function templateVersionMend(
  { region, account }: Place,
  template: { readonly id: string; readonly version: string; readonly makeDefault: boolean },
  data: RequestLaunchTemplateData,
  title: string,
): Mend {
  const input = { LaunchTemplateId: template.id, SourceVersion: template.version, LaunchTemplateData: data };
  const create = call(region, 'CreateLaunchTemplateVersion', input, (aws) =>
    aws.ec2.send(new CreateLaunchTemplateVersionCommand(input)),
  );
  const latest = { LaunchTemplateId: template.id, DefaultVersion: '$Latest' };
  const setDefault = call(region, 'ModifyLaunchTemplate', latest, (aws) =>
    aws.ec2.send(new ModifyLaunchTemplateCommand(latest)),
  );
  return mendOf({
    kind: 'template-version',
    title,
    account,
    json: data,
    calls: template.makeDefault ? [create, setDefault] : [create],
  });
}
