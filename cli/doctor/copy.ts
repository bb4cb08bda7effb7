/** Copies: may this principal copy the image or snapshot, and under which key will it be (faults 12 to 15)? */
import type { Image } from '@aws-sdk/client-ec2';
import {
  type DeviceRequest,
  type EffectiveDevice,
  effectiveImageCopy,
  effectiveSnapshotCopy,
} from '../foresee/devices.ts';
import { shareSnapshotMend } from '../foresee/image-mends.ts';
import { devicesOf, ebsDefaultsOf, snapshotIn, sourceOf } from '../foresee/images.ts';
import { requestMend } from '../foresee/mend.ts';
import { copyNeeds } from '../foresee/needs.ts';
import type { Case } from './diagnosis.ts';
import { usableImage } from './image.ts';
import { checkKeys, withKeyArns } from './keys.ts';
import { checkPrincipal } from './launch.ts';

export interface Copy {
  /** Region of the source; the case's is that of the copy. */
  readonly from: string;
  readonly encrypted?: boolean;
  readonly kmsKeyId?: string;
}

export async function diagnoseImageCopy(found: Case, imageId: string, copy: Copy): Promise<void> {
  const { views, principal, ledger } = found;
  const source = { ...found, views: views.inRegion(copy.from) };
  await checkPrincipal(found);
  const image = await usableImage(source, imageId);
  if (!image) return;
  const hidden: string[] = [];
  for (const { Ebs } of image.BlockDeviceMappings ?? []) {
    if (!Ebs?.SnapshotId) continue;
    const seen = await snapshotIn(source.views, principal.account, Ebs.SnapshotId);
    if (!seen.seen) ledger.notSeen(seen);
    else if (seen.value === 'missing') hidden.push(Ebs.SnapshotId);
  }
  if (hidden.length > 0) {
    return ledger.fault({
      fault: 'F13',
      title: `${image.ImageId} is shared with account ${principal.account} without its snapshots (${hidden.join(', ')})`,
      symptom: 'CopyImage answers InvalidRequest: You do not have permission to access the storage of this ami.',
      details: ['Launching needs the image only; a copy needs every snapshot behind it as well.'],
      mends: [shareSnapshotMend({ region: copy.from, account: image.OwnerId ?? '' }, hidden, principal.account)],
    });
  }
  const requests = await requestsOf(source, image, copy);
  const defaults = await ebsDefaultsOf(views, principal.account);
  if (!defaults.seen) return ledger.notSeen(defaults);
  const devices = effectiveImageCopy(await withKeyArns(found, requests), copy.from === views.region, defaults.value);
  tell(found, devices);
  await checkKeys(found, needsOf(devices, 'copy-image'), copy.from);
}

function requestsOf({ views, principal }: Case, image: Image, { encrypted, kmsKeyId }: Copy): Promise<DeviceRequest[]> {
  const override = {
    ...(encrypted === undefined ? {} : { encrypted }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
  const owner = image.OwnerId ?? principal.account;
  // Devices without a snapshot are copied as they are; what is asked is about snapshots.
  const mappings = (image.BlockDeviceMappings ?? []).filter(({ Ebs }) => Ebs?.SnapshotId);
  return devicesOf({ BlockDeviceMappings: mappings }, [override], (snapshotId, sealed) =>
    sourceOf(views, principal.account, owner, snapshotId, sealed),
  );
}

export async function diagnoseSnapshotCopy(found: Case, snapshotId: string, copy: Copy): Promise<void> {
  const { views, principal, ledger } = found;
  const there = views.inRegion(copy.from);
  await checkPrincipal(found);
  const seen = await snapshotIn(there, principal.account, snapshotId);
  if (!seen.seen) return ledger.notSeen(seen);
  if (seen.value === 'missing') {
    return ledger.fault({
      fault: 'F15',
      title: `account ${principal.account} does not see ${snapshotId} in ${copy.from}`,
      symptom: 'CopySnapshot answers, and the copy ends in error: Source snapshot is not found.',
      details: ['It is not there, or its owner does not share it with the account.'],
    });
  }
  ledger.ok(`${snapshotId} is ${seen.value.State}; account ${principal.account} sees it`);
  const defaults = await ebsDefaultsOf(views, principal.account);
  if (!defaults.seen) return ledger.notSeen(defaults);
  const { Encrypted, KmsKeyId, OwnerId } = seen.value;
  const own = OwnerId === principal.account;
  const request = {
    deviceName: 'the copy',
    source: { snapshotId, own, encrypted: Encrypted === true, ...(KmsKeyId ? { keyArn: KmsKeyId } : {}) },
    ...(copy.encrypted === undefined ? {} : { encrypted: copy.encrypted }),
    ...(copy.kmsKeyId === undefined ? {} : { kmsKeyId: copy.kmsKeyId }),
  };
  const devices = (await withKeyArns(found, [request])).map((one) => effectiveSnapshotCopy(one, defaults.value));
  tell(found, devices);
  await checkKeys(found, needsOf(devices, 'copy-snapshot'), copy.from);
}

function needsOf(devices: readonly EffectiveDevice[], task: 'copy-image' | 'copy-snapshot') {
  return devices.flatMap((device) => copyNeeds(device, task).map((need) => ({ ...need, device })));
}

function tell({ ledger, views }: Case, devices: readonly EffectiveDevice[]): void {
  for (const device of devices) {
    if (device.outcome !== 'refused') {
      const under =
        device.outcome === 'plain' ? '' : `encrypted under ${device.key ?? 'a key that could not be seen'}: `;
      ledger.ok(`${device.deviceName} will be ${under}${device.why}, in ${views.region}`);
      continue;
    }
    const plain = device.refusal === 'plain-copy-of-encrypted';
    ledger.fault({
      fault: plain ? 'F12' : 'F16',
      title: `${device.deviceName} is ${device.why}`,
      symptom: plain
        ? 'CopyImage answers InvalidRequest: Creating unencrypted copy from an encrypted snapshot is not supported.'
        : 'The copy is refused: InvalidParameterDependency.',
      mends: [
        plain
          ? requestMend(
              'Leave Encrypted out of the request, or give Encrypted=true with a key of the destination region',
              { Encrypted: true },
            )
          : requestMend('Give Encrypted=true beside the key', { Encrypted: true, KmsKeyId: 'the same key' }),
      ],
    });
  }
}
