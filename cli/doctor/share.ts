/** Sharing: may this image or snapshot be shared with an account, or with everybody (faults 8 to 11)? */
import { GetImageBlockPublicAccessStateCommand, GetSnapshotBlockPublicAccessStateCommand } from '@aws-sdk/client-ec2';
import { copyImageMend, copySnapshotMend, unblockPublicImagesMend } from '../foresee/image-mends.ts';
import { ebsDefaultsOf, imageIn, snapshotIn } from '../foresee/images.ts';
import { findKey, isEbsManagedAlias, keyPolicy } from '../foresee/key.ts';
import { keyAccess } from '../foresee/key-access.ts';
import { keyPolicyMend } from '../foresee/key-mends.ts';
import { type Mend, mendOf } from '../foresee/mend.ts';
import { readPrincipal } from '../foresee/principal.ts';
import { ebsUseStatements } from '../foresee/statements.ts';
import type { Case } from './diagnosis.ts';

export interface Share {
  readonly subject: string;
  /** Account id, or `all`; absent where only whether it can be shared at all is asked. */
  readonly with?: string;
  /** Key of a copy that can be shared. */
  readonly kmsKeyId?: string;
}

interface Stored {
  readonly snapshotId: string;
  readonly keyArn: string;
}

export async function diagnoseShare(found: Case, share: Share): Promise<void> {
  const { ledger, views, principal } = found;
  const isImage = share.subject.startsWith('ami-');
  const snapshots = isImage ? await snapshotsOfImage(found, share.subject) : [share.subject];
  if (!snapshots) return;
  const sealed: Stored[] = [];
  for (const snapshotId of snapshots) {
    const seen = await snapshotIn(views, principal.account, snapshotId);
    if (!seen.seen) return ledger.notSeen(seen);
    if (seen.value === 'missing' || seen.value.OwnerId !== principal.account) return notOwner(found, snapshotId);
    if (seen.value.Encrypted) sealed.push({ snapshotId, keyArn: seen.value.KmsKeyId ?? '' });
    ledger.ok(`${snapshotId} is ${seen.value.Encrypted ? `encrypted under ${seen.value.KmsKeyId}` : 'plain'}`);
  }
  for (const one of sealed) if (await isManaged(found, one.keyArn)) return underManagedKey(found, share, one, isImage);
  if (share.with === 'all') return forEveryone(found, share.subject, sealed, isImage);
  if (share.with === undefined) return;
  for (const keyArn of new Set(sealed.map((one) => one.keyArn))) await keyForConsumer(found, keyArn, share.with);
  ledger.ok(`${share.subject} can be shared with account ${share.with}`);
}

async function snapshotsOfImage(found: Case, imageId: string): Promise<string[] | undefined> {
  const { ledger, views, principal } = found;
  const seen = await imageIn(views, principal.account, imageId);
  if (!seen.seen) ledger.notSeen(seen);
  else if (seen.value === 'missing' || seen.value.OwnerId !== principal.account) notOwner(found, imageId);
  else return (seen.value.BlockDeviceMappings ?? []).flatMap(({ Ebs }) => (Ebs?.SnapshotId ? [Ebs.SnapshotId] : []));
  return undefined;
}

function notOwner({ ledger, principal }: Case, subject: string): void {
  ledger.fault({
    fault: 'not-the-owner',
    title: `${subject} is not account ${principal.account}'s: only its owner shares it`,
    symptom: 'The call answers AuthFailure.',
  });
}

async function isManaged({ views, principal, ledger }: Case, keyArn: string): Promise<boolean> {
  if (isEbsManagedAlias(keyArn)) return true;
  const key = await findKey(views, keyArn, principal.account);
  if (!key.seen) ledger.notSeen(key);
  return key.seen && key.value !== 'missing' && key.value.awsManaged;
}

async function underManagedKey(
  found: Case,
  share: Share,
  { snapshotId, keyArn }: Stored,
  isImage: boolean,
): Promise<void> {
  const { ledger, views, principal } = found;
  const place = { region: views.region, account: principal.account };
  const defaults = await ebsDefaultsOf(views, principal.account);
  const own = defaults.seen && !isEbsManagedAlias(defaults.value.defaultKey) ? defaults.value.defaultKey : undefined;
  const KmsKeyId = share.kmsKeyId ?? own;
  const common = { SourceRegion: views.region, Encrypted: true, ...(KmsKeyId ? { KmsKeyId } : {}) };
  const title = `Copy ${share.subject} under a customer managed key, and share the copy`;
  const copied = isImage
    ? copyImageMend(
        place,
        { ...common, SourceImageId: share.subject, Name: await nameOfCopy(found, share.subject) },
        title,
      )
    : copySnapshotMend(place, { ...common, SourceSnapshotId: share.subject }, title);
  ledger.fault({
    fault: isImage ? 'F08' : 'F09',
    title: `${snapshotId} is under the AWS managed key of EBS, which nobody can share`,
    symptom: isImage
      ? "ModifyImageAttribute answers InvalidParameter: Snapshots encrypted with the AWS Managed CMK can't be shared."
      : 'ModifySnapshotAttribute answers OperationNotPermitted: Encrypted snapshots with EBS default key cannot be shared.',
    key: keyArn,
    details: [],
    mends: [KmsKeyId ? copied : withoutKey(copied)],
  });
}

async function nameOfCopy({ views, principal }: Case, imageId: string): Promise<string> {
  const seen = await imageIn(views, principal.account, imageId);
  const name = seen.seen && seen.value !== 'missing' ? seen.value.Name : undefined;
  return `${(name ?? imageId).slice(0, 110)} (shareable)`;
}

/** Which key is the person's choice. */
function withoutKey(mend: Mend): Mend {
  return mendOf({
    ...mend,
    calls: [],
    note: 'Say which customer managed key with --kms-key: the account has none as its default.',
  });
}

async function forEveryone(found: Case, subject: string, sealed: readonly Stored[], isImage: boolean): Promise<void> {
  const { ledger, views, principal } = found;
  const [first] = sealed;
  if (first) {
    return ledger.fault({
      fault: 'F10',
      title: `${subject} cannot be public: ${first.snapshotId} is encrypted`,
      symptom: isImage
        ? "ModifyImageAttribute answers UnsupportedOperation: Encrypted snapshots can't be shared publicly."
        : 'ModifySnapshotAttribute answers OperationNotPermitted: Encrypted snapshots cannot be shared publicly.',
      key: first.keyArn,
      details: [
        'Nothing makes an encrypted snapshot plain again. Share it by account, or build the image where encryption by default is off.',
      ],
    });
  }
  const place = { what: 'block public access', account: principal.account };
  const state = isImage
    ? await views.look(
        { ...place, wants: 'ec2:GetImageBlockPublicAccessState' },
        async ({ ec2 }) => (await ec2.send(new GetImageBlockPublicAccessStateCommand({}))).ImageBlockPublicAccessState,
      )
    : await views.look(
        { ...place, wants: 'ec2:GetSnapshotBlockPublicAccessState' },
        async ({ ec2 }) => (await ec2.send(new GetSnapshotBlockPublicAccessStateCommand({}))).State,
      );
  if (!state.seen) return ledger.notSeen(state);
  if (state.value === 'unblocked') return ledger.ok(`${subject} can be shared with everybody`);
  ledger.fault({
    fault: 'F11',
    title: `public access to ${isImage ? 'AMIs' : 'snapshots'} is blocked in account ${principal.account} (${state.value})`,
    symptom: isImage
      ? 'ModifyImageAttribute answers OperationNotPermitted: block public access for AMIs is enabled for this account.'
      : 'ModifySnapshotAttribute answers OperationNotPermitted.',
    mends: isImage ? [unblockPublicImagesMend({ region: views.region, account: principal.account })] : [],
  });
}

/** Sharing gives no right on the key (SH-13, SH-28): whether its policy lets the consumer in is looked at here. */
async function keyForConsumer(found: Case, keyArn: string, consumer: string): Promise<void> {
  const { ledger, views, principal } = found;
  const policy = await keyPolicy(views, keyArn);
  if (!policy.seen) return ledger.notSeen(policy);
  const root = readPrincipal(consumer, consumer, views.partition);
  const verdicts = await keyAccess(views, {
    principal: root,
    key: { arn: keyArn, account: principal.account },
    actions: ['kms:ReEncryptFrom', 'kms:CreateGrant'],
  });
  const denied = verdicts.flatMap((one) => (one.verdict === 'denied' && one.layer === 'resource' ? [one] : []));
  const [first] = denied;
  if (!first) return ledger.ok(`the key policy of ${keyArn} lets account ${consumer} in`);
  const names = policy.value.document.includes(`:${consumer}:`);
  if (names && !first.explicit) return ledger.ok(`the key policy of ${keyArn} names principals of account ${consumer}`);
  const statements = ebsUseStatements({
    side: 'source',
    regions: [views.region],
    name: `Account${consumer}`,
    principals: [root.arn],
  });
  const title = `Let account ${consumer} use ${keyArn} through EBS, in its key policy`;
  ledger.fault({
    fault: 'key-not-shared',
    title: `the key policy of ${keyArn} does not let account ${consumer} use it: what is shared could not be opened there`,
    symptom: 'Sharing succeeds, and every launch and copy in the other account fails.',
    key: keyArn,
    principal: root.arn,
    actions: denied.map(({ action }) => action),
    mends: [keyPolicyMend(keyArn, statements, policy.value.document, title)],
  });
}
