/** Joins the parts of this folder to what the services and the images below see. */
import { sql } from 'kysely';
import type { Permit } from '../authz/permit.ts';
import type { Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import { type InstanceId, newEc2Id, type Region, type VolumeId } from '../ids.ts';
import type { InstanceSource } from '../images/images.ts';
import { recordCall } from '../volumes/call-record.ts';
import { KeyedLock } from '../volumes/context.ts';
import type { VolumeRecord, VolumeRefusalReason } from '../volumes/volumes.ts';
import { attributesOf } from './attributes.ts';
import { readConsole } from './console.ts';
import {
  attachmentOf,
  type Context,
  type InstancesDeps,
  machineVolume,
  reading,
  refuse,
  requireInstance,
  rootFirst,
  transitionIn,
  volumesOf,
  writing,
} from './context.ts';
import { onMachineExit } from './exits.ts';
import { healthOf } from './health.ts';
import { idOf } from './id-of.ts';
import { instanceType } from './instance-types.ts';
import type { AttachedVolume, InstanceRecord, InstanceState, Instances, StateChange } from './instances.ts';
import { forgetProgram, launchProgram } from './launch.ts';
import { createLinks } from './links.ts';
import { bringDown } from './machine-of.ts';
import { LAUNCH, REBOOT, START, STOP, TERMINATE } from './programs.ts';
import { PENDING, USER_SHUTDOWN, userInitiated } from './reasons.ts';
import { recordLaunch } from './record-launch.ts';
import { recover } from './recover.ts';
import { replaceRootProgram, rootReplacementsOf } from './root-replacement.ts';
import { takeScreenshot } from './screenshot.ts';
import { hold, rebootProgram, release, startProgram, stopProgram, terminateProgram } from './stop.ts';
import { findInstance, recordOf, selectInstances } from './tables.ts';

export { instancesMigrations } from './tables.ts';

/** Registers its job programs, so call it before `jobs.start()`, and {@link Instances.recover} in between. */
export function createInstances(deps: InstancesDeps): Instances {
  const held = { lock: new KeyedLock(), screenshotsOf: new Map() };
  const ctx: Context = { ...deps, ...held, links: createLinks(() => ctx) };
  ctx.jobs.register(launchProgram(ctx));
  ctx.jobs.register(startProgram(ctx));
  ctx.jobs.register(stopProgram(ctx));
  ctx.jobs.register(terminateProgram(ctx));
  ctx.jobs.register(rebootProgram(ctx));
  ctx.jobs.register(forgetProgram(ctx));
  ctx.jobs.register(replaceRootProgram(ctx));
  ctx.driver.onExit((exit) => {
    onMachineExit(ctx, exit).catch((error: unknown) =>
      ctx.log.error({ instanceId: exit.instanceId, error }, 'the end of a machine could not be recorded'),
    );
  });
  return {
    ...queriesOf(ctx),
    ...changesOf(ctx),
    ...attributesOf(ctx),
    ...attachmentsOf(ctx),
    ...rootReplacementsOf(ctx),
    ...forImages(ctx),
    health: (record) => healthOf(ctx, record),
    consoleOutput: (permit) => readConsole(ctx, idOf(permit)),
    screenshot: (permit, options) => takeScreenshot(ctx, idOf(permit), options),
    recover: () => recover(ctx),
    close: () => ctx.links.close(),
  };
}

function queriesOf(
  ctx: Context,
): Pick<Instances, 'find' | 'list' | 'countByImage' | 'ofReservation' | 'attachedVolumes'> {
  return {
    async find(region, id) {
      const record = await findInstance(reading(ctx), id);
      return record?.region === region ? record : undefined;
    },
    async list(account, region) {
      const rows = await selectInstances(reading(ctx))
        .where('owner_id', '=', account)
        .where('region', '=', region)
        .execute();
      return rows.map(recordOf);
    },
    async countByImage(region, image) {
      const rows = await reading(ctx)
        .selectFrom('instances')
        .select((row) => ['owner_id', row.fn.countAll<number>().as('count')])
        .where('region', '=', region)
        .where('state', '!=', 'terminated')
        .where(sql`json_extract(document, '$.imageId')`, '=', image)
        .groupBy('owner_id')
        .orderBy('owner_id')
        .execute();
      return new Map(rows.map((row) => [row.owner_id, row.count]));
    },
    async ofReservation(reservationId) {
      const rows = await selectInstances(reading(ctx)).where('reservation_id', '=', reservationId).execute();
      return rows.map(recordOf).toSorted((a, b) => a.launchIndex - b.launchIndex);
    },
    async attachedVolumes(account, region) {
      const instances = new Map((await this.list(account, region)).map((record) => [record.id, record]));
      const attached = new Map<InstanceId, VolumeRecord[]>();
      for (const volume of await ctx.volumes.listOwned(region, account)) {
        for (const { instanceId } of volume.attachments) {
          const some = attached.get(instanceId);
          if (some) some.push(volume);
          else attached.set(instanceId, [volume]);
        }
      }
      return new Map(
        [...attached].map(([id, volumes]) => {
          const record = instances.get(id);
          const ordered = record ? rootFirst(record, volumes) : volumes;
          return [id, ordered.map((volume) => attachedVolume(volume, id))];
        }),
      );
    },
  };
}

function attachedVolume(volume: VolumeRecord, id: InstanceId): AttachedVolume {
  const attachment = attachmentOf(volume, id);
  if (!attachment) throw new Error(`volume ${volume.id} is not attached to ${id}`);
  const { device, state, attachTime, deleteOnTermination } = attachment;
  return { deviceName: device, volumeId: volume.id, state, attachTime, deleteOnTermination };
}

function changesOf(ctx: Context): Pick<Instances, 'launch' | 'start' | 'stop' | 'reboot' | 'terminate'> {
  async function change(
    tx: Tx,
    permit: Permit,
    from: readonly InstanceState[],
    to: (record: InstanceRecord) => InstanceRecord,
    enqueue: (record: InstanceRecord) => Promise<unknown>,
  ): Promise<StateChange> {
    const id = idOf(permit);
    const before = await transitionIn(tx, id, from, to, (_tx, record) => enqueue(record));
    const instance = await findInstance(writing(tx), id);
    if (!instance) throw refuse('instance-not-found', { instanceId: id });
    if (!before) throw refuse('instance-state', { instanceId: id, state: instance.state });
    return { instance, previous: before.state };
  }

  /** The answer for an instance that already is where it shall be. */
  async function already(tx: Tx, permit: Permit, states: readonly InstanceState[]): Promise<StateChange | undefined> {
    const instance = await findInstance(writing(tx), idOf(permit));
    return instance && states.includes(instance.state) ? { instance, previous: instance.state } : undefined;
  }

  return {
    async launch(tx, _permit, call, request) {
      const reservationId = newEc2Id('r');
      const records: InstanceRecord[] = [];
      for (let index = 0; index < request.count; index++) {
        const record = await recordLaunch(ctx, tx, call.caller.arn, request, reservationId, index);
        await ctx.jobs.enqueue(tx, LAUNCH, { id: record.id, call: recordCall(request.spotCall ?? call) });
        records.push(record);
      }
      tx.afterCommit(() => {
        ctx.images.noteLaunch(request.image.id).catch((error: unknown) => {
          ctx.log.warn({ imageId: request.image.id, error }, 'the time of a launch could not be recorded');
        });
      });
      return records;
    },

    async start(tx, permit, call) {
      const same = await already(tx, permit, ['pending', 'running']);
      if (same) return same;
      return change(
        tx,
        permit,
        ['stopped'],
        (record) => ({
          ...record,
          state: 'pending',
          stateReason: PENDING,
          stateTransitionReason: '',
          launchTime: ctx.clock(),
        }),
        (record) => ctx.jobs.enqueue(tx, START, { id: record.id, call: recordCall(call) }),
      );
    },

    async stop(tx, permit, { force }) {
      const same = await already(tx, permit, ['stopping', 'stopped']);
      if (same) return same;
      const record = await findInstance(writing(tx), idOf(permit));
      if (record?.spot) throw refuse('instance-spot', { instanceId: record.id });
      if (record?.disableApiStop) throw refuse('instance-stop-protected', { instanceId: record.id });
      return change(
        tx,
        permit,
        ['running'],
        (before) => ({
          ...before,
          state: 'stopping',
          stateReason: USER_SHUTDOWN,
          stateTransitionReason: userInitiated(ctx.clock()),
        }),
        ({ id }) => ctx.jobs.enqueue(tx, STOP, { id, force }),
      );
    },

    async reboot(tx, permit) {
      await change(
        tx,
        permit,
        ['running'],
        (record) => record,
        ({ id }) => ctx.jobs.enqueue(tx, REBOOT, { id }),
      );
    },

    async terminate(tx, permit, { force } = { force: false }) {
      const same = await already(tx, permit, ['shutting-down', 'terminated']);
      if (same) return same;
      const record = await findInstance(writing(tx), idOf(permit));
      if (record?.disableApiTermination) throw refuse('instance-termination-protected', { instanceId: record.id });
      const attached = record ? await volumesOf(ctx, record) : [];
      const survives = attached.some((volume) => attachmentOf(volume, record!.id)?.deleteOnTermination === false);
      return change(
        tx,
        permit,
        ['pending', 'running', 'stopping', 'stopped'],
        (before) => ({
          ...before,
          state: 'shutting-down',
          stateReason: USER_SHUTDOWN,
          stateTransitionReason: userInitiated(ctx.clock()),
        }),
        // A guest is asked to power off only where something of it remains.
        ({ id }) => ctx.jobs.enqueue(tx, TERMINATE, { id, force: force || !survives }),
      );
    },
  };
}

function attachmentsOf(ctx: Context): Pick<Instances, 'attachVolume' | 'detachVolume'> {
  return {
    attachVolume(permit, call, { volumeId, device }) {
      const id = idOf(permit);
      return ctx.lock.run(id, async () => {
        const record = await requireInstance(ctx, id);
        if (record.state !== 'running' && record.state !== 'stopped') {
          throw refuse('instance-state', { instanceId: id, state: record.state });
        }
        const attached = await volumesOf(ctx, record);
        if (attached.some((volume) => attachmentOf(volume, id)?.device === device)) {
          throw refuse('device-in-use', { instanceId: id, device });
        }
        if (attached.some((volume) => volume.id === volumeId)) {
          throw new Refusal<VolumeRefusalReason>('volume-in-use', { volumeId, instanceId: id });
        }
        const wanted = await ctx.volumes.find(record.region, volumeId);
        if (wanted && wanted.availabilityZone !== record.zone) {
          throw refuse('zone-mismatch', { volumeId, instanceId: id });
        }
        if (wanted?.multiAttach && instanceType(record.instanceType)?.hypervisor !== 'nitro') {
          throw refuse('multi-attach-type', { volumeId, instanceId: id });
        }
        const to = { instanceId: id, device, deleteOnTermination: false };
        const { socketPath } = await ctx.volumes.attach(call, volumeId as VolumeId, to);
        try {
          const volume = await ctx.volumes.find(record.region, volumeId);
          if (!volume) throw refuse('instance-state', { instanceId: id, state: record.state });
          if (ctx.driver.isRunning(id)) await ctx.driver.attachDisk(id, machineVolume(volume, id, socketPath));
          // A stopped instance holds no data key; it opens the volume when it starts.
          else await ctx.volumes.closeForInstance(volume.id, id);
          return attachedVolume(volume, id);
        } catch (error) {
          await ctx.volumes.detach(volumeId as VolumeId, id);
          throw error;
        }
      });
    },

    detachVolume(permit, volumeId, options) {
      const id = idOf(permit);
      return ctx.lock.run(id, async () => {
        const record = await requireInstance(ctx, id);
        const volume = (await volumesOf(ctx, record)).find((each) => each.id === volumeId);
        if (!volume) throw new Refusal<VolumeRefusalReason>('attachment-not-found', { instanceId: id, volumeId });
        const attached = attachedVolume(volume, id);
        if (record.state !== 'stopped' && attached.deviceName === record.rootDeviceName) {
          throw refuse('device-is-root', { instanceId: id, volumeId });
        }
        if (record.state !== 'running' && record.state !== 'stopped') {
          throw refuse('instance-state', { instanceId: id, state: record.state });
        }
        if (ctx.driver.isRunning(id)) await ctx.driver.detachDisk(id, attached.deviceName, options);
        await ctx.volumes.detach(volume.id, id);
        return { ...attached, state: 'detaching' };
      });
    },
  };
}

function forImages(ctx: Context): Pick<Instances, 'imageSource' | 'pauseForImage' | 'resumeAfterImage'> {
  return {
    async imageSource(region: Region, id: string): Promise<InstanceSource | undefined> {
      const record = await findInstance(reading(ctx), id);
      if (record?.region !== region || record.state === 'terminated') return undefined;
      const attached = (await volumesOf(ctx, record))
        .map((volume) => attachedVolume(volume, record.id))
        // One on its way in may yet be refused, or be about to take the place of another.
        .filter(({ state }) => state === 'attached');
      return {
        instanceId: record.id,
        ownerId: record.ownerId,
        region,
        running: record.state === 'running',
        imageId: record.imageId,
        architecture: record.architecture,
        ...(record.bootMode === undefined ? {} : { bootMode: record.bootMode }),
        rootDeviceName: record.rootDeviceName,
        virtualizationType: record.virtualizationType,
        enaSupport: record.enaSupport,
        devices: attached.map(({ deviceName, volumeId, deleteOnTermination }) => ({
          deviceName,
          volumeId,
          deleteOnTermination,
        })),
      };
    },
    pauseForImage: (id) =>
      ctx.lock.run(id, async () => {
        if (await hold(ctx, id, true)) await bringDown(ctx, id);
      }),
    resumeAfterImage: (id) => release(ctx, id),
  };
}
