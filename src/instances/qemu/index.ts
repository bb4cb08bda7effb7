/** Chooses the machine driver: `qemu`, `none`, or what is there. */
import type { Log } from '../../log.ts';
import type { MachineDriver } from '../machine.ts';
import { createNoneDriver } from '../none.ts';
import { createQemuDriver } from './driver.ts';
import { OLDEST, probeQemu, QEMU } from './probe.ts';

export interface MachineDriverOptions {
  readonly kind: 'qemu' | 'none' | 'auto';
  /** See QemuDriverOptions. */
  readonly runtimeDir: string;
  readonly log: Log;
}

/** Fails where `qemu` is asked for and not installed. Its `about` belongs on standard output at start-up. */
export async function chooseMachineDriver(options: MachineDriverOptions): Promise<MachineDriver> {
  if (options.kind === 'none') return createNoneDriver();
  const setup = await probeQemu();
  if (setup?.fit) return createQemuDriver({ runtimeDir: options.runtimeDir, setup, log: options.log });
  const because = setup ? `${QEMU} ${setup.version} is older than ${OLDEST}` : `${QEMU} is not installed`;
  if (options.kind === 'qemu') throw new Error(`machines of kind qemu need ${QEMU} ${OLDEST} or later: ${because}`);
  return createNoneDriver(`because ${because}`);
}
