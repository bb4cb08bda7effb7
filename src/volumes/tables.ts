/** Tables of volumes and snapshots, and the records made from their rows. No other folder names these tables. */
import type { Kysely } from 'kysely';
import type { Db, Tx } from '../db/db.ts';
import type { AccountId, Arn, DataKeyId, InstanceId, Region, SnapshotId, VolumeId } from '../ids.ts';
import type { MapRoot } from './storage.ts';
import type { SnapshotBlockPublicAccess, SnapshotRecord, VolumeAttachment, VolumeRecord } from './volumes.ts';

export interface SnapshotRow {
  id: SnapshotId;
  /** Order of creation; snapshots of one volume are sealed in this order. */
  sequence: number;
  region: Region;
  owner_id: AccountId;
  origin: 'volume' | 'copy' | 'direct';
  volume_id: string;
  volume_size_gib: number;
  state: SnapshotRecord['state'];
  state_message: string | null;
  progress: string;
  start_time: number;
  completion_time: number | null;
  description: string;
  encrypted: 0 | 1;
  aws_managed_key: 0 | 1;
  storage_tier: 'standard' | 'archive';
  public: 0 | 1;
  /** Of the data key; null where it is wrapped by the installation's root key. */
  kms_key_arn: Arn | null;
  /** Null until KMS has given a data key; then all three are there. */
  data_key_id: DataKeyId | null;
  wrapped_key: Uint8Array | null;
  context_id: string | null;
  map_root: MapRoot | null;
  /** What a pending copy reads or a pending upload stands on, which the collection of garbage must spare. */
  source_root: MapRoot | null;
  parent_id: SnapshotId | null;
  /** `volume` origin: the newest frozen overlay that belongs to the snapshot. */
  frozen_through: string | null;
  /** `direct` origin: whether blocks may be put. */
  upload: 'open' | 'completing' | null;
  upload_timeout_ms: number | null;
  /** `copy` origin: how long the copy was asked to take (CS-12). */
  completion_minutes: number | null;
  /** Made for an image or for a copy of a volume. The second kind is nobody's business but the copy's. */
  purpose: 'image' | 'volume-copy' | null;
  /** A temporary restore of an archived snapshot ends then (L-14). */
  restored_until: number | null;
}

export interface VolumeRow {
  id: VolumeId;
  region: Region;
  owner_id: AccountId;
  availability_zone: string;
  size_gib: number;
  snapshot_id: SnapshotId | null;
  state: VolumeRecord['state'];
  create_time: number;
  volume_type: string;
  iops: number | null;
  throughput: number | null;
  multi_attach: 0 | 1;
  encrypted: 0 | 1;
  aws_managed_key: 0 | 1;
  kms_key_arn: Arn | null;
  data_key_id: DataKeyId | null;
  wrapped_key: Uint8Array | null;
  context_id: string | null;
  /** Grant (a) of K-8, which lives until the volume is deleted. */
  grant_id: string | null;
  /** The base map and the key that opens it; the same as the volume's own once it is re-sealed. */
  base_root: MapRoot | null;
  base_kms_key_arn: Arn | null;
  base_data_key_id: DataKeyId | null;
  base_wrapped_key: Uint8Array | null;
  base_context_id: string | null;
  /** JSON: names of frozen overlays, oldest first. */
  frozen: string;
  overlay: string | null;
  /** The volume this one is a copy of (BI-12). */
  source_volume_id: VolumeId | null;
  auto_enable_io: 0 | 1;
}

export interface AttachmentRow {
  volume_id: VolumeId;
  instance_id: InstanceId;
  device: string;
  state: VolumeAttachment['state'];
  attach_time: number;
  delete_on_termination: 0 | 1;
  /** Grant (b) of K-8, which lives while the instance has the volume open. */
  grant_id: string | null;
}

export interface SnapshotLockRow {
  snapshot_id: SnapshotId;
  mode: 'governance' | 'compliance';
  created_at: number;
  cool_off_hours: number | null;
  /** One of the two: a duration counts from the completion of the snapshot, if that came after the lock. */
  duration_days: number | null;
  expires_at: number | null;
}

export interface SnapshotTieringRow {
  snapshot_id: SnapshotId;
  operation: 'archival' | 'temporary-restore' | 'permanent-restore';
  tiered_at: number;
}

export interface FastRestoreRow {
  snapshot_id: SnapshotId;
  account_id: AccountId;
  region: Region;
  availability_zone: string;
  enabled_at: number;
}

export interface ModificationRow {
  volume_id: VolumeId;
  /** JSON of size, type, IOPS and throughput. */
  original: string;
  target: string;
  modified_at: number;
}

/** A grant that a copy in progress holds. */
export interface CopyGrantRow {
  snapshot_id: SnapshotId;
  key_arn: Arn;
  grant_id: string;
  region: Region;
}

export interface VolumesTables {
  copy_grants: CopyGrantRow;
  snapshots: SnapshotRow;
  snapshot_permissions: { snapshot_id: SnapshotId; account_id: AccountId };
  volumes: VolumeRow;
  volume_attachments: AttachmentRow;
  ebs_defaults: {
    account_id: AccountId;
    region: Region;
    encryption_by_default: 0 | 1;
    kms_key_id: string | null;
    snapshot_block_public_access: SnapshotBlockPublicAccess;
  };
  snapshot_locks: SnapshotLockRow;
  snapshot_tierings: SnapshotTieringRow;
  fast_snapshot_restores: FastRestoreRow;
  volume_modifications: ModificationRow;
  /** One row: the key that authenticates block tokens and page tokens, sealed by the root key. */
  direct_token_key: { id: 1; sealed: Uint8Array };
}

type Queries = Kysely<VolumesTables>;

export const reading = (db: Db): Queries => db.read<VolumesTables>();
export const writing = (tx: Tx): Queries => tx.as<VolumesTables>();

export function snapshotRow(queries: Queries, id: string): Promise<SnapshotRow | undefined> {
  return queries
    .selectFrom('snapshots')
    .selectAll()
    .where('id', '=', id as SnapshotId)
    .executeTakeFirst();
}

export function volumeRow(queries: Queries, id: string): Promise<VolumeRow | undefined> {
  return queries
    .selectFrom('volumes')
    .selectAll()
    .where('id', '=', id as VolumeId)
    .executeTakeFirst();
}

/** Numbers snapshots by creation. Transactions run one after another, so no two are given the same. */
export async function nextSequence(queries: Queries): Promise<number> {
  const { last } = await queries
    .selectFrom('snapshots')
    .select(({ fn }) => fn.max('sequence').as('last'))
    .executeTakeFirstOrThrow();
  return Number(last ?? 0) + 1;
}

/** An archived snapshot is in the standard tier while a temporary restore lasts (L-14). */
export function tierOf(row: Pick<SnapshotRow, 'storage_tier' | 'restored_until'>, now: Date): 'standard' | 'archive' {
  const restored = row.restored_until !== null && row.restored_until > now.getTime();
  return row.storage_tier === 'archive' && !restored ? 'archive' : 'standard';
}

/** `progress` of copies in flight lives in memory, not in the table. */
export async function snapshotRecords(
  queries: Queries,
  rows: readonly SnapshotRow[],
  { progress, clock }: { readonly progress: ReadonlyMap<string, string>; readonly clock: () => Date },
): Promise<SnapshotRecord[]> {
  if (rows.length === 0) return [];
  const now = clock();
  const ids = rows.map((row) => row.id);
  const permissions = await inChunks(ids, (some) =>
    queries.selectFrom('snapshot_permissions').selectAll().where('snapshot_id', 'in', some).execute(),
  );
  const sharedWith = Map.groupBy(permissions, (permission) => permission.snapshot_id);
  const hidden = rows.some((row) => row.public)
    ? await queries
        .selectFrom('ebs_defaults')
        .select(['account_id', 'region'])
        .where('snapshot_block_public_access', '=', 'block-all-sharing')
        .execute()
    : [];
  const isHidden = (row: SnapshotRow) =>
    hidden.some((each) => each.account_id === row.owner_id && each.region === row.region);
  return rows.map((row) => ({
    id: row.id,
    ownerId: row.owner_id,
    region: row.region,
    volumeId: row.volume_id,
    volumeSizeGiB: row.volume_size_gib,
    state: row.state,
    ...(row.state_message === null ? {} : { stateMessage: row.state_message }),
    progress: row.state === 'pending' ? (progress.get(row.id) ?? row.progress) : row.progress,
    startTime: new Date(row.start_time),
    ...(row.completion_time === null ? {} : { completionTime: new Date(row.completion_time) }),
    description: row.description,
    encrypted: row.encrypted === 1,
    ...(row.kms_key_arn === null ? {} : { kmsKeyArn: row.kms_key_arn }),
    ...(row.encrypted && row.data_key_id !== null ? { dataKeyId: row.data_key_id } : {}),
    underAwsManagedKey: row.aws_managed_key === 1,
    storageTier: tierOf(row, now),
    ...(row.restored_until !== null && row.restored_until > now.getTime()
      ? { restoreExpiryTime: new Date(row.restored_until) }
      : {}),
    ...(row.origin === 'copy' && row.purpose === null
      ? { transferType: row.completion_minutes === null ? ('standard' as const) : ('time-based' as const) }
      : {}),
    ...(row.completion_minutes === null ? {} : { completionDurationMinutes: row.completion_minutes }),
    sharedWith: (sharedWith.get(row.id) ?? []).map((permission) => permission.account_id),
    public: row.public === 1,
    publiclyUsable: row.public === 1 && !isHidden(row),
  }));
}

export async function volumeRecords(queries: Queries, rows: readonly VolumeRow[]): Promise<VolumeRecord[]> {
  if (rows.length === 0) return [];
  const attachments = await inChunks(
    rows.map((row) => row.id),
    (some) => queries.selectFrom('volume_attachments').selectAll().where('volume_id', 'in', some).execute(),
  );
  const byVolume = Map.groupBy(attachments, (attachment) => attachment.volume_id);
  return rows.map((row) => ({
    id: row.id,
    ownerId: row.owner_id,
    region: row.region,
    availabilityZone: row.availability_zone,
    sizeGiB: row.size_gib,
    ...(row.snapshot_id === null ? {} : { snapshotId: row.snapshot_id }),
    ...(row.source_volume_id === null ? {} : { sourceVolumeId: row.source_volume_id }),
    autoEnableIo: row.auto_enable_io === 1,
    state: row.state,
    createTime: new Date(row.create_time),
    volumeType: row.volume_type,
    ...(row.iops === null ? {} : { iops: row.iops }),
    ...(row.throughput === null ? {} : { throughput: row.throughput }),
    multiAttach: row.multi_attach === 1,
    encrypted: row.encrypted === 1,
    ...(row.kms_key_arn === null ? {} : { kmsKeyArn: row.kms_key_arn }),
    ...(row.encrypted && row.data_key_id !== null ? { dataKeyId: row.data_key_id } : {}),
    underAwsManagedKey: row.aws_managed_key === 1,
    attachments: (byVolume.get(row.id) ?? []).map((attachment) => ({
      instanceId: attachment.instance_id,
      device: attachment.device,
      state: attachment.state,
      attachTime: new Date(attachment.attach_time),
      deleteOnTermination: attachment.delete_on_termination === 1,
    })),
  }));
}

const CHUNK = 500;

/** SQLite bounds the parameters of a statement. */
export async function inChunks<Value, Row>(
  values: readonly Value[],
  query: (some: readonly Value[]) => Promise<Row[]>,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let at = 0; at < values.length; at += CHUNK) rows.push(...(await query(values.slice(at, at + CHUNK))));
  return rows;
}
