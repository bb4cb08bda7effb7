/** What is published: looked at before anything is made, and the step that brings a disk into its first region. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { relative } from 'node:path';
import { StartSnapshotCommand } from '@aws-sdk/client-ebs';
import {
  DeleteSnapshotCommand,
  DescribeImagesCommand,
  DescribeInstancesCommand,
  DescribeSnapshotsCommand,
  DescribeVolumesCommand,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import { bootModeOf } from '../disk/partitions.ts';
import { type Disk, openDisk } from '../disk/source.ts';
import { volumeSizeOf } from '../disk/volume-size.ts';
import { findSnapshot, snapshotCompleted } from '../ebs/snapshots.ts';
import { removeState } from '../ebs/state.ts';
import { UPLOAD_TIMEOUT_MINUTES, uploadDisk } from '../ebs/upload-disk.ts';
import { describeFailure } from '../error.ts';
import type { DeviceRequest } from '../foresee/devices.ts';
import { findKey, keyProblem } from '../foresee/key.ts';
import type { Views } from '../foresee/views.ts';
import { registerImage } from '../register-image.ts';
import { imageAvailable } from './image-steps.ts';
import type { Manifest } from './manifest.ts';
import { imageName, type LooseSnapshot, tagsOf } from './published.ts';
import type { Refusals } from './refusal.ts';
import type { SiteKey } from './region-key.ts';
import { type Site, siteKey } from './sites.ts';
import type { Encryption, Step } from './step.ts';

const LANES = 16;

/** What the tag `ingot:publish/source` says: the digest of a disk, or where an AMI or instance is. */
export async function identify({ source, home }: Manifest, signal: AbortSignal): Promise<string> {
  if (source.kind === 'image') return `${home}/${source.imageId}`;
  if (source.kind === 'instance') return `${home}/${source.instanceId}`;
  const hash = createHash('sha256');
  for await (const piece of createReadStream(source.path, { highWaterMark: 1 << 20, signal })) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
}

/** Whether the disk can be read as one, and how large its volume will be. */
export async function checkDisk(manifest: Manifest, refusals: Refusals, signal: AbortSignal): Promise<void> {
  const { source } = manifest;
  if (source.kind !== 'disk') return;
  try {
    await using disk = await openDisk(source.path, { mayEndEarly: source.volumeSizeGiB !== undefined, signal });
    volumeSizeOf(disk, source.volumeSizeGiB, 1, 'source.volumeSizeGiB');
  } catch (error) {
    if (signal.aborted) throw error;
    refusals.add('source-unusable', source.path, describeFailure(error), 'name a disk that ingot import takes');
  }
}

/** The devices of the AMI or instance that copies are made of; undefined where it is refused. */
export async function sourceDevices(
  site: Site,
  views: Views,
  manifest: Manifest,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<DeviceRequest[] | undefined> {
  const { source } = manifest;
  if (source.kind === 'disk') return undefined;
  const found =
    source.kind === 'image'
      ? await imageSnapshots(site, source.imageId, refusals, signal)
      : await instanceVolumes(site, source.instanceId, refusals, signal);
  if (!found) return undefined;
  for (const keyArn of new Set(found.flatMap(({ keyArn }) => keyArn ?? []))) {
    const seen = await findKey(views, keyArn, site.account);
    if (!seen.seen) continue;
    const problem = keyProblem(seen.value, site.region);
    if (problem === undefined) continue;
    const message = `What is published is under the key ${keyArn}, which is ${problem.replaceAll('-', ' ')}.`;
    refusals.add('source-unusable', site.region, message, 'make the key usable again, or publish something else');
    return undefined;
  }
  return found.map(({ deviceName, ...snapshot }) => ({ deviceName, source: snapshot }));
}

interface FoundDevice {
  readonly deviceName: string;
  readonly snapshotId: string;
  readonly own: boolean;
  readonly encrypted: boolean;
  readonly keyArn?: string;
}

async function imageSnapshots(
  { aws, account, region }: Site,
  imageId: string,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<FoundDevice[] | undefined> {
  const options = { abortSignal: signal };
  const image = await missingIsNone(async () => {
    const { Images } = await aws.ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }), options);
    return Images?.[0];
  });
  const refuse = (code: 'source-missing' | 'source-unusable' | 'source-not-ours', message: string, mend: string) => {
    refusals.add(code, region, message, mend);
    return undefined;
  };
  if (!image)
    return refuse('source-missing', `There is no AMI ${imageId} in ${region}.`, 'say where it is with source.region');
  if (image.State !== 'available') {
    const message = `${imageId} is ${image.State}${image.StateReason?.Message ? `: ${image.StateReason.Message}` : ''}.`;
    return refuse('source-unusable', message, 'publish an AMI that is available');
  }
  const mappings = (image.BlockDeviceMappings ?? []).filter(({ Ebs }) => Ebs?.SnapshotId);
  const snapshots = new Map<string, Snapshot>();
  for (const { Ebs } of mappings) {
    const snapshot = await missingIsNone(async () => {
      const command = new DescribeSnapshotsCommand({ SnapshotIds: [Ebs!.SnapshotId!] });
      return (await aws.ec2.send(command, options)).Snapshots?.[0];
    });
    if (snapshot) snapshots.set(Ebs!.SnapshotId!, snapshot);
  }
  const hidden = mappings.find(({ Ebs }) => !snapshots.has(Ebs!.SnapshotId!));
  if (hidden) {
    const id = hidden.Ebs!.SnapshotId!;
    return refuse(
      'source-not-ours',
      `The snapshot ${id} of ${imageId} belongs to account ${image.OwnerId}, which shares the AMI and not the snapshot.`,
      `in account ${image.OwnerId}: aws ec2 modify-snapshot-attribute --snapshot-id ${id} ` +
        `--attribute createVolumePermission --operation-type add --user-ids ${account}`,
    );
  }
  return mappings.map(({ DeviceName, Ebs }) => {
    const { OwnerId, Encrypted, KmsKeyId } = snapshots.get(Ebs!.SnapshotId!)!;
    return {
      deviceName: DeviceName ?? '',
      snapshotId: Ebs!.SnapshotId!,
      own: OwnerId === account,
      encrypted: Encrypted === true,
      ...(KmsKeyId ? { keyArn: KmsKeyId } : {}),
    };
  });
}

async function instanceVolumes(
  { aws, region }: Site,
  instanceId: string,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<FoundDevice[] | undefined> {
  const options = { abortSignal: signal };
  const instance = await missingIsNone(async () => {
    const answer = await aws.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }), options);
    return answer.Reservations?.[0]?.Instances?.[0];
  });
  if (!instance) {
    const message = `There is no instance ${instanceId} in ${region}.`;
    refusals.add('source-missing', region, message, 'say where it is with source.region');
    return undefined;
  }
  const state = instance.State?.Name;
  if (state !== 'running' && state !== 'stopped') {
    refusals.add(
      'source-unusable',
      region,
      `${instanceId} is ${state}.`,
      'publish an instance that runs or is stopped',
    );
    return undefined;
  }
  const devices = (instance.BlockDeviceMappings ?? []).filter(({ Ebs }) => Ebs?.VolumeId);
  const VolumeIds = devices.map(({ Ebs }) => Ebs!.VolumeId!);
  const { Volumes } = await aws.ec2.send(new DescribeVolumesCommand({ VolumeIds }), options);
  return devices.map(({ DeviceName, Ebs }) => {
    const volume = Volumes?.find(({ VolumeId }) => VolumeId === Ebs!.VolumeId);
    return {
      deviceName: DeviceName ?? '',
      snapshotId: `the snapshot of ${Ebs!.VolumeId}`,
      own: true,
      encrypted: volume?.Encrypted === true,
      ...(volume?.KmsKeyId ? { keyArn: volume.KmsKeyId } : {}),
    };
  });
}

async function missingIsNone<Value>(read: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof Error && /^Invalid(AMIID|Snapshot|InstanceID)\.(NotFound|Unavailable)$/.test(error.name))
      return undefined;
    throw error;
  }
}

/** The disk into a snapshot under the region's key, and an AMI of it. What an earlier apply uploaded is not sent again. */
export function importStep(options: {
  readonly site: Site;
  readonly manifest: Manifest;
  readonly source: string;
  readonly key: SiteKey | undefined;
  readonly encryption: Encryption;
  /** Snapshots of this version without an AMI. */
  readonly begun: readonly LooseSnapshot[];
}): Step {
  const { site, manifest, source, key, encryption, begun } = options;
  const { source: disk } = manifest;
  if (disk.kind !== 'disk') throw new TypeError('only a disk is imported');
  const before = begun.find(({ state }) => state === 'pending' || state === 'completed');
  return {
    stage: 'source',
    action: 'import',
    account: site.account,
    region: site.region,
    what: `${before ? `go on with ${before.snapshotId}:` : 'upload'} ${relative('', disk.path)} as ${imageName(manifest)}`,
    why: before ? 'an earlier apply began it' : `not published in ${site.region} yet`,
    encryption,
    async perform(run) {
      const { signal, report } = run;
      for (const { snapshotId, state } of begun) {
        if (state === 'error') await site.aws.ec2.send(new DeleteSnapshotCommand({ SnapshotId: snapshotId }));
      }
      await using opened = await openDisk(disk.path, { mayEndEarly: disk.volumeSizeGiB !== undefined, signal });
      const volumeSizeGiB = volumeSizeOf(opened, disk.volumeSizeGiB, 1, 'source.volumeSizeGiB');
      const tags = tagsOf(manifest, source);
      let snapshotId = before?.snapshotId;
      if (!snapshotId) {
        const command = new StartSnapshotCommand({
          VolumeSize: volumeSizeGiB,
          Timeout: UPLOAD_TIMEOUT_MINUTES,
          Description: imageName(manifest),
          ...(key ? { Encrypted: true } : {}),
          ...(key?.kind === 'customer' ? { KmsKeyArn: key.arn } : {}),
          Tags: tags,
        });
        const answer = await site.aws.ebs.send(command, { abortSignal: signal });
        snapshotId = answer.SnapshotId!;
      }
      if (before?.state !== 'completed') {
        const upload = { snapshotId, volumeSizeGiB, parent: undefined, resumed: before !== undefined };
        try {
          await uploadDisk(site.aws.ebs, opened, { ...upload, lanes: LANES, signal }, report);
        } catch (error) {
          // An earlier apply may have been stopped between completing it and seeing it completed.
          const { State } = await findSnapshot(site.aws.ec2, snapshotId, signal);
          if (State !== 'completed') throw error;
        }
        await snapshotCompleted(site.aws.ec2, snapshotId, signal);
      }
      const imageId = await registerImage(site.aws.ec2, snapshotId, {
        name: imageName(manifest),
        ...(manifest.description === undefined ? {} : { description: manifest.description }),
        bootMode: bootMode(opened, manifest),
        architecture: disk.architecture,
        rootDevice: disk.rootDevice,
        tags: tags.map(({ Key, Value }) => ({ Key: Key!, Value: Value! })),
      });
      await removeState(snapshotId);
      await imageAvailable(site, imageId, signal);
      run.images.set(siteKey(site), imageId);
      return `${imageId} is ${imageName(manifest)}, ${encryption.encrypted ? `under ${encryption.key}` : 'not encrypted'}`;
    },
  };
}

/** arm64 machines know no other way to boot than UEFI. */
function bootMode({ head }: Disk, { source }: Manifest): string {
  if (source.kind !== 'disk') throw new TypeError('only a disk has a partition table to look at');
  return source.bootMode ?? (source.architecture === 'arm64' ? 'uefi' : bootModeOf(head));
}
