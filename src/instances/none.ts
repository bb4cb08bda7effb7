/**
 * The driver without machines: instances go through all their states and their volumes are made and served, but no
 * guest runs. Used where QEMU is absent, and said at start-up.
 */
import type { InstanceId } from '../ids.ts';
import type { MachineDriver, MachineExit } from './machine.ts';

const NOTHING = new Uint8Array(0);

export function createNoneDriver(because = 'as asked for'): MachineDriver {
  const running = new Set<InstanceId>();
  let listener: (exit: MachineExit) => void = () => {};
  const end = (instanceId: InstanceId, how: MachineExit['how']) => {
    if (running.delete(instanceId)) listener({ instanceId, how, console: NOTHING });
  };
  return {
    kind: 'none',
    about: `Instances have volumes and states but no guest runs in them (machines: none, ${because}).`,
    bootModes: ['legacy-bios', 'uefi'],
    async start(spec) {
      running.add(spec.instanceId);
    },
    isRunning: (id) => running.has(id),
    powerDown: async (id) => end(id, 'shutdown'),
    kill: async (id) => end(id, 'killed'),
    async reset() {},
    async attachDisk() {},
    async detachDisk() {},
    openNetwork: async () => undefined,
    takeConsole: async () => NOTHING,
    takeScreen: async () => undefined,
    // Nothing of a machine is lost by a restart: there is nothing in it.
    adopt: async () => [],
    onExit(heard) {
      listener = heard;
    },
    async close() {},
  };
}
