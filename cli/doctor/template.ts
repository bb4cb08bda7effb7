/** A launch template: the launch that its version describes, and the version that would be right (fault 16). */
import {
  DescribeLaunchTemplateVersionsCommand,
  type LaunchTemplateVersion,
  type RequestLaunchTemplateData,
} from '@aws-sdk/client-ec2';
import { templateVersionMend } from '../foresee/image-mends.ts';
import { type DeviceOverride, overridesOf } from '../foresee/images.ts';
import { isMissing, type Seen, type Views } from '../foresee/views.ts';
import type { Launch } from './launch.ts';

/** By id or name; the default version unless one is named. */
export function templateIn(
  views: Views,
  account: string,
  template: string,
  version = '$Default',
): Promise<Seen<LaunchTemplateVersion | 'missing'>> {
  const place = { what: `the launch template ${template}`, wants: 'ec2:DescribeLaunchTemplateVersions', account };
  return views.look(place, async (aws) => {
    const named = /^lt-[0-9a-f]+$/.test(template) ? { LaunchTemplateId: template } : { LaunchTemplateName: template };
    try {
      const command = new DescribeLaunchTemplateVersionsCommand({ ...named, Versions: [version] });
      return (await aws.ec2.send(command)).LaunchTemplateVersions?.[0] ?? 'missing';
    } catch (error) {
      if (isMissing(error)) return 'missing';
      throw error;
    }
  });
}

/** The launch of this version; nothing where it names no image. */
export function launchOf(
  version: LaunchTemplateVersion,
  place: { readonly region: string; readonly account: string },
  more: readonly DeviceOverride[],
): Launch | undefined {
  const data = version.LaunchTemplateData ?? {};
  if (!data.ImageId?.startsWith('ami-')) return undefined;
  return {
    imageId: data.ImageId,
    overrides: [...overridesOf(data.BlockDeviceMappings), ...more],
    mendDevices: (wrong) => {
      // A list in a new version replaces the whole one of its source (LT-3).
      const BlockDeviceMappings = (data.BlockDeviceMappings ?? []).map((mapping) =>
        wrong.includes(mapping.DeviceName ?? '') && mapping.Ebs ? { ...mapping, Ebs: corrected(mapping.Ebs) } : mapping,
      ) as NonNullable<RequestLaunchTemplateData['BlockDeviceMappings']>;
      return templateVersionMend(
        place,
        {
          id: version.LaunchTemplateId ?? '',
          version: String(version.VersionNumber),
          makeDefault: version.DefaultVersion === true,
        },
        { BlockDeviceMappings },
        `Make a version of ${version.LaunchTemplateName} that says Encrypted as it has to`,
      );
    },
  };
}

/** With a key it is encrypted; without one, an encrypted snapshot says so by itself. */
function corrected<Ebs extends { readonly KmsKeyId?: string; readonly Encrypted?: boolean }>(ebs: Ebs): Ebs {
  if (ebs.KmsKeyId) return { ...ebs, Encrypted: true };
  const { Encrypted: _, ...rest } = ebs;
  return rest as Ebs;
}
