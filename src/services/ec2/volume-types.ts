/** Volume types with their bounds and defaults (CV-12). */
import { ec2Error, invalidParameterCombination, invalidParameterValue } from './errors.ts';

interface TypeRules {
  /** GiB. */
  readonly size: readonly [min: number, max: number];
  readonly iops?: { readonly min: number; readonly max: number; readonly byDefault?: number };
  /** MiB/s. */
  readonly throughput?: { readonly min: number; readonly max: number; readonly byDefault: number };
}

const TYPES: Readonly<Record<string, TypeRules>> = {
  gp2: { size: [1, 16_384] },
  gp3: {
    size: [1, 65_536],
    iops: { min: 3000, max: 80_000, byDefault: 3000 },
    throughput: { min: 125, max: 2000, byDefault: 125 },
  },
  io1: { size: [4, 16_384], iops: { min: 100, max: 64_000 } },
  io2: { size: [4, 65_536], iops: { min: 100, max: 256_000 } },
  st1: { size: [125, 16_384] },
  sc1: { size: [125, 16_384] },
  standard: { size: [1, 1024] },
};

const GP2_IOPS = { perGiB: 3, min: 100, max: 16_000 };

export interface VolumeKind {
  readonly volumeType: string;
  readonly iops?: number;
  readonly throughput?: number;
}

/** Checks type, size, IOPS and throughput, and gives them with the defaults of the type. */
export function volumeKind(
  request: {
    readonly VolumeType?: string | undefined;
    readonly Iops?: number | undefined;
    readonly Throughput?: number | undefined;
  },
  sizeGiB: number,
): VolumeKind {
  const volumeType = request.VolumeType ?? 'gp2';
  const rules = Object.hasOwn(TYPES, volumeType) ? TYPES[volumeType] : undefined;
  if (!rules) throw ec2Error('UnknownVolumeType', `Unsupported volume type '${volumeType}' for volume creation.`);
  const [min, max] = rules.size;
  if (sizeGiB < min || sizeGiB > max) {
    throw invalidParameterValue(`Volume of ${sizeGiB}GiB is not valid for type '${volumeType}': ${min} to ${max}GiB.`);
  }
  const iops = within('iops', volumeType, rules.iops, request.Iops);
  const throughput = within('throughput', volumeType, rules.throughput, request.Throughput);
  if (rules.iops && iops === undefined) {
    throw ec2Error('MissingParameter', `The request must contain the parameter iops for volume type '${volumeType}'`);
  }
  const shownIops =
    volumeType === 'gp2' ? Math.min(GP2_IOPS.max, Math.max(GP2_IOPS.min, GP2_IOPS.perGiB * sizeGiB)) : iops;
  return {
    volumeType,
    ...(shownIops !== undefined && { iops: shownIops }),
    ...(throughput !== undefined && { throughput }),
  };
}

/** CV-13. */
export function multiAttach(wanted: boolean | undefined, { volumeType }: VolumeKind): { readonly multiAttach?: true } {
  if (!wanted) return {};
  if (volumeType !== 'io1' && volumeType !== 'io2') {
    throw invalidParameterCombination(`The parameter multiAttachEnabled is not supported for ${volumeType} volumes.`);
  }
  return { multiAttach: true };
}

function within(
  name: string,
  volumeType: string,
  rules: { readonly min: number; readonly max: number; readonly byDefault?: number } | undefined,
  given: number | undefined,
): number | undefined {
  if (given === undefined) return rules?.byDefault;
  if (!rules) {
    throw invalidParameterCombination(`The parameter ${name} is not supported for ${volumeType} volumes.`);
  }
  if (given < rules.min || given > rules.max) {
    throw invalidParameterValue(`Invalid value '${given}' for ${name}: ${rules.min} to ${rules.max}.`);
  }
  return given;
}
