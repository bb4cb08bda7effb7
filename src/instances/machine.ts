/**
 * A machine is the process behind an instance. A driver starts, stops and watches machines and knows nothing of
 * accounts, images or keys: volumes reach it as the sockets they are served on.
 *
 * Machines outlive Ingot. After a restart, {@link MachineDriver.adopt} finds those that are still there. What a guest
 * writes to its console is data of its volumes, so a driver keeps it in memory only and never on a disk.
 */
import type { Duplex } from 'node:stream';
import type { InstanceId } from '../ids.ts';

export interface MachineVolume {
  /** Device name of the block device mapping, for example `/dev/xvda`; unique in a machine. */
  readonly device: string;
  /** Unix socket where the volume is served by NBD, under the default (empty) export name. */
  readonly socketPath: string;
  /** What the guest reads as the disk's serial number; at most 20 characters. */
  readonly serial: string;
}

export interface MachineNetwork {
  /** For example `0e:12:34:56:78:9a`. */
  readonly mac: string;
}

export interface MachineSpec {
  readonly instanceId: InstanceId;
  readonly memoryMiB: number;
  readonly vcpus: number;
  readonly bootMode: 'legacy-bios' | 'uefi';
  /** The root volume first: the machine boots from it. */
  readonly volumes: readonly MachineVolume[];
  readonly network?: MachineNetwork;
}

export interface Screen {
  readonly width: number;
  readonly height: number;
  /** Red, green and blue, a byte each, row by row. */
  readonly pixels: Uint8Array;
}

export interface MachineExit {
  readonly instanceId: InstanceId;
  /** `shutdown`: the guest powered off, asked or by itself. `killed`: by {@link MachineDriver.kill}. `died`: neither. */
  readonly how: 'shutdown' | 'killed' | 'died';
  /** Console bytes that had not been taken yet. */
  readonly console: Uint8Array;
}

export type MachineRefusalReason = 'firmware-missing' | 'machine-failed' | 'machine-not-running' | 'disk-not-released';

export interface MachineDriver {
  readonly kind: 'qemu' | 'none';
  /** One sentence for start-up: what machines will be. */
  readonly about: string;
  /** Boot modes it can start. */
  readonly bootModes: readonly MachineSpec['bootMode'][];
  /** Starts the machine, or finds it started. Throws Refusal<MachineRefusalReason>. */
  start(spec: MachineSpec): Promise<void>;
  isRunning(id: InstanceId): boolean;
  /** Presses the power button. The guest may take its time, or not listen at all. */
  powerDown(id: InstanceId): Promise<void>;
  /** Ends the machine now; resolves when it is gone. Nothing to do for a machine that is not there. */
  kill(id: InstanceId): Promise<void>;
  /** The reset button. */
  reset(id: InstanceId): Promise<void>;
  attachDisk(id: InstanceId, volume: MachineVolume): Promise<void>;
  /**
   * Asks the guest to let go of the disk. Where it does not in time this is refused with `disk-not-released`; with
   * `force` the disk is taken from it: its reads and writes fail from then on, and it keeps the place of the disk until
   * it restarts or lets go.
   */
  detachDisk(id: InstanceId, device: string, options?: { readonly force?: boolean }): Promise<void>;
  /** Console output since the last call, at most its last 64 KiB. */
  takeConsole(id: InstanceId): Promise<Uint8Array>;
  /** What the machine shows right now; with `wakeUp`, after a keystroke. `undefined` where there is no guest. */
  takeScreen(id: InstanceId, options: { readonly wakeUp: boolean }): Promise<Screen | undefined>;
  /**
   * Connects to the machine's network card: Ethernet frames, each behind its length in four bytes. One connection at a
   * time; `undefined` where the machine has no card that Ingot serves.
   */
  openNetwork(id: InstanceId): Promise<Duplex | undefined>;
  /** Takes over the machines that an earlier process of Ingot left running, and gives their ids. Called once. */
  adopt(): Promise<readonly InstanceId[]>;
  /** Called for every machine that ends. Set before {@link adopt}. */
  onExit(listener: (exit: MachineExit) => void): void;
  /** Lets go of the machines and leaves them running. */
  close(): Promise<void>;
}

export const CONSOLE_BYTES = 64 * 1024;
