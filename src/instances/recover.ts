/**
 * After a start of Ingot: machines that ran on get their volumes back, so that the reads and writes they wait for go
 * through, and machines that are gone are noticed. Jobs of the earlier process go on by themselves afterwards.
 */
import type { Context } from './context.ts';
import { attachmentOf, machineVolume, reading, volumesOf } from './context.ts';
import { machineIsGone } from './exits.ts';
import type { InstanceRecord } from './instances.ts';
import { closeVolumes, reopenVolumes, startMachine } from './machine-of.ts';
import { recordOf, selectInstances } from './tables.ts';

export async function recover(ctx: Context): Promise<void> {
  const rows = await selectInstances(reading(ctx))
    .where('state', 'in', ['running', 'stopping', 'shutting-down', 'stopped'])
    .execute();
  for (const record of rows.map(recordOf)) await endAttachments(ctx, record);
  const records = rows.map(recordOf).filter((record) => record.state !== 'stopped');
  // Volumes first: a guest that has shut down meanwhile cannot let go of its disks without them.
  for (const record of records) await reopen(ctx, record);
  const adopted = new Set(await ctx.driver.adopt());
  const known = new Set(records.map((record) => record.id));
  for (const id of adopted) {
    if (known.has(id)) continue;
    const row = await selectInstances(reading(ctx)).where('id', '=', id).executeTakeFirst();
    // The job that launches a pending instance finds its machine there.
    if (row?.state !== 'pending') await ctx.driver.kill(id);
  }
  for (const record of records) {
    await ctx.lock.run(record.id, () => machineIsGone(ctx, record.id, 'died'));
    if (!adopted.has(record.id)) continue;
    await giveDisks(ctx, record);
    await rejoin(ctx, record);
  }
  if (records.length > 0) {
    ctx.log.info({ instances: records.length, machines: adopted.size }, 'instances of the last run were taken up');
  }
}

/**
 * A volume is recorded as attached before the machine has it, and until the machine has let go of it: what the earlier
 * process left in between is attached.
 */
async function giveDisks(ctx: Context, record: InstanceRecord): Promise<void> {
  for (const volume of await volumesOf(ctx, record)) {
    try {
      const { socketPath } = await ctx.volumes.reopenForInstance(volume.id, record.id);
      await ctx.driver.attachDisk(record.id, machineVolume(volume, record.id, socketPath));
    } catch (error) {
      ctx.log.error({ instanceId: record.id, volumeId: volume.id, error }, 'a running machine did not get its volume');
    }
  }
}

/** The guest goes on without a network rather than not at all. */
async function rejoin(ctx: Context, record: InstanceRecord): Promise<void> {
  await ctx.links.join(record).catch((error: unknown) => {
    ctx.log.error({ instanceId: record.id, error }, 'the network of a running instance could not be taken up');
  });
}

/**
 * What AttachVolume had begun: nobody has been asked yet whether the caller may use the key, so it must not look like a
 * volume the instance has. And what a detach had begun, which the machine has let go of. A stopped instance holds no
 * grant either.
 */
async function endAttachments(ctx: Context, record: InstanceRecord): Promise<void> {
  for (const volume of await volumesOf(ctx, record)) {
    const state = attachmentOf(volume, record.id)?.state;
    // The job that ends an instance goes on by itself, and knows which volumes it deletes.
    const begun = state === 'attaching' || (state === 'detaching' && record.state !== 'shutting-down');
    if (begun) await ctx.volumes.detach(volume.id, record.id);
  }
  if (record.state === 'stopped') await closeVolumes(ctx, record);
}

async function reopen(ctx: Context, record: InstanceRecord): Promise<void> {
  try {
    const volumes = await reopenVolumes(ctx, record);
    // Without real machines nothing can have died.
    if (ctx.driver.kind === 'none' && record.state === 'running') await startMachine(ctx, record, volumes);
  } catch (error) {
    ctx.log.error(
      { instanceId: record.id, error },
      'the volumes of a running instance cannot be opened: it is stopped',
    );
    await ctx.driver.kill(record.id);
  }
}
