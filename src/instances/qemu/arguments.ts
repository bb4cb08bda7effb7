/** The command line of QEMU for one machine, as a pure function of what the machine shall be. */
import type { InstanceId } from '../../ids.ts';
import type { MachineSpec, MachineVolume } from '../machine.ts';

export interface QemuSetup {
  readonly accelerator: 'kvm' | 'tcg';
  /** Whether this QEMU has the seccomp sandbox. */
  readonly sandbox: boolean;
  /** UEFI firmware with its variables in memory only; absent where none is installed. */
  readonly uefiFirmware?: string;
}

export interface MachineSockets {
  readonly qmp: string;
  readonly network: string;
}

/** Seconds for which a guest's reads and writes wait for Ingot to come back before they fail. */
export const RECONNECT_SECONDS = 3600;
export const CONSOLE_RING_BYTES = 65_536;
/** Enough for text and for 1280 by 800 in all colors; nobody but a screenshot looks at it. */
const VIDEO_MEMORY_MIB = 4;

/** QEMU's own ids may not hold slashes: `/dev/sda1` becomes `dev-sda1`. */
export function diskNodeName(device: string): string {
  return `disk-${device.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '')}`;
}

/** The block layer's side of a disk; the same object on the command line and in `blockdev-add`. */
export function blockNode(volume: MachineVolume) {
  return {
    driver: 'nbd',
    'node-name': diskNodeName(volume.device),
    server: { type: 'unix', path: volume.socketPath },
    'reconnect-delay': RECONNECT_SECONDS,
    discard: 'unmap',
  } as const;
}

/** The guest's side of a disk; the same object on the command line and in `device_add`. */
export function diskDevice(volume: MachineVolume, bootIndex?: number) {
  const name = diskNodeName(volume.device);
  return {
    driver: 'virtio-blk-pci',
    id: `${name}-front`,
    drive: name,
    serial: volume.serial,
    ...(bootIndex === undefined ? {} : { bootindex: bootIndex }),
  } as const;
}

/** What stands in the place of a disk that was taken from its guest: every read and write fails. */
export function failingNode(device: string, sizeBytes: number) {
  return {
    driver: 'blkdebug',
    'node-name': takenNodeName(device),
    image: { driver: 'null-co', size: sizeBytes },
    'inject-error': [{ event: 'none', errno: EIO }],
  } as const;
}

export function takenNodeName(device: string): string {
  return diskNodeName(device).replace('disk-', 'taken-');
}

const EIO = 5;

/**
 * No plaintext leaves the process: no snapshot files, the console in a ring in memory, guest memory kept out of core
 * dumps, UEFI variables in memory. The network card leads to a socket of Ingot and nowhere else.
 */
export function qemuArguments(spec: MachineSpec, setup: QemuSetup, sockets: MachineSockets): string[] {
  const { network } = spec;
  const args: string[] = [];
  const add = (...words: string[]) => args.push(...words);
  add('-name', `guest=${spec.instanceId},debug-threads=on`);
  add('-nodefaults', '-no-user-config', '-display', 'none');
  add('-machine', 'pc,dump-guest-core=off');
  if (setup.accelerator === 'kvm') add('-accel', 'kvm', '-cpu', 'host');
  else add('-accel', 'tcg,thread=multi', '-cpu', 'max');
  add('-smp', String(spec.vcpus), '-m', `${spec.memoryMiB}M`);
  const uuid = machineUuid(spec.instanceId);
  add('-smbios', `type=1,manufacturer=Ingot,product=Ingot,uuid=${uuid},serial=${uuid}`);
  add('-smbios', `type=2,manufacturer=Ingot,product=Ingot,asset=${spec.instanceId}`);
  add('-rtc', 'base=utc');
  if (spec.bootMode === 'uefi') {
    if (setup.uefiFirmware === undefined) throw new RangeError('no UEFI firmware was found');
    add('-bios', setup.uefiFirmware);
  }
  // A guest that powers off stays, paused, until its console has been read.
  add('-no-shutdown');
  add('-chardev', `ringbuf,id=console,size=${CONSOLE_RING_BYTES}`, '-serial', 'chardev:console');
  add('-chardev', `socket,id=monitor,path=${comma(sockets.qmp)},server=on,wait=off`, '-mon', 'monitor,mode=control');
  add('-device', 'virtio-rng-pci');
  if (network) {
    add('-netdev', `stream,id=net0,server=on,addr.type=unix,addr.path=${comma(sockets.network)}`);
    add('-device', `virtio-net-pci,netdev=net0,mac=${network.mac},romfile=`);
  }
  spec.volumes.forEach((volume, index) => {
    add('-blockdev', JSON.stringify(blockNode(volume)));
    add('-device', JSON.stringify(diskDevice(volume, index)));
  });
  // Last, so that it takes no place from the devices a guest names by their place.
  add('-device', `VGA,vgamem_mb=${VIDEO_MEMORY_MIB}`);
  if (setup.sandbox) add('-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny');
  return args;
}

/** QEMU's option strings double a comma that is part of a value. */
function comma(value: string): string {
  return value.replaceAll(',', ',,');
}

/** Guests know a machine of EC2 by a UUID, and the same serial number, that begin with `ec2`; the rest is the id. */
export function machineUuid(id: InstanceId): string {
  const digits = `ec2${id.slice('i-'.length)}`.padEnd(32, '0');
  return [digits.slice(0, 8), digits.slice(8, 12), digits.slice(12, 16), digits.slice(16, 20), digits.slice(20)].join(
    '-',
  );
}
