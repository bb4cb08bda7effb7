/** Launch templates: what they launch now, and the steps that move them to the version. */
import {
  CreateLaunchTemplateVersionCommand,
  DescribeLaunchTemplatesCommand,
  type LaunchTemplate,
  type LaunchTemplateVersion,
  ModifyLaunchTemplateCommand,
  paginateDescribeInstances,
  paginateDescribeLaunchTemplateVersions,
} from '@aws-sdk/client-ec2';
import { type DeviceRequest, type EbsDefaults, effectiveDevices } from '../foresee/devices.ts';
import { findKey, isEbsManagedAlias, keyProblem } from '../foresee/key.ts';
import type { Views } from '../foresee/views.ts';
import { encryptionOf } from './image-steps.ts';
import type { Manifest, TemplateTarget } from './manifest.ts';
import { collect, imageName } from './published.ts';
import type { Refusals } from './refusal.ts';
import { type Site, siteKey } from './sites.ts';
import type { Encryption, Step } from './step.ts';

export interface FoundTemplate {
  readonly site: Site;
  readonly target: TemplateTarget;
  readonly id: string;
  readonly name: string;
  readonly defaultVersion: number;
  /** Newest first. */
  readonly versions: readonly LaunchTemplateVersion[];
}

export async function readTemplate(
  site: Site,
  target: TemplateTarget,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<FoundTemplate | undefined> {
  const { template } = target;
  const by = /^lt-[0-9a-f]+$/.test(template) ? { LaunchTemplateIds: [template] } : { LaunchTemplateNames: [template] };
  let found: LaunchTemplate | undefined;
  try {
    const answer = await site.aws.ec2.send(new DescribeLaunchTemplatesCommand(by), { abortSignal: signal });
    found = answer.LaunchTemplates?.[0];
  } catch (error) {
    if (!(error instanceof Error && /NotFound|Malformed/.test(error.name))) throw error;
  }
  if (!found?.LaunchTemplateId) {
    const message = `There is no launch template ${template} in account ${site.account}.`;
    refusals.add('template-missing', siteKey(site), message, 'make it, or take it out of launchTemplates');
    return undefined;
  }
  return { ...(await withVersions(site, found, signal)), target };
}

async function withVersions(site: Site, found: LaunchTemplate, signal: AbortSignal) {
  signal.throwIfAborted();
  const versions = await collect(
    paginateDescribeLaunchTemplateVersions({ client: site.aws.ec2 }, { LaunchTemplateId: found.LaunchTemplateId }),
    ({ LaunchTemplateVersions }) => LaunchTemplateVersions,
  );
  versions.sort((one, other) => other.VersionNumber! - one.VersionNumber!);
  return {
    site,
    id: found.LaunchTemplateId!,
    name: found.LaunchTemplateName!,
    defaultVersion: found.DefaultVersionNumber!,
    versions,
  };
}

/** The version that the new one is made from: the one in use, unless only the latest is to move. */
const baseOf = ({ target, versions, defaultVersion }: FoundTemplate) =>
  (target.setDefault ? versions.find(({ VersionNumber }) => VersionNumber === defaultVersion) : versions[0])!;

/** What a launch by the template would be sealed under; refuses what could not launch. */
export async function templateEncryption(
  template: FoundTemplate,
  devices: readonly DeviceRequest[],
  defaults: EbsDefaults,
  views: Views,
  refusals: Refusals,
): Promise<Encryption> {
  const { site, name } = template;
  const over = new Map(
    (baseOf(template).LaunchTemplateData?.BlockDeviceMappings ?? []).map((mapping) => [mapping.DeviceName, mapping]),
  );
  const requests: DeviceRequest[] = [];
  const override = (Ebs: { Encrypted?: boolean | undefined; KmsKeyId?: string | undefined } | undefined) => ({
    ...(Ebs?.Encrypted === undefined ? {} : { encrypted: Ebs.Encrypted }),
    ...(Ebs?.KmsKeyId === undefined ? {} : { kmsKeyId: Ebs.KmsKeyId }),
  });
  for (const device of devices) {
    const mapping = over.get(device.deviceName);
    over.delete(device.deviceName);
    if (mapping?.NoDevice === undefined) requests.push({ ...device, ...override(mapping?.Ebs) });
  }
  for (const { DeviceName, Ebs, NoDevice } of over.values()) {
    if (NoDevice !== undefined || !Ebs) continue;
    requests.push({ deviceName: DeviceName ?? '', ...override(Ebs) });
  }
  const effective = effectiveDevices(requests, defaults);
  for (const device of effective) {
    if (device.outcome === 'refused') {
      const message = `A launch by ${name} would be ${device.why} (${device.deviceName}).`;
      refusals.add('template-key', siteKey(site), message, 'set Encrypted=true beside the key in the template');
    } else if (device.outcome === 'encrypted' && device.choice === 'given-key' && !isEbsManagedAlias(device.key!)) {
      const seen = await findKey(views, device.key!, site.account);
      const problem = seen.seen ? keyProblem(seen.value, site.region) : undefined;
      if (problem === undefined) continue;
      const message = `${name} gives ${device.deviceName} the key ${device.key}, which is ${problem.replaceAll('-', ' ')}.`;
      refusals.add('template-key', siteKey(site), message, 'name a usable key in the template');
    }
  }
  return encryptionOf(effective);
}

export function templateSteps(
  template: FoundTemplate,
  manifest: Manifest,
  /** The image, and where the run will tell it if it is still to be made. */
  image: { readonly known?: string; readonly at: string },
  encryption: Encryption,
): Step[] {
  const { site, id, name, target, versions, defaultVersion } = template;
  const { known: imageId, at } = image;
  const has = imageId === undefined ? undefined : versions.find((one) => one.LaunchTemplateData?.ImageId === imageId);
  const base = baseOf(template).VersionNumber!;
  const steps: Step[] = [];
  const common = { stage: 'template', account: site.account, region: site.region, encryption } as const;
  let made: number | undefined = has?.VersionNumber;
  if (!has) {
    steps.push({
      ...common,
      action: 'template-version',
      what: `a new version of ${name} with ${imageId ?? imageName(manifest)}, all else as in version ${base}`,
      why: 'no version of it has the image',
      async perform({ images, signal }) {
        const command = new CreateLaunchTemplateVersionCommand({
          LaunchTemplateId: id,
          SourceVersion: String(base),
          VersionDescription: `ingot publish ${imageName(manifest)}`,
          LaunchTemplateData: { ImageId: images.get(at)! },
        });
        const { LaunchTemplateVersion: version } = await site.aws.ec2.send(command, { abortSignal: signal });
        made = version!.VersionNumber!;
        return `${name} has version ${made} with ${images.get(at)}`;
      },
    });
  }
  if (target.setDefault && (has === undefined || has.VersionNumber !== defaultVersion)) {
    steps.push({
      ...common,
      action: 'template-default',
      what: `make it the default of ${name}, in place of version ${defaultVersion}`,
      why: 'the manifest says so',
      async perform({ signal }) {
        const command = new ModifyLaunchTemplateCommand({ LaunchTemplateId: id, DefaultVersion: String(made!) });
        await site.aws.ec2.send(command, { abortSignal: signal });
        return `${name} launches version ${made} by default`;
      },
    });
  }
  return steps;
}

/** A template that launches one of the images by its default or latest version. */
export interface TemplateUse {
  readonly site: Site;
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly imageId: string;
  readonly isDefault: boolean;
}

/** Everything in the site that needs the images: current versions of launch templates, instances. */
export async function usesOf(
  site: Site,
  imageIds: readonly string[],
): Promise<{ templates: TemplateUse[]; instances: { instanceId: string; imageId: string }[] }> {
  if (imageIds.length === 0) return { templates: [], instances: [] };
  const client = site.aws.ec2;
  const wanted = new Set(imageIds);
  const [versions, reservations] = await Promise.all([
    collect(
      paginateDescribeLaunchTemplateVersions({ client }, { Versions: ['$Default', '$Latest'] }),
      ({ LaunchTemplateVersions }) => LaunchTemplateVersions,
    ),
    collect(
      paginateDescribeInstances({ client }, { Filters: [{ Name: 'image-id', Values: [...imageIds] }] }),
      ({ Reservations }) => Reservations,
    ),
  ]);
  const templates = versions
    .filter(({ LaunchTemplateData }) => wanted.has(LaunchTemplateData?.ImageId ?? ''))
    .map((version) => ({
      site,
      id: version.LaunchTemplateId!,
      name: version.LaunchTemplateName!,
      version: version.VersionNumber!,
      imageId: version.LaunchTemplateData!.ImageId!,
      isDefault: version.DefaultVersion === true,
    }));
  const instances = reservations
    .flatMap(({ Instances }) => Instances ?? [])
    .filter(({ State }) => State?.Name !== 'terminated')
    .map(({ InstanceId, ImageId }) => ({ instanceId: InstanceId!, imageId: ImageId! }));
  return { templates, instances };
}

/**
 * Takes a template off the images, its default and its latest version alike: to its newest version with another image;
 * undefined where it has none.
 */
export async function moveBackSteps(
  site: Site,
  { id, name }: Pick<TemplateUse, 'id' | 'name'>,
  imageIds: readonly string[],
  signal: AbortSignal,
): Promise<Step[] | undefined> {
  const { versions } = await withVersions(site, { LaunchTemplateId: id }, signal);
  const isOff = ({ LaunchTemplateData }: LaunchTemplateVersion) =>
    !imageIds.includes(LaunchTemplateData?.ImageId ?? '');
  const back = versions.find((one) => one.LaunchTemplateData?.ImageId !== undefined && isOff(one));
  if (!back) return undefined;
  const to = String(back.VersionNumber);
  const { account, region } = site;
  const common = { stage: 'template', account, region, why: 'its image goes' } as const;
  const steps: Step[] = [];
  const current = versions.find(({ DefaultVersion }) => DefaultVersion);
  if (current && !isOff(current)) {
    steps.push({
      ...common,
      action: 'template-default',
      what: `move ${name} back from version ${current.VersionNumber} to ${to}`,
      async perform({ signal }) {
        const command = new ModifyLaunchTemplateCommand({ LaunchTemplateId: id, DefaultVersion: to });
        await site.aws.ec2.send(command, { abortSignal: signal });
        return `${name} launches version ${to} by default`;
      },
    });
  }
  const latest = versions[0]!;
  if (!isOff(latest)) {
    steps.push({
      ...common,
      action: 'template-version',
      what: `a new latest version of ${name}, as version ${to}`,
      async perform({ signal }) {
        const command = new CreateLaunchTemplateVersionCommand({
          LaunchTemplateId: id,
          SourceVersion: to,
          VersionDescription: `as version ${to}: the image of version ${latest.VersionNumber} is retired`,
          LaunchTemplateData: { ImageId: back.LaunchTemplateData!.ImageId! },
        });
        const { LaunchTemplateVersion: made } = await site.aws.ec2.send(command, { abortSignal: signal });
        return `${name} has version ${made!.VersionNumber}, as version ${to}`;
      },
    });
  }
  return steps;
}
