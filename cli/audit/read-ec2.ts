/** Images, snapshots, volumes, instances, launch templates and settings of one account in one region. */
import {
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeLaunchTemplateVersionsCommand,
  DescribeSnapshotAttributeCommand,
  GetAllowedImagesSettingsCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  GetImageBlockPublicAccessStateCommand,
  GetSnapshotBlockPublicAccessStateCommand,
  type Image,
  type Instance,
  type LaunchTemplate,
  type LaunchTemplateVersion,
  paginateDescribeImages,
  paginateDescribeInstances,
  paginateDescribeLaunchTemplates,
  paginateDescribeSnapshots,
  paginateDescribeVolumes,
  type Tag,
} from '@aws-sdk/client-ec2';
import type {
  ImageFacts,
  InstanceFacts,
  PlaceFacts,
  Share,
  SnapshotFacts,
  TemplateFacts,
  VolumeFacts,
} from './model.ts';
import type { Reader } from './reader.ts';

const PAGE = 500;
/** Ids in one DescribeImages. */
const IDS_AT_ONCE = 100;

type SettingFacts = Pick<
  PlaceFacts,
  'encryptionByDefault' | 'defaultKey' | 'imageBlockPublicAccess' | 'snapshotBlockPublicAccess' | 'allowedImages'
>;

export async function readSettings(reader: Reader): Promise<SettingFacts> {
  const [flag, key, images, snapshots, allowed] = await Promise.all([
    reader.ask('encryption by default', 'ec2:GetEbsEncryptionByDefault', async ({ ec2 }, abortSignal) => {
      const { EbsEncryptionByDefault } = await ec2.send(new GetEbsEncryptionByDefaultCommand({}), { abortSignal });
      return EbsEncryptionByDefault;
    }),
    reader.ask('encryption by default', 'ec2:GetEbsDefaultKmsKeyId', async ({ ec2 }, abortSignal) => {
      return (await ec2.send(new GetEbsDefaultKmsKeyIdCommand({}), { abortSignal })).KmsKeyId;
    }),
    reader.ask(
      'block public access for images',
      'ec2:GetImageBlockPublicAccessState',
      async ({ ec2 }, abortSignal) =>
        (await ec2.send(new GetImageBlockPublicAccessStateCommand({}), { abortSignal })).ImageBlockPublicAccessState,
    ),
    reader.ask(
      'block public access for snapshots',
      'ec2:GetSnapshotBlockPublicAccessState',
      async ({ ec2 }, abortSignal) =>
        (await ec2.send(new GetSnapshotBlockPublicAccessStateCommand({}), { abortSignal })).State,
    ),
    reader.ask('allowed images', 'ec2:GetAllowedImagesSettings', async ({ ec2 }, abortSignal) => {
      return (await ec2.send(new GetAllowedImagesSettingsCommand({}), { abortSignal })).State;
    }),
  ]);
  return {
    ...(flag === undefined ? {} : { encryptionByDefault: flag }),
    ...(key === undefined ? {} : { defaultKey: key }),
    ...(images === undefined ? {} : { imageBlockPublicAccess: images }),
    ...(snapshots === undefined ? {} : { snapshotBlockPublicAccess: snapshots }),
    ...(allowed === undefined ? {} : { allowedImages: allowed }),
  };
}

export async function readImages(reader: Reader): Promise<ImageFacts[]> {
  const images = await reader.all(
    'images',
    'ec2:DescribeImages',
    ({ ec2 }) =>
      paginateDescribeImages(
        { client: ec2, pageSize: PAGE },
        { Owners: ['self'], IncludeDeprecated: true, IncludeDisabled: true },
      ),
    (page) => page.Images,
  );
  return Promise.all((images ?? []).map(async (image) => imageFacts(image, await imageShares(reader, image))));
}

/** The images that templates and instances use and that are not the account's own, as far as they are shared with it. */
export async function readForeignImages(reader: Reader, ids: readonly string[]): Promise<ImageFacts[]> {
  const found: ImageFacts[] = [];
  for (let at = 0; at < ids.length; at += IDS_AT_ONCE) {
    // By filter: an id that is gone is no error then.
    const Filters = [{ Name: 'image-id', Values: ids.slice(at, at + IDS_AT_ONCE) }];
    const images = await reader.ask('images', 'ec2:DescribeImages', async ({ ec2 }, abortSignal) => {
      return (await ec2.send(new DescribeImagesCommand({ Filters, IncludeDeprecated: true }), { abortSignal })).Images;
    });
    for (const image of images ?? []) found.push(imageFacts(image, []));
  }
  return found;
}

function imageFacts(image: Image, shares: readonly Share[] | undefined): ImageFacts {
  return {
    id: image.ImageId ?? '',
    ...(image.Name === undefined ? {} : { name: image.Name }),
    owner: image.OwnerId ?? '',
    state: image.State ?? 'unknown',
    public: image.Public === true,
    ...(image.CreationDate === undefined ? {} : { created: image.CreationDate }),
    ...(image.DeprecationTime === undefined ? {} : { deprecated: image.DeprecationTime }),
    ...(image.LastLaunchedTime === undefined ? {} : { lastLaunched: image.LastLaunchedTime }),
    devices: (image.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) =>
      Ebs
        ? [
            {
              device: DeviceName ?? '',
              ...(Ebs.SnapshotId === undefined ? {} : { snapshotId: Ebs.SnapshotId }),
              ...(Ebs.Encrypted === undefined ? {} : { encrypted: Ebs.Encrypted }),
            },
          ]
        : [],
    ),
    shares,
  };
}

async function imageShares(reader: Reader, { ImageId }: Image): Promise<Share[] | undefined> {
  const permissions = await reader.ask(
    'image permissions',
    'ec2:DescribeImageAttribute',
    async ({ ec2 }, abortSignal) => {
      const command = new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' });
      return (await ec2.send(command, { abortSignal })).LaunchPermissions ?? [];
    },
    ImageId,
  );
  return permissions?.flatMap((one): Share[] => {
    if (one.Group) return [{ kind: 'everyone', value: one.Group }];
    if (one.UserId) return one.UserId === reader.place.account ? [] : [{ kind: 'account', value: one.UserId }];
    if (one.OrganizationArn) return [{ kind: 'organization', value: one.OrganizationArn }];
    if (one.OrganizationalUnitArn) return [{ kind: 'organizational-unit', value: one.OrganizationalUnitArn }];
    return [];
  });
}

export async function readSnapshots(reader: Reader): Promise<SnapshotFacts[]> {
  const snapshots = await reader.all(
    'snapshots',
    'ec2:DescribeSnapshots',
    ({ ec2 }) => paginateDescribeSnapshots({ client: ec2, pageSize: PAGE }, { OwnerIds: ['self'] }),
    (page) => page.Snapshots,
  );
  return Promise.all(
    (snapshots ?? [])
      .filter(({ State }) => State !== 'error')
      .map(async (snapshot) => ({
        id: snapshot.SnapshotId ?? '',
        encrypted: snapshot.Encrypted === true,
        ...(snapshot.KmsKeyId === undefined ? {} : { key: snapshot.KmsKeyId }),
        ...(snapshot.VolumeId === undefined ? {} : { volume: snapshot.VolumeId }),
        shares: await snapshotShares(reader, snapshot.SnapshotId),
      })),
  );
}

async function snapshotShares(reader: Reader, SnapshotId: string | undefined): Promise<Share[] | undefined> {
  const permissions = await reader.ask(
    'snapshot permissions',
    'ec2:DescribeSnapshotAttribute',
    async ({ ec2 }, abortSignal) => {
      const command = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' });
      return (await ec2.send(command, { abortSignal })).CreateVolumePermissions ?? [];
    },
    SnapshotId,
  );
  return permissions?.flatMap(({ Group, UserId }): Share[] => {
    if (Group) return [{ kind: 'everyone', value: Group }];
    return UserId && UserId !== reader.place.account ? [{ kind: 'account', value: UserId }] : [];
  });
}

export async function readVolumes(reader: Reader): Promise<VolumeFacts[]> {
  const volumes = await reader.all(
    'volumes',
    'ec2:DescribeVolumes',
    ({ ec2 }) => paginateDescribeVolumes({ client: ec2, pageSize: PAGE }, {}),
    (page) => page.Volumes,
  );
  return (volumes ?? []).map((volume) => ({
    id: volume.VolumeId ?? '',
    encrypted: volume.Encrypted === true,
    ...(volume.KmsKeyId === undefined ? {} : { key: volume.KmsKeyId }),
    ...(volume.SnapshotId ? { snapshot: volume.SnapshotId } : {}),
    ...(volume.AvailabilityZone === undefined ? {} : { zone: volume.AvailabilityZone }),
    attached: (volume.Attachments ?? []).flatMap(({ InstanceId, Device }) =>
      InstanceId ? [{ instance: InstanceId, device: Device ?? '' }] : [],
    ),
  }));
}

const GONE = new Set(['shutting-down', 'terminated']);

export async function readInstances(reader: Reader): Promise<InstanceFacts[]> {
  const instances = await reader.all(
    'instances',
    'ec2:DescribeInstances',
    ({ ec2 }) => paginateDescribeInstances({ client: ec2, pageSize: PAGE }, {}),
    (page) => page.Reservations?.flatMap((reservation): Instance[] => reservation.Instances ?? []),
  );
  return (instances ?? [])
    .filter(({ State }) => !GONE.has(State?.Name ?? ''))
    .map((instance) => ({
      id: instance.InstanceId ?? '',
      ...nameOf(instance.Tags),
      state: instance.State?.Name ?? 'unknown',
      ...(instance.ImageId === undefined ? {} : { image: instance.ImageId }),
      volumes: (instance.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) =>
        Ebs?.VolumeId ? [{ device: DeviceName ?? '', id: Ebs.VolumeId }] : [],
      ),
    }));
}

function nameOf(tags: readonly Tag[] | undefined): { readonly name?: string } {
  const name = tags?.find(({ Key }) => Key === 'Name')?.Value;
  return name ? { name } : {};
}

/** The default and the latest version of each template: those that launches take unless they name another. */
export async function readTemplates(reader: Reader): Promise<TemplateFacts[]> {
  const templates = await reader.all(
    'launch templates',
    'ec2:DescribeLaunchTemplates',
    ({ ec2 }) => paginateDescribeLaunchTemplates({ client: ec2, pageSize: 200 }, {}),
    (page) => page.LaunchTemplates,
  );
  const found = await Promise.all((templates ?? []).map((template) => readVersions(reader, template)));
  return found.flat();
}

async function readVersions(reader: Reader, template: LaunchTemplate): Promise<TemplateFacts[]> {
  const { LaunchTemplateId: id = '', LaunchTemplateName: name = '', LatestVersionNumber: latest } = template;
  const versions = await reader.ask(
    'launch templates',
    'ec2:DescribeLaunchTemplateVersions',
    async ({ ec2 }, abortSignal) => {
      const request = { LaunchTemplateId: id, Versions: ['$Default', '$Latest'] };
      const command = new DescribeLaunchTemplateVersionsCommand(request);
      return (await ec2.send(command, { abortSignal })).LaunchTemplateVersions;
    },
    id,
  );
  const unique = new Map((versions ?? []).map((version) => [version.VersionNumber, version]));
  return [...unique.values()].map((version) => ({
    id,
    name,
    version: version.VersionNumber ?? 0,
    isDefault: version.DefaultVersion === true,
    isLatest: version.VersionNumber === latest,
    ...(version.LaunchTemplateData?.ImageId === undefined ? {} : { image: version.LaunchTemplateData.ImageId }),
    devices: templateDevices(version),
  }));
}

function templateDevices({ LaunchTemplateData: data }: LaunchTemplateVersion): TemplateFacts['devices'] {
  return (data?.BlockDeviceMappings ?? []).map(({ DeviceName, Ebs, NoDevice }) => ({
    device: DeviceName ?? '',
    volume: NoDevice === undefined && Ebs !== undefined,
    ...(Ebs?.SnapshotId === undefined ? {} : { snapshotId: Ebs.SnapshotId }),
    ...(Ebs?.Encrypted === undefined ? {} : { encrypted: Ebs.Encrypted }),
    ...(Ebs?.KmsKeyId === undefined ? {} : { key: Ebs.KmsKeyId }),
  }));
}
