/** Instances: one whose launch failed, and one that does not start again. */
import { DescribeInstancesCommand, DescribeVolumesCommand, type Instance } from '@aws-sdk/client-ec2';
import type { DeviceOverride } from '../foresee/images.ts';
import { attachNeeds } from '../foresee/needs.ts';
import { isMissing, type Seen, type Views } from '../foresee/views.ts';
import type { Case } from './diagnosis.ts';
import { checkKeys } from './keys.ts';
import { checkPrincipal } from './launch.ts';
import { eventsAbout, keyIn, refusalsAfter, type TrailEvent } from './trail.ts';

export function instanceIn(views: Views, account: string, instanceId: string): Promise<Seen<Instance | 'missing'>> {
  const place = { what: `the instance ${instanceId}`, wants: 'ec2:DescribeInstances', account };
  return views.look(place, async (aws) => {
    try {
      const { Reservations } = await aws.ec2.send(new DescribeInstancesCommand({ InstanceIds: [instanceId] }));
      return Reservations?.[0]?.Instances?.[0] ?? 'missing';
    } catch (error) {
      if (isMissing(error)) return 'missing';
      throw error;
    }
  });
}

/** The event of the last launch or start of the instance, whose caller is the one to ask about. */
export async function lastCall(
  views: Views,
  account: string,
  instanceId: string,
  operation: 'RunInstances' | 'StartInstances',
): Promise<Seen<TrailEvent | undefined>> {
  const seen = await eventsAbout(views, account, 'ResourceName', instanceId);
  return seen.seen ? { seen: true, value: seen.value.find(({ name }) => name === operation) } : seen;
}

/** Tells how an instance ended and what KMS refused behind it; gives the key of another account that it was about. */
export async function tellEnd(
  { views, principal, ledger }: Pick<Case, 'views' | 'principal' | 'ledger'>,
  instance: Instance,
  event: TrailEvent | undefined,
): Promise<string | undefined> {
  const { InstanceId: id = '', State, StateReason } = instance;
  const said = StateReason?.Message ? `: ${StateReason.Message}` : '';
  ledger.ok(`${id} is ${State?.Name}${said}`);
  const refused = event ? await refusalsAfter(views, principal.account, event) : [];
  for (const one of refused.slice(0, REFUSALS_TOLD_MAX)) {
    ledger.ok(`trail: kms:${one.name} behind it at ${one.time.toISOString()} was refused: ${one.errorMessage}`);
  }
  return refused.map(keyIn).find((key) => key !== undefined && !key.includes(`:${principal.account}:`));
}

const REFUSALS_TOLD_MAX = 3;

/** Devices as the launch of the instance gave them, by the parameters in the trail. */
export function overridesInTrail(event: TrailEvent | undefined): DeviceOverride[] {
  const mappings = listNamed(event?.requestParameters, /^blockdevicemappings?(set)?$/i);
  return mappings.flatMap((mapping) => {
    const { deviceName, ebs } = lowered(mapping);
    if (typeof deviceName !== 'string') return [];
    const { encrypted, kmsKeyId, snapshotId } = lowered(ebs);
    return [
      {
        deviceName,
        ebs: ebs !== undefined,
        ...(encrypted === undefined ? {} : { encrypted: String(encrypted) === 'true' }),
        ...(typeof kmsKeyId === 'string' ? { kmsKeyId } : {}),
        ...(typeof snapshotId === 'string' ? { snapshotId } : {}),
      },
    ];
  });
}

/** The list under a name, with or without CloudTrail's `items` around it. */
function listNamed(parameters: unknown, name: RegExp): unknown[] {
  if (typeof parameters !== 'object' || parameters === null) return [];
  for (const [key, value] of Object.entries(parameters)) {
    if (!name.test(key)) continue;
    if (Array.isArray(value)) return value;
    const { items } = (value ?? {}) as { readonly items?: unknown };
    if (Array.isArray(items)) return items;
  }
  return [];
}

function lowered(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [key.charAt(0).toLowerCase() + key.slice(1), one]),
  );
}

/** StartInstances: a grant on the key of every encrypted volume (fault 5). */
export async function diagnoseStart(found: Case, instance: Instance): Promise<void> {
  const { views, principal, ledger } = found;
  await checkPrincipal(found);
  const ids = (instance.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => (Ebs?.VolumeId ? [Ebs.VolumeId] : []));
  const place = {
    what: `the volumes of ${instance.InstanceId}`,
    wants: 'ec2:DescribeVolumes',
    account: principal.account,
  };
  const volumes = await views.look(place, async (aws) => {
    if (ids.length === 0) return [];
    return (await aws.ec2.send(new DescribeVolumesCommand({ VolumeIds: ids }))).Volumes ?? [];
  });
  if (!volumes.seen) return ledger.notSeen(volumes);
  for (const { VolumeId: id = '', Encrypted, KmsKeyId } of volumes.value) {
    ledger.ok(`${id} is ${Encrypted ? `encrypted under ${KmsKeyId}` : 'plain'}`);
  }
  await checkKeys(
    found,
    volumes.value.flatMap(({ VolumeId: id = '', KmsKeyId }) => (KmsKeyId ? attachNeeds(id, KmsKeyId, id) : [])),
  );
}
