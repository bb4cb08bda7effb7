/**
 * Disks that come and go while a machine runs. A disk has two sides: the node that reads and writes the volume, and the
 * device that the guest sees, which only the guest can let go of.
 */

import type { MachineVolume } from '../machine.ts';
import { blockNode, diskDevice, diskNodeName, failingNode, takenNodeName } from './arguments.ts';
import { type Qmp, QmpError } from './qmp.ts';

/** Whether a guest still holds the place of a disk that was taken from it. */
export async function isTaken(qmp: Qmp, device: string): Promise<boolean> {
  const name = takenNodeName(device);
  if (!(await nodeOf(qmp, name))) return false;
  try {
    await qmp.execute('blockdev-del', { 'node-name': name });
    return false;
  } catch (cause) {
    if (cause instanceof QmpError) return true;
    throw cause;
  }
}

/** Does nothing where the disk is there, and adds the device where only the node is. */
export async function attachDisk(qmp: Qmp, volume: MachineVolume): Promise<void> {
  const name = diskNodeName(volume.device);
  const front = frontOf(name);
  const devices = await qmp.execute<{ name: string }[]>('qom-list', { path: '/machine/peripheral' });
  if (devices.some((device) => device.name === front)) return;
  if (!(await nodeOf(qmp, name))) await qmp.execute('blockdev-add', blockNode(volume));
  try {
    await qmp.execute('device_add', diskDevice(volume));
  } catch (cause) {
    await qmp.execute('blockdev-del', { 'node-name': name }).catch(() => {});
    throw cause;
  }
}

/** Asks the guest to let go of the disk, and gives whether it did so in time. */
export async function releaseDisk(qmp: Qmp, device: string, patienceMs: number): Promise<boolean> {
  const name = diskNodeName(device);
  if (!(await nodeOf(qmp, name))) return true;
  const front = frontOf(name);
  const released = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => end(false), patienceMs);
    const off = qmp.onEvent(({ event, data }) => {
      if (event === 'DEVICE_DELETED' && data.device === front) end(true);
    });
    void qmp.closed.then(() => end(false));
    const end = (value: boolean) => {
      clearTimeout(timer);
      off();
      resolve(value);
    };
  });
  try {
    await qmp.execute('device_del', { id: front });
  } catch (cause) {
    // Gone already, or asked for earlier and still being let go of: the wait below tells.
    if (!(cause instanceof QmpError)) throw cause;
    if (cause.kind === 'DeviceNotFound') {
      await qmp.execute('blockdev-del', { 'node-name': name });
      return true;
    }
  }
  if (!(await released)) return false;
  await qmp.execute('blockdev-del', { 'node-name': name });
  return true;
}

/** Puts a node in the volume's place that only fails; what the guest had under way is done before. */
export async function takeDisk(qmp: Qmp, device: string): Promise<void> {
  const name = diskNodeName(device);
  const node = await nodeOf(qmp, name);
  if (!node) return;
  await qmp.execute('blockdev-add', failingNode(device, node.image['virtual-size']));
  const place = { path: `/machine/peripheral/${frontOf(name)}`, property: 'drive', value: takenNodeName(device) };
  await qmp.execute('qom-set', place).catch((cause: unknown) => {
    // The guest let go of it after all.
    if (!(cause instanceof QmpError && cause.kind === 'DeviceNotFound')) throw cause;
  });
  await qmp.execute('blockdev-del', { 'node-name': name });
}

const frontOf = (name: string): string => `${name}-front`;

interface BlockNode {
  readonly 'node-name': string;
  readonly image: { readonly 'virtual-size': number };
}

async function nodeOf(qmp: Qmp, name: string): Promise<BlockNode | undefined> {
  const nodes = await qmp.execute<BlockNode[]>('query-named-block-nodes', { flat: true });
  return nodes.find((node) => node['node-name'] === name);
}
