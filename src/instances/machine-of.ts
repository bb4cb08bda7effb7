/** From an instance's record to its machine, and the moments in which the machine is down and the instance is not. */
import { setTimeout as pause } from 'node:timers/promises';
import type { InstanceId } from '../ids.ts';
import { type Context, machineVolume, POWER_DOWN_MS, volumesOf } from './context.ts';
import { instanceType } from './instance-types.ts';
import type { InstanceRecord } from './instances.ts';
import type { MachineVolume } from './machine.ts';

const POLL_MS = 100;

/** Starts the machine with volumes that are being served. Repeated it finds the machine running. */
export async function startMachine(
  ctx: Context,
  record: InstanceRecord,
  volumes: readonly MachineVolume[],
): Promise<void> {
  const type = instanceType(record.instanceType);
  if (!type) throw new Error(`instance ${record.id} has the unknown type ${record.instanceType}`);
  const [link] = await ctx.network.interfacesOf([record.id]);
  await ctx.driver.start({
    instanceId: record.id,
    memoryMiB: type.memoryMiB,
    vcpus: type.vcpus,
    bootMode: record.currentBootMode,
    volumes,
    ...(link ? { network: { mac: link.mac } } : {}),
  });
  await ctx.links.join(record);
}

/** Serves the volumes of an instance without asking KMS: it never let go of them. */
export async function reopenVolumes(ctx: Context, record: InstanceRecord): Promise<MachineVolume[]> {
  const served: MachineVolume[] = [];
  for (const volume of await volumesOf(ctx, record)) {
    const { socketPath } = await ctx.volumes.reopenForInstance(volume.id, record.id);
    served.push(machineVolume(volume, record.id, socketPath));
  }
  return served;
}

export async function closeVolumes(ctx: Context, record: InstanceRecord): Promise<void> {
  for (const volume of await volumesOf(ctx, record)) await ctx.volumes.closeForInstance(volume.id, record.id);
}

/** Presses the power button and waits; ends the machine when the guest does not listen in time. */
export async function bringDown(ctx: Context, id: InstanceId, signal?: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + (ctx.powerDownMs ?? POWER_DOWN_MS);
  if (ctx.driver.isRunning(id)) await ctx.driver.powerDown(id);
  while (ctx.driver.isRunning(id) && performance.now() < giveUpAt) {
    await pause(POLL_MS, undefined, signal ? { signal } : {});
  }
  await ctx.driver.kill(id);
}
