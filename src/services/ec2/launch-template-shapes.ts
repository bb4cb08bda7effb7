/** Launch templates as answers show them, and what is checked of launch data when it is stored (LT-5, LT-11). */
import type {
  LaunchTemplate,
  LaunchTemplateVersion,
  RequestLaunchTemplateData,
  ResponseLaunchTemplateData,
  ValidationWarning,
} from '@aws-sdk/client-ec2';
import type { LaunchTemplateRecord, LaunchTemplateVersionRecord } from '../../launch-templates/launch-templates.ts';
import type { Tag } from '../../tags/tags.ts';
import { ec2Error, invalidParameterValue, requireImageId } from './errors.ts';
import { dataOf } from './launch-template-access.ts';
import { checkTags } from './tag-specifications.ts';
import { readUserData } from './user-data.ts';

export function templateShape(record: LaunchTemplateRecord, tags: readonly Tag[] = []): LaunchTemplate {
  return {
    LaunchTemplateId: record.id,
    LaunchTemplateName: record.name,
    CreateTime: record.createTime,
    CreatedBy: record.createdBy,
    DefaultVersionNumber: record.defaultVersion,
    LatestVersionNumber: record.latestVersion,
    ...(tags.length > 0 ? { Tags: [...tags] } : {}),
  };
}

export function versionShape(
  template: LaunchTemplateRecord,
  version: LaunchTemplateVersionRecord,
): LaunchTemplateVersion {
  return {
    LaunchTemplateId: template.id,
    LaunchTemplateName: template.name,
    VersionNumber: version.number,
    ...(version.description === undefined ? {} : { VersionDescription: version.description }),
    CreateTime: version.createTime,
    CreatedBy: version.createdBy,
    DefaultVersion: version.number === template.defaultVersion,
    LaunchTemplateData: dataOf(version) as ResponseLaunchTemplateData,
  };
}

/** True for nothing, `{}`, `[]` and structures of only such (LT-11). */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true;
  if (value instanceof Date || typeof value !== 'object') return false;
  return Object.values(value).every(isEmpty);
}

const DESCRIPTION_LENGTH_MAX = 255;
const HOP_LIMIT_MAX = 64;

export function checkVersionDescription(description: string | undefined): void {
  if (description !== undefined && description.length > DESCRIPTION_LENGTH_MAX) {
    throw invalidParameterValue(`VersionDescription must not be longer than ${DESCRIPTION_LENGTH_MAX} characters.`);
  }
}

/** Throws for what AWS refuses to store; the answer is what it stores with a warning. */
export function checkLaunchData(
  data: RequestLaunchTemplateData | undefined,
  isInstanceType: (name: string) => boolean,
): ValidationWarning | undefined {
  if (!data || isEmpty(data)) {
    throw ec2Error(
      'MissingParameter',
      'No launch template data was provided. Launch template data is required to create a launch template.',
    );
  }
  if (data.ImageId !== undefined) requireImageId(data.ImageId);
  if (data.UserData !== undefined) readUserData(data.UserData);
  const hopLimit = data.MetadataOptions?.HttpPutResponseHopLimit;
  if (hopLimit !== undefined && (hopLimit < 1 || hopLimit > HOP_LIMIT_MAX)) {
    throw invalidParameterValue(
      `Invalid value '${hopLimit}' for HttpPutResponseHopLimit. Expecting a value between 1 and ${HOP_LIMIT_MAX}.`,
    );
  }
  const devices = (data.BlockDeviceMappings ?? []).map(({ DeviceName }) => DeviceName);
  const twice = devices.find((name, at) => name !== undefined && devices.indexOf(name) !== at);
  if (twice !== undefined) {
    throw ec2Error('InvalidBlockDeviceMapping', `The device '${twice}' is used in more than one block-device mapping`);
  }
  for (const { Tags } of data.TagSpecifications ?? []) checkTags(Tags ?? []);
  if (data.InstanceType === undefined || isInstanceType(data.InstanceType)) return undefined;
  return {
    Errors: [{ Code: 'InvalidInstanceType', Message: `Invalid instance type: '${data.InstanceType}'` }],
  };
}
