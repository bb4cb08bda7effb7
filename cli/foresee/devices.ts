/**
 * What key each block device will be sealed under, before anything is launched or copied: tables 1.1, 1.4 and 1.5 with
 * the keys filled in. Pure; who looks images and settings up is images.ts.
 */
import {
  type Choice,
  imageCopyOutcome,
  type KeyChoice,
  type OutcomeRefusal,
  type SourceKind,
  snapshotCopyOutcome,
  volumeOutcome,
} from '../../policy/encryption-outcomes.ts';

/** The snapshot behind a device. */
export interface SourceSnapshot {
  readonly snapshotId: string;
  readonly own: boolean;
  readonly encrypted: boolean;
  /** ARN of its key; absent where plain, or where only the owner is shown it. */
  readonly keyArn?: string;
}

/** A device as it is asked for: mapping of the image, overridden by template and request. */
export interface DeviceRequest {
  readonly deviceName: string;
  readonly source?: SourceSnapshot;
  readonly encrypted?: boolean;
  /** Key id, alias, key ARN or alias ARN. */
  readonly kmsKeyId?: string;
}

/** The settings of the account in the region where the volume or copy will be. */
export interface EbsDefaults {
  readonly encryptionByDefault: boolean;
  /** ARN of a customer managed key, or `alias/aws/ebs`. */
  readonly defaultKey: string;
}

export const AWS_MANAGED_KEY = 'alias/aws/ebs';

export type EffectiveDevice = {
  readonly deviceName: string;
  readonly source?: SourceSnapshot;
  /** One sentence: what it will be sealed under, and what decides so. */
  readonly why: string;
} & (
  | { readonly outcome: 'plain' }
  | {
      readonly outcome: 'encrypted';
      readonly choice: Exclude<KeyChoice, 'plain'>;
      /** As given or found; absent where it is the snapshot's, which could not be seen. */
      readonly key?: string;
      /** Own snapshot, same key: the data key is only wrapped anew (K-5). */
      readonly sameKey: boolean;
    }
  | { readonly outcome: 'refused'; readonly refusal: OutcomeRefusal }
);

/** Table 1.1: CreateVolume and each EBS device of RunInstances. */
export function effectiveDevices(devices: readonly DeviceRequest[], defaults: EbsDefaults): EffectiveDevice[] {
  return devices.map((device) => effective(device, defaults, volumeOutcome(question(device, defaults))));
}

/** Table 1.4: CopySnapshot; `defaults` are those of the destination. */
export function effectiveSnapshotCopy(copy: DeviceRequest, defaults: EbsDefaults): EffectiveDevice {
  return effective(copy, defaults, snapshotCopyOutcome(question(copy, defaults)));
}

/** Table 1.5: every snapshot behind CopyImage; `defaults` are those of the destination. */
export function effectiveImageCopy(
  devices: readonly DeviceRequest[],
  sameRegion: boolean,
  defaults: EbsDefaults,
): EffectiveDevice[] {
  return devices.map((device) =>
    effective(device, defaults, imageCopyOutcome({ ...question(device, defaults), sameRegion })),
  );
}

function question({ source, encrypted, kmsKeyId }: DeviceRequest, { encryptionByDefault }: EbsDefaults) {
  return { source: kindOf(source), encrypted, keyGiven: Boolean(kmsKeyId), encryptionByDefault };
}

function kindOf(source: SourceSnapshot | undefined): SourceKind {
  if (!source) return 'none';
  if (source.own) return source.encrypted ? 'own-encrypted' : 'own-plain';
  return source.encrypted ? 'shared-encrypted' : 'shared-plain';
}

function effective(request: DeviceRequest, defaults: EbsDefaults, choice: Choice): EffectiveDevice {
  const { deviceName, source, kmsKeyId } = request;
  const device = { deviceName, ...(source ? { source } : {}) };
  if (typeof choice !== 'string') {
    return { ...device, outcome: 'refused', refusal: choice.refused, why: REFUSALS[choice.refused] };
  }
  if (choice === 'plain') return { ...device, outcome: 'plain', why: 'plain: nothing asks for encryption' };
  const key = choice === 'given-key' ? kmsKeyId : choice === 'default-key' ? defaults.defaultKey : source?.keyArn;
  const sameKey = source?.own === true && source.encrypted && key !== undefined && key === source.keyArn;
  const why = whyEncrypted(request, defaults, choice);
  return { ...device, outcome: 'encrypted', choice, ...(key === undefined ? {} : { key }), sameKey, why };
}

function whyEncrypted(request: DeviceRequest, defaults: EbsDefaults, choice: Exclude<KeyChoice, 'plain'>): string {
  const { source, encrypted } = request;
  if (choice === 'given-key') return 'the key given for it';
  if (choice === 'snapshot-key') return 'the key of its snapshot';
  const which = defaults.defaultKey === AWS_MANAGED_KEY ? 'the AWS managed key of EBS' : 'the default key of EBS';
  if (source?.encrypted && !source.own) return `${which}: the snapshot is another account's, whose key is never kept`;
  if (source?.encrypted) return `${which}: this copy does not keep the key of its source`;
  if (encrypted) return `${which}: encryption is asked for without a key`;
  return `${which}: encryption by default is on`;
}

const REFUSALS: Readonly<Record<OutcomeRefusal, string>> = {
  'kms-key-without-encrypted': 'refused: a key is given without Encrypted=true',
  'encrypted-false-of-encrypted': 'refused: Encrypted=false over an encrypted snapshot',
  'plain-copy-of-encrypted': 'refused: an unencrypted copy of an encrypted snapshot',
  'plain-despite-default': 'refused: plain while encryption by default is on',
  'parent-and-encrypted': 'refused: Encrypted beside a parent snapshot',
  'parent-and-key': 'refused: a key beside a parent snapshot',
  'key-of-plain': 'refused: a key with Encrypted=false',
};
