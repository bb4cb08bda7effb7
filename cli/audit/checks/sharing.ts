/** What is shared with whom, and whether those it is shared with could use it. */

import { accountResource, imageResource, keyResource, snapshotResource } from '../arns.ts';
import { awsCommand, type Check } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import { accountsNamed, mayUse, SOURCE_ACTION } from '../key-audience.ts';
import type { ImageFacts, KeyFacts, PlaceFacts, Share } from '../model.ts';
import { inRegion } from './common.ts';

const DAY_MS = 86_400_000;
const describeShares = (shares: readonly Share[]) =>
  shares.map(({ kind, value }) => (kind === 'everyone' ? 'everyone' : value)).join(', ');

function unshareImage(region: string, id: string, shares: readonly Share[]): string[] {
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
const isShared = ({ shares }: ImageFacts) => shares !== undefined && shares.length > 0;

/** Accounts that the image reaches by name, unit or organization. */
function audience(image: ImageFacts, estate: EstateIndex): string[] {
  return [...new Set((image.shares ?? []).flatMap((share) => estate.reached(share, image.owner) ?? []))];
}

/** Whether the account is nobody's business here: no member, no audited account, and trusted by nobody. */
function isOutside(account: string, { estate }: EstateIndex): boolean {
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

/** What the consumer of an image under this key needs of it (P-16), as a statement to add to its key policy. */
function useStatement(accounts: readonly string[], region: string): object {
  return {
    Sid: 'UseOfSharedImages',
    Effect: 'Allow',
    Principal: { AWS: accounts.map((account) => `arn:aws:iam::${account}:root`) },
    Action: ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
    Resource: '*',
    Condition: { StringEquals: { 'kms:ViaService': `ec2.${region}.amazonaws.com` } },
  };
}

function addStatement(key: KeyFacts | undefined, arn: string, statement: object): string[] {
  const region = inRegion(arn.split(':')[3] ?? '');
  const get = awsCommand('kms', 'get-key-policy', ...region, '--key-id', arn, '--query', 'Policy', '--output', 'text');
  if (key?.policy === undefined) return [get];
  const document = JSON.parse(key.policy) as { Statement: unknown };
  const policy = JSON.stringify({ ...document, Statement: [document.Statement, statement].flat() });
  return [
    awsCommand('kms', 'put-key-policy', ...region, '--key-id', arn, '--policy-name', 'default', '--policy', policy),
  ];
}

/** For each account of the audience, the keys of the image that it may not use. */
function shutOut(place: PlaceFacts, image: ImageFacts, estate: EstateIndex, doubted: (key: string) => void) {
  const keys = estate.keysOf(image);
  const snapshots = estate.snapshotsOf(image);
  return audience(image, estate).flatMap((account) => {
    const missing = keys.filter((arn) => {
      const key = estate.key(arn);
      const snapshot = snapshots.find((one) => one.key === arn)?.id;
      const { organization } = estate.estate;
      const answer = key
        ? mayUse(key, { account, organization, ...(snapshot === undefined ? {} : { snapshot }) })
        : 'unknown';
      if (answer === 'unknown') doubted(arn);
      return answer === 'no';
    });
    return missing.length > 0 ? [{ account, region: place.region, keys: missing }] : [];
  });
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
            detail: `It is shared with ${describeShares(outside)}, neither a member nor trusted.`,
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
            detail: `It is shared with ${describeShares(outside)}, neither a member nor trusted.`,
            evidence: { outside },
            mend: [unshareSnapshot(place.region, id, ...users)],
          },
        ];
      }),
  },
  {
    id: 'ING-SHR-007',
    title: 'Image is shared with an account that cannot use its key',
    severity: 'high',
    why: 'Launches there fail a minute after they were accepted, with a reason that names neither the key nor the permission.',
    needs: ['images', 'image permissions', 'snapshots', 'keys', 'key policies', 'key grants'],
    controls: CONTROLS.availability,
    find: (place, estate, doubt) =>
      place.images.filter(isShared).flatMap((image) => {
        const shut = shutOut(place, image, estate, (key) =>
          doubt({
            part: 'key policies',
            call: 'kms:GetKeyPolicy',
            resource: image.id,
            reason: `whether its consumers may use ${key} could not be told`,
          }),
        );
        if (shut.length === 0) return [];
        const byKey = Map.groupBy(
          shut.flatMap(({ account, keys }) => keys.map((key) => ({ account, key }))),
          ({ key }) => key,
        );
        return [
          {
            resource: imageResource(place.region, image.id, image.name),
            detail: `The key lets nobody in ${shut.map(({ account }) => account).join(', ')} use it (${SOURCE_ACTION}).`,
            evidence: { accounts: shut.map(({ account, keys }) => ({ account, keys })), action: SOURCE_ACTION },
            mend: [...byKey].flatMap(([arn, denied]) => {
              const accounts = denied.map(({ account }) => account);
              return addStatement(estate.key(arn), arn, useStatement(accounts, place.region));
            }),
          },
        ];
      }),
  },
  {
    id: 'ING-SHR-008',
    title: 'Account may use a key, and nothing under the key is shared with it',
    severity: 'low',
    why: 'A permission that serves nothing: left behind, or the share was forgotten.',
    needs: ['images', 'image permissions', 'snapshots', 'snapshot permissions', 'keys', 'key policies', 'key grants'],
    controls: CONTROLS.sharing,
    find: (place, estate) =>
      place.keys
        .filter((key) => key.account === place.account && key.manager === 'CUSTOMER' && key.policy !== undefined)
        .flatMap((key) => {
          const sealed = place.snapshots.filter((snapshot) => snapshot.key === key.arn);
          if (sealed.length === 0) return [];
          const { organization } = estate.estate;
          const idle = accountsNamed(key).filter(
            (account) =>
              mayUse(key, { account, organization }) === 'yes' && !isReached(account, key.arn, place, estate),
          );
          if (idle.length === 0) return [];
          return [
            {
              resource: keyResource(key.arn, key.aliases[0]),
              detail: `${idle.join(', ')} may use the key and may launch or copy nothing that is under it.`,
              evidence: { accounts: idle, snapshotsUnderTheKey: sealed.length },
              mend: [
                awsCommand('kms', 'get-key-policy', ...inRegion(place.region), '--key-id', key.arn),
                awsCommand('kms', 'list-grants', ...inRegion(place.region), '--key-id', key.arn),
              ],
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

/** Whether an image or a snapshot under the key is shared with the account, in whatever way. */
function isReached(account: string, keyArn: string, place: PlaceFacts, estate: EstateIndex): boolean {
  const reaches = (shares: readonly Share[] | undefined) =>
    shares?.some((share) => share.kind === 'everyone' || estate.reached(share, place.account)?.includes(account)) ??
    false;
  return (
    place.images.some((image) => estate.keysOf(image).includes(keyArn) && reaches(image.shares)) ||
    place.snapshots.some((snapshot) => snapshot.key === keyArn && reaches(snapshot.shares))
  );
}
