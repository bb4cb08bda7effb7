/**
 * Machine images: a snapshot for each device plus what is needed to boot from them. An image belongs to one account in
 * one region; launch permissions say who else may launch it, and nothing here says who may open its data: that is the
 * business of the keys its snapshots are sealed under (SH-13). This file is the contract that instances and the
 * services see.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, ImageId, InstanceId, Region, SnapshotId, VolumeId } from '../ids.ts';
import type { Tag } from '../tags/tags.ts';
import type { EncryptionOutcome, SnapshotRecord } from '../volumes/volumes.ts';
import type { AllowedImages } from './allowed-images.ts';
import type { UsageReports } from './usage-reports.ts';

export type ImageState = 'pending' | 'available' | 'failed' | 'disabled' | 'deregistered';

/** One device of an image: a volume made from a snapshot, an empty volume, or instance storage. */
export interface ImageDevice {
  readonly deviceName: string;
  /** `ephemeral0` and the like; then there is no `ebs`. */
  readonly virtualName?: string;
  readonly ebs?: ImageVolume;
}

export interface ImageVolume {
  /** Absent for an empty volume, and while CreateImage or CopyImage has not yet made the snapshot. */
  readonly snapshotId?: SnapshotId;
  readonly volumeSizeGiB: number;
  readonly volumeType: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly deleteOnTermination: boolean;
  /** As DescribeImages shows it (BI-10). A snapshot never changes it. */
  readonly encrypted: boolean;
}

export type LaunchPermission =
  | { readonly kind: 'account'; readonly value: AccountId }
  | { readonly kind: 'group'; readonly value: 'all' }
  /** Full ARNs (SH-1). */
  | { readonly kind: 'organization' | 'organizational-unit'; readonly value: string };

export interface DeregistrationProtection {
  readonly mode: 'disabled' | 'enabled-without-cooldown' | 'enabled-with-cooldown';
  /** After a protection with cool-down was turned off: deregistration stays refused until then (L-10). */
  readonly coolsDownAt?: Date;
}

export interface ImageRecord {
  readonly id: ImageId;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly name: string;
  readonly description?: string;
  readonly state: ImageState;
  readonly stateReason?: { readonly code: string; readonly message: string };
  readonly creationDate: Date;
  readonly architecture: string;
  readonly bootMode?: 'legacy-bios' | 'uefi' | 'uefi-preferred';
  readonly rootDeviceName: string;
  readonly rootDeviceType: 'ebs';
  readonly virtualizationType: string;
  readonly enaSupport: boolean;
  readonly sriovNetSupport?: string;
  readonly imdsSupport?: 'v2.0';
  readonly tpmSupport?: 'v2.0';
  /** Base64 of the UEFI variable store (L-16). */
  readonly uefiData?: string;
  readonly platform?: 'windows';
  readonly platformDetails: string;
  readonly imageLocation: string;
  readonly blockDeviceMappings: readonly ImageDevice[];
  readonly sourceImageId?: ImageId;
  readonly sourceImageRegion?: Region;
  readonly sourceInstanceId?: InstanceId;
  /** Launch permission for the group `all`. */
  readonly public: boolean;
  readonly deprecateAt?: Date;
  readonly deregistrationProtection: DeregistrationProtection;
  readonly lastLaunchedAt?: Date;
}

/** A public image is deprecated two years after it was made, unless earlier (L-12). */
export function publicLifeEnd({ creationDate }: Pick<ImageRecord, 'creationDate'>): Date {
  const end = new Date(creationDate);
  end.setUTCFullYear(end.getUTCFullYear() + 2);
  return end;
}

/** Which images of a region to list, always in ascending order of id. */
export interface ImageQuery {
  readonly region: Region;
  readonly viewer: AccountId;
  readonly scope:
    | { readonly kind: 'owned-by'; readonly accounts: readonly AccountId[] }
    /** Explicit launch permission of the viewer, by account, organization or organizational unit (SH-21). */
    | { readonly kind: 'shared-with-viewer' }
    /** Images with a direct permission for another account, of those the viewer may see. */
    | { readonly kind: 'shared-with-account'; readonly account: AccountId }
    | { readonly kind: 'public' }
    /** Own, shared and public. */
    | { readonly kind: 'launchable' };
  /** Ids to choose from; all where absent. */
  readonly ids?: readonly string[];
  readonly name?: readonly string[];
  readonly afterId?: string;
  readonly limit: number;
}

export interface ImageUse {
  readonly imageId: ImageId;
  readonly ownerId: AccountId;
  /** True where the snapshot is the image's root device (L-8). */
  readonly root: boolean;
  readonly disabled: boolean;
}

export type NewImage = Pick<
  ImageRecord,
  | 'name'
  | 'description'
  | 'architecture'
  | 'bootMode'
  | 'rootDeviceName'
  | 'virtualizationType'
  | 'enaSupport'
  | 'sriovNetSupport'
  | 'imdsSupport'
  | 'tpmSupport'
  | 'uefiData'
  | 'platform'
  | 'platformDetails'
  | 'imageLocation'
  | 'blockDeviceMappings'
>;

/** What CopyImage decided before anything is made: per source snapshot, the outcome of table 1.5. */
export interface ImageCopy {
  readonly source: ImageRecord;
  readonly name: string;
  readonly description?: string;
  readonly devices: readonly {
    readonly deviceName: string;
    readonly snapshot: SnapshotRecord;
    readonly outcome: EncryptionOutcome;
  }[];
  readonly imageTags: readonly Tag[];
  readonly snapshotTags: readonly Tag[];
}

/** What CreateImage needs to know of an instance; the instances module answers through {@link InstancesForImages}. */
export interface InstanceSource {
  readonly instanceId: InstanceId;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly running: boolean;
  readonly imageId?: string;
  readonly architecture: string;
  readonly bootMode?: ImageRecord['bootMode'];
  readonly rootDeviceName: string;
  readonly virtualizationType: string;
  readonly enaSupport: boolean;
  readonly devices: readonly {
    readonly deviceName: string;
    readonly volumeId: VolumeId;
    readonly deleteOnTermination: boolean;
  }[];
}

/** Handed in by `app.ts`: images stand below instances. */
export interface InstancesForImages {
  imageSource(region: Region, id: string): Promise<InstanceSource | undefined>;
  /** Brings the guest down so that its file systems are consistent (BI-5); resolves when it is down. May run twice. */
  pauseForImage(id: InstanceId): Promise<void>;
  /** Boots again what {@link pauseForImage} brought down. May run twice. */
  resumeAfterImage(id: InstanceId): Promise<void>;
}

/** An account's place in its organization, for launch permissions of organizations and organizational units. */
export interface OrganizationPlace {
  readonly organizationArn: string;
  /** ARNs of every organizational unit the account is in, at any depth. */
  readonly organizationalUnitArns: readonly string[];
}
export type OrganizationOf = (account: AccountId) => Promise<OrganizationPlace | undefined>;

export interface ImageCreation {
  readonly source: InstanceSource;
  readonly image: NewImage;
  /** Attached volumes that become snapshots, by device. */
  readonly devices: readonly { readonly deviceName: string; readonly volumeId: VolumeId }[];
  readonly reboot: boolean;
  readonly imageTags: readonly Tag[];
  readonly snapshotTags: readonly Tag[];
}

export type ImageRefusalReason =
  | 'image-name-in-use'
  | 'image-not-found'
  | 'image-deregistered'
  | 'image-deregistration-protected'
  | 'image-state'
  | 'image-sharing-limit';

export type BlockPublicAccess = 'block-new-sharing' | 'unblocked';

export interface Images {
  /** By id, whoever owns it and also when deregistered; visibility is the caller's business. */
  find(region: Region, id: string): Promise<ImageRecord | undefined>;
  findMany(region: Region, ids: readonly string[]): Promise<ImageRecord[]>;
  /** At most `limit` registered images that the viewer may see. */
  list(query: ImageQuery): Promise<ImageRecord[]>;
  /** Without the owner's implicit one (SH-6). */
  launchPermissions(id: ImageId): Promise<LaunchPermission[]>;
  readonly allowed: AllowedImages;
  readonly usageReports: UsageReports;
  /**
   * Owner, public, or launch permission for the account, its organization or one of its units; and, for images of
   * others, allowed by the account's settings (SH-36). Says nothing on state.
   */
  mayLaunch(image: ImageRecord, account: AccountId): Promise<boolean>;
  /** Registered images that name the snapshot. */
  imagesUsingSnapshot(id: string): Promise<ImageUse[]>;
  /** Copies by CopyImage that are not done (CI-8). */
  countRunningCopies(region: Region, owner: AccountId): Promise<number>;
  /** Records the time of a launch (lastLaunchedTime). */
  noteLaunch(id: ImageId): Promise<void>;

  register(
    tx: Tx,
    permit: Permit<'ec2:RegisterImage'>,
    owner: AccountId,
    region: Region,
    image: NewImage,
  ): Promise<ImageRecord>;
  /** Records the image as pending with its pending snapshots; a job makes it available or failed (CI-3). */
  startCopy(tx: Tx, permit: Permit<'ec2:CopyImage'>, call: Call, copy: ImageCopy): Promise<ImageRecord>;
  /** Records the image as pending; a job takes the snapshots, with the guest down if `reboot` (BI-4, BI-5). */
  startCreate(tx: Tx, permit: Permit<'ec2:CreateImage'>, call: Call, creation: ImageCreation): Promise<ImageRecord>;
  /** Leaves a record that the id was in use, and frees the name (L-5). Tags go, unless a rule keeps the image in the bin. */
  deregister(tx: Tx, permit: Permit<'ec2:DeregisterImage'>): Promise<ImageRecord>;
  /** Takes an image out of the Recycle Bin, in its old state and shared with nobody (L-9). */
  restore(tx: Tx, permit: Permit<'ec2:RestoreImageFromRecycleBin'>): Promise<void>;
  setDescription(tx: Tx, permit: Permit<'ec2:ModifyImageAttribute'>, description: string): Promise<void>;
  /** Never unset again (L-17). */
  setImdsSupport(tx: Tx, permit: Permit<'ec2:ModifyImageAttribute'>): Promise<void>;
  changeLaunchPermissions(
    tx: Tx,
    permit: Permit<'ec2:ModifyImageAttribute' | 'ec2:ResetImageAttribute' | 'ec2:CancelImageLaunchPermission'>,
    change: { readonly add?: readonly LaunchPermission[]; readonly remove?: readonly LaunchPermission[] | 'all' },
  ): Promise<void>;
  /** Removes every launch permission as well (L-11). */
  disable(tx: Tx, permit: Permit<'ec2:DisableImage'>): Promise<void>;
  enable(tx: Tx, permit: Permit<'ec2:EnableImage'>): Promise<void>;
  /** `undefined` takes the deprecation away. */
  setDeprecation(
    tx: Tx,
    permit: Permit<'ec2:EnableImageDeprecation' | 'ec2:DisableImageDeprecation'>,
    deprecateAt: Date | undefined,
  ): Promise<void>;
  protectFromDeregistration(
    tx: Tx,
    permit: Permit<'ec2:EnableImageDeregistrationProtection'>,
    withCooldown: boolean,
  ): Promise<void>;
  /** Where the protection had a cool-down, deregistration stays refused for 24 hours more (L-10). */
  endDeregistrationProtection(tx: Tx, permit: Permit<'ec2:DisableImageDeregistrationProtection'>): Promise<void>;

  /** Per account and region; `block-new-sharing` until it is changed (SH-30). */
  blockPublicAccess(account: AccountId, region: Region): Promise<BlockPublicAccess>;
  setBlockPublicAccess(
    tx: Tx,
    permit: Permit<'ec2:EnableImageBlockPublicAccess' | 'ec2:DisableImageBlockPublicAccess'>,
    account: AccountId,
    region: Region,
    state: BlockPublicAccess,
  ): Promise<void>;
}
