/**
 * Attaching volumes to machines. An encrypted volume is opened by the instance's own principal, by a grant that the
 * caller makes for it (K-7, K-8); the grant is retired when the instance stops or lets go of the volume (K-9).
 */
import { type Call, infrastructureCaller, instanceInfrastructureArn, viaEc2 } from '../authz/caller.ts';
import type { Tx } from '../db/db.ts';
import type { InstanceId, VolumeId } from '../ids.ts';
import { type Context, refuse } from './context.ts';
import { ensureVolumeGrant } from './create-volume.ts';
import {
  baseKeyOf,
  ebsContext,
  ec2Principal,
  ec2ServiceCall,
  openAs,
  openForSystem,
  type WrappedDataKey,
  wrappedKeyOf,
} from './data-keys.ts';
import { DELETE_VOLUME } from './delete-volume.ts';
import type { OpenDataKey } from './storage.ts';
import { type AttachmentRow, reading, type VolumeRow, volumeRow, writing } from './tables.ts';

const GIB = 1024 ** 3;
const SERVE_ATTEMPTS_MAX = 5;

type Opener = (key: WrappedDataKey) => Promise<OpenDataKey>;

export interface AttachTo {
  readonly instanceId: InstanceId;
  readonly device: string;
  readonly deleteOnTermination: boolean;
}

function attachmentRow(ctx: Context, volume: VolumeId, instanceId: InstanceId): Promise<AttachmentRow | undefined> {
  return reading(ctx.db)
    .selectFrom('volume_attachments')
    .selectAll()
    .where('volume_id', '=', volume)
    .where('instance_id', '=', instanceId)
    .executeTakeFirst();
}

/** Most instances that a volume with Multi-Attach can be attached to (CV-13). */
export const MULTI_ATTACHMENTS_MAX = 16;

/**
 * Serves the volume with the layers of its record, and again if a snapshot has frozen the overlay meanwhile. A volume
 * that another instance has open has one server for both, so that each sees what the other writes; the key is opened
 * for each, because KMS decides for each.
 */
function serve(ctx: Context, id: VolumeId, instanceId: InstanceId, open: Opener): Promise<{ socketPath: string }> {
  return ctx.volumeLock.run(id, async () => {
    const served = await serveLayers(ctx, id, open);
    const opened = ctx.openedBy.get(id);
    if (opened) opened.add(instanceId);
    else ctx.openedBy.set(id, new Set([instanceId]));
    return served;
  });
}

async function serveLayers(ctx: Context, id: VolumeId, open: Opener): Promise<{ socketPath: string }> {
  for (let attempt = 1; attempt <= SERVE_ATTEMPTS_MAX; attempt++) {
    const row = await volumeRow(reading(ctx.db), id);
    const key = row && wrappedKeyOf(row);
    if (!row || !key || row.overlay === null) throw refuse('volume-state', { volumeId: id, state: row?.state });
    const baseKey = baseKeyOf(row);
    const dataKey = await open(key);
    const layers = {
      sizeBytes: row.size_gib * GIB,
      frozen: JSON.parse(row.frozen) as string[],
      overlay: row.overlay,
      dataKey,
      ...(row.base_root && baseKey
        ? { base: { root: row.base_root, dataKey: baseKey.id === key.id ? dataKey : await open(baseKey) } }
        : {}),
    };
    // One that is served already has followed every change of its layers.
    const isServed = ctx.storage.isAttached(id);
    const served = await ctx.storage.attach(id, layers);
    const after = await volumeRow(reading(ctx.db), id);
    if (isServed || after?.overlay === row.overlay) return served;
    await ctx.storage.detach(id);
  }
  throw new Error(`volume ${id} was frozen again and again while it was attached`);
}

/** Grant (b) as the caller, then Decrypt as the instance's principal. Records the grant before it is used. */
async function serveByGrant(ctx: Context, call: Call, row: VolumeRow, to: InstanceId): Promise<{ socketPath: string }> {
  if (!row.encrypted || !row.kms_key_arn) return serve(ctx, row.id, to, (key) => openAs(ctx.keys, call, key));
  await ensureVolumeGrant(ctx, call, row);
  // Of an attempt that did not come to its end: its record is overwritten below.
  const previous = await attachmentRow(ctx, row.id, to);
  if (previous?.grant_id) await retire(ctx, row, previous.grant_id);
  const grant = {
    granteePrincipal: instanceInfrastructureArn(row.owner_id, to),
    retiringPrincipal: ec2Principal(row.region),
    operations: ['Decrypt'],
    encryptionContextSubset: ebsContext(row.id),
  };
  await ctx.keys.createGrant(viaEc2(call), row.kms_key_arn, grant, async (tx, grantId) => {
    const { numUpdatedRows } = await writing(tx)
      .updateTable('volume_attachments')
      .set({ grant_id: grantId })
      .where('volume_id', '=', row.id)
      .where('instance_id', '=', to)
      .executeTakeFirstOrThrow();
    if (numUpdatedRows === 0n) throw refuse('attachment-not-found', { volumeId: row.id, instanceId: to });
  });
  const infrastructure: Call = {
    caller: infrastructureCaller(row.owner_id, to),
    region: call.region,
    requestId: call.requestId,
    now: ctx.clock(),
    userAgent: 'AWS Internal',
    secureTransport: true,
    viaService: ec2Principal(row.region),
    invokedBy: 'AWS Internal',
  };
  return serve(ctx, row.id, to, (key) => openAs(ctx.keys, infrastructure, key));
}

async function retire(ctx: Context, row: VolumeRow, grantId: string): Promise<void> {
  if (!row.kms_key_arn) return;
  await ctx.keys.retireGrant(ec2ServiceCall(row.owner_id, row.region, ctx.clock()), row.kms_key_arn, grantId);
}

/** Claims the volume for the instance. Repeated for the same instance it changes nothing. */
async function claim(ctx: Context, id: VolumeId, to: AttachTo): Promise<VolumeRow> {
  return ctx.db.write(async (tx) => {
    const queries = writing(tx);
    const row = await volumeRow(queries, id);
    if (!row || row.state === 'deleting') throw refuse('volume-not-found', { volumeId: id });
    const held = await queries
      .selectFrom('volume_attachments')
      .select('instance_id')
      .where('volume_id', '=', id)
      .execute();
    if (held.some(({ instance_id }) => instance_id === to.instanceId)) return row;
    if (held[0] && row.multi_attach === 0) {
      throw refuse('volume-in-use', { volumeId: id, instanceId: held[0].instance_id });
    }
    if (held.length >= MULTI_ATTACHMENTS_MAX) throw refuse('multi-attach-limit', { volumeId: id });
    if (row.state !== (held.length > 0 ? 'in-use' : 'available'))
      throw refuse('volume-state', { volumeId: id, state: row.state });
    await queries
      .insertInto('volume_attachments')
      .values({
        volume_id: id,
        instance_id: to.instanceId,
        device: to.device,
        state: 'attaching',
        attach_time: ctx.clock().getTime(),
        delete_on_termination: to.deleteOnTermination ? 1 : 0,
        grant_id: null,
      })
      .execute();
    await queries.updateTable('volumes').set({ state: 'in-use' }).where('id', '=', id).execute();
    return row;
  });
}

export async function attach(ctx: Context, call: Call, id: VolumeId, to: AttachTo): Promise<{ socketPath: string }> {
  const row = await claim(ctx, id, to);
  try {
    const served = await serveByGrant(ctx, call, row, to.instanceId);
    await ctx.db.write((tx) =>
      writing(tx)
        .updateTable('volume_attachments')
        .set({ state: 'attached' })
        .where('volume_id', '=', id)
        .where('instance_id', '=', to.instanceId)
        .execute(),
    );
    return served;
  } catch (error) {
    await detach(ctx, id, to.instanceId);
    throw error;
  }
}

async function requireAttachment(ctx: Context, id: VolumeId, instanceId: InstanceId): Promise<VolumeRow> {
  const row = await volumeRow(reading(ctx.db), id);
  if (!row) throw refuse('volume-not-found', { volumeId: id });
  if (!(await attachmentRow(ctx, id, instanceId))) throw refuse('attachment-not-found', { volumeId: id, instanceId });
  return row;
}

/** A failed open leaves the attachment as it was, without a grant (K-17). */
export async function openForInstance(
  ctx: Context,
  call: Call,
  id: VolumeId,
  instanceId: InstanceId,
): Promise<{ socketPath: string }> {
  const row = await requireAttachment(ctx, id, instanceId);
  try {
    return await serveByGrant(ctx, call, row, instanceId);
  } catch (error) {
    await closeForInstance(ctx, id, instanceId);
    throw error;
  }
}

export async function reopenForInstance(
  ctx: Context,
  id: VolumeId,
  instanceId: InstanceId,
): Promise<{ socketPath: string }> {
  await requireAttachment(ctx, id, instanceId);
  const reason = `${instanceId} ran on with ${id} attached while Ingot restarted`;
  return serve(ctx, id, instanceId, (key) => openForSystem(ctx.keys, key, reason));
}

export async function closeForInstance(ctx: Context, id: VolumeId, instanceId: InstanceId): Promise<void> {
  await ctx.volumeLock.run(id, async () => {
    const opened = ctx.openedBy.get(id);
    opened?.delete(instanceId);
    if (opened && opened.size > 0) return;
    ctx.openedBy.delete(id);
    await ctx.storage.detach(id);
  });
  const row = await volumeRow(reading(ctx.db), id);
  const attachment = await attachmentRow(ctx, id, instanceId);
  if (!row || !attachment?.grant_id) return;
  await retire(ctx, row, attachment.grant_id);
  await ctx.db.write((tx) =>
    writing(tx)
      .updateTable('volume_attachments')
      .set({ grant_id: null })
      .where('volume_id', '=', id)
      .where('instance_id', '=', instanceId)
      .where('grant_id', '=', attachment.grant_id)
      .execute(),
  );
}

async function isHeld(queries: ReturnType<typeof writing>, id: VolumeId): Promise<boolean> {
  const held = queries.selectFrom('volume_attachments').select('instance_id').where('volume_id', '=', id);
  return (await held.executeTakeFirst()) !== undefined;
}

export async function detach(
  ctx: Context,
  id: VolumeId,
  instanceId: InstanceId,
  { andDelete = false }: { readonly andDelete?: boolean } = {},
): Promise<void> {
  const { numUpdatedRows } = await ctx.db.write((tx) =>
    writing(tx)
      .updateTable('volume_attachments')
      .set({ state: 'detaching' })
      .where('volume_id', '=', id)
      .where('instance_id', '=', instanceId)
      .executeTakeFirstOrThrow(),
  );
  if (numUpdatedRows === 0n) return;
  await closeForInstance(ctx, id, instanceId);
  await ctx.db.write(async (tx) => {
    const queries = writing(tx);
    await queries
      .deleteFrom('volume_attachments')
      .where('volume_id', '=', id)
      .where('instance_id', '=', instanceId)
      .execute();
    if (await isHeld(queries, id)) return;
    const { numUpdatedRows } = await queries
      .updateTable('volumes')
      .set({ state: andDelete ? 'deleting' : 'available' })
      .where('id', '=', id)
      .where('state', '=', 'in-use')
      .executeTakeFirstOrThrow();
    if (andDelete && numUpdatedRows > 0n) await ctx.jobs.enqueue(tx, DELETE_VOLUME, { id });
  });
}

export async function exchange(
  ctx: Context,
  call: Call,
  { instanceId, from, to }: { readonly instanceId: InstanceId; readonly from: VolumeId; readonly to: VolumeId },
  within: (tx: Tx) => Promise<void>,
): Promise<void> {
  const place = await attachmentRow(ctx, from, instanceId);
  if (!place) throw refuse('attachment-not-found', { volumeId: from, instanceId });
  const { device, delete_on_termination } = place;
  // Attached there by somebody meanwhile, and not by an earlier try: it is in use as that.
  const other = await attachmentRow(ctx, to, instanceId);
  if (other && other.device !== device) throw refuse('volume-in-use', { volumeId: to, instanceId });
  const row = await claim(ctx, to, { instanceId, device, deleteOnTermination: delete_on_termination === 1 });
  try {
    await serveByGrant(ctx, call, row, instanceId);
  } catch (error) {
    await detach(ctx, to, instanceId);
    throw error;
  }
  await closeForInstance(ctx, from, instanceId);
  await ctx.db.write(async (tx) => {
    const queries = writing(tx);
    await queries
      .updateTable('volume_attachments')
      .set({ state: 'attached' })
      .where('volume_id', '=', to)
      .where('instance_id', '=', instanceId)
      .execute();
    await queries
      .deleteFrom('volume_attachments')
      .where('volume_id', '=', from)
      .where('instance_id', '=', instanceId)
      .execute();
    if (!(await isHeld(queries, from))) {
      await queries.updateTable('volumes').set({ state: 'available' }).where('id', '=', from).execute();
    }
    await within(tx);
  });
}
