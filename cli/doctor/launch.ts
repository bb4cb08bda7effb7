/** Can this principal launch this image? The decision order of section 8: image, devices, rights, keys. */
import type { Image } from '@aws-sdk/client-ec2';
import { type EffectiveDevice, effectiveDevices } from '../foresee/devices.ts';
import { ec2Access } from '../foresee/ec2-access.ts';
import { type DeviceOverride, devicesOf, ebsDefaultsOf, sourceOf } from '../foresee/images.ts';
import { type Mend, requestMend } from '../foresee/mend.ts';
import { volumeNeeds } from '../foresee/needs.ts';
import { accountInArnMend, identityPolicyMend, serviceLinkedRoleMend } from '../foresee/policy-mends.ts';
import { lookUpPrincipal } from '../foresee/principal.ts';
import type { Case } from './diagnosis.ts';
import { usableImage } from './image.ts';
import { checkKeys, withKeyArns } from './keys.ts';

export interface Launch {
  readonly imageId: string;
  /** Template first, then what the request gives. */
  readonly overrides: readonly DeviceOverride[];
  /** Makes the mend for devices that are asked for wrongly; by hand where none is given. */
  mendDevices?(wrong: readonly string[]): Mend;
}

export async function diagnoseLaunch(found: Case, launch: Launch): Promise<void> {
  const { principal } = found;
  await checkPrincipal(found);
  const image = await usableImage(found, launch.imageId);
  if (!image) return;
  const devices = await effectiveOf(found, image, launch);
  if (!devices) return;
  if (principal.kind !== 'service-linked-role') await checkRights(found, image, devices);
  await checkKeys(
    found,
    devices.flatMap((device) => volumeNeeds(device).map((need) => ({ ...need, device }))),
  );
}

/** A principal that is gone can do nothing. */
export async function checkPrincipal({ views, principal, ledger }: Case): Promise<void> {
  const looked = await lookUpPrincipal(views, principal);
  if (!looked.seen) ledger.notSeen(looked);
  else if (looked.value === 'missing') {
    const linked = principal.kind === 'service-linked-role';
    ledger.fault({
      fault: 'principal-missing',
      title: `${principal.arn} does not exist`,
      symptom: linked ? 'The service makes its role at its first use.' : 'Nobody can act as it.',
      principal: principal.arn,
      mends: linked ? [serviceLinkedRoleMend(principal)] : [],
    });
  } else ledger.ok(`${principal.arn} exists`);
}

async function effectiveOf(found: Case, image: Image, launch: Launch): Promise<EffectiveDevice[] | undefined> {
  const { views, principal, ledger } = found;
  const owner = image.OwnerId ?? principal.account;
  const requests = await devicesOf(image, launch.overrides, (snapshotId, encrypted) =>
    sourceOf(views, principal.account, owner, snapshotId, encrypted),
  );
  const defaults = await ebsDefaultsOf(views, principal.account);
  if (!defaults.seen) {
    ledger.notSeen(defaults);
    // Whatever the target will be: what encrypted snapshots are sealed under has to be opened.
    const sealed = requests.flatMap(({ deviceName, source }) =>
      source?.encrypted ? [{ deviceName, key: source.keyArn }] : [],
    );
    const actions = ['kms:ReEncryptFrom'] as const;
    await checkKeys(
      found,
      sealed.map((one) => ({ ...one, side: 'source', actions })),
    );
    return undefined;
  }
  const devices = effectiveDevices(await withKeyArns(found, requests), defaults.value);
  tellDevices(found, devices, launch);
  return devices;
}

export function tellDevices(
  { ledger, task }: Case,
  devices: readonly EffectiveDevice[],
  launch?: Pick<Launch, 'mendDevices'>,
): void {
  for (const device of devices) {
    if (device.outcome === 'plain') ledger.ok(`${device.deviceName} will be ${device.why}`);
    if (device.outcome === 'encrypted') {
      ledger.ok(
        `${device.deviceName} will be encrypted under ${device.key ?? 'a key that could not be seen'}: ${device.why}`,
      );
    }
  }
  const call = task === 'create-volume' ? 'CreateVolume' : 'RunInstances';
  const refused = devices.filter((device) => device.outcome === 'refused');
  for (const device of refused) {
    const keyed = device.refusal === 'kms-key-without-encrypted';
    ledger.fault({
      fault: keyed ? 'F16' : 'encrypted-false-over-encrypted',
      title: `${device.deviceName} is ${device.why}`,
      symptom: keyed
        ? `${call} answers InvalidParameterDependency: The parameter KmsKeyId requires the parameter Encrypted to be set.`
        : `${call} answers InvalidParameterCombination: an encrypted snapshot never makes a plain volume.`,
      mends: [
        launch?.mendDevices?.(refused.map(({ deviceName }) => deviceName)) ??
          correctedMapping(device.deviceName, keyed),
      ],
    });
  }
}

function correctedMapping(DeviceName: string, keyed: boolean): Mend {
  const Ebs = keyed ? { Encrypted: true, KmsKeyId: 'the same key' } : {};
  const title = keyed ? `Give Encrypted=true beside the key of ${DeviceName}` : `Leave Encrypted out for ${DeviceName}`;
  return requestMend(title, [{ DeviceName, Ebs }]);
}

/** EC2's own rights, where ARNs of images and snapshots without account are the trap (P-8). */
async function checkRights(found: Case, image: Image, devices: readonly EffectiveDevice[]): Promise<void> {
  const { views, principal, ledger } = found;
  const { region } = views;
  const arn = `arn:${principal.arn.split(':')[1]}:ec2:${region}`;
  const asked = [
    {
      resource: `${arn}::image/${image.ImageId}`,
      conditions: {
        'ec2:owner': image.OwnerId ?? '',
        'ec2:public': image.Public === true,
        'ec2:imageid': image.ImageId ?? '',
        'ec2:imagetype': 'machine',
        'ec2:rootdevicetype': 'ebs',
      },
    },
    ...devices.flatMap(({ source }) =>
      source
        ? [
            {
              resource: `${arn}::snapshot/${source.snapshotId}`,
              conditions: { 'ec2:owner': image.OwnerId ?? '', 'ec2:encrypted': source.encrypted },
            },
          ]
        : [],
    ),
    ...devices.map(({ outcome, source }) => ({
      resource: `${arn}:${principal.account}:volume/*`,
      conditions: {
        'ec2:encrypted': outcome === 'encrypted',
        ...(source ? { 'ec2:parentsnapshot': `${arn}::snapshot/${source.snapshotId}` } : {}),
      },
    })),
  ];
  const allowed: string[] = [];
  for (const question of asked) {
    const action = 'ec2:RunInstances';
    const verdict = await ec2Access(views, { principal, action, ...question });
    if (verdict.verdict === 'allowed') allowed.push(question.resource);
    if (verdict.verdict === 'unknown') {
      for (const layer of verdict.unseen) ledger.notSeen(layer);
      if (verdict.depends.length > 0) {
        const on = verdict.depends.join(', ');
        ledger.notSeen(`whether ${principal.arn} may ${action} on ${question.resource} depends on ${on} of the call`);
      }
    }
    if (verdict.verdict !== 'denied') continue;
    const { accountInArn } = verdict;
    const Sid = 'LaunchThisImage';
    const statement = { Sid, Effect: 'Allow' as const, Action: action, Resource: question.resource };
    ledger.fault({
      fault: accountInArn ? 'F20' : 'ec2-denied',
      title: `${principal.arn} may not ${action} on ${question.resource}, ${verdict.because}`,
      symptom: 'RunInstances answers UnauthorizedOperation.',
      principal: principal.arn,
      actions: [action],
      details: accountInArn
        ? [
            `${accountInArn.name} has an account id in the ARN of snapshots or images, whose ARNs have none: it matches nothing.`,
          ]
        : verdict.hindrances.map((one) => `${one.policy}: ${one.why}.`),
      mends: [
        accountInArn
          ? accountInArnMend(
              accountInArn,
              principal.account,
              `Take the account id out of the ARN in ${accountInArn.name}`,
            )
          : identityPolicyMend(
              principal,
              'LaunchThisImage',
              [statement],
              undefined,
              `Let ${principal.arn} launch ${image.ImageId}`,
            ),
      ],
    });
    return;
  }
  if (allowed.length > 0) ledger.ok(`${principal.arn} may ec2:RunInstances on image, snapshots and volumes`);
}
