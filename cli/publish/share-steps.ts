/** Steps that open an image to its consumers, and close it again: key policy, grants, launch and copy permissions. */
import {
  DescribeSnapshotAttributeCommand,
  ModifyImageAttributeCommand,
  ModifySnapshotAttributeCommand,
} from '@aws-sdk/client-ec2';
import { CreateServiceLinkedRoleCommand, GetRoleCommand, IAMClient } from '@aws-sdk/client-iam';
import {
  CreateGrantCommand,
  GetKeyPolicyCommand,
  PutKeyPolicyCommand,
  paginateListGrants,
  RevokeGrantCommand,
} from '@aws-sdk/client-kms';
import { autoScalingRole, GRANTED, type Merged, mergePolicy, type Wanted, wantedStatements } from './key-policy.ts';
import { type PublishedImage, permissionOf, type Reader } from './published.ts';
import { type Site, type Sites, siteKey } from './sites.ts';
import type { Step } from './step.ts';

export async function readKeyPolicy(site: Site, keyArn: string, signal: AbortSignal): Promise<string> {
  const command = new GetKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default' });
  const { Policy } = await site.aws.kms.send(command, { abortSignal: signal });
  return Policy ?? '{"Version":"2012-10-17","Statement":[]}';
}

export function keyPolicyStep(site: Site, keyArn: string, wanted: Wanted, merged: Merged, stage: Step['stage']): Step {
  const says = (verb: string, sids: readonly string[]) => (sids.length > 0 ? [`${verb} ${sids.join(', ')}`] : []);
  const what = [
    ...says('add', merged.added),
    ...says('change', merged.changed),
    ...says('remove', merged.removed),
  ].join('; ');
  return {
    stage,
    action: 'key-policy',
    account: site.account,
    region: site.region,
    what: `in the policy of ${keyArn}: ${what}`,
    why:
      wanted.readers.length > 0
        ? `it is for ${wanted.readers.map(readerName).join(', ')}`
        : 'nobody else needs the key',
    async perform({ signal }) {
      // Read anew: others may have changed it since the plan was made.
      const now = mergePolicy(await readKeyPolicy(site, keyArn, signal), wanted.name, wantedStatements(wanted));
      if (!now) return `the policy of ${keyArn} says so already`;
      const command = new PutKeyPolicyCommand({ KeyId: keyArn, PolicyName: 'default', Policy: now.policy });
      await site.aws.kms.send(command, { abortSignal: signal });
      return `the policy of ${keyArn}: ${what}`;
    },
  };
}

export const readerName = (reader: Reader) =>
  reader === 'everyone'
    ? reader
    : reader
        .slice(reader.indexOf(':') + 1)
        .split('/')
        .at(-1)!;

/** Launch permissions of the version's image in the site. */
export function shareStep(
  site: Site,
  known: PublishedImage | undefined,
  add: readonly Reader[],
  remove: readonly Reader[],
): Step {
  const what = [
    ...(add.length > 0 ? [`share it with ${add.map(readerName).join(', ')}`] : []),
    ...(remove.length > 0 ? [`take it back from ${remove.map(readerName).join(', ')}`] : []),
  ].join('; ');
  return {
    stage: 'share',
    action: 'share',
    account: site.account,
    region: site.region,
    what: known ? what.replace(/\bit\b/g, known.imageId) : what,
    why: remove.length > 0 ? 'the manifest says who it is for' : 'the manifest says so',
    async perform({ images, signal }) {
      const imageId = images.get(siteKey(site))!;
      await permit(site, imageId, add, [], signal);
      await permit(site, imageId, [], remove, signal);
      const told = [
        ...(add.length > 0 ? [`is shared with ${add.map(readerName).join(', ')}`] : []),
        ...(remove.length > 0 ? [`is taken back from ${remove.map(readerName).join(', ')}`] : []),
      ];
      return `${imageId} ${told.join(' and ')}`;
    },
  };
}

async function permit(
  { aws }: Site,
  ImageId: string,
  add: readonly Reader[],
  remove: readonly Reader[],
  signal: AbortSignal,
): Promise<void> {
  if (add.length + remove.length === 0) return;
  const LaunchPermission = {
    ...(add.length > 0 ? { Add: add.map(permissionOf) } : {}),
    ...(remove.length > 0 ? { Remove: remove.map(permissionOf) } : {}),
  };
  await aws.ec2.send(new ModifyImageAttributeCommand({ ImageId, LaunchPermission }), { abortSignal: signal });
}

/** For the time of the copies: the image and its snapshots, which copying asks for and launching does not (SH-16). */
export function lendStep(
  site: Site,
  known: PublishedImage | undefined,
  accounts: readonly string[],
  snapshotIdsOf: (imageId: string) => Promise<string[]>,
): Step {
  return {
    stage: 'share',
    action: 'share',
    account: site.account,
    region: site.region,
    what: `share it and its snapshots with ${accounts.join(', ')}`,
    why: 'for the time of their copies',
    async perform({ images, signal }) {
      const imageId = images.get(siteKey(site))!;
      const lacking = accounts.map((account) => `account:${account}`).filter((one) => !known?.readers.includes(one));
      await permit(site, imageId, lacking, [], signal);
      for (const id of await snapshotIdsOf(imageId)) {
        const have = await copiersOf(site, id, signal);
        await letCopy(
          site,
          id,
          'add',
          accounts.filter((account) => !have.includes(account)),
          signal,
        );
      }
      return `${imageId} and its snapshots are open to ${accounts.join(', ')}`;
    },
  };
}

/** Snapshots first: as long as the image is shared, what is left to do can be seen. */
export function withdrawStep(
  site: Site,
  known: PublishedImage | undefined,
  readers: readonly Reader[],
  why: string,
  snapshotIdsOf: (imageId: string) => Promise<string[]>,
  stage: Step['stage'] = 'withdraw',
): Step {
  const accounts = readers.filter((reader) => reader.startsWith('account:')).map((reader) => reader.slice(8));
  return {
    stage,
    action: 'withdraw',
    account: site.account,
    region: site.region,
    what: `take ${known?.imageId ?? 'it'} back from ${readers.map(readerName).join(', ')}`,
    why,
    async perform({ images, signal }) {
      const imageId = known?.imageId ?? images.get(siteKey(site))!;
      for (const id of accounts.length > 0 ? await snapshotIdsOf(imageId) : []) {
        const have = await copiersOf(site, id, signal);
        await letCopy(
          site,
          id,
          'remove',
          accounts.filter((account) => have.includes(account)),
          signal,
        );
      }
      await permit(site, imageId, [], readers, signal);
      return `${imageId} is shared with ${readers.map(readerName).join(', ')} no longer`;
    },
  };
}

/** Accounts that may copy the snapshot. */
async function copiersOf({ aws }: Site, SnapshotId: string, signal: AbortSignal): Promise<string[]> {
  const command = new DescribeSnapshotAttributeCommand({ SnapshotId, Attribute: 'createVolumePermission' });
  const { CreateVolumePermissions } = await aws.ec2.send(command, { abortSignal: signal });
  return (CreateVolumePermissions ?? []).flatMap(({ UserId }) => UserId ?? []);
}

async function letCopy(
  { aws }: Site,
  SnapshotId: string,
  OperationType: 'add' | 'remove',
  UserIds: string[],
  signal: AbortSignal,
): Promise<void> {
  if (UserIds.length === 0) return;
  const Attribute = 'createVolumePermission';
  const command = new ModifySnapshotAttributeCommand({ SnapshotId, Attribute, OperationType, UserIds });
  await aws.ec2.send(command, { abortSignal: signal });
}

export interface KeyGrant {
  readonly grantId: string;
  readonly grantee: string;
}

const grantName = (name: string) => `ingot-publish-${name}`;

/** Grants on the key that publications of this name have made. */
export async function readGrants({ aws }: Site, keyArn: string, name: string): Promise<KeyGrant[]> {
  const found: KeyGrant[] = [];
  for await (const page of paginateListGrants({ client: aws.kms }, { KeyId: keyArn })) {
    for (const { GrantId, GranteePrincipal, Name } of page.Grants ?? []) {
      if (Name === grantName(name)) found.push({ grantId: GrantId ?? '', grantee: GranteePrincipal ?? '' });
    }
  }
  return found;
}

/** A grant to Auto Scaling's role of the account, which no policy of that account can be attached to (P-13, P-14). */
export function grantStep(site: Site, sites: Sites, keyArn: string, name: string): Step {
  const role = autoScalingRole(sites.partition, site.account);
  return {
    stage: 'share',
    action: 'grant',
    account: site.account,
    region: site.region,
    what: `grant ${GRANTED.join(', ')} on ${keyArn} to AWSServiceRoleForAutoScaling`,
    why: "Auto Scaling of the account launches by this role, which a key policy of another account doesn't reach",
    async perform({ signal }) {
      const iam = site.aws.use(IAMClient);
      try {
        await iam.send(new GetRoleCommand({ RoleName: 'AWSServiceRoleForAutoScaling' }), { abortSignal: signal });
      } catch (error) {
        if (!(error instanceof Error && /^NoSuchEntity/.test(error.name))) throw error;
        const command = new CreateServiceLinkedRoleCommand({ AWSServiceName: 'autoscaling.amazonaws.com' });
        await iam.send(command, { abortSignal: signal });
      }
      const command = new CreateGrantCommand({
        KeyId: keyArn,
        Name: grantName(name),
        GranteePrincipal: role,
        Operations: [...GRANTED],
      });
      const { GrantId } = await site.aws.kms.send(command, { abortSignal: signal });
      return `${role} has the grant ${GrantId}`;
    },
  };
}

export function revokeStep(site: Site, keyArn: string, { grantId, grantee }: KeyGrant, stage: Step['stage']): Step {
  return {
    stage,
    action: 'grant',
    account: site.account,
    region: site.region,
    what: `revoke the grant ${grantId} of ${grantee} on ${keyArn}`,
    why: 'nobody needs it any more',
    async perform({ signal }) {
      await site.aws.kms.send(new RevokeGrantCommand({ KeyId: keyArn, GrantId: grantId }), { abortSignal: signal });
      return `the grant ${grantId} is revoked`;
    },
  };
}
