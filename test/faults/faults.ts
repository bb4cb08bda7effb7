/** All faults, in the order of the table of section 8. */
import { AUTO_SCALING_FAULTS } from './auto-scaling.ts';
import { CONDITION_FAULTS } from './conditions.ts';
import { COPY_FAULTS } from './copies.ts';
import type { Fault } from './fault.ts';
import { LAUNCH_FAULTS } from './launches.ts';
import { REQUEST_FAULTS } from './requests.ts';
import { SHARING_FAULTS } from './sharing.ts';
import { VOLUME_FAULTS } from './volumes.ts';

export const FAULTS: readonly Fault[] = [
  ...AUTO_SCALING_FAULTS,
  ...LAUNCH_FAULTS,
  ...VOLUME_FAULTS,
  ...SHARING_FAULTS,
  ...COPY_FAULTS,
  ...REQUEST_FAULTS,
  ...CONDITION_FAULTS,
].sort((a, b) => a.id - b.id);
