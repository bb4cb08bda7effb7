/** Volumes: made of a snapshot, attached, started with their instance. */
import { DescribeVolumesCommand, type Volume } from '@aws-sdk/client-ec2';
import { effectiveDevices } from '../foresee/devices.ts';
import { type DeviceOverride, ebsDefaultsOf, snapshotIn } from '../foresee/images.ts';
import { attachNeeds, volumeNeeds } from '../foresee/needs.ts';
import { isMissing, type Seen } from '../foresee/views.ts';
import type { Case } from './diagnosis.ts';
import { checkKeys, withKeyArns } from './keys.ts';
import { checkPrincipal, tellDevices } from './launch.ts';
import { eventsAbout, parameter, refusalsAfter } from './trail.ts';

/** CreateVolume from a snapshot (fault 6). */
export async function diagnoseCreateVolume(found: Case, snapshotId: string, override: DeviceOverride): Promise<void> {
  const { views, principal, ledger } = found;
  await checkPrincipal(found);
  const snapshot = await snapshotIn(views, principal.account, snapshotId);
  if (!snapshot.seen) return ledger.notSeen(snapshot);
  if (snapshot.value === 'missing') {
    return ledger.fault({
      fault: 'snapshot-missing',
      title: `account ${principal.account} does not see ${snapshotId} in ${views.region}`,
      symptom: 'CreateVolume answers InvalidSnapshot.NotFound.',
      details: ['It is not there, or its owner does not share it with the account.'],
    });
  }
  const { State: state, Encrypted, KmsKeyId, OwnerId, StorageTier } = snapshot.value;
  if (state !== 'completed' || StorageTier === 'archive') {
    const { StateMessage } = snapshot.value;
    return ledger.fault({
      fault: 'snapshot-unusable',
      title: `${snapshotId} is ${StorageTier === 'archive' ? 'archived' : `${state}${StateMessage ? `: ${StateMessage}` : ''}`}`,
      symptom: 'CreateVolume answers IncorrectState.',
    });
  }
  ledger.ok(`${snapshotId} is completed; account ${principal.account} sees it`);
  const defaults = await ebsDefaultsOf(views, principal.account);
  if (!defaults.seen) return ledger.notSeen(defaults);
  const own = OwnerId === principal.account;
  const source = { snapshotId, own, encrypted: Encrypted === true, ...(KmsKeyId ? { keyArn: KmsKeyId } : {}) };
  const { encrypted, kmsKeyId } = override;
  const request = {
    deviceName: 'the volume',
    source,
    ...(encrypted === undefined ? {} : { encrypted }),
    ...(kmsKeyId === undefined ? {} : { kmsKeyId }),
  };
  const devices = effectiveDevices(await withKeyArns(found, [request]), defaults.value);
  tellDevices(found, devices);
  await checkKeys(
    found,
    devices.flatMap((device) => volumeNeeds(device).map((need) => ({ ...need, device }))),
  );
}

export function volumeIn({ views, principal }: Case, volumeId: string): Promise<Seen<Volume | 'missing'>> {
  const place = { what: `the volume ${volumeId}`, wants: 'ec2:DescribeVolumes', account: principal.account };
  return views.look(place, async (aws) => {
    try {
      return (await aws.ec2.send(new DescribeVolumesCommand({ VolumeIds: [volumeId] }))).Volumes?.[0] ?? 'missing';
    } catch (error) {
      if (isMissing(error)) return 'missing';
      throw error;
    }
  });
}

/** AttachVolume (fault 7). */
export async function diagnoseAttach(found: Case, volume: Volume): Promise<void> {
  const { ledger } = found;
  await checkPrincipal(found);
  const { VolumeId: id = '', State: state, Encrypted, KmsKeyId } = volume;
  ledger.ok(`${id} is ${state}, ${Encrypted ? `encrypted under ${KmsKeyId}` : 'plain'}`);
  if (Encrypted && KmsKeyId) await checkKeys(found, attachNeeds(id, KmsKeyId, id));
}

/** Of what snapshot and key a volume that vanished was to be, by the trail: the call as it was made. */
export async function vanishedVolume(
  { views, principal, ledger }: Pick<Case, 'views' | 'principal' | 'ledger'>,
  volumeId: string,
): Promise<{ readonly snapshotId: string; readonly caller?: string; readonly override: DeviceOverride } | undefined> {
  const seen = await eventsAbout(views, principal.account, 'ResourceName', volumeId);
  if (!seen.seen) {
    ledger.notSeen(seen);
    return undefined;
  }
  const made = seen.value.find(({ name }) => name === 'CreateVolume');
  const snapshotId = made && parameter(made.requestParameters, 'SnapshotId');
  if (!made || !snapshotId) return undefined;
  for (const event of await refusalsAfter(views, principal.account, made)) {
    if (!event.text.includes(volumeId)) continue;
    ledger.ok(`trail: kms:${event.name} for it at ${event.time.toISOString()} was refused: ${event.errorMessage}`);
  }
  const encrypted = parameter(made.requestParameters, 'Encrypted');
  const kmsKeyId = parameter(made.requestParameters, 'KmsKeyId');
  return {
    snapshotId,
    ...(made.caller ? { caller: made.caller } : {}),
    override: {
      ...(encrypted === undefined ? {} : { encrypted: encrypted === 'true' }),
      ...(kmsKeyId ? { kmsKeyId } : {}),
    },
  };
}
