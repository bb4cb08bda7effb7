/** Images, snapshots and settings as the caller, and the owners whose credentials are given, see them. */
import {
  type BlockDeviceMapping,
  DescribeImageAttributeCommand,
  DescribeImagesCommand,
  DescribeSnapshotsCommand,
  GetEbsDefaultKmsKeyIdCommand,
  GetEbsEncryptionByDefaultCommand,
  type Image,
  type LaunchPermission,
  type Snapshot,
} from '@aws-sdk/client-ec2';
import { AWS_MANAGED_KEY, type DeviceRequest, type EbsDefaults, type SourceSnapshot } from './devices.ts';
import { isMissing, type Seen, type Views } from './views.ts';

/** The image as `account` sees it, or `missing`; disabled ones are seen by their owner. */
export function imageIn(views: Views, account: string, imageId: string): Promise<Seen<Image | 'missing'>> {
  const place = { what: `the image ${imageId}`, wants: 'ec2:DescribeImages', account };
  return views.once(`image ${imageId} ${account} ${views.region}`, () =>
    views.look(place, async (aws) => {
      try {
        const command = new DescribeImagesCommand({ ImageIds: [imageId], IncludeDisabled: true });
        return (await aws.ec2.send(command)).Images?.[0] ?? 'missing';
      } catch (error) {
        if (isMissing(error)) return 'missing';
        throw error;
      }
    }),
  );
}

/** The snapshot as `account` sees it; one that is neither its own nor shared with it is `missing` (SH-29). */
export function snapshotIn(views: Views, account: string, snapshotId: string): Promise<Seen<Snapshot | 'missing'>> {
  const place = { what: `the snapshot ${snapshotId}`, wants: 'ec2:DescribeSnapshots', account };
  return views.once(`snapshot ${snapshotId} ${account} ${views.region}`, () =>
    views.look(place, async (aws) => {
      try {
        const command = new DescribeSnapshotsCommand({ SnapshotIds: [snapshotId] });
        return (await aws.ec2.send(command)).Snapshots?.[0] ?? 'missing';
      } catch (error) {
        if (isMissing(error)) return 'missing';
        throw error;
      }
    }),
  );
}

/** With whom the owner shares its image. */
export function launchPermissions(views: Views, owner: string, ImageId: string): Promise<Seen<LaunchPermission[]>> {
  const place = { what: `with whom ${ImageId} is shared`, wants: 'ec2:DescribeImageAttribute', account: owner };
  return views.look(place, async (aws) => {
    const command = new DescribeImageAttributeCommand({ ImageId, Attribute: 'launchPermission' });
    return (await aws.ec2.send(command)).LaunchPermissions ?? [];
  });
}

/** Encryption by default, and the default key, of the account in this region. */
export function ebsDefaultsOf(views: Views, account: string): Promise<Seen<EbsDefaults>> {
  const place = { what: `the EBS settings of account ${account} in ${views.region}`, account };
  return views.once(`EBS settings ${account} ${views.region}`, async () => {
    const flag = await views.look({ ...place, wants: 'ec2:GetEbsEncryptionByDefault' }, (aws) =>
      aws.ec2.send(new GetEbsEncryptionByDefaultCommand({})),
    );
    if (!flag.seen) return flag;
    const key = await views.look({ ...place, wants: 'ec2:GetEbsDefaultKmsKeyId' }, (aws) =>
      aws.ec2.send(new GetEbsDefaultKmsKeyIdCommand({})),
    );
    if (!key.seen) return key;
    return {
      seen: true,
      value: {
        encryptionByDefault: flag.value.EbsEncryptionByDefault === true,
        defaultKey: key.value.KmsKeyId ?? AWS_MANAGED_KEY,
      },
    };
  });
}

/** What a launch, template or copy says of one device besides what the image says. */
export interface DeviceOverride {
  /** Absent: every device that has a snapshot. */
  readonly deviceName?: string;
  readonly encrypted?: boolean;
  readonly kmsKeyId?: string;
  readonly snapshotId?: string;
  readonly noDevice?: boolean;
  /** Whether the device gives a new, empty volume where the image has none of the name. */
  readonly ebs?: boolean;
}

export function overridesOf(mappings: readonly BlockDeviceMapping[] | undefined): DeviceOverride[] {
  return (mappings ?? []).flatMap(({ DeviceName, Ebs, NoDevice }) => {
    if (DeviceName === undefined) return [];
    return [
      {
        deviceName: DeviceName,
        ebs: Ebs !== undefined,
        ...(Ebs?.Encrypted === undefined ? {} : { encrypted: Ebs.Encrypted }),
        ...(Ebs?.KmsKeyId ? { kmsKeyId: Ebs.KmsKeyId } : {}),
        ...(Ebs?.SnapshotId ? { snapshotId: Ebs.SnapshotId } : {}),
        ...(NoDevice === undefined ? {} : { noDevice: true }),
      },
    ];
  });
}

/**
 * The devices of a launch: those of the image, each overridden field by field by later layers (LT-1, RI-2), and those
 * that only the launch has. The snapshots behind them are looked up with `source`.
 */
export async function devicesOf(
  image: Pick<Image, 'BlockDeviceMappings'>,
  overrides: readonly DeviceOverride[],
  source: (snapshotId: string, encrypted: boolean) => Promise<SourceSnapshot>,
): Promise<DeviceRequest[]> {
  const devices = new Map<
    string,
    { snapshotId?: string; imageEncrypted?: boolean; encrypted?: boolean; kmsKeyId?: string }
  >();
  for (const { DeviceName, Ebs } of image.BlockDeviceMappings ?? []) {
    if (!DeviceName || !Ebs) continue;
    devices.set(DeviceName, {
      ...(Ebs.SnapshotId ? { snapshotId: Ebs.SnapshotId, imageEncrypted: Ebs.Encrypted === true } : {}),
      ...(!Ebs.SnapshotId && Ebs.Encrypted !== undefined ? { encrypted: Ebs.Encrypted } : {}),
    });
  }
  for (const override of overrides) {
    const names = override.deviceName === undefined ? [...devices.keys()] : [override.deviceName];
    for (const name of names) {
      if (override.noDevice) devices.delete(name);
      else if (devices.has(name) || override.ebs) {
        const { encrypted, kmsKeyId, snapshotId } = override;
        devices.set(name, {
          ...devices.get(name),
          ...(encrypted === undefined ? {} : { encrypted }),
          ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
          ...(snapshotId === undefined ? {} : { snapshotId }),
        });
      }
    }
  }
  return Promise.all(
    [...devices].map(async ([deviceName, { snapshotId, imageEncrypted, encrypted, kmsKeyId }]) => ({
      deviceName,
      ...(snapshotId === undefined ? {} : { source: await source(snapshotId, imageEncrypted === true) }),
      ...(encrypted === undefined ? {} : { encrypted }),
      ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
    })),
  );
}

/** The snapshot behind a device as `account` will use it; its key is learnt from whoever may see it (BI-10). */
export async function sourceOf(
  views: Views,
  account: string,
  owner: string,
  snapshotId: string,
  encrypted: boolean,
): Promise<SourceSnapshot> {
  for (const viewer of new Set([account, owner, views.account])) {
    if (!views.inAccount(viewer)) continue;
    const seen = await snapshotIn(views, viewer, snapshotId);
    if (!seen.seen || seen.value === 'missing') continue;
    const { Encrypted, KmsKeyId, OwnerId } = seen.value;
    return {
      snapshotId,
      own: (OwnerId ?? owner) === account,
      encrypted: Encrypted === true,
      ...(KmsKeyId ? { keyArn: KmsKeyId } : {}),
    };
  }
  return { snapshotId, own: owner === account, encrypted };
}
