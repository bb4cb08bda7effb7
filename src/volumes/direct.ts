/**
 * Snapshots written and read block by block (EBS direct APIs, section 6). Data keys are opened in the name of the
 * caller; an opened key is kept for a short session of the same caller and snapshot, as AWS does (K-26).
 */

import { directSnapshotOutcome, type OutcomeRefusal } from '../../policy/encryption-outcomes.ts';
import { type Call, viaEc2 } from '../authz/caller.ts';
import type { RootKey } from '../crypto/root-key.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { Arn, Region, SnapshotId } from '../ids.ts';
import { newEc2Id } from '../ids.ts';
import { LIMITS } from '../limits.ts';
import type { Context } from './context.ts';
import { NO_VOLUME } from './copy-snapshot.ts';
import {
  DATA_KEY_BYTES,
  ebsContext,
  keyColumns,
  newDataKeyId,
  newPlainKey,
  openAs,
  type WrappedDataKey,
  wrappedKeyOf,
} from './data-keys.ts';
import { withKey } from './decide.ts';
import { DirectSessions } from './direct-sessions.ts';
import { type DirectTokens, openDirectTokens } from './direct-tokens.ts';
import type { ChangedBlock, ListedBlock } from './storage.ts';
import { nextSequence, reading, type SnapshotRow, snapshotRecords, snapshotRow, tierOf, writing } from './tables.ts';
import { COMPLETE_UPLOAD, type CompletePayload, UPLOAD_TIMEOUT, type UploadActivity } from './upload-jobs.ts';
import type { EbsDefaults, EncryptionOutcome, SnapshotRecord } from './volumes.ts';

export type DirectRefusalReason =
  | OutcomeRefusal
  | 'parent-not-complete'
  | 'parent-not-found'
  | 'size-below-parent'
  | 'upload-not-found'
  | 'upload-ended'
  | 'uploads-pending'
  | 'block-beyond-end'
  | 'snapshot-not-readable'
  | 'snapshots-unrelated'
  | 'block-token-invalid'
  | 'page-token-invalid';

function refuse(reason: DirectRefusalReason, facts: Refusal['facts'] = {}): Refusal<DirectRefusalReason> {
  return new Refusal(reason, facts);
}

export const BLOCKS_PER_GIB = 2048;
/** E-5. */
const BLOCK_TOKEN_LIFE_MS = 585_000_000;
const PAGE_TOKEN_LIFE_MS = 60 * 60_000;

export interface DirectStart {
  readonly volumeSizeGiB: number;
  readonly parent: SnapshotRecord | undefined;
  readonly description: string;
  readonly timeoutMinutes: number;
  readonly outcome: EncryptionOutcome;
}

export interface Page<Block> {
  readonly blocks: readonly Block[];
  readonly expiresAt: Date;
  readonly nextToken?: string;
}
export interface TokenedBlock {
  readonly index: number;
  readonly token: string;
}
export interface TokenedChange {
  readonly index: number;
  readonly firstToken?: string;
  readonly secondToken?: string;
}
export interface PageRequest {
  readonly startIndex: number;
  readonly max: number;
  readonly pageToken: string | undefined;
}

export interface DirectSnapshots {
  /** Table 6.3. Throws Refusal for its error rows. */
  decide(
    call: Call,
    request: { parent: SnapshotRecord | undefined; encrypted: boolean | undefined; kmsKeyArn: string | undefined },
  ): Promise<EncryptionOutcome>;
  /** Asks KMS in the caller's name, then records the upload; `within` joins that transaction. */
  start(
    call: Call,
    request: DirectStart,
    within: (tx: Tx, snapshot: SnapshotRecord) => Promise<void>,
  ): Promise<SnapshotRecord>;
  /**
   * Stores one block; durable when it resolves. `plaintext` is consumed. `stored: false` with the computed SHA-256
   * where it is not the expected one (E-19).
   */
  put(
    call: Call,
    region: Region,
    id: string,
    index: number,
    plaintext: Uint8Array,
    expectedSha256: Uint8Array,
  ): Promise<{ stored: boolean; sha256: Uint8Array }>;
  /** Ends the upload; a job checks count and checksum and completes the snapshot or fails it (E-20). */
  complete(
    region: Region,
    id: string,
    expected: { readonly changedBlocks: number; readonly linearSha256?: string },
  ): Promise<SnapshotRecord>;
  /** kms:DescribeKey in the caller's name, where there is a KMS key (3.2). */
  describeKeys(call: Call, snapshots: readonly SnapshotRecord[]): Promise<void>;
  list(snapshot: SnapshotRecord, page: PageRequest): Promise<Page<TokenedBlock>>;
  /** Where `second` differs from `first`; both must be of one lineage (E-10). */
  listChanged(first: SnapshotRecord, second: SnapshotRecord, page: PageRequest): Promise<Page<TokenedChange>>;
  /** The plaintext block and its SHA-256 (E-3). */
  read(
    call: Call,
    snapshot: SnapshotRecord,
    index: number,
    token: string,
  ): Promise<{ block: Uint8Array; sha256: Uint8Array }>;
}

export interface DirectDeps {
  readonly ctx: Context;
  readonly defaults: EbsDefaults;
  readonly rootKey: RootKey;
  readonly activity: UploadActivity;
  /** Changes whenever keys, grants or policies change: sessions opened before end at once. */
  readonly authorizationEpoch: () => number;
}

/** E-24. */
async function requireRoomForUpload(queries: ReturnType<typeof writing>, call: Call): Promise<void> {
  const { count } = await queries
    .selectFrom('snapshots')
    .select((row) => row.fn.countAll<number>().as('count'))
    .where('owner_id', '=', call.caller.accountId)
    .where('region', '=', call.region)
    .where('state', '=', 'pending')
    .where('origin', '=', 'direct')
    .executeTakeFirstOrThrow();
  const max = LIMITS.directSnapshotsPendingMax;
  if (count >= max) throw refuse('uploads-pending', { max });
}

export function createDirectSnapshots(deps: DirectDeps): DirectSnapshots {
  const { ctx, activity } = deps;
  const { db, storage, keys, clock } = ctx;
  const sessions = new DirectSessions(ctx, deps.authorizationEpoch);
  let tokens: Promise<DirectTokens> | undefined;
  const openTokens = () => {
    tokens ??= openDirectTokens(db, deps.rootKey).catch((error: unknown) => {
      tokens = undefined;
      throw error;
    });
    return tokens;
  };

  const openUpload = async (region: Region, id: string): Promise<SnapshotRow> => {
    const row = await snapshotRow(reading(db), id);
    if (row?.region !== region) throw refuse('upload-not-found', { snapshotId: id });
    if (row.origin !== 'direct' || row.upload !== 'open' || row.state !== 'pending') {
      throw refuse('upload-ended', { snapshotId: id, state: row.state });
    }
    return row;
  };

  const readable = async (snapshot: SnapshotRecord): Promise<SnapshotRow> => {
    const row = await snapshotRow(reading(db), snapshot.id);
    if (row?.state !== 'completed' || row.map_root === null) {
      throw refuse('snapshot-not-readable', { snapshotId: snapshot.id, state: row?.state });
    }
    if (tierOf(row, clock()) === 'archive') {
      throw refuse('snapshot-not-readable', { snapshotId: snapshot.id, state: 'archived' });
    }
    return row;
  };

  const paged = async <Found, Block>(
    listing: string,
    page: PageRequest,
    find: (startIndex: number) => Promise<{ blocks: Found[]; next?: number }>,
    withTokens: (found: Found, tokens: DirectTokens, expiresAt: Date) => Block,
  ): Promise<Page<Block>> => {
    const made = await openTokens();
    const now = clock();
    let startIndex = page.startIndex;
    if (page.pageToken !== undefined) {
      const next = made.nextOf(page.pageToken, listing, now);
      if (next === undefined) throw refuse('page-token-invalid', { token: page.pageToken });
      startIndex = next;
    }
    const { blocks, next } = await find(startIndex);
    // An empty listing expires about now (E-5).
    const expiresAt = blocks.length === 0 ? now : new Date(now.getTime() + BLOCK_TOKEN_LIFE_MS);
    return {
      blocks: blocks.map((block) => withTokens(block, made, expiresAt)),
      expiresAt,
      ...(next === undefined
        ? {}
        : { nextToken: made.page({ listing, next }, new Date(now.getTime() + PAGE_TOKEN_LIFE_MS)) }),
    };
  };

  return {
    async decide(call, { parent, encrypted, kmsKeyArn }) {
      const { encryptionByDefault, kmsKeyId } = await deps.defaults.get(call.caller.accountId, call.region);
      const choice = directSnapshotOutcome({
        parent: parent ? (parent.encrypted ? 'encrypted' : 'plain') : 'none',
        encrypted,
        keyGiven: kmsKeyArn !== undefined,
        encryptionByDefault,
      });
      if (typeof choice !== 'string') throw refuse(choice.refused);
      return withKey(keys, call, choice, { given: kmsKeyArn, byDefault: kmsKeyId, source: parent });
    },

    async start(call, request, within) {
      const id = newEc2Id<SnapshotId>('snap');
      const parent = request.parent && (await snapshotRow(reading(db), request.parent.id));
      if (request.parent && !parent) throw refuse('parent-not-found', { snapshotId: request.parent.id });
      if (
        parent &&
        (parent.state !== 'completed' || parent.map_root === null || tierOf(parent, clock()) === 'archive')
      ) {
        throw refuse('parent-not-complete', { snapshotId: parent.id });
      }
      if (parent && request.volumeSizeGiB < parent.volume_size_gib) {
        throw refuse('size-below-parent', { sizeGiB: parent.volume_size_gib });
      }
      const key = parent ? await keyFromParent(ctx, call, parent, id) : await rootKeyOf(ctx, call, request.outcome, id);
      const now = clock().getTime();
      return db.write(async (tx) => {
        const queries = writing(tx);
        await requireRoomForUpload(queries, call);
        const row: SnapshotRow = {
          id,
          sequence: await nextSequence(queries),
          region: call.region,
          owner_id: call.caller.accountId,
          origin: 'direct',
          volume_id: NO_VOLUME,
          volume_size_gib: request.volumeSizeGiB,
          state: 'pending',
          state_message: null,
          progress: '',
          start_time: now,
          completion_time: null,
          description: request.description,
          encrypted: request.outcome.encrypted ? 1 : 0,
          aws_managed_key: request.outcome.underAwsManagedKey ? 1 : 0,
          storage_tier: 'standard',
          public: 0,
          ...keyColumns(key),
          map_root: null,
          source_root: parent?.map_root ?? null,
          parent_id: parent?.id ?? null,
          frozen_through: null,
          upload: 'open',
          upload_timeout_ms: request.timeoutMinutes * 60_000,
          completion_minutes: null,
          purpose: null,
          restored_until: null,
        };
        await queries.insertInto('snapshots').values(row).execute();
        await ctx.jobs.enqueue(tx, UPLOAD_TIMEOUT, { id });
        const made = (await snapshotRecords(queries, [row], ctx))[0]!;
        await within(tx, made);
        return made;
      });
    },

    async put(call, region, id, index, plaintext, expectedSha256) {
      const row = await openUpload(region, id);
      if (index >= row.volume_size_gib * BLOCKS_PER_GIB) throw refuse('block-beyond-end', { index });
      const dataKey = await sessions.open(call, row, 'put');
      const end = activity.begin(row.id);
      try {
        const result = await storage.putBlock(row.id, dataKey, index, plaintext, expectedSha256);
        // What is acknowledged is in the snapshot: a block that came after the end of the upload is not.
        await openUpload(region, id);
        return result;
      } finally {
        end();
      }
    },

    async complete(region, id, expected) {
      return db.write(async (tx) => {
        const queries = writing(tx);
        const row = await snapshotRow(queries, id);
        if (row?.region !== region || row.origin !== 'direct') throw refuse('upload-not-found', { snapshotId: id });
        if (row.state === 'error') throw refuse('upload-ended', { snapshotId: id, state: row.state });
        // Asked again, because an answer was lost: the first request decides.
        if (row.state !== 'pending' || row.upload !== 'open') {
          return (await snapshotRecords(queries, [row], ctx))[0]!;
        }
        await queries.updateTable('snapshots').set({ upload: 'completing' }).where('id', '=', row.id).execute();
        await ctx.jobs.enqueue<CompletePayload>(tx, COMPLETE_UPLOAD, { id: row.id, ...expected });
        return (await snapshotRecords(queries, [row], ctx))[0]!;
      });
    },

    async describeKeys(call, snapshots) {
      const arns = new Set(snapshots.flatMap((snapshot) => (snapshot.encrypted ? [snapshot.kmsKeyArn as Arn] : [])));
      for (const arn of arns) await keys.describeKey(viaEc2(call, 'ebs.amazonaws.com'), arn);
    },

    async list(snapshot, page) {
      const root = (await readable(snapshot)).map_root!;
      return paged<ListedBlock, TokenedBlock>(
        `list ${snapshot.id}`,
        page,
        (startIndex) => storage.listBlocks(root, startIndex, page.max),
        ({ index, identity }, made, expiresAt) => ({
          index,
          token: made.block({ snapshotId: snapshot.id, index, identity }, expiresAt),
        }),
      );
    },

    async listChanged(first, second, page) {
      const [firstRow, secondRow] = [await readable(first), await readable(second)];
      if (firstRow.data_key_id !== secondRow.data_key_id) throw refuse('snapshots-unrelated');
      const token = (id: string, index: number, identity: Uint8Array, made: DirectTokens, expiresAt: Date) =>
        made.block({ snapshotId: id, index, identity }, expiresAt);
      return paged<ChangedBlock, TokenedChange>(
        `changed ${first.id} ${second.id}`,
        page,
        (startIndex) => storage.listChangedBlocks(firstRow.map_root!, secondRow.map_root!, startIndex, page.max),
        ({ index, first: before, second: after }, made, expiresAt) => ({
          index,
          ...(before && { firstToken: token(first.id, index, before, made, expiresAt) }),
          ...(after && { secondToken: token(second.id, index, after, made, expiresAt) }),
        }),
      );
    },

    async read(call, snapshot, index, token) {
      const row = await readable(snapshot);
      const identity = await storage.blockIdentity(row.map_root!, index);
      const made = await openTokens();
      if (!identity || !made.isForBlock(token, { snapshotId: snapshot.id, index, identity }, clock())) {
        throw refuse('block-token-invalid', { token });
      }
      const dataKey = await sessions.open(call, row, 'get');
      const block = await storage.readBlock({ root: row.map_root!, dataKey }, index);
      if (!block) throw new Error(`block ${index} of ${snapshot.id} has an identity but no bytes`);
      // On a thread of the pool, not on the event loop.
      const sha256 = await globalThis.crypto.subtle.digest('SHA-256', block as Uint8Array<ArrayBuffer>);
      return { block, sha256: new Uint8Array(sha256) };
    },
  };
}

/** GenerateDataKey of 64 bytes for a snapshot without parent (3.2). */
async function rootKeyOf(
  ctx: Context,
  call: Call,
  outcome: EncryptionOutcome,
  id: SnapshotId,
): Promise<WrappedDataKey> {
  if (!outcome.encrypted) return newPlainKey(ctx.keys, id);
  const kmsKeyArn = (outcome.kmsKeyArn ?? outcome.kmsKey) as Arn;
  const via = viaEc2(call, 'ebs.amazonaws.com');
  const { wrapped } = await ctx.keys.generateDataKey(via, kmsKeyArn, DATA_KEY_BYTES, ebsContext(id));
  return { id: newDataKeyId(), wrapped, contextId: id, kmsKeyArn };
}

/** ReEncrypt and Decrypt of the parent's data key: the child is of its lineage (3.2, K-4). */
async function keyFromParent(ctx: Context, call: Call, parent: SnapshotRow, id: SnapshotId): Promise<WrappedDataKey> {
  const key = wrappedKeyOf(parent)!;
  if (!key.kmsKeyArn) return key;
  const via = viaEc2(call, 'ebs.amazonaws.com');
  const wrapped = await ctx.keys.reEncrypt(
    via,
    { keyArn: key.kmsKeyArn, wrapped: key.wrapped, context: ebsContext(key.contextId) },
    { keyArn: key.kmsKeyArn, context: ebsContext(id) },
  );
  const child: WrappedDataKey = { ...key, wrapped, contextId: id };
  await openAs(ctx.keys, via, child);
  return child;
}
