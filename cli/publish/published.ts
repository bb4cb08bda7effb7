/**
 * What is published, read from the tags of images and snapshots: there is no other state. An image of ours says by
 * `ingot:publish/name` and `…/version` what it is a version of, and by `…/source` what it was made from.
 */
import {
  DescribeImageAttributeCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  type Image,
  type LaunchPermission,
  paginateDescribeImages,
  paginateDescribeSnapshots,
  type Snapshot,
  type Tag,
} from '@aws-sdk/client-ec2';
import type { EbsDefaults } from '../foresee/devices.ts';
import type { Manifest } from './manifest.ts';
import type { Site } from './sites.ts';

export const TAG = {
  name: 'ingot:publish/name',
  version: 'ingot:publish/version',
  source: 'ingot:publish/source',
  /** `staging` on the AMI of an instance that the regions are copied from; gone in the end. */
  role: 'ingot:publish/role',
} as const;

/** One entry of a launch permission: `account:…`, `organization:ARN`, `unit:ARN` or `everyone`. */
export type Reader = string;

export interface PublishedImage {
  readonly imageId: string;
  readonly version: string;
  readonly source: string;
  readonly state: string;
  /** Why it failed. */
  readonly reason?: string;
  readonly createdAt: Date;
  readonly deprecatedAt?: Date;
  readonly readers: readonly Reader[];
  readonly snapshotIds: readonly string[];
  /** Key of its snapshots; undefined where they are plain, or gone. */
  readonly keyArn?: string;
  readonly image: Image;
}

export interface Published {
  readonly site: Site;
  readonly images: readonly PublishedImage[];
  /** AMIs of instances, from which regions are copied. */
  readonly staging: readonly PublishedImage[];
  /** Snapshots with our tags and no AMI. */
  readonly loose: readonly LooseSnapshot[];
  /** The AMI that has the name of the version, whoever made it. */
  readonly named?: Image;
  readonly defaults: EbsDefaults;
}

export interface LooseSnapshot {
  readonly snapshotId: string;
  readonly version: string;
  readonly source: string;
  readonly state: string;
  readonly reason?: string;
}

export const imageName = ({ name, version }: Pick<Manifest, 'name' | 'version'>) => `${name}-${version}`;
export const stagingName = (manifest: Pick<Manifest, 'name' | 'version'>) => `${imageName(manifest)}-staging`;

export function tagsOf(manifest: Manifest, source: string, more: Readonly<Record<string, string>> = {}): Tag[] {
  const all = {
    Name: imageName(manifest),
    ...manifest.tags,
    [TAG.name]: manifest.name,
    [TAG.version]: manifest.version,
    [TAG.source]: source,
    ...more,
  };
  return Object.entries(all).map(([Key, Value]) => ({ Key, Value }));
}

export const tagSpecifications = (tags: Tag[]) => [
  { ResourceType: 'image' as const, Tags: tags },
  { ResourceType: 'snapshot' as const, Tags: tags },
];

const tagged = (tags: readonly Tag[] | undefined, key: string) => tags?.find(({ Key }) => Key === key)?.Value;

export async function readPublished(site: Site, manifest: Manifest, signal: AbortSignal): Promise<Published> {
  const client = site.aws.ec2;
  const options = { abortSignal: signal };
  const ours = [{ Name: `tag:${TAG.name}`, Values: [escaped(manifest.name)] }];
  const [defaults, images, snapshots, named] = await Promise.all([
    readDefaults(site, signal),
    collect(paginateDescribeImages({ client }, { Owners: ['self'], Filters: ours }), ({ Images }) => Images),
    collect(paginateDescribeSnapshots({ client }, { OwnerIds: ['self'], Filters: ours }), ({ Snapshots }) => Snapshots),
    collect(
      paginateDescribeImages(
        { client },
        {
          Owners: ['self'],
          IncludeDisabled: true,
          IncludeDeprecated: true,
          Filters: [{ Name: 'name', Values: [escaped(imageName(manifest))] }],
        },
      ),
      ({ Images }) => Images,
    ),
  ]);
  const bySnapshot = new Map(snapshots.map((snapshot) => [snapshot.SnapshotId!, snapshot]));
  const found = await Promise.all(
    images.map(async (image) => {
      const { LaunchPermissions } =
        image.State === 'available'
          ? await client.send(
              new DescribeImageAttributeCommand({ ImageId: image.ImageId, Attribute: 'launchPermission' }),
              options,
            )
          : { LaunchPermissions: [] };
      return {
        staging: tagged(image.Tags, TAG.role) === 'staging',
        one: publishedImage(image, LaunchPermissions, bySnapshot),
      };
    }),
  );
  const used = new Set(found.flatMap(({ one }) => one.snapshotIds));
  return {
    site,
    images: found.filter(({ staging }) => !staging).map(({ one }) => one),
    staging: found.filter(({ staging }) => staging).map(({ one }) => one),
    loose: snapshots.filter(({ SnapshotId }) => !used.has(SnapshotId!)).map(looseSnapshot),
    ...(named[0] ? { named: named[0] } : {}),
    defaults,
  };
}

export async function readDefaults({ aws }: Site, signal: AbortSignal): Promise<EbsDefaults> {
  const [flag, key] = await Promise.all([
    aws.ec2.send(new GetEbsEncryptionByDefaultCommand({}), { abortSignal: signal }),
    aws.ec2.send(new GetEbsDefaultKmsKeyIdCommand({}), { abortSignal: signal }),
  ]);
  return { encryptionByDefault: flag.EbsEncryptionByDefault === true, defaultKey: key.KmsKeyId ?? 'alias/aws/ebs' };
}

function publishedImage(
  image: Image,
  permissions: readonly LaunchPermission[] | undefined,
  snapshots: ReadonlyMap<string, Snapshot>,
): PublishedImage {
  const snapshotIds = snapshotIdsOf(image);
  const messages = snapshotIds.flatMap((id) => snapshots.get(id)?.StateMessage || []);
  const reasons = [image.StateReason?.Message, ...new Set(messages)].filter(Boolean);
  const keyArn = snapshotIds.map((id) => snapshots.get(id)?.KmsKeyId).find((key) => key !== undefined);
  return {
    imageId: image.ImageId!,
    version: tagged(image.Tags, TAG.version) ?? '',
    source: tagged(image.Tags, TAG.source) ?? '',
    state: image.State ?? 'unknown',
    ...(reasons.length > 0 ? { reason: reasons.join('; ') } : {}),
    createdAt: new Date(image.CreationDate ?? 0),
    ...(image.DeprecationTime ? { deprecatedAt: new Date(image.DeprecationTime) } : {}),
    readers: (permissions ?? []).map(readerOf).sort(),
    snapshotIds,
    ...(keyArn ? { keyArn } : {}),
    image,
  };
}

export const snapshotIdsOf = (image: Image): string[] =>
  (image.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => (Ebs?.SnapshotId ? [Ebs.SnapshotId] : []));

function looseSnapshot({ SnapshotId, Tags, State, StateMessage }: Snapshot): LooseSnapshot {
  return {
    snapshotId: SnapshotId!,
    version: tagged(Tags, TAG.version) ?? '',
    source: tagged(Tags, TAG.source) ?? '',
    state: State ?? 'unknown',
    ...(StateMessage ? { reason: StateMessage } : {}),
  };
}

function readerOf({ UserId, Group, OrganizationArn, OrganizationalUnitArn }: LaunchPermission): Reader {
  if (UserId) return `account:${UserId}`;
  if (OrganizationArn) return `organization:${OrganizationArn}`;
  if (OrganizationalUnitArn) return `unit:${OrganizationalUnitArn}`;
  return Group === 'all' ? 'everyone' : `group:${Group}`;
}

export function permissionOf(reader: Reader): LaunchPermission {
  const at = reader.indexOf(':');
  const value = reader.slice(at + 1);
  switch (reader.slice(0, at)) {
    case 'account':
      return { UserId: value };
    case 'organization':
      return { OrganizationArn: value };
    case 'unit':
      return { OrganizationalUnitArn: value };
    default:
      return { Group: 'all' };
  }
}

/** Filters of EC2 know wildcards. */
export const escaped = (text: string) => text.replace(/[\\*?]/g, '\\$&');

export async function collect<Page, Item>(
  pages: AsyncIterable<Page>,
  items: (page: Page) => readonly Item[] | undefined,
): Promise<Item[]> {
  const all: Item[] = [];
  for await (const page of pages) all.push(...(items(page) ?? []));
  return all;
}
