/** What the parts of this folder share: their dependencies, and the few ways in which they touch a record. */
import type { RootKey } from '../crypto/root-key.ts';
import type { Db, Tx } from '../db/db.ts';
import { Refusal } from '../errors.ts';
import type { AccountId, InstanceId } from '../ids.ts';
import type { Images } from '../images/images.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Log } from '../log.ts';
import type { Network } from '../network/network.ts';
import type { Tags } from '../tags/tags.ts';
import type { KeyedLock } from '../volumes/context.ts';
import type { VolumeRecord, Volumes } from '../volumes/volumes.ts';
import type { InstanceRecord, InstanceRefusalReason, InstanceState, RolesForInstances } from './instances.ts';
import type { Links } from './links.ts';
import type { MachineDriver, MachineVolume } from './machine.ts';
import { findInstance, type InstancesTables, replaceInstance } from './tables.ts';

export interface InstancesDeps {
  readonly db: Db;
  readonly volumes: Volumes;
  readonly images: Pick<Images, 'noteLaunch'>;
  readonly network: Network;
  readonly driver: MachineDriver;
  readonly jobs: Jobs;
  readonly tags: Tags;
  readonly roles: RolesForInstances;
  /** Where guests can be reached from this host; absent where they are cut off. */
  readonly front?: { readonly sshPort: number };
  /** Seals user data, and console output that outlives its machine. */
  readonly rootKey: RootKey;
  readonly clock: () => Date;
  readonly log: Log;
  /** How long a guest may take to power off when asked; half a minute unless given. */
  readonly powerDownMs?: number;
}

export interface Context extends InstancesDeps {
  /** Per instance: everything that touches its volumes or its machine. */
  readonly lock: KeyedLock;
  readonly links: Links;
  /** Screenshots that accounts wait for; absent where it is none. */
  readonly screenshotsOf: Map<AccountId, number>;
}

export const POWER_DOWN_MS = 30_000;

export const reading = (ctx: Pick<Context, 'db'>) => ctx.db.read<InstancesTables>();
export const writing = (tx: Tx) => tx.as<InstancesTables>();

export function refuse(reason: InstanceRefusalReason, facts: Refusal['facts']): Refusal<InstanceRefusalReason> {
  return new Refusal(reason, facts);
}

export async function requireInstance(ctx: Context, id: InstanceId): Promise<InstanceRecord> {
  const record = await findInstance(reading(ctx), id);
  if (!record) throw refuse('instance-not-found', { instanceId: id });
  return record;
}

/** Changes the record if it is in one of `from`; gives the record before, or `undefined` where it was not. */
export function transition(
  ctx: Context,
  id: InstanceId,
  from: readonly InstanceState[],
  change: (record: InstanceRecord) => InstanceRecord,
  within?: (tx: Tx, record: InstanceRecord) => Promise<unknown>,
): Promise<InstanceRecord | undefined> {
  return ctx.db.write((tx) => transitionIn(tx, id, from, change, within));
}

export async function transitionIn(
  tx: Tx,
  id: InstanceId,
  from: readonly InstanceState[],
  change: (record: InstanceRecord) => InstanceRecord,
  within?: (tx: Tx, record: InstanceRecord) => Promise<unknown>,
): Promise<InstanceRecord | undefined> {
  const record = await findInstance(writing(tx), id);
  if (!record || !from.includes(record.state)) return undefined;
  const changed = change(record);
  await replaceInstance(writing(tx), changed);
  await within?.(tx, changed);
  return record;
}

/** Volumes attached to the instance, the root first, then by device name. */
export async function volumesOf(ctx: Pick<Context, 'volumes'>, record: InstanceRecord): Promise<VolumeRecord[]> {
  const owned = await ctx.volumes.listOwned(record.region, record.ownerId);
  return rootFirst(
    record,
    owned.filter((volume) => attachmentOf(volume, record.id)),
  );
}

export function attachmentOf(volume: VolumeRecord, id: InstanceId) {
  return volume.attachments.find((attachment) => attachment.instanceId === id);
}

export function rootFirst(record: InstanceRecord, volumes: readonly VolumeRecord[]): VolumeRecord[] {
  const place = (volume: VolumeRecord) => {
    const device = attachmentOf(volume, record.id)?.device ?? '';
    return device === record.rootDeviceName ? '' : device;
  };
  return volumes.toSorted((a, b) => (place(a) < place(b) ? -1 : 1));
}

/** As EC2's own volumes say it: the id without its hyphen. */
export function machineVolume(volume: VolumeRecord, id: InstanceId, socketPath: string): MachineVolume {
  const device = attachmentOf(volume, id)?.device ?? '';
  return { device, socketPath, serial: volume.id.replace('-', '') };
}
