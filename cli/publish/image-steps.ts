/** Steps that make the images of a version: from a disk, from an instance, as copies; and those that take them away. */

import { setTimeout as pause } from 'node:timers/promises';
import {
  CopyImageCommand,
  CreateImageCommand,
  DeleteSnapshotCommand,
  DeregisterImageCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  EnableImageDeprecationCommand,
} from '@aws-sdk/client-ec2';
import { CliError } from '../error.ts';
import type { EffectiveDevice } from '../foresee/devices.ts';
import type { Manifest } from './manifest.ts';
import {
  imageName,
  type LooseSnapshot,
  type PublishedImage,
  snapshotIdsOf,
  stagingName,
  TAG,
  tagSpecifications,
  tagsOf,
} from './published.ts';
import type { SiteKey } from './region-key.ts';
import { sharedByNow } from './shared-by-now.ts';
import { type Site, siteKey } from './sites.ts';
import type { Encryption, Run, Step } from './step.ts';

const POLL_FIRST_MS = 200;
const POLL_MOST_MS = 10_000;
/** A new image may not be seen everywhere at once; after so many looks it is gone. */
const MISSING_MOST = 8;
export const STAGING = 'staging';

export const keyName = (key: SiteKey | undefined) =>
  key === undefined ? 'no key' : key.kind === 'managed' ? 'alias/aws/ebs' : key.arn;

/** One line for all devices; images of several keys name them all. */
export function encryptionOf(devices: readonly EffectiveDevice[]): Encryption {
  const plain = devices.some(({ outcome }) => outcome === 'plain');
  const keys = new Set(
    devices.flatMap((one) => (one.outcome === 'encrypted' ? [one.key ?? 'the key of its snapshot'] : [])),
  );
  const why = [...new Set(devices.map((one) => one.why))].join('; ');
  return { encrypted: !plain && keys.size > 0, ...(keys.size > 0 ? { key: [...keys].join(', ') } : {}), why };
}

/** An image of this version that is there already, in whatever state. */
export interface Begun {
  readonly pending?: PublishedImage;
  readonly failed: readonly PublishedImage[];
}

export function copyStep(options: {
  readonly site: Site;
  readonly manifest: Manifest;
  readonly source: string;
  readonly key: SiteKey | undefined;
  readonly begun: Begun;
  readonly from: { readonly region: string; readonly imageId?: string; readonly site?: string };
  readonly encryption: Encryption;
  readonly stage: 'copy' | 'reencrypt';
}): Step {
  const { site, manifest, source, key, begun, from, encryption, stage } = options;
  const what = begun.pending
    ? `wait for ${begun.pending.imageId}, which is being copied`
    : `copy ${from.imageId ?? 'it'} from ${from.region} as ${imageName(manifest)}`;
  const failed = begun.failed.map(({ imageId, reason }) => `${imageId} failed (${reason ?? 'no reason is given'})`);
  const why = begun.pending
    ? 'an earlier apply began it'
    : failed.length > 0
      ? `${failed.join(', ')}: removed, and copied anew`
      : stage === 'reencrypt'
        ? 'the account gets its own copy, under its own key'
        : `not published in ${site.region} yet`;
  return {
    stage,
    action: 'copy-image',
    account: site.account,
    region: site.region,
    what,
    why,
    encryption,
    async perform(run) {
      const { ec2 } = site.aws;
      let imageId = begun.pending?.imageId;
      if (!imageId) {
        for (const image of begun.failed) await removeImage(site, image.imageId, image.snapshotIds, run.signal);
        const sourceId = from.imageId ?? run.images.get(from.site!);
        if (!sourceId) throw new CliError(`There is no image in ${from.region} to copy from.`);
        const command = () =>
          new CopyImageCommand({
            Name: imageName(manifest),
            ...(manifest.description === undefined ? {} : { Description: manifest.description }),
            SourceImageId: sourceId,
            SourceRegion: from.region,
            ...(key ? { Encrypted: true } : {}),
            ...(key?.kind === 'customer' ? { KmsKeyId: key.arn } : {}),
            TagSpecifications: tagSpecifications(tagsOf(manifest, source)),
          });
        const answer = await sharedByNow(() => ec2.send(command(), { abortSignal: run.signal }), run.signal);
        imageId = answer.ImageId!;
      }
      await imageAvailable(site, imageId, run.signal);
      run.images.set(siteKey(site), imageId);
      return `${imageId} is ${imageName(manifest)}, ${encryption.encrypted ? `under ${encryption.key}` : 'not encrypted'}`;
    },
  };
}

/** An AMI of an instance, which every region is copied from; it goes when they are done. */
export function stagingStep(
  site: Site,
  manifest: Manifest,
  source: string,
  begun: Begun,
  encryption: Encryption,
): Step {
  const { source: from } = manifest;
  if (from.kind !== 'instance') throw new TypeError('only an instance is staged');
  return {
    stage: 'source',
    action: 'create-image',
    account: site.account,
    region: site.region,
    what: begun.pending
      ? `wait for ${begun.pending.imageId}, which is being made of ${from.instanceId}`
      : `make an AMI of ${from.instanceId}${from.reboot ? ', which is stopped for that moment' : ''}`,
    why: 'regions are copied from it; it goes when they are done',
    encryption,
    async perform(run) {
      let imageId = begun.pending?.imageId;
      if (!imageId) {
        for (const image of begun.failed) await removeImage(site, image.imageId, image.snapshotIds, run.signal);
        const answer = await site.aws.ec2.send(
          new CreateImageCommand({
            InstanceId: from.instanceId,
            Name: stagingName(manifest),
            NoReboot: !from.reboot,
            TagSpecifications: tagSpecifications(tagsOf(manifest, source, { [TAG.role]: STAGING })),
          }),
          { abortSignal: run.signal },
        );
        imageId = answer.ImageId!;
      }
      await imageAvailable(site, imageId, run.signal);
      run.images.set(STAGING, imageId);
      return `${imageId} is made of ${from.instanceId}`;
    },
  };
}

/** Waits until it is available; why it failed is told in EC2's words, with those of its snapshots. */
export async function imageAvailable({ aws, region }: Site, imageId: string, signal: AbortSignal): Promise<void> {
  let missing = 0;
  for (let waitMs = POLL_FIRST_MS; ; waitMs = Math.min(waitMs * 2, POLL_MOST_MS)) {
    // By its id as a filter: one that is not to be seen yet is no error then.
    const command = new DescribeImagesCommand({ Filters: [{ Name: 'image-id', Values: [imageId] }] });
    const { Images } = await aws.ec2.send(command, { abortSignal: signal });
    const image = Images?.[0];
    if (image?.State === 'available') return;
    missing = image ? 0 : missing + 1;
    if (missing > MISSING_MOST) throw new CliError(`${imageId} in ${region} is gone: somebody has deregistered it.`);
    if (image && image.State !== 'pending') {
      const ids = snapshotIdsOf(image);
      const { Snapshots } =
        ids.length > 0
          ? await aws.ec2.send(new DescribeSnapshotsCommand({ SnapshotIds: ids }), { abortSignal: signal })
          : {};
      const said = [image.StateReason?.Message, ...(Snapshots ?? []).map(({ StateMessage }) => StateMessage)];
      const reason = [...new Set(said.filter(Boolean))].join('; ') || 'no reason is given';
      throw new CliError(`${imageId} in ${region} is ${image.State}: ${reason}. The next apply makes it anew.`);
    }
    await pause(waitMs, undefined, { signal });
  }
}

/** Deregisters the image, then deletes its snapshots; what is gone already is well. */
export async function removeImage(
  { aws }: Site,
  imageId: string,
  snapshotIds: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await unlessGone(aws.ec2.send(new DeregisterImageCommand({ ImageId: imageId }), { abortSignal: signal }));
  for (const SnapshotId of snapshotIds) {
    await unlessGone(aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId }), { abortSignal: signal }));
  }
}

async function unlessGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (
      !(error instanceof Error && /^(InvalidAMIID\.(NotFound|Unavailable)|InvalidSnapshot\.NotFound)$/.test(error.name))
    ) {
      throw error;
    }
  }
}

export function removeStep(site: Site, image: PublishedImage, why: string, stage: Step['stage'] = 'retire'): Step {
  return {
    stage,
    action: 'retire',
    account: site.account,
    region: site.region,
    what: `deregister ${image.imageId} (${image.version || 'of no version'}) and delete ${snapshotsOf(image.snapshotIds)}`,
    why,
    async perform({ signal }) {
      await removeImage(site, image.imageId, image.snapshotIds, signal);
      return `${image.imageId} (${image.version}) is deregistered, its snapshots are deleted`;
    },
  };
}

/** The AMI of an instance, once nothing is to be copied from it any more. */
export function cleanStep(site: Site, found: PublishedImage | undefined): Step {
  return {
    stage: 'clean',
    action: 'retire',
    account: site.account,
    region: site.region,
    what: `deregister ${found?.imageId ?? 'the AMI of the instance'} and delete its snapshots`,
    why: 'every region has its copy by then',
    async perform(run: Run) {
      const imageId = found?.imageId ?? run.images.get(STAGING);
      if (!imageId) return 'nothing is left of the staging AMI';
      const { Images } = await site.aws.ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }));
      await removeImage(site, imageId, Images?.[0] ? snapshotIdsOf(Images[0]) : [], run.signal);
      return `${imageId}, from which regions were copied, is deregistered`;
    },
  };
}

export function deleteSnapshotStep(site: Site, { snapshotId, version, state }: LooseSnapshot, why: string): Step {
  return {
    stage: 'retire',
    action: 'delete-snapshot',
    account: site.account,
    region: site.region,
    what: `delete the snapshot ${snapshotId} of version ${version} (${state})`,
    why,
    async perform({ signal }) {
      await unlessGone(
        site.aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }), { abortSignal: signal }),
      );
      return `${snapshotId} is deleted`;
    },
  };
}

export function deprecateStep(site: Site, image: PublishedImage, afterDays: number, now: Date): Step {
  // EC2 takes no moment that has passed, and rounds to the minute.
  const at = new Date(Math.max(now.getTime() + afterDays * 86_400_000, now.getTime() + 120_000));
  return {
    stage: 'deprecate',
    action: 'deprecate',
    account: site.account,
    region: site.region,
    what: `deprecate ${image.imageId} (${image.version}) on ${at.toISOString().slice(0, 10)}`,
    why: `older versions are deprecated ${afterDays} days after a newer one`,
    async perform({ signal }) {
      await site.aws.ec2.send(new EnableImageDeprecationCommand({ ImageId: image.imageId, DeprecateAt: at }), {
        abortSignal: signal,
      });
      return `${image.imageId} (${image.version}) is deprecated on ${at.toISOString().slice(0, 10)}`;
    },
  };
}

const snapshotsOf = (ids: readonly string[]) => (ids.length === 1 ? ids[0]! : `${ids.length} snapshots`);
