/** What is shared with whom, and whether those it is shared with could use it. */

import { accountResource, imageResource, snapshotResource } from '../arns.ts';
import { awsCommand, type Check } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import type { ImageFacts, Share } from '../model.ts';
import { inRegion } from './common.ts';

const DAY_MS = 86_400_000;
const describeShares = (shares: readonly Share[]) =>
  shares.map(({ kind, value }) => (kind === 'everyone' ? 'everyone' : value)).join(', ');

export function unshareImage(region: string, id: string, shares: readonly Share[]): string[] {
  const remove = shares.map(({ kind, value }) => {
    if (kind === 'everyone') return { Group: value };
    if (kind === 'account') return { UserId: value };
    return kind === 'organization' ? { OrganizationArn: value } : { OrganizationalUnitArn: value };
  });
  const permission = JSON.stringify({ Remove: remove });
  return [
    awsCommand(
      ...['ec2', 'modify-image-attribute', ...inRegion(region), '--image-id', id, '--launch-permission', permission],
    ),
  ];
}

function unshareSnapshot(region: string, id: string, ...which: readonly string[]): string {
  return awsCommand(
    ...['ec2', 'modify-snapshot-attribute', ...inRegion(region), '--snapshot-id', id],
    ...['--attribute', 'createVolumePermission', '--operation-type', 'remove', ...which],
  );
}

const isEveryone = ({ kind }: Share) => kind === 'everyone';
export const isShared = ({ shares }: ImageFacts) => shares !== undefined && shares.length > 0;

/** Whether the account is nobody's business here: no member, no audited account, and trusted by nobody. */
export function isOutside(account: string, { estate }: EstateIndex): boolean {
  const { organization, places, policy } = estate;
  if (policy.trustedAccounts.includes(account)) return false;
  if (places.some((place) => place.account === account)) return false;
  return !(organization && organization !== 'none' && organization.members.has(account));
}

function outsideShares(shares: readonly Share[] | undefined, estate: EstateIndex): Share[] {
  const { organization } = estate.estate;
  return (shares ?? []).filter(({ kind, value }) => {
    if (kind === 'everyone') return false;
    if (kind === 'account') return isOutside(value, estate);
    return !(organization && organization !== 'none' && value.includes(`/${organization.id}`));
  });
}

/** An organization that could not be seen makes nobody a stranger: the sharing is told, and what is not known of it. */
function whyOutside({ estate }: EstateIndex): string {
  return estate.organization === undefined
    ? 'not trusted; whether that is within the organization could not be seen'
    : 'neither a member nor trusted';
}

export const SHARING_CHECKS: readonly Check[] = [
  {
    id: 'ING-SHR-001',
    title: 'Image is public',
    severity: 'critical',
    why: 'Anybody with an account can launch it and read what is in it.',
    needs: ['images', 'image permissions'],
    controls: CONTROLS.publicImage,
    find: (place) =>
      place.images
        .filter((image) => image.public || image.shares?.some(isEveryone))
        .map((image) => ({
          resource: imageResource(place.region, image.id, image.name),
          detail: 'Everybody may launch it.',
          evidence: { Public: true, shares: image.shares, blockPublicAccess: place.imageBlockPublicAccess },
          mend: [
            ...unshareImage(place.region, image.id, [{ kind: 'everyone', value: 'all' }]),
            ...blockImages(place.region),
          ],
        })),
  },
  {
    id: 'ING-SHR-002',
    title: 'Snapshot is public',
    severity: 'critical',
    why: 'Anybody with an account can make a volume of it and read it.',
    needs: ['snapshots', 'snapshot permissions', 'block public access for snapshots'],
    controls: CONTROLS.publicSnapshot,
    find: (place) =>
      place.snapshots
        .filter(({ shares }) => shares?.some(isEveryone))
        .map(({ id }) => {
          const hidden = place.snapshotBlockPublicAccess === 'block-all-sharing';
          return {
            resource: snapshotResource(place.region, id),
            detail: hidden
              ? 'It is shared with everybody, and hidden only as long as block public access stays at block-all-sharing.'
              : 'Everybody may make a volume of it.',
            ...(hidden ? { severity: 'medium' as const } : {}),
            evidence: { group: 'all', blockPublicAccess: place.snapshotBlockPublicAccess },
            mend: [unshareSnapshot(place.region, id, '--group-names', 'all'), ...blockSnapshots(place.region)],
          };
        }),
  },
  {
    id: 'ING-SHR-003',
    title: 'Block public access for images is off',
    severity: 'high',
    why: 'One call makes an image public.',
    needs: ['block public access for images'],
    controls: CONTROLS.blockPublicImages,
    find: (place) =>
      place.imageBlockPublicAccess === undefined || place.imageBlockPublicAccess === 'block-new-sharing'
        ? []
        : [
            {
              resource: accountResource(place),
              detail: `Images in ${place.region} can be made public.`,
              evidence: { ImageBlockPublicAccessState: place.imageBlockPublicAccess },
              mend: blockImages(place.region),
            },
          ],
  },
  {
    id: 'ING-SHR-004',
    title: 'Block public access for snapshots is not on for all sharing',
    severity: 'high',
    why: 'One call makes a snapshot public, or one that was made public before still is.',
    needs: ['block public access for snapshots'],
    controls: CONTROLS.blockPublicSnapshots,
    find: (place) => {
      const state = place.snapshotBlockPublicAccess;
      if (state === undefined || state === 'block-all-sharing') return [];
      const partly = state === 'block-new-sharing';
      return [
        {
          resource: accountResource(place),
          detail: partly
            ? `No further snapshot in ${place.region} can be made public; those that are stay so.`
            : `Snapshots in ${place.region} can be made public.`,
          ...(partly ? { severity: 'medium' as const } : {}),
          evidence: { SnapshotBlockPublicAccessState: state },
          mend: blockSnapshots(place.region),
        },
      ];
    },
  },
  {
    id: 'ING-SHR-005',
    title: 'Image is shared outside the organization',
    severity: 'medium',
    why: 'What was shared cannot be called back: a consumer may have copied it.',
    needs: ['images', 'image permissions', 'organization'],
    controls: CONTROLS.sharing,
    find: (place, estate) =>
      place.images.flatMap((image) => {
        const outside = outsideShares(image.shares, estate);
        if (outside.length === 0) return [];
        return [
          {
            resource: imageResource(place.region, image.id, image.name),
            detail: `It is shared with ${describeShares(outside)}, ${whyOutside(estate)}.`,
            evidence: { outside },
            mend: unshareImage(place.region, image.id, outside),
          },
        ];
      }),
  },
  {
    id: 'ING-SHR-006',
    title: 'Snapshot is shared outside the organization',
    severity: 'medium',
    why: 'What was shared cannot be called back: a consumer may have copied it.',
    needs: ['snapshots', 'snapshot permissions', 'organization'],
    controls: CONTROLS.sharing,
    find: (place, estate) =>
      place.snapshots.flatMap(({ id, shares }) => {
        const outside = outsideShares(shares, estate);
        if (outside.length === 0) return [];
        const users = ['--user-ids', ...outside.map(({ value }) => value)];
        return [
          {
            resource: snapshotResource(place.region, id),
            detail: `It is shared with ${describeShares(outside)}, ${whyOutside(estate)}.`,
            evidence: { outside },
            mend: [unshareSnapshot(place.region, id, ...users)],
          },
        ];
      }),
  },
  {
    id: 'ING-SHR-009',
    title: 'Deprecated image is still shared',
    severity: 'low',
    why: 'Consumers launch what its owner has given up.',
    needs: ['images', 'image permissions'],
    controls: CONTROLS.sharing,
    find: (place, estate) =>
      place.images
        .filter(isShared)
        .filter(({ deprecated }) => deprecated !== undefined && Date.parse(deprecated) <= estate.estate.now.getTime())
        .map(({ id, name, deprecated, shares = [] }) => ({
          resource: imageResource(place.region, id, name),
          detail: `Deprecated since ${deprecated} and shared with ${describeShares(shares)}.`,
          evidence: { deprecated, shares },
          mend: unshareImage(place.region, id, shares),
        })),
  },
  {
    id: 'ING-SHR-010',
    title: 'Shared image is not launched',
    severity: 'low',
    why: 'A share that nobody needs is only a way out for what is in the image.',
    needs: ['images', 'image permissions'],
    controls: CONTROLS.sharing,
    find: (place, estate) =>
      place.images.filter(isShared).flatMap(({ id, name, created, lastLaunched, shares = [] }) => {
        const { now, policy } = estate.estate;
        const since = Date.parse(lastLaunched ?? created ?? '');
        if (Number.isNaN(since) || now.getTime() - since < policy.unusedAfterDays * DAY_MS) return [];
        return [
          {
            resource: imageResource(place.region, id, name),
            detail:
              lastLaunched === undefined
                ? `Never launched since ${created}, and shared with ${describeShares(shares)}.`
                : `Last launched ${lastLaunched}, and shared with ${describeShares(shares)}.`,
            evidence: { created, lastLaunched, shares },
            mend: unshareImage(place.region, id, shares),
          },
        ];
      }),
  },
  {
    id: 'ING-AMI-003',
    title: 'Launches are not limited to allowed images',
    severity: 'low',
    why: 'Instances may be launched from any image that anybody made public.',
    needs: ['allowed images'],
    controls: CONTROLS.provenance,
    find: (place) =>
      place.allowedImages === undefined || place.allowedImages === 'enabled'
        ? []
        : [
            {
              resource: accountResource(place),
              detail: `Allowed images are ${place.allowedImages} in ${place.region}.`,
              evidence: { State: place.allowedImages },
              mend: [
                awsCommand(
                  ...['ec2', 'enable-allowed-images-settings', ...inRegion(place.region)],
                  ...['--allowed-images-settings-state', 'enabled'],
                ),
              ],
            },
          ],
  },
];

function blockImages(region: string): string[] {
  return [
    awsCommand(
      ...['ec2', 'enable-image-block-public-access', ...inRegion(region)],
      ...['--image-block-public-access-state', 'block-new-sharing'],
    ),
  ];
}

function blockSnapshots(region: string): string[] {
  return [
    awsCommand(...['ec2', 'enable-snapshot-block-public-access', ...inRegion(region), '--state', 'block-all-sharing']),
  ];
}
