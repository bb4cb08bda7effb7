/**
 * Records of volumes and snapshots, the encryption outcome of everything that makes one, and the durable jobs behind
 * them. This file is the contract that images, instances and the services see.
 */
import type { Call } from '../authz/caller.ts';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, Arn, DataKeyId, InstanceId, Region, SnapshotId, VolumeId } from '../ids.ts';
import type { MapRoot } from './storage.ts';

export interface SnapshotRecord {
  readonly id: SnapshotId;
  readonly ownerId: AccountId;
  readonly region: Region;
  /** `vol-ffffffff` for copies and direct snapshots (CS-13, E-15). */
  readonly volumeId: string;
  readonly volumeSizeGiB: number;
  readonly state: 'pending' | 'completed' | 'error' | 'recoverable' | 'recovering';
  readonly stateMessage?: string;
  /** `""`, `N%`, `100%`. */
  readonly progress: string;
  readonly startTime: Date;
  readonly completionTime?: Date;
  readonly description: string;
  readonly encrypted: boolean;
  /** Present exactly if encrypted. */
  readonly kmsKeyArn?: Arn;
  readonly dataKeyId?: DataKeyId;
  /** True for the AWS managed key: it can be neither shared nor used from elsewhere (SH-11, SH-26). */
  readonly underAwsManagedKey: boolean;
  /** `standard` as well while an archived snapshot is restored for a time; an archived one cannot be read (L-14). */
  readonly storageTier: 'standard' | 'archive';
  readonly restoreExpiryTime?: Date;
  /** Of copies (CS-12). */
  readonly transferType?: 'standard' | 'time-based';
  readonly completionDurationMinutes?: number;
  readonly sharedWith: readonly AccountId[];
  readonly public: boolean;
  /** Public, and not hidden by block-all-sharing of its owner (SH-32). */
  readonly publiclyUsable: boolean;
}

export interface VolumeAttachment {
  readonly instanceId: InstanceId;
  readonly device: string;
  readonly state: 'attaching' | 'attached' | 'busy' | 'detaching' | 'detached';
  readonly attachTime: Date;
  readonly deleteOnTermination: boolean;
}

export interface VolumeRecord {
  readonly id: VolumeId;
  readonly ownerId: AccountId;
  readonly region: Region;
  readonly availabilityZone: string;
  readonly sizeGiB: number;
  readonly snapshotId?: SnapshotId;
  /** Present on a copy of a volume (BI-12). */
  readonly sourceVolumeId?: VolumeId;
  readonly autoEnableIo: boolean;
  readonly state: 'creating' | 'available' | 'in-use' | 'deleting' | 'deleted' | 'error';
  readonly createTime: Date;
  readonly volumeType: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly multiAttach: boolean;
  readonly encrypted: boolean;
  readonly kmsKeyArn?: Arn;
  readonly dataKeyId?: DataKeyId;
  readonly underAwsManagedKey: boolean;
  readonly attachments: readonly VolumeAttachment[];
}

/** What a request says about one new volume. */
export interface VolumeRequest {
  readonly availabilityZone: string;
  readonly sizeGiB?: number;
  readonly snapshotId?: SnapshotId;
  readonly encrypted?: boolean;
  /** As given: key id, alias, key ARN, alias ARN. */
  readonly kmsKeyId?: string;
  readonly volumeType?: string;
  readonly iops?: number;
  readonly throughput?: number;
  readonly multiAttach?: boolean;
}

/** The answer of table 1.1 before anything is made: what the volume will be. */
export interface EncryptionOutcome {
  readonly encrypted: boolean;
  /** Key identifier as it will be resolved, or the resolved ARN; absent when plain. */
  readonly kmsKey?: string;
  /** Resolved ARN where the key exists; a missing key fails later (CV-1). */
  readonly kmsKeyArn?: Arn;
  readonly source: 'none' | 'default-key' | 'given-key' | 'snapshot-key';
  /** The key is the AWS managed one, whose snapshots cannot be shared. */
  readonly underAwsManagedKey: boolean;
}

/** What a copy request says about encryption; `call.region` is the destination. */
export interface CopyDecision {
  /** Table 1.4 or table 1.5: CopyImage keeps an own key within a region, CopySnapshot never does (CI-1). */
  readonly kind: 'snapshot' | 'image';
  /** Absent where the source does not exist or may not be used (CS-9): decided as for a plain one. */
  readonly source: SnapshotRecord | undefined;
  readonly encrypted?: boolean | undefined;
  readonly kmsKeyId?: string | undefined;
}

export type VolumeRefusalReason =
  | 'snapshot-not-found'
  | 'snapshot-not-completed'
  | 'snapshot-archived'
  | 'snapshot-in-use'
  | 'snapshot-locked'
  | 'snapshot-lock-absent'
  | 'snapshot-lock-compliance'
  | 'snapshot-not-archived'
  | 'snapshot-fast-restored'
  | 'snapshots-pending'
  | 'snapshot-rate'
  | 'fast-restore-limit'
  | 'volume-shrink'
  | 'volume-not-found'
  | 'volume-in-use'
  | 'volume-state'
  | 'volume-size'
  | 'kms-key-without-encrypted'
  | 'encrypted-false-of-encrypted'
  | 'plain-copy-of-encrypted'
  | 'attachment-not-found'
  | 'multi-attach-limit'
  | 'kms-key-unusable'
  | 'kms-key-not-symmetric';

export interface Snapshots {
  /** By id, whoever owns it; visibility is the caller's business. */
  find(region: Region, id: string): Promise<SnapshotRecord | undefined>;
  findMany(region: Region, ids: readonly string[]): Promise<SnapshotRecord[]>;
  /** Everything `account` may see: own, shared with it, public. */
  listVisible(region: Region, account: AccountId): Promise<SnapshotRecord[]>;
  /** Copies by CopySnapshot that are not done (CS-14). */
  countRunningCopies(region: Region, account: AccountId): Promise<number>;
  /** Tables 1.4 and 1.5. Throws Refusal for ERR rows. */
  decideCopy(call: Call, decision: CopyDecision): Promise<EncryptionOutcome>;
  /**
   * Copies (CopySnapshot, CopyImage): same key means shared blocks, another key a new data key and new ciphertext.
   * Returns at once with a pending record; a job finishes or fails it (CS-6). Already decided: `outcome`.
   */
  startCopy(tx: Tx, call: Call, request: CopyRequest): Promise<SnapshotRecord>;
  /**
   * CreateSnapshot of a volume: inherits key and data key, makes no KMS call (BI-6). `within` joins the transaction that
   * records the snapshot, for tags and for what refers to it. Do not call inside a transaction: a running machine's
   * writes wait for this one. Repeated with the same `id` it gives the same snapshot.
   */
  startSnapshot(
    call: Call,
    permit: Permit,
    request: { readonly volumeId: VolumeId; readonly description: string; readonly id?: SnapshotId },
    within?: (tx: Tx, snapshot: SnapshotRecord) => Promise<void>,
  ): Promise<SnapshotRecord>;
  /** Snapshots of several volumes at one moment (CreateSnapshots); as {@link startSnapshot} otherwise. */
  startSnapshots(
    call: Call,
    permit: Permit,
    request: { readonly volumeIds: readonly VolumeId[]; readonly description: string },
    within: (tx: Tx, snapshots: readonly SnapshotRecord[]) => Promise<void>,
  ): Promise<SnapshotRecord[]>;
  /** Refuses a locked one (L-13); whether an image uses it (L-8) is asked by the service. Its blocks go when nothing names them, or, where
   * a rule keeps it in the Recycle Bin, when its time there is over. */
  delete(tx: Tx, id: SnapshotId): Promise<void>;
  /** Takes it out of the Recycle Bin (L-9). */
  restore(tx: Tx, id: SnapshotId): Promise<void>;
  setSharing(tx: Tx, id: SnapshotId, sharing: { sharedWith: readonly AccountId[]; public: boolean }): Promise<void>;
  /** May `account` make a volume or copy from it: owner, shared with, public. */
  mayUse(snapshot: SnapshotRecord, account: AccountId): boolean;
}

export interface CopyRequest {
  readonly source: SnapshotRecord | undefined;
  readonly sourceId: string;
  readonly sourceRegion: Region;
  readonly destinationRegion: Region;
  readonly description: string;
  readonly outcome: EncryptionOutcome;
  /** CS-12. */
  readonly completionMinutes?: number | undefined;
  /** A copy behind an image counts among the image's, not among the snapshot copies (CS-14, CI-8). */
  readonly forImage?: boolean;
}

export interface Volumes {
  find(region: Region, id: string): Promise<VolumeRecord | undefined>;
  findMany(region: Region, ids: readonly string[]): Promise<VolumeRecord[]>;
  listOwned(region: Region, account: AccountId): Promise<VolumeRecord[]>;
  /** Table 1.1 for one device, with defaults of the caller's account and region. Throws Refusal for ERR rows. */
  decideEncryption(
    call: Call,
    request: Pick<VolumeRequest, 'encrypted' | 'kmsKeyId' | 'snapshotId'>,
  ): Promise<EncryptionOutcome>;
  /**
   * Records the volume in `creating` and enqueues the job that gets its data key from KMS as the caller (3.2) and makes
   * it `available`; if KMS refuses, the volume vanishes (CV-2).
   */
  startCreate(tx: Tx, call: Call, request: VolumeRequest, outcome: EncryptionOutcome): Promise<VolumeRecord>;
  /** BI-12: an encrypted volume gives encrypted copies only. */
  decideCopy(
    call: Call,
    source: VolumeRecord,
    request: Pick<VolumeRequest, 'encrypted' | 'kmsKeyId'>,
  ): Promise<EncryptionOutcome>;
  /**
   * CopyVolumes: records a volume in `creating` that will hold what the source holds now; `within` joins that
   * transaction. As {@link startCreate} otherwise. Do not call inside a transaction.
   */
  startCopy(
    call: Call,
    permit: Permit,
    source: VolumeRecord,
    request: Omit<VolumeRequest, 'snapshotId'>,
    outcome: EncryptionOutcome,
    within: (tx: Tx, volume: VolumeRecord) => Promise<void>,
  ): Promise<VolumeRecord>;
  /**
   * The same done to the end, for a launch: resolves with the available volume, throws `Denied` or a key refusal, and
   * then leaves no volume behind. May be repeated with the same `id`.
   */
  createNow(call: Call, id: VolumeId, request: VolumeRequest, outcome: EncryptionOutcome): Promise<VolumeRecord>;
  /**
   * Attach for a machine: grants as the caller (K-7, K-8), data key opened by the instance's infrastructure principal,
   * volume served by NBD. Throws `Denied` or a key refusal; then nothing remains of it.
   */
  attach(
    call: Call,
    volume: VolumeId,
    to: { instanceId: InstanceId; device: string; deleteOnTermination: boolean },
  ): Promise<{ socketPath: string }>;
  /** Opens an attached volume again after a stop or a restart of Ingot: a new instance grant (K-9). */
  openForInstance(call: Call, volume: VolumeId, instanceId: InstanceId): Promise<{ socketPath: string }>;
  /**
   * Serves a volume again whose machine ran on while Ingot restarted: no new grant and no look at the key's state, as a
   * hypervisor that holds the data key in memory (K-19).
   */
  reopenForInstance(volume: VolumeId, instanceId: InstanceId): Promise<{ socketPath: string }>;
  /** Stop of the instance: closes the volume and retires the instance's grant; the attachment stays (K-9). */
  closeForInstance(volume: VolumeId, instanceId: InstanceId): Promise<void>;
  /** Detach: as close, and the attachment goes. `andDelete` holds for the last one. */
  detach(volume: VolumeId, instanceId: InstanceId, options?: { readonly andDelete?: boolean }): Promise<void>;
  /**
   * Gives the place of one attached volume to another, as attach and detach in one: device and DeleteOnTermination are
   * the old one's. No machine may be using it. `within` joins the transaction. Where KMS refuses, nothing has changed.
   */
  exchange(
    call: Call,
    places: { readonly instanceId: InstanceId; readonly from: VolumeId; readonly to: VolumeId },
    within: (tx: Tx) => Promise<void>,
  ): Promise<void>;
  setDeleteOnTermination(tx: Tx, volume: VolumeId, instanceId: InstanceId, value: boolean): Promise<void>;
  /** Marks the volume `deleting`; a job deletes overlays, grants and the record. Refuses while attached. */
  delete(volume: VolumeId): Promise<void>;
  /** Every map that a snapshot, a volume or a job in progress still needs, for the collection of garbage. */
  liveRoots(): Promise<readonly MapRoot[]>;
  /** Every overlay that a volume consists of. */
  liveOverlays(): Promise<ReadonlySet<string>>;
}

/** Encryption by default of one account and region (D-1). */
export interface EbsDefaults {
  get(account: AccountId, region: Region): Promise<{ encryptionByDefault: boolean; kmsKeyId?: string }>;
  setEncryptionByDefault(tx: Tx, account: AccountId, region: Region, on: boolean): Promise<void>;
  /** `undefined` resets to alias/aws/ebs. */
  setDefaultKey(tx: Tx, account: AccountId, region: Region, keyArn: string | undefined): Promise<void>;
  snapshotBlockPublicAccess(account: AccountId, region: Region): Promise<SnapshotBlockPublicAccess>;
  setSnapshotBlockPublicAccess(
    tx: Tx,
    account: AccountId,
    region: Region,
    state: SnapshotBlockPublicAccess,
  ): Promise<void>;
}

/** SH-32. */
export type SnapshotBlockPublicAccess = 'unblocked' | 'block-new-sharing' | 'block-all-sharing';
