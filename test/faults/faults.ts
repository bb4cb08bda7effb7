/** All faults, in the order of the table of section 8. */
import type { Fault } from './fault.ts';
import { LAUNCH_FAULTS } from './launches.ts';
import { SHARING_FAULTS } from './sharing.ts';
import { VOLUME_FAULTS } from './volumes.ts';

export const FAULTS: readonly Fault[] = [...LAUNCH_FAULTS, ...VOLUME_FAULTS, ...SHARING_FAULTS].sort(
  (a, b) => a.id - b.id,
);
