/**
 * Which KMS calls EBS will make in the name of the caller, on which key (table 3.2). Only those whose denial breaks the
 * operation are needs; the documented set of 4.1, which the mends grant, is larger.
 */
import type { EffectiveDevice } from './devices.ts';

export type EbsKeyAction =
  | 'kms:CreateGrant'
  | 'kms:Decrypt'
  | 'kms:DescribeKey'
  | 'kms:GenerateDataKeyWithoutPlaintext'
  | 'kms:ReEncryptFrom'
  | 'kms:ReEncryptTo';

export type Task = 'launch' | 'create-volume' | 'attach' | 'start' | 'copy-snapshot' | 'copy-image';

export interface KeyNeed {
  /** As found: ARN, or id or alias in the account of the caller; absent where only the owner is shown it. */
  readonly key: string | undefined;
  /** `source`: the key that the snapshot is sealed under. */
  readonly side: 'source' | 'target';
  readonly actions: readonly EbsKeyAction[];
  readonly deviceName: string;
  /** Value of the encryption context `aws:ebs:id`, where it is known before the call. */
  readonly ebsId?: string;
}

/** A volume that is still to be made has some id; what a policy says of one named volume cannot be meant for it. */
const FUTURE_VOLUME = 'vol-00000000000000000';
const FUTURE_SNAPSHOT = 'snap-00000000000000000';

/** What making this volume, and attaching it in a launch, asks of keys. */
export function volumeNeeds(device: EffectiveDevice): KeyNeed[] {
  if (device.outcome !== 'encrypted') return [];
  const { deviceName, source, key } = device;
  const target = (actions: readonly EbsKeyAction[]): KeyNeed => {
    return { key, side: 'target', actions, deviceName, ebsId: FUTURE_VOLUME };
  };
  if (!source?.encrypted) return [target(['kms:GenerateDataKeyWithoutPlaintext', 'kms:CreateGrant'])];
  const from: KeyNeed = { key: source.keyArn, side: 'source', actions: ['kms:ReEncryptFrom'], deviceName };
  if (device.sameKey) return [from, target(['kms:ReEncryptTo', 'kms:CreateGrant'])];
  return [from, target(['kms:ReEncryptTo', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:CreateGrant'])];
}

/** What copying this snapshot asks of keys; CopySnapshot alone looks at the key before it answers (CS-5). */
export function copyNeeds(device: EffectiveDevice, task: 'copy-snapshot' | 'copy-image'): KeyNeed[] {
  if (device.outcome !== 'encrypted') return [];
  const { deviceName, source, key, sameKey } = device;
  const describe: EbsKeyAction[] = task === 'copy-snapshot' ? ['kms:DescribeKey'] : [];
  const dataKey: EbsKeyAction[] = sameKey ? [] : ['kms:GenerateDataKeyWithoutPlaintext'];
  const actions: EbsKeyAction[] = [...describe, 'kms:CreateGrant', ...dataKey];
  const target: KeyNeed = { key, side: 'target', actions, deviceName, ebsId: FUTURE_SNAPSHOT };
  if (!source?.encrypted) return [target];
  return [{ key: source.keyArn, side: 'source', actions: ['kms:CreateGrant'], deviceName }, target];
}

/** What AttachVolume, and StartInstances for each of its volumes, asks of the volume's key. */
export function attachNeeds(deviceName: string, key: string, volumeId: string): KeyNeed[] {
  return [{ key, side: 'target', actions: ['kms:CreateGrant'], deviceName, ebsId: volumeId }];
}
