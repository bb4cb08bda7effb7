/** Whether those an image is shared with can use its key, and whether those who can use a key have anything under it. */

import { imageResource, keyResource, partitionOf } from '../arns.ts';
import { awsCommand, type Check, type Doubt } from '../check.ts';
import { CONTROLS } from '../controls.ts';
import type { EstateIndex } from '../estate-index.ts';
import { accountsNamed, mayUse, SOURCE_ACTION } from '../key-audience.ts';
import type { ImageFacts, KeyFacts, PlaceFacts, Share } from '../model.ts';
import { inRegion } from './common.ts';
import { isOutside, isShared, unshareImage } from './sharing.ts';

/** Accounts that the image reaches by name, unit or organization. */
function audience(image: ImageFacts, estate: EstateIndex): string[] {
  return [...new Set((image.shares ?? []).flatMap((share) => estate.reached(share, image.owner) ?? []))];
}

/** An account that an image is shared with, and a key of the image that lets nobody there use it. */
interface ShutOut {
  readonly account: string;
  readonly key: string;
}

function shutOut(image: ImageFacts, estate: EstateIndex, doubt?: (doubt: Doubt) => void): ShutOut[] {
  const { organization } = estate.estate;
  const snapshots = estate.snapshotsOf(image);
  return audience(image, estate).flatMap((account) =>
    estate.keysOf(image).flatMap((arn) => {
      const key = estate.key(arn);
      const snapshot = snapshots.find((one) => one.key === arn)?.id;
      const asker = { account, organization, ...(snapshot === undefined ? {} : { snapshot }) };
      const answer = key ? mayUse(key, asker) : 'unknown';
      if (answer === 'unknown') {
        const reason = `whether account ${account} may use ${arn} could not be told`;
        doubt?.({ part: 'key policies', call: 'kms:GetKeyPolicy', resource: image.id, reason });
      }
      return answer === 'no' ? [{ account, key: arn }] : [];
    }),
  );
}

/** What the consumers of images under this key need of it (P-16). */
function useStatement(sid: string, accounts: readonly string[], region: string): object {
  return {
    Sid: sid,
    Effect: 'Allow',
    Principal: { AWS: accounts.map((account) => `arn:${partitionOf(region)}:iam::${account}:root`) },
    Action: ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom', 'kms:CreateGrant'],
    Resource: '*',
    Condition: { StringEquals: { 'kms:ViaService': `ec2.${region}.amazonaws.com` } },
  };
}

const SID = 'UseOfSharedImages';

/**
 * The whole policy with one statement more, for all members that any image here under the key is shared with: a policy is
 * replaced as one, so that two mends of one key have to say the same. Where no statement helps, because another denies,
 * the policy is only shown.
 */
function letUse(key: KeyFacts, place: PlaceFacts, estate: EstateIndex): string[] {
  const at = [...inRegion(key.region), '--key-id', key.arn];
  const show = [awsCommand('kms', 'get-key-policy', ...at, '--query', 'Policy', '--output', 'text')];
  if (key.policy === undefined) return show;
  const shut = place.images.filter(isShared).flatMap((image) => shutOut(image, estate));
  const members = shut.filter((one) => one.key === key.arn && !isOutside(one.account, estate));
  const accounts = [...new Set(members.map(({ account }) => account))].sort();
  const document = JSON.parse(key.policy) as { readonly Statement: unknown };
  const statements = [document.Statement].flat() as { readonly Sid?: string }[];
  const taken = statements.filter(({ Sid = '' }) => Sid.startsWith(SID)).length;
  const added = useStatement(taken === 0 ? SID : `${SID}${taken + 1}`, accounts, key.region);
  const policy = JSON.stringify({ ...document, Statement: [...statements, added] });
  const { organization } = estate.estate;
  if (accounts.some((account) => mayUse({ ...key, policy }, { account, organization }) !== 'yes')) return show;
  return [awsCommand('kms', 'put-key-policy', ...at, '--policy-name', 'default', '--policy', policy)];
}

/** Members are let in; what strangers cannot use need not be shared with them. */
function mendOf(place: PlaceFacts, image: ImageFacts, shut: readonly ShutOut[], estate: EstateIndex): string[] {
  const members = shut.filter(({ account }) => !isOutside(account, estate));
  const strangers = new Set(shut.flatMap(({ account }) => (isOutside(account, estate) ? [account] : [])));
  const shares = (image.shares ?? []).filter(({ kind, value }) => kind === 'account' && strangers.has(value));
  const keys = [...new Set(members.map(({ key }) => key))].flatMap((arn) => estate.key(arn) ?? []);
  return [
    ...keys.flatMap((key) => letUse(key, place, estate)),
    ...(shares.length > 0 ? unshareImage(place.region, image.id, shares) : []),
  ];
}

export const KEY_SHARING_CHECKS: readonly Check[] = [
  {
    id: 'ING-SHR-007',
    title: 'Image is shared with an account that cannot use its key',
    severity: 'high',
    why: 'Launches there fail a minute after they were accepted, with a reason that names neither the key nor the permission.',
    needs: ['images', 'image permissions', 'snapshots', 'keys', 'key policies', 'key grants'],
    controls: CONTROLS.availability,
    find: (place, estate, doubt) =>
      place.images.filter(isShared).flatMap((image) => {
        const shut = shutOut(image, estate, doubt);
        if (shut.length === 0) return [];
        const accounts = [...new Set(shut.map(({ account }) => account))];
        return [
          {
            resource: imageResource(place.region, image.id, image.name),
            detail: `The key lets nobody in ${accounts.join(', ')} use it (${SOURCE_ACTION}).`,
            evidence: { shutOut: shut, action: SOURCE_ACTION },
            mend: mendOf(place, image, shut, estate),
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
];

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
