/** What is not encrypted, and what is under a key that nobody approved. */

import { accountResource, imageResource, instanceResource, snapshotResource, volumeResource } from '../arns.ts';
import { awsCommand, type Check } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import type { ImageFacts, PlaceFacts, VolumeFacts } from '../model.ts';
import { APPROVED, approvalAsked, inRegion, unapproved } from './common.ts';

function encryptImage({ region }: PlaceFacts, { id, name }: ImageFacts): string[] {
  return [
    awsCommand(
      ...['ec2', 'copy-image', ...inRegion(region), '--source-region', region, '--source-image-id', id],
      ...['--name', `${name ?? id}-encrypted`, '--encrypted', '--kms-key-id', APPROVED],
    ),
    awsCommand('ec2', 'deregister-image', ...inRegion(region), '--image-id', id, '--delete-associated-snapshots'),
  ];
}

/** Another volume takes its place: the encryption of one that exists cannot be changed (RI-9). */
function encryptVolume(region: string, { id, zone = '<zone>', attached }: VolumeFacts): string[] {
  const at = inRegion(region);
  const [one] = attached;
  return [
    ...(one ? [awsCommand('ec2', 'stop-instances', ...at, '--instance-ids', one.instance)] : []),
    awsCommand('ec2', 'create-snapshot', ...at, '--volume-id', id),
    awsCommand(
      ...['ec2', 'create-volume', ...at, '--snapshot-id', '<snapshot>', '--availability-zone', zone],
      ...['--encrypted', '--kms-key-id', APPROVED],
    ),
    ...(one
      ? [
          awsCommand('ec2', 'detach-volume', ...at, '--volume-id', id),
          awsCommand(
            ...['ec2', 'attach-volume', ...at, '--volume-id', '<new volume>'],
            ...['--instance-id', one.instance, '--device', one.device],
          ),
        ]
      : []),
    awsCommand('ec2', 'delete-volume', ...at, '--volume-id', id),
  ];
}

/** The same for the volumes of an instance, as far as they were seen. */
function encryptVolumes(region: string, estate: EstateIndex, ids: readonly string[]): string[] {
  return ids.flatMap((id) => {
    const volume = estate.volume(id);
    return volume ? encryptVolume(region, volume) : [];
  });
}

function encryptSnapshot({ region }: PlaceFacts, id: string): string[] {
  return [
    awsCommand(
      ...['ec2', 'copy-snapshot', ...inRegion(region), '--source-region', region, '--source-snapshot-id', id],
      ...['--encrypted', '--kms-key-id', APPROVED],
    ),
    awsCommand('ec2', 'delete-snapshot', ...inRegion(region), '--snapshot-id', id),
  ];
}

function attachment({ attached }: VolumeFacts): string {
  if (attached.length === 0) return 'Attached to nothing.';
  return `Attached to ${attached.map(({ instance, device }) => `${instance} at ${device}`).join(', ')}.`;
}

const live = ({ state }: ImageFacts) => state === 'available' || state === 'disabled' || state === 'pending';

export const ENCRYPTION_CHECKS: readonly Check[] = [
  {
    id: 'ING-EBS-001',
    title: 'EBS encryption by default is off',
    severity: 'medium',
    why: 'A volume or copy that nobody asked to be encrypted is written in the clear.',
    needs: ['encryption by default'],
    controls: CONTROLS.encryptionByDefault,
    find: (place) =>
      place.encryptionByDefault === false
        ? [
            {
              resource: accountResource(place),
              detail: `New volumes in ${place.region} are plain unless each request asks for encryption.`,
              evidence: { EbsEncryptionByDefault: false, defaultKey: place.defaultKey },
              mend: [awsCommand('ec2', 'enable-ebs-encryption-by-default', ...inRegion(place.region))],
            },
          ]
        : [],
  },
  {
    id: 'ING-EBS-002',
    title: 'The default key of EBS is not approved',
    severity: 'medium',
    why: 'Whatever is encrypted without a key being named ends under the default key, even while encryption by default is off.',
    needs: ['encryption by default', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) => {
      const key = estate.defaultKey(place);
      if (key === undefined || !unapproved(place, estate, key, doubt)) return [];
      const mend = ['ec2', 'modify-ebs-default-kms-key-id', ...inRegion(place.region), '--kms-key-id', APPROVED];
      return [
        {
          resource: accountResource(place),
          detail: `The default key in ${place.region} is ${estate.nameOfKey(key)}.`,
          evidence: { defaultKey: key },
          mend: [awsCommand(...mend)],
        },
      ];
    },
  },
  {
    id: 'ING-AMI-001',
    title: 'Image is not encrypted',
    severity: 'high',
    why: 'Its snapshots can be read by whoever gets at them, and each volume made from it is plain unless something else encrypts it.',
    needs: ['images'],
    controls: CONTROLS.encryptionAtRest,
    find: (place) =>
      place.images.filter(live).flatMap((image) => {
        const plain = image.devices.filter(({ snapshotId, encrypted }) => snapshotId !== undefined && !encrypted);
        if (plain.length === 0) return [];
        return [
          {
            resource: imageResource(place.region, image.id, image.name),
            detail: `The snapshot at ${plain.map(({ device }) => device).join(', ')} is not encrypted.`,
            evidence: { devices: plain },
            mend: encryptImage(place, image),
          },
        ];
      }),
  },
  {
    id: 'ING-AMI-002',
    title: 'Image is under a key that is not approved',
    severity: 'medium',
    why: 'Who may use the key decides who may use the image.',
    needs: ['images', 'snapshots', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) =>
      place.images.filter(live).flatMap((image) => {
        const keys = estate.keysOf(image).filter((key) => unapproved(place, estate, key, doubt));
        if (keys.length === 0) return [];
        return [
          {
            resource: imageResource(place.region, image.id, image.name),
            detail: `Its snapshots are under ${keys.map((key) => estate.nameOfKey(key)).join(', ')}.`,
            evidence: { keys },
            mend: encryptImage(place, image),
          },
        ];
      }),
  },
  {
    id: 'ING-EBS-003',
    title: 'Snapshot is not encrypted',
    severity: 'high',
    why: 'A snapshot in the clear can be shared, made public or copied, and read.',
    needs: ['snapshots'],
    controls: CONTROLS.encryptionAtRest,
    find: (place) =>
      place.snapshots.flatMap(({ id, encrypted, volume }) =>
        encrypted
          ? []
          : [
              {
                resource: snapshotResource(place.region, id),
                detail: 'The snapshot is not encrypted.',
                evidence: { Encrypted: false, volume },
                mend: encryptSnapshot(place, id),
              },
            ],
      ),
  },
  {
    id: 'ING-EBS-004',
    title: 'Snapshot is under a key that is not approved',
    severity: 'medium',
    why: 'Who may use the key decides who may read the snapshot.',
    needs: ['snapshots', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) =>
      place.snapshots.flatMap(({ id, key }) =>
        key !== undefined && unapproved(place, estate, key, doubt)
          ? [
              {
                resource: snapshotResource(place.region, id),
                detail: `The snapshot is under ${estate.nameOfKey(key)}.`,
                evidence: { key },
                mend: encryptSnapshot(place, id),
              },
            ]
          : [],
      ),
  },
  {
    id: 'ING-EBS-005',
    title: 'Volume is not encrypted',
    severity: 'high',
    why: 'What an instance writes to it, its snapshots and its backups are in the clear.',
    needs: ['volumes'],
    controls: CONTROLS.volumeEncryption,
    find: (place) =>
      place.volumes.flatMap((volume) =>
        volume.encrypted
          ? []
          : [
              {
                resource: volumeResource(place, volume.id),
                detail: attachment(volume),
                evidence: { Encrypted: false, attached: volume.attached, snapshot: volume.snapshot },
                mend: encryptVolume(place.region, volume),
              },
            ],
      ),
  },
  {
    id: 'ING-EBS-006',
    title: 'Volume is under a key that is not approved',
    severity: 'medium',
    why: 'The volume lives and dies with a key that nobody answers for.',
    needs: ['volumes', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) =>
      place.volumes.flatMap((volume) =>
        volume.key !== undefined && unapproved(place, estate, volume.key, doubt)
          ? [
              {
                resource: volumeResource(place, volume.id),
                detail: `The volume is under ${estate.nameOfKey(volume.key)}.`,
                evidence: { key: volume.key, attached: volume.attached },
                mend: encryptVolume(place.region, volume),
              },
            ]
          : [],
      ),
  },
  {
    id: 'ING-EC2-001',
    title: 'Instance has a volume that is not encrypted',
    severity: 'high',
    why: 'An instance keeps its data in the clear.',
    needs: ['instances', 'volumes'],
    controls: CONTROLS.volumeEncryption,
    find: (place, estate) =>
      place.instances.flatMap((instance) => {
        const plain = instance.volumes.filter(({ id }) => estate.volume(id)?.encrypted === false);
        if (plain.length === 0) return [];
        return [
          {
            resource: instanceResource(place, instance.id, instance.name),
            detail: `Not encrypted: ${plain.map(({ device, id }) => `${id} at ${device}`).join(', ')}.`,
            evidence: { volumes: plain, image: instance.image, state: instance.state },
            mend: encryptVolumes(
              place.region,
              estate,
              plain.map(({ id }) => id),
            ),
          },
        ];
      }),
  },
  {
    id: 'ING-EC2-002',
    title: 'Instance has a volume under a key that is not approved',
    severity: 'medium',
    why: 'The instance stops for good when somebody else disables that key.',
    needs: ['instances', 'volumes', 'keys'],
    asked: approvalAsked,
    controls: CONTROLS.approvedKey,
    find: (place, estate, doubt) =>
      place.instances.flatMap((instance) => {
        const volumes = instance.volumes.flatMap(({ id, device }) => {
          const key = estate.volume(id)?.key;
          return key !== undefined && unapproved(place, estate, key, doubt) ? [{ id, device, key }] : [];
        });
        if (volumes.length === 0) return [];
        return [
          {
            resource: instanceResource(place, instance.id, instance.name),
            detail: volumes.map(({ id, key }) => `${id} is under ${estate.nameOfKey(key)}.`).join(' '),
            evidence: { volumes, state: instance.state },
            mend: encryptVolumes(
              place.region,
              estate,
              volumes.map(({ id }) => id),
            ),
          },
        ];
      }),
  },
];
