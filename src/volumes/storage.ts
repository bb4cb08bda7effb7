/**
 * The bytes of volumes and snapshots, below their records: sealed blocks in segments, block maps, overlays.
 * `volumes/` (records, permission, KMS) stands on this interface; `blocks/` and `nbd/` stand below it.
 *
 * A snapshot is a {@link MapRoot}; a volume is a base map, an optional stack of frozen overlays, and one overlay being
 * written. Maps are immutable trees of pages shared by content hash, so a copy is a copied root. Every block is sealed,
 * also those of volumes the API calls unencrypted: their data key is wrapped by the installation's root key.
 */
import type { BlockProblem } from '../blocks/inspection.ts';
import type { SecretKey } from '../crypto/secret-key.ts';
import type { Tx } from '../db/db.ts';
import type { Branded, DataKeyId, SnapshotId, VolumeId } from '../ids.ts';

/** Names an immutable block map: the hash of its root page. */
export type MapRoot = Branded<string, 'MapRoot'>;

/** An opened data key: 64 bytes (K-1) and the id that binds blocks to it. */
export interface OpenDataKey {
  readonly id: DataKeyId;
  readonly secret: SecretKey;
}

export interface ListedBlock {
  readonly index: number;
  /** Opaque bytes that name the stored block (for block tokens); equal exactly if the block is the same one. */
  readonly identity: Uint8Array;
}
export interface ChangedBlock {
  readonly index: number;
  readonly first?: Uint8Array;
  readonly second?: Uint8Array;
}

/** A source of blocks with the key that opens them. */
export interface SealedMap {
  readonly root: MapRoot;
  readonly dataKey: OpenDataKey;
}

/** How to open a volume for a machine or for a merge. Bases may be under another data key than the overlay. */
export interface VolumeLayers {
  readonly sizeBytes: number;
  readonly base?: SealedMap;
  /** Frozen overlays below the one being written, oldest first. */
  readonly frozen: readonly string[];
  /** Overlay being written. */
  readonly overlay: string;
  /** Key of all overlays. */
  readonly dataKey: OpenDataKey;
}

/** A block that is not as it was written. */
export interface MapFault {
  readonly problem: BlockProblem | 'map-damaged';
  /** Block index; absent where a page of the map itself is damaged, and what it named is unknown. */
  readonly index?: number;
  readonly segment?: string;
  readonly slot?: number;
  readonly foundInSlot?: number;
}

/** What looking at every block of a map came to. */
export interface MapProof {
  readonly blocks: { readonly listed: number; readonly zero: number; readonly authenticated: number };
  /** Segments that the map names. */
  readonly segments: number;
  /** Of the byte values of each ciphertext, with 255 degrees of freedom. */
  readonly chiSquare: { readonly blocks: number; readonly least: number; readonly greatest: number };
  /** Indexes of blocks whose chi-square is outside of the bounds given, at most 1000. */
  readonly outside: readonly number[];
  /** The first 1000. */
  readonly faults: readonly MapFault[];
  readonly faultCount: number;
  /** First, middle and last of the stored blocks. */
  readonly examples: readonly { readonly index: number; readonly segment: string; readonly slot: number }[];
}

export interface MarkerSearch {
  readonly files: number;
  readonly bytes: number;
  /** Paths within the data directory, and at most 16 places in each. */
  readonly found: readonly { readonly path: string; readonly places: readonly number[] }[];
}

export interface Storage {
  /** The map without any block. */
  readonly emptyMap: MapRoot;

  // Direct uploads (StartSnapshot … CompleteSnapshot) -----------------------------------------------------------
  /**
   * Seals and stores one block; durable when it resolves. `plaintext` is exactly 524,288 bytes and is consumed
   * (its buffer may be transferred). Last write of an index wins (E-6). Computes the SHA-256 in a worker thread;
   * if `expectedSha256` is given and differs, stores nothing and resolves with `stored: false`.
   */
  putBlock(
    upload: SnapshotId,
    dataKey: OpenDataKey,
    index: number,
    plaintext: Uint8Array,
    expectedSha256?: Uint8Array,
  ): Promise<{ stored: boolean; sha256: Uint8Array }>;
  /** What was written so far: distinct indexes, and LINEAR checksum (E-4): SHA-256 over block digests in ascending order. */
  uploadSummary(upload: SnapshotId): Promise<{ blockCount: number; linearSha256: Uint8Array }>;
  /** Joins the uploaded blocks onto `parent` into a map; call inside the transaction that completes the snapshot. */
  completeUpload(tx: Tx, upload: SnapshotId, parent?: MapRoot): Promise<MapRoot>;
  /** Forgets an upload and lets its blocks be collected. */
  dropUpload(tx: Tx, upload: SnapshotId): Promise<void>;

  // Reading maps -------------------------------------------------------------------------------------------------
  /** One 512 KiB block, authenticated; `undefined` where the map has none. Throws IntegrityError. */
  readBlock(map: SealedMap, index: number): Promise<Uint8Array | undefined>;
  /** The opaque identity of the block at `index`, if any. */
  blockIdentity(root: MapRoot, index: number): Promise<Uint8Array | undefined>;
  /** Ascending from `startIndex`, at most `max`; `next` where more follow (E-7). */
  listBlocks(root: MapRoot, startIndex: number, max: number): Promise<{ blocks: ListedBlock[]; next?: number }>;
  /** Where two maps differ; shared pages cost nothing (E-9). */
  listChangedBlocks(
    first: MapRoot,
    second: MapRoot,
    startIndex: number,
    max: number,
  ): Promise<{ blocks: ChangedBlock[]; next?: number }>;
  /** Blocks in the map and bytes they stand for. */
  mapSummary(root: MapRoot): Promise<{ blockCount: number }>;

  // Proof --------------------------------------------------------------------------------------------------------
  /**
   * Reads every block of the map from disk in worker threads, past every cache: whether it authenticates, and whether
   * its ciphertext's chi-square is within `bounds`. What is wrong is told, not thrown.
   */
  inspectMap(
    map: SealedMap,
    bounds: { readonly low: number; readonly high: number },
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapProof>;
  /** Segments under this data key that nothing names, and that the next collection would delete. */
  orphanedSegments(dataKey: DataKeyId, liveRoots: () => Promise<readonly MapRoot[]>): Promise<readonly string[]>;
  /** Looks for the bytes in every file under the data directory, in worker threads. */
  findMarker(marker: Uint8Array, onProgress: (fraction: number) => void, signal: AbortSignal): Promise<MarkerSearch>;

  // Re-encryption ------------------------------------------------------------------------------------------------
  /**
   * Opens every block of `source` and seals it anew under `target` (other segments, other ciphertext), in worker threads.
   * `job` names durable progress: called again after a crash with the same name it goes on where it was.
   * `onProgress` gets a fraction from 0 to 1.
   */
  reseal(
    job: string,
    source: SealedMap,
    target: OpenDataKey,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapRoot>;
  /** Forgets the durable progress of a reseal or sealOverlays that ended: call it in the transaction that records the map. */
  finishReseal(tx: Tx, job: string): Promise<void>;

  // Volumes ------------------------------------------------------------------------------------------------------
  /** Makes a new empty overlay and gives its name. */
  createOverlay(volume: VolumeId): Promise<string>;
  /** Removes every overlay of the volume. Idempotent. */
  deleteOverlays(volume: VolumeId): Promise<void>;
  /**
   * Removes overlays that no record names: an earlier process made them and ended before it recorded them, or took them
   * out of a record and ended before it removed them. For the start, before volumes are used. Gives their number.
   */
  removeOverlaysExcept(named: ReadonlySet<string>): Promise<number>;
  /**
   * Serves the volume by NBD on a unix socket from its own worker thread, and gives the socket path. The path depends
   * only on the volume id, so a machine reconnects to it after a restart of Ingot. At most one server a volume.
   */
  attach(volume: VolumeId, layers: VolumeLayers): Promise<{ socketPath: string }>;
  /** Flushes, stops serving and wipes the keys of the worker. Idempotent. */
  detach(volume: VolumeId): Promise<void>;
  isAttached(volume: VolumeId): boolean;
  /**
   * Freezes the overlay of a volume for a snapshot: every write acknowledged before is in the frozen overlays, every
   * later one goes to the returned new overlay. Works attached (without stopping the guest) or not.
   * `record` makes the new overlay durable in the volume's record (a committed transaction when it resolves); the
   * guest's writes wait for it, so that no acknowledged write can stand in an overlay that a crash makes unknown. If
   * it rejects, nothing is frozen. Do not call within a transaction.
   */
  freeze(volume: VolumeId, record: (newOverlay: string) => Promise<void>): Promise<{ newOverlay: string }>;
  /**
   * Seals what the frozen overlays changed onto `base` and gives the new map, under `dataKey` (which is the volume's).
   * Where `layers.base` is under another data key, its blocks are re-sealed as well. Resumable by `job` like reseal,
   * and ended by `finishReseal`; a call after a crash may name the layers as they are by then.
   */
  sealOverlays(
    job: string,
    layers: Omit<VolumeLayers, 'overlay'>,
    onProgress: (fraction: number) => void,
    signal: AbortSignal,
  ): Promise<MapRoot>;
  /** Puts a new base (and the remaining frozen overlays) under a live volume and deletes the overlays that went into it. */
  rebase(volume: VolumeId, base: SealedMap, removedOverlays: readonly string[]): Promise<void>;

  // Housekeeping -------------------------------------------------------------------------------------------------
  /**
   * Deletes pages and segments that none of `liveRoots` and no upload or job reaches. Never anything referenced.
   * `liveRoots` names every root in committed rows, the parents of pending uploads and sources of pending jobs included.
   */
  collectGarbage(
    liveRoots: () => Promise<readonly MapRoot[]>,
  ): Promise<{ segmentsDeleted: number; bytesFreed: number }>;
  /** Stops workers; attached volumes are flushed. */
  close(): Promise<void>;
}

export { openStorage, type StorageOptions } from './storage/open-storage.ts';
export { storageMigrations } from './storage/tables.ts';
