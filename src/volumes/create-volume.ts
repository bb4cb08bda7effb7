/**
 * Making a volume: the record first, then in the name of the caller what KMS has to do with it (3.2), then its overlay.
 *
 * A volume from a snapshot is usable at once: its base is the snapshot's own map. Where that map is under another data
 * key, the volume keeps the source's data key, rewrapped under its own KMS key, until `reseal-base.ts` has sealed the
 * base anew.
 */

import { Denied } from '../authz/authorizer.ts';
import type { Call } from '../authz/caller.ts';
import { viaEc2 } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import { newEc2Id, type VolumeId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type CallRecord, recallCall, recordCall } from './call-record.ts';
import { type Context, isFinal, refuse } from './context.ts';
import {
  baseColumns,
  baseKeyOf,
  ebsContext,
  ec2Principal,
  ec2ServiceCall,
  keyColumns,
  newKmsKey,
  newPlainKey,
  type WrappedDataKey,
} from './data-keys.ts';
import { recordedKey } from './decide.ts';
import { DELETE_VOLUME } from './delete-volume.ts';
import { RESEAL_BASE } from './reseal-base.ts';
import { reading, snapshotRow, tierOf, type VolumeRow, volumeRecords, volumeRow, writing } from './tables.ts';
import type { EncryptionOutcome, VolumeRecord, VolumeRequest } from './volumes.ts';

export const CREATE_VOLUME = 'volumes.create';

interface CreatePayload {
  readonly id: VolumeId;
  readonly caller: CallRecord;
}

export async function insertVolume(
  ctx: Context,
  tx: Tx,
  call: Call,
  id: VolumeId,
  request: VolumeRequest,
  outcome: EncryptionOutcome,
): Promise<VolumeRow> {
  const source = request.snapshotId && (await snapshotRow(writing(tx), request.snapshotId));
  if (request.snapshotId && (!source || source.region !== call.region)) {
    throw refuse('snapshot-not-found', { snapshotId: request.snapshotId });
  }
  if (source && tierOf(source, ctx.clock()) === 'archive') throw refuse('snapshot-archived', { snapshotId: source.id });
  if (source && (source.state !== 'completed' || source.map_root === null)) {
    throw refuse('snapshot-not-completed', { snapshotId: source.id, state: source.state });
  }
  const sizeGiB = request.sizeGiB ?? source?.volume_size_gib;
  if (sizeGiB === undefined)
    throw refuse('volume-size', { message: 'The request must contain the parameter size or snapshotId' });
  if (source && sizeGiB < source.volume_size_gib) {
    throw refuse('volume-size', {
      message: `Volume of ${sizeGiB}GiB is smaller than snapshot '${source.id}', expect size >= ${source.volume_size_gib}GiB`,
    });
  }
  const row: VolumeRow = {
    id,
    region: call.region,
    owner_id: call.caller.accountId,
    availability_zone: request.availabilityZone,
    size_gib: sizeGiB,
    snapshot_id: source?.id ?? null,
    state: 'creating',
    create_time: ctx.clock().getTime(),
    volume_type: request.volumeType ?? 'gp2',
    iops: request.iops ?? null,
    throughput: request.throughput ?? null,
    multi_attach: request.multiAttach ? 1 : 0,
    encrypted: outcome.encrypted ? 1 : 0,
    aws_managed_key: outcome.underAwsManagedKey ? 1 : 0,
    kms_key_arn: recordedKey(outcome),
    data_key_id: null,
    wrapped_key: null,
    context_id: null,
    grant_id: null,
    base_root: source?.map_root ?? null,
    base_kms_key_arn: source?.kms_key_arn ?? null,
    base_data_key_id: source?.data_key_id ?? null,
    base_wrapped_key: source?.wrapped_key ?? null,
    base_context_id: source?.context_id ?? null,
    frozen: '[]',
    overlay: null,
    source_volume_id: null,
    auto_enable_io: 0,
  };
  await writing(tx).insertInto('volumes').values(row).execute();
  return row;
}

/**
 * Own snapshot under the same key: the same data key, wrapped anew for the volume (K-5). Another key, or a shared
 * source, means a new one (K-6). A plain volume goes on with the plain snapshot's.
 */
async function isSameLineage(ctx: Context, row: VolumeRow): Promise<boolean> {
  if (row.base_root === null) return false;
  if (!row.encrypted) return true;
  if (row.base_kms_key_arn !== row.kms_key_arn) return false;
  // A source that is gone by now was the owner's or not: without it, the stricter answer.
  const source = row.snapshot_id && (await snapshotRow(reading(ctx.db), row.snapshot_id));
  return Boolean(source) && (source as { owner_id: string }).owner_id === row.owner_id;
}

/** Table 3.2: which KMS calls a new volume needs, in the name of the caller. */
async function obtainKeys(
  ctx: Context,
  call: Call,
  row: VolumeRow,
): Promise<{ key: WrappedDataKey; base: WrappedDataKey | undefined }> {
  const { keys } = ctx;
  const base = baseKeyOf(row);
  if (!row.encrypted) {
    if (base?.kmsKeyArn) throw new Error(`volume ${row.id} is recorded as plain over an encrypted snapshot`);
    return { key: base ?? (await newPlainKey(keys, row.id)), base };
  }
  const kmsKeyArn = row.kms_key_arn!;
  const via = viaEc2(call);
  if (!base?.kmsKeyArn) {
    // A caller who may not look at the key may still use it.
    await keys.describeKey(via, kmsKeyArn).catch((error: unknown) => {
      if (!(error instanceof Denied)) throw error;
    });
    return { key: await newKmsKey(keys, via, kmsKeyArn, row.id), base };
  }
  const wrapped = await keys.reEncrypt(
    via,
    { keyArn: base.kmsKeyArn, wrapped: base.wrapped, context: ebsContext(base.contextId) },
    { keyArn: kmsKeyArn, context: ebsContext(row.id) },
  );
  const rewrapped: WrappedDataKey = { id: base.id, wrapped, contextId: row.id, kmsKeyArn };
  const key = (await isSameLineage(ctx, row)) ? rewrapped : await newKmsKey(keys, via, kmsKeyArn, row.id);
  return { key, base: rewrapped };
}

/** Grant (a) of K-8. */
export async function ensureVolumeGrant(ctx: Context, call: Call, row: VolumeRow): Promise<void> {
  if (!row.encrypted || row.grant_id !== null) return;
  const principal = ec2Principal(row.region);
  const request = {
    granteePrincipal: principal,
    retiringPrincipal: principal,
    operations: ['Decrypt'],
    encryptionContextSubset: ebsContext(row.id),
  };
  let kept = true;
  const { grantId } = await ctx.keys.createGrant(viaEc2(call), row.kms_key_arn!, request, async (tx, id) => {
    const { numUpdatedRows } = await writing(tx)
      .updateTable('volumes')
      .set({ grant_id: id })
      .where('id', '=', row.id)
      .where('grant_id', 'is', null)
      .executeTakeFirstOrThrow();
    kept = numUpdatedRows > 0n;
  });
  // Another attachment was quicker.
  if (!kept) {
    await ctx.keys.retireGrant(ec2ServiceCall(row.owner_id, row.region, ctx.clock()), row.kms_key_arn!, grantId);
  }
}

/** Everything between the record in `creating` and the volume in `available`. May run any number of times. */
export async function makeVolume(ctx: Context, call: Call, id: VolumeId): Promise<void> {
  let row = await volumeRow(reading(ctx.db), id);
  if (row?.state !== 'creating') return;
  if (row.data_key_id === null) {
    const { key, base } = await obtainKeys(ctx, call, row);
    const columns = { ...keyColumns(key), ...(base ? baseColumns(base) : {}) };
    await ctx.db.write((tx) =>
      writing(tx).updateTable('volumes').set(columns).where('id', '=', id).where('data_key_id', 'is', null).execute(),
    );
    row = (await volumeRow(reading(ctx.db), id))!;
  }
  await ensureVolumeGrant(ctx, call, row);
  const overlay = await ctx.storage.createOverlay(id);
  const foreign = row.base_root !== null && row.base_data_key_id !== row.data_key_id ? row.base_root : null;
  await ctx.db.write(async (tx) => {
    const { numUpdatedRows } = await writing(tx)
      .updateTable('volumes')
      .set({ state: 'available', overlay })
      .where('id', '=', id)
      .where('state', '=', 'creating')
      .executeTakeFirstOrThrow();
    if (numUpdatedRows > 0n && foreign !== null) await ctx.jobs.enqueue(tx, RESEAL_BASE, { id, root: foreign });
  });
}

/** The volume is gone for whoever asks (CV-2); a job removes what there is of it. */
export async function vanish(ctx: Context, id: VolumeId): Promise<void> {
  await ctx.db.write(async (tx) => {
    const { numUpdatedRows } = await writing(tx)
      .updateTable('volumes')
      .set({ state: 'deleting' })
      .where('id', '=', id)
      .where('state', '=', 'creating')
      .executeTakeFirstOrThrow();
    if (numUpdatedRows > 0n) await ctx.jobs.enqueue(tx, DELETE_VOLUME, { id });
  });
}

export function createVolumeProgram(ctx: Context): Program<CreatePayload> {
  return {
    kind: CREATE_VOLUME,
    start: 'make',
    steps: {
      async make({ payload }): Promise<Outcome<CreatePayload>> {
        try {
          await makeVolume(ctx, recallCall(payload.caller), payload.id);
        } catch (error) {
          if (!isFinal(error)) throw error;
          ctx.log.info({ volumeId: payload.id, error }, 'a volume could not be created and is removed');
          await vanish(ctx, payload.id);
        }
        return { kind: 'done' };
      },
    },
    async failed(payload, cause) {
      ctx.log.error({ volumeId: payload.id, error: cause }, 'a volume could not be created and is removed');
      await vanish(ctx, payload.id);
    },
  };
}

export async function startCreate(
  ctx: Context,
  tx: Tx,
  call: Call,
  request: VolumeRequest,
  outcome: EncryptionOutcome,
): Promise<VolumeRecord> {
  const row = await insertVolume(ctx, tx, call, newEc2Id('vol'), request, outcome);
  await ctx.jobs.enqueue<CreatePayload>(tx, CREATE_VOLUME, { id: row.id, caller: recordCall(call) });
  return (await volumeRecords(writing(tx), [row]))[0]!;
}

export async function createNow(
  ctx: Context,
  call: Call,
  id: VolumeId,
  request: VolumeRequest,
  outcome: EncryptionOutcome,
): Promise<VolumeRecord> {
  const before = await volumeRow(reading(ctx.db), id);
  if (!before) await ctx.db.write((tx) => insertVolume(ctx, tx, call, id, request, outcome));
  try {
    await makeVolume(ctx, call, id);
  } catch (error) {
    if (isFinal(error)) await vanish(ctx, id);
    throw error;
  }
  const row = await volumeRow(reading(ctx.db), id);
  if (!row || row.state === 'deleting') throw refuse('volume-not-found', { volumeId: id });
  return (await volumeRecords(reading(ctx.db), [row]))[0]!;
}
