/** What launch templates will make of volumes. */

import { volumeOutcome } from '../../../policy/encryption-outcomes.ts';
import { templateResource } from '../arns.ts';
import { awsCommand, type Check } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import type { PlaceFacts, TemplateDeviceFacts, TemplateFacts } from '../model.ts';
import { APPROVED, approvalAsked, inRegion, unapproved } from './common.ts';

/** What a device of a template will be at launch, and what is known of its snapshot (LT-1, LT-4, table 1.1). */
interface TemplateVolume {
  readonly device: string;
  readonly outcome: 'plain' | 'encrypted' | 'refused' | 'unknown';
  /** As named in the template, or an ARN. */
  readonly key?: string;
}

function templateVolumes(place: PlaceFacts, template: TemplateFacts, estate: EstateIndex): TemplateVolume[] {
  const image = [...place.images, ...place.foreignImages].find(({ id }) => id === template.image);
  const overrides = new Map(template.devices.map((device) => [device.device, device]));
  const volumes: TemplateVolume[] = [];
  for (const mapped of image?.devices ?? []) {
    const override = overrides.get(mapped.device);
    overrides.delete(mapped.device);
    if (override && !override.volume) continue;
    const own = image?.owner === place.account;
    const kind = mapped.snapshotId === undefined ? 'none' : own ? 'own' : 'shared';
    volumes.push(outcomeOf(place, estate, { ...mapped, ...override }, kind, mapped.encrypted === true));
  }
  for (const device of overrides.values()) {
    if (!device.volume) continue;
    const snapshot = device.snapshotId === undefined ? undefined : estate.snapshot(device.snapshotId);
    const kind = device.snapshotId === undefined ? 'none' : 'own';
    // Without its image or snapshot only what the template itself says is certain.
    if (kind === 'own' && !snapshot) volumes.push({ device: device.device, outcome: sayable(device) });
    else if (!image && template.image !== undefined && device.encrypted === undefined) {
      volumes.push({ device: device.device, outcome: 'unknown' });
    } else volumes.push(outcomeOf(place, estate, device, kind, snapshot?.encrypted === true));
  }
  if (!image && template.image !== undefined && template.devices.length === 0) {
    volumes.push({ device: 'the devices of its image', outcome: 'unknown' });
  }
  return volumes;
}

function sayable({ encrypted }: TemplateDeviceFacts): 'encrypted' | 'unknown' {
  return encrypted === true ? 'encrypted' : 'unknown';
}

function outcomeOf(
  place: PlaceFacts,
  estate: EstateIndex,
  device: {
    readonly device: string;
    readonly snapshotId?: string;
    readonly encrypted?: boolean;
    readonly key?: string;
  },
  kind: 'none' | 'own' | 'shared',
  sourceEncrypted: boolean,
): TemplateVolume {
  if (place.encryptionByDefault === undefined) return { device: device.device, outcome: 'unknown' };
  // A mapping of an image shows what its snapshot is; only a template's own mapping asks for encryption.
  const template = 'volume' in device;
  const choice = volumeOutcome({
    source: kind === 'none' ? 'none' : `${kind}-${sourceEncrypted ? 'encrypted' : 'plain'}`,
    encrypted: template || kind === 'none' ? device.encrypted : undefined,
    keyGiven: device.key !== undefined,
    encryptionByDefault: place.encryptionByDefault,
  });
  if (typeof choice !== 'string') return { device: device.device, outcome: 'refused' };
  if (choice === 'plain') return { device: device.device, outcome: 'plain' };
  const snapshotKey = device.snapshotId === undefined ? undefined : estate.snapshot(device.snapshotId)?.key;
  const key = choice === 'given-key' ? device.key : choice === 'default-key' ? estate.defaultKey(place) : snapshotKey;
  return { device: device.device, outcome: 'encrypted', ...(key === undefined ? {} : { key }) };
}

const versionOf = ({ isDefault, isLatest, version }: TemplateFacts) =>
  `version ${version} (${[isDefault && 'default', isLatest && 'latest'].filter(Boolean).join(' and ')})`;

function templateMend({ region }: PlaceFacts, { id, version }: TemplateFacts, devices: readonly string[]): string[] {
  const mappings = devices.map((DeviceName) => ({ DeviceName, Ebs: { Encrypted: true, KmsKeyId: APPROVED } }));
  return [
    awsCommand(
      ...['ec2', 'create-launch-template-version', ...inRegion(region), '--launch-template-id', id],
      ...['--source-version', String(version)],
      ...['--launch-template-data', JSON.stringify({ BlockDeviceMappings: mappings })],
    ),
    awsCommand(
      ...['ec2', 'modify-launch-template', ...inRegion(region), '--launch-template-id', id],
      ...['--default-version', '<new version>'],
    ),
  ];
}

/** One finding per template, whichever of its versions have the fault. */
function templateFindings(
  place: PlaceFacts,
  faulty: (template: TemplateFacts) => readonly TemplateVolume[],
  say: (devices: string) => string,
) {
  const byTemplate = Map.groupBy(place.templates, ({ id }) => id);
  return [...byTemplate.values()].flatMap((versions) => {
    const faults = versions.flatMap((template) => {
      const volumes = faulty(template);
      return volumes.length > 0 ? [{ template, volumes }] : [];
    });
    const [first] = faults;
    if (!first) return [];
    const { template, volumes } = first;
    const devices = volumes.map(({ device }) => device);
    return [
      {
        resource: templateResource(place, template.id, template.name),
        detail: `${faults.map((one) => versionOf(one.template)).join(', ')} of the launch template ${say(devices.join(', '))}.`,
        evidence: {
          versions: faults.map((one) => ({ version: one.template.version, volumes: one.volumes })),
          ...(template.image === undefined ? {} : { image: template.image }),
        },
        mend: templateMend(place, template, devices),
      },
    ];
  });
}

export const TEMPLATE_CHECKS: readonly Check[] = [
  {
    id: 'ING-LT-001',
    title: 'Launch template makes volumes that are not encrypted',
    severity: 'high',
    why: 'Every instance that is launched from it keeps its data in the clear.',
    needs: ['launch templates', 'images', 'encryption by default'],
    controls: CONTROLS.templateEncryption,
    find: (place, estate, doubt) => {
      for (const template of place.templates) {
        if (templateVolumes(place, template, estate).some(({ outcome }) => outcome === 'unknown')) {
          const reason = `its image ${template.image ?? ''} or a snapshot it names was not seen`;
          doubt({ part: 'images', call: 'ec2:DescribeImages', resource: template.id, reason });
        }
      }
      return templateFindings(
        place,
        (template) => templateVolumes(place, template, estate).filter(({ outcome }) => outcome === 'plain'),
        (devices) => `launches with ${devices} not encrypted`,
      );
    },
  },
  {
    id: 'ING-LT-002',
    title: 'Launch template seals volumes under a key that is not approved',
    severity: 'medium',
    why: 'Every instance that is launched from it depends on a key that nobody answers for.',
    needs: ['launch templates', 'images', 'encryption by default', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) =>
      templateFindings(
        place,
        (template) =>
          templateVolumes(place, template, estate).filter(
            ({ key }) => key !== undefined && unapproved(place, estate, key, doubt),
          ),
        (devices) => `seals ${devices} under a key that is not approved`,
      ),
  },
];
