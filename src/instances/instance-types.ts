/** Instance types: what a machine gets. Ingot has these and says so; memory and processors are what QEMU is given. */

export interface InstanceType {
  readonly name: string;
  readonly vcpus: number;
  readonly threadsPerCore: 1 | 2;
  readonly memoryMiB: number;
  readonly bootModes: readonly ('legacy-bios' | 'uefi')[];
  readonly hypervisor: 'nitro' | 'xen';
  readonly burstable: boolean;
  readonly currentGeneration: boolean;
  /** IPv4 addresses per interface, interfaces, and volumes besides the root. */
  readonly interfacesMax: number;
}

const BOTH = ['legacy-bios', 'uefi'] as const;
const GIB = 1024;

function type(name: string, vcpus: number, memoryGiB: number, more: Partial<InstanceType> = {}): InstanceType {
  const burstable = name.startsWith('t');
  return {
    name,
    vcpus,
    threadsPerCore: 2,
    memoryMiB: memoryGiB * GIB,
    bootModes: BOTH,
    hypervisor: 'nitro',
    burstable,
    currentGeneration: true,
    interfacesMax: 1,
    ...more,
  };
}

export const INSTANCE_TYPES: readonly InstanceType[] = [
  type('t2.micro', 1, 1, { hypervisor: 'xen', bootModes: ['legacy-bios'], threadsPerCore: 1 }),
  type('t2.small', 1, 2, { hypervisor: 'xen', bootModes: ['legacy-bios'], threadsPerCore: 1 }),
  type('t3.nano', 2, 0.5),
  type('t3.micro', 2, 1),
  type('t3.small', 2, 2),
  type('t3.medium', 2, 4),
  type('t3.large', 2, 8),
  type('t3a.micro', 2, 1),
  type('t3a.small', 2, 2),
  type('c5.large', 2, 4),
  type('m5.large', 2, 8),
  type('m5.xlarge', 4, 16),
  type('r5.large', 2, 16),
];

/** EC2's own default of RunInstances is m1.small, which no one has any more; this one is in every free tier. */
export const DEFAULT_INSTANCE_TYPE = 't3.micro';

const BY_NAME = new Map(INSTANCE_TYPES.map((each) => [each.name, each]));

export function instanceType(name: string): InstanceType | undefined {
  return BY_NAME.get(name);
}
