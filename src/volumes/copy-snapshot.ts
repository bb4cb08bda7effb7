/**
 * Copies of snapshots. Under the source's own key in the source's account the copy is of the same lineage: it names the
 * same map and costs nothing. Otherwise it gets a new data key and new ciphertext, so that whoever holds the source's
 * key cannot open it (K-4, K-6, CS-15). A plain copy of a plain snapshot shares the installation's data key.
 */
import { type Call, viaEc2 } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type Arn, newEc2Id, type Region, type SnapshotId } from '../ids.ts';
import type { Outcome, Program } from '../jobs/jobs.ts';
import { type CallRecord, recallCall, recordCall } from './call-record.ts';
import { type Context, isFinal, percent } from './context.ts';
import {
  ebsContext,
  ec2Principal,
  ec2ServiceCall,
  keyColumns,
  newKmsKey,
  openForSystem,
  type WrappedDataKey,
  wrappedKeyOf,
} from './data-keys.ts';
import { recordedKey } from './decide.ts';
import { failSnapshot, finishSnapshot } from './snapshot-ends.ts';
import { nextSequence, reading, type SnapshotRow, snapshotRecords, snapshotRow, tierOf, writing } from './tables.ts';
import type { CopyRequest, SnapshotRecord } from './volumes.ts';

export const COPY_SNAPSHOT = 'snapshots.copy';

interface CopyPayload {
  readonly id: SnapshotId;
  readonly sourceId: string;
  readonly caller: CallRecord;
  /** False where the caller may not see the source. */
  readonly usable: boolean;
}

/** CS-13: shown as the volume of copies and direct snapshots. */
export const NO_VOLUME = 'vol-ffffffff';

export async function startCopy(ctx: Context, tx: Tx, call: Call, request: CopyRequest): Promise<SnapshotRecord> {
  const queries = writing(tx);
  const source = request.source && (await snapshotRow(queries, request.source.id));
  const row: SnapshotRow = {
    id: newEc2Id('snap'),
    sequence: await nextSequence(queries),
    region: request.destinationRegion,
    owner_id: call.caller.accountId,
    origin: 'copy',
    volume_id: NO_VOLUME,
    volume_size_gib: source?.volume_size_gib ?? 0,
    state: 'pending',
    state_message: null,
    progress: '',
    start_time: ctx.clock().getTime(),
    completion_time: null,
    description: request.description,
    encrypted: request.outcome.encrypted ? 1 : 0,
    aws_managed_key: request.outcome.underAwsManagedKey ? 1 : 0,
    storage_tier: 'standard',
    public: 0,
    kms_key_arn: recordedKey(request.outcome),
    data_key_id: null,
    wrapped_key: null,
    context_id: null,
    map_root: null,
    source_root: source?.map_root ?? null,
    parent_id: null,
    frozen_through: null,
    upload: null,
    upload_timeout_ms: null,
    completion_minutes: request.completionMinutes ?? null,
    purpose: request.forImage ? 'image' : null,
    restored_until: null,
  };
  await queries.insertInto('snapshots').values(row).execute();
  await ctx.jobs.enqueue<CopyPayload>(tx, COPY_SNAPSHOT, {
    id: row.id,
    sourceId: request.sourceId,
    caller: recordCall(call),
    usable: source !== undefined && source.region === request.sourceRegion,
  });
  return (await snapshotRecords(queries, [row], ctx))[0]!;
}

function isSameLineage(source: SnapshotRow, copy: SnapshotRow): boolean {
  if (!copy.encrypted) return true;
  return source.owner_id === copy.owner_id && source.kms_key_arn === copy.kms_key_arn;
}

export function copySnapshotProgram(ctx: Context): Program<CopyPayload> {
  const job = (id: SnapshotId) => `copy:${id}`;

  /** CreateGrant on both keys and a data key from the target (3.2), in the name of the caller. */
  const obtainKey = async (payload: CopyPayload, source: SnapshotRow, copy: SnapshotRow): Promise<WrappedDataKey> => {
    const sourceKey = wrappedKeyOf(source)!;
    if (!copy.encrypted) return sourceKey;
    const call = recallCall(payload.caller);
    const grant = async (keyArn: Arn, region: Region, contextId: string) => {
      const request = {
        granteePrincipal: ec2Principal(region),
        retiringPrincipal: ec2Principal(region),
        operations: ['Decrypt'],
        encryptionContextSubset: ebsContext(contextId),
      };
      await ctx.keys.createGrant(viaEc2({ ...call, region }), keyArn, request, async (tx, grantId) => {
        const row = { snapshot_id: copy.id, key_arn: keyArn, grant_id: grantId, region };
        await writing(tx).insertInto('copy_grants').values(row).execute();
      });
    };
    if (source.kms_key_arn) await grant(source.kms_key_arn, source.region, sourceKey.contextId);
    await grant(copy.kms_key_arn!, copy.region, copy.id);
    if (isSameLineage(source, copy)) return sourceKey;
    return newKmsKey(ctx.keys, viaEc2(call), copy.kms_key_arn!, copy.id);
  };

  const retire = async ({ id, caller }: CopyPayload) => {
    const { accountId } = recallCall(caller).caller;
    const grants = await reading(ctx.db).selectFrom('copy_grants').selectAll().where('snapshot_id', '=', id).execute();
    for (const { key_arn, grant_id, region } of grants) {
      await ctx.keys.retireGrant(ec2ServiceCall(accountId, region, ctx.clock()), key_arn, grant_id);
      await ctx.db.write((tx) => writing(tx).deleteFrom('copy_grants').where('grant_id', '=', grant_id).execute());
    }
  };

  return {
    kind: COPY_SNAPSHOT,
    start: 'begin',
    steps: {
      async begin({ payload }): Promise<Outcome<CopyPayload>> {
        const { id } = payload;
        const copy = await snapshotRow(reading(ctx.db), id);
        if (copy?.state !== 'pending') return { kind: 'done' };
        ctx.progress.set(id, '0%');
        const source = payload.usable ? await snapshotRow(reading(ctx.db), payload.sourceId) : undefined;
        if (!source) {
          await failSnapshot(ctx, id, 'Source snapshot is not found');
          return { kind: 'done' };
        }
        const archived = tierOf(source, ctx.clock()) === 'archive';
        if (source.state !== 'completed' || source.map_root === null || archived) {
          await failSnapshot(ctx, id, 'Source snapshot is not complete');
          return { kind: 'done' };
        }
        // Of an attempt that did not come to its end.
        await retire(payload);
        try {
          const key = await obtainKey(payload, source, copy);
          await ctx.db.write((tx) =>
            writing(tx)
              .updateTable('snapshots')
              .set({ ...keyColumns(key), source_root: source.map_root })
              .where('id', '=', id)
              .execute(),
          );
        } catch (error) {
          await retire(payload);
          if (!(error instanceof Refusal)) throw error;
          ctx.log.info({ snapshotId: id, error }, 'a snapshot could not be copied: a key was not given for it');
          await failSnapshot(ctx, id, 'Given key ID is not accessible');
          return { kind: 'done' };
        }
        return { kind: 'hop', to: 'copy' };
      },

      async copy({ payload, signal }): Promise<Outcome<CopyPayload>> {
        const { id } = payload;
        const copy = await snapshotRow(reading(ctx.db), id);
        const source = await snapshotRow(reading(ctx.db), payload.sourceId);
        const key = copy && wrappedKeyOf(copy);
        if (copy?.state === 'pending' && key && !source)
          await failSnapshot(ctx, id, 'Source snapshot is not found', job(id));
        if (copy?.state !== 'pending' || !key || !source) {
          await ctx.db.write((tx) => ctx.storage.finishReseal(tx, job(id)));
          return { kind: 'hop', to: 'end' };
        }
        const sourceKey = wrappedKeyOf(source)!;
        const root = source.map_root!;
        try {
          const reason = `snapshot ${id} is a copy of ${source.id}`;
          const copied =
            key.id === sourceKey.id
              ? root
              : await ctx.storage.reseal(
                  job(id),
                  { root, dataKey: await openForSystem(ctx.keys, sourceKey, reason) },
                  await openForSystem(ctx.keys, key, reason),
                  (fraction) => ctx.progress.set(id, percent(fraction)),
                  signal,
                );
          await ctx.db.write(async (tx) => {
            await ctx.storage.finishReseal(tx, job(id));
            await finishSnapshot(ctx, tx, id, copied);
          });
        } catch (error) {
          if (!isFinal(error)) throw error;
          ctx.log.error({ snapshotId: id, error }, 'a snapshot could not be copied');
          const message =
            error instanceof Refusal ? 'Given key ID is not accessible' : 'The source data could not be read';
          await failSnapshot(ctx, id, message, job(id));
        }
        return { kind: 'hop', to: 'end' };
      },

      async end({ payload }): Promise<Outcome<CopyPayload>> {
        await retire(payload);
        return { kind: 'done' };
      },
    },
    async failed(payload, cause) {
      ctx.log.error({ snapshotId: payload.id, error: cause }, 'a snapshot could not be copied');
      await retire(payload);
      await failSnapshot(ctx, payload.id, 'An internal error has occurred', job(payload.id));
    },
  };
}
