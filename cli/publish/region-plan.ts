/** What is to be done in one region: its image, who may read it, and the copies of the accounts. */
import { DescribeImagesCommand, GetImageBlockPublicAccessStateCommand } from '@aws-sdk/client-ec2';
import { parseArn } from '../../policy/arn.ts';
import { AWS_MANAGED_KEY, type DeviceRequest, type EffectiveDevice, effectiveImageCopy } from '../foresee/devices.ts';
import { keyAccess } from '../foresee/key-access.ts';
import { copyNeeds } from '../foresee/needs.ts';
import { type Principal, readPrincipal } from '../foresee/principal.ts';
import type { Views } from '../foresee/views.ts';
import { copyStep, encryptionOf, keyName, STAGING } from './image-steps.ts';
import { keySteps } from './key-steps.ts';
import type { Manifest } from './manifest.ts';
import {
  imageName,
  type Published,
  type PublishedImage,
  type Reader,
  readPublished,
  snapshotIdsOf,
} from './published.ts';
import type { Refusals } from './refusal.ts';
import { resolveSiteKey, type SiteKey } from './region-key.ts';
import { partVersions } from './retention.ts';
import { grantStep, lendStep, readGrants, revokeStep, shareStep, withdrawStep } from './share-steps.ts';
import { type Site, type Sites, siteKey } from './sites.ts';
import { importStep } from './source.ts';
import type { Encryption, Step } from './step.ts';

export interface Context {
  readonly manifest: Manifest;
  readonly sites: Sites;
  /** Account ids the image is for, the publisher aside. */
  readonly accounts: readonly string[];
  /** Whether these are all: units and the organization could be listed. */
  readonly listed: boolean;
  /** Those whose role can be assumed, of these and of the accounts of launch templates. */
  readonly reachable: readonly string[];
  readonly refusals: Refusals;
  readonly signal: AbortSignal;
  /** The tag `ingot:publish/source`; undefined where the disk is not here and need not be. */
  readonly source: string | undefined;
}

export interface RegionState {
  readonly site: Site;
  readonly views: Views;
  readonly published: Published;
  readonly key: SiteKey | undefined;
}

/** Accounts the image is for, whose role can be assumed. */
export const consumersOf = ({ accounts, reachable }: Context) => accounts.filter((one) => reachable.includes(one));

/** Its key is refused: what would be done there cannot be told. */
export const isKeyless = ({ manifest }: Context, { key }: RegionState) => manifest.encrypted && key === undefined;

/** The image of the version at a site: as it should be, on its way, or failed. */
export function targetAt({ images }: Published, version: string) {
  const mine = images.filter((image) => image.version === version);
  return {
    available: mine.find(({ state }) => state === 'available'),
    pending: mine.find(({ state }) => state === 'pending'),
    failed: mine.filter(({ state }) => !['available', 'pending', 'disabled'].includes(state)),
  };
}

/** Refuses names and versions that stand for something else already. */
export function checkTarget(context: Context, { site, published }: RegionState, key: SiteKey | undefined): void {
  const { manifest, refusals, source } = context;
  const where = site.own ? site.region : siteKey(site);
  const mine = published.images.filter(({ version }) => version === manifest.version);
  const { named } = published;
  if (named && !mine.some(({ imageId }) => imageId === named.ImageId)) {
    const message = `${named.ImageId} has the name ${imageName(manifest)} and is no version of ${manifest.name}.`;
    refusals.add('name-taken', where, message, 'publish another version, or deregister that AMI');
  }
  const found = mine.find(({ state }) => state === 'available' || state === 'pending');
  if (!found) return;
  const mend = 'what is published stays as it is: publish a new version';
  if (source !== undefined && found.source !== source) {
    const message = `${found.imageId} is version ${manifest.version} already, made from ${found.source}, not from ${source}.`;
    refusals.add('version-differs', where, message, mend);
  }
  if (found.keyArn !== undefined && key?.kind === 'customer' && found.keyArn !== key.arn) {
    const message = `${found.imageId} is under ${found.keyArn}, and the manifest says ${key.arn}.`;
    refusals.add('version-differs', where, message, mend);
  }
}

/** Keys that cannot be shared, and images that could not be public, before anything is made. */
export async function checkSharing(context: Context, state: RegionState, given: string | undefined): Promise<void> {
  const { manifest, refusals, signal } = context;
  const { site, key, published } = state;
  if (manifest.audience.everyone) {
    const command = new GetImageBlockPublicAccessStateCommand({});
    const { ImageBlockPublicAccessState: block } = await site.aws.ec2.send(command, { abortSignal: signal });
    if (block !== undefined && block !== 'unblocked') {
      const message = `Public sharing of AMIs is blocked in ${site.region} (${block}).`;
      refusals.add(
        'public-blocked',
        site.region,
        message,
        `aws ec2 disable-image-block-public-access --region ${site.region}`,
      );
    }
    return;
  }
  if (readersOf(context).length === 0) return;
  if (key?.kind === 'managed') {
    const mend = 'name a customer managed key of this region';
    const message = `AMIs under the AWS managed key ${AWS_MANAGED_KEY} can be shared with nobody.`;
    if (given === undefined) {
      const default_ = `No key is given for ${site.region}, and the default key for EBS there is ${published.defaults.defaultKey}. `;
      refusals.add('no-key', site.region, default_ + message, mend);
    } else refusals.add('key-aws-managed', site.region, message, mend);
  } else if (key && key.account !== site.account) {
    const message = `${key.arn} belongs to account ${key.account}: its policy cannot be opened to consumers from here.`;
    refusals.add(
      'key-foreign',
      site.region,
      message,
      `name a key of account ${site.account}, or publish from ${key.account}`,
    );
  }
}

/** Who may read the image of a region when all is done (share), or while it is copied (reencrypt). */
export function readersOf({ manifest, sites, accounts }: Context): Reader[] {
  const { audience, mode } = manifest;
  if (mode === 'reencrypt') return accounts.map((account) => `account:${account}`);
  return [
    ...audience.accounts.filter((account) => account !== sites.account).map((account) => `account:${account}`),
    ...(audience.organization === undefined ? [] : [`organization:${audience.organization}`]),
    ...audience.organizationalUnits.map((arn) => `unit:${arn}`),
    ...(audience.everyone ? ['everyone'] : []),
  ].sort();
}

/** Makes the image of the region. `devices` are those of the source; a disk's are told by its region's image. */
export async function imageSteps(
  context: Context,
  state: RegionState,
  devices: readonly DeviceRequest[],
  from: { readonly region: string; readonly imageId?: string; readonly site?: string },
): Promise<Step[]> {
  const { manifest, source, refusals } = context;
  const { site, published, key } = state;
  const target = targetAt(published, manifest.version);
  if (target.available || source === undefined || isKeyless(context, state)) return [];
  if (manifest.source.kind === 'disk' && site.region === manifest.home) {
    const begun = published.loose.filter((one) => one.version === manifest.version && one.source === source);
    return [importStep({ site, manifest, source, key, begun, encryption: madeOf(state) })];
  }
  const effective = effectiveImageCopy(asked(devices, key), site.region === from.region, published.defaults);
  const encryption = encryptionOf(effective);
  await checkUse(context, state, readPrincipal(context.sites.arn, context.sites.account), effective);
  if (manifest.audience.everyone && encryption.encrypted) refusePublic(refusals, site, encryption);
  const { pending, failed } = target;
  const begun = { ...(pending ? { pending } : {}), failed };
  return [copyStep({ site, manifest, source, key, begun, from, encryption, stage: 'copy' })];
}

/** Whoever makes a copy needs the keys on both sides (3.2); without, the copy is accepted and fails later (CS-6). */
async function checkUse(
  { refusals, sites }: Context,
  { site, views }: RegionState,
  principal: Principal,
  devices: readonly EffectiveDevice[],
): Promise<void> {
  for (const { key, actions, ebsId } of devices.flatMap((device) => copyNeeds(device, 'copy-image'))) {
    const parts = key === undefined ? undefined : parseArn(key);
    // Of aws/ebs the whole account has the use; a key in another region is looked at by the eyes of that one.
    if (key === undefined || !parts || parts.account === '') continue;
    const eyes = parts.region === site.region ? views : await sites.views(parts.region, [site.account]);
    const found = { arn: key, account: parts.account };
    const verdicts = await keyAccess(eyes, {
      principal,
      key: found,
      actions,
      ...(ebsId === undefined ? {} : { ebsId }),
    });
    for (const one of verdicts) {
      if (one.verdict !== 'denied') continue;
      const message = `The copy would fail: ${one.action} on ${key} is denied to ${principal.arn}: ${one.because}.`;
      const where = site.own ? site.region : siteKey(site);
      refusals.add('key-denied', where, message, `allow ${one.action} on it to ${principal.arn}, through EC2`);
    }
  }
}

export function refusePublic(refusals: Refusals, { region }: Site, { key, why }: Encryption): void {
  const message = `The AMI in ${region} would be encrypted under ${key} (${why}), and encrypted AMIs cannot be public.`;
  refusals.add('public-encrypted', region, message, 'publish from an account and region without encryption by default');
}

const asked = (devices: readonly DeviceRequest[], key: SiteKey | undefined): DeviceRequest[] =>
  devices.map(({ deviceName, source }) => ({
    deviceName,
    ...(source ? { source } : {}),
    ...(key ? { encrypted: true } : {}),
    ...(key?.kind === 'customer' ? { kmsKeyId: key.arn } : {}),
  }));

/** What a disk brought into the region is sealed under (table 6.3). */
export function madeOf({ key, published: { defaults } }: RegionState): Encryption {
  if (key) return { encrypted: true, key: keyName(key), why: key.why };
  if (!defaults.encryptionByDefault) return { encrypted: false, why: 'the manifest asks for none' };
  return { encrypted: true, key: defaults.defaultKey, why: 'encryption by default is on' };
}

/** Key policy, grants and launch permissions in mode `share`. */
export async function shareSteps(context: Context, state: RegionState): Promise<Step[]> {
  const { manifest, sites, refusals, signal } = context;
  const { site, views, published, key } = state;
  const readers = readersOf(context);
  const target = targetAt(published, manifest.version).available;
  const steps: Step[] = [];
  if (key?.kind === 'customer' && key.account === site.account) {
    const autoScaling = manifest.autoScaling ? consumersOf(context) : [];
    const wanted = { name: manifest.name, partition: sites.partition, region: site.region, autoScaling };
    const all = [...new Set([...readers, ...otherReaders(context, state, key.arn)])].sort();
    const during = { ...wanted, readers: all };
    steps.push(...(await keySteps({ site, views, keyArn: key.arn, during, after: all, refusals, signal })));
    steps.push(...(await grantSteps(context, state, key.arn)));
  }
  const add = readers.filter((reader) => !target?.readers.includes(reader));
  const remove = target?.readers.filter((reader) => !readers.includes(reader)) ?? [];
  if (add.length + remove.length > 0) steps.push(shareStep(site, target, add, remove));
  return steps;
}

/** Readers of other versions that stay, under the same key: one set of statements serves them all. */
function otherReaders({ manifest }: Context, { published }: RegionState, keyArn: string): Reader[] {
  const { surplus } = partVersions(published.images, manifest.version, manifest.keep);
  return published.images
    .filter((image) => image.version !== manifest.version && image.keyArn === keyArn && !surplus.includes(image))
    .flatMap((image) => image.readers)
    .filter((reader) => reader !== 'everyone');
}

async function grantSteps(context: Context, { site }: RegionState, keyArn: string): Promise<Step[]> {
  const { manifest, sites } = context;
  const grants = await readGrants(site, keyArn, manifest.name);
  const wanted = manifest.autoScaling ? consumersOf(context) : [];
  const accountOf = (grantee: string) => grantee.split(':')[4] ?? '';
  const missing = wanted.filter((account) => !grants.some(({ grantee }) => accountOf(grantee) === account));
  const stray = grants.filter(({ grantee }) => !wanted.includes(accountOf(grantee)));
  return [
    ...missing.map((account) => grantStep(sites.at(account, site.region), sites, keyArn, manifest.name)),
    ...stray.map((grant) => revokeStep(site, keyArn, grant, 'share')),
  ];
}

/** What one account has of the image in one region, in mode `reencrypt`. */
export interface AccountState extends RegionState {
  readonly target: ReturnType<typeof targetAt>;
}

export async function readAccount(context: Context, account: string, region: string): Promise<AccountState> {
  const { manifest, sites, refusals, signal } = context;
  const site = sites.at(account, region);
  const [published, views] = await Promise.all([readPublished(site, manifest, signal), sites.views(region, [account])]);
  const given = manifest.keyOf(account);
  const key = await resolveSiteKey(site, views, given, published.defaults.defaultKey, refusals);
  const state = { site, views, published, key };
  checkTarget(context, state, key);
  return { ...state, target: targetAt(published, manifest.version) };
}

/** Opening the region's image for the time of the copies, the copies, and closing it again. */
export async function reencryptSteps(
  context: Context,
  state: RegionState,
  accounts: readonly AccountState[],
): Promise<Step[]> {
  const { manifest, sites, refusals, signal } = context;
  const { site, views, published, key } = state;
  const own = targetAt(published, manifest.version).available;
  const source = context.source ?? own?.source;
  const lacking = accounts.filter((one) => !one.target.available && source !== undefined && !isKeyless(context, one));
  const toLend = lacking.filter(({ target }) => !target.pending).map((one) => one.site.account);
  const reading = lacking.map((one) => `account:${one.site.account}`);
  const steps: Step[] = [];
  if (key?.kind === 'customer' && key.account === site.account) {
    const wanted = { name: manifest.name, partition: sites.partition, region: site.region, autoScaling: [] };
    const after = otherReaders(context, state, key.arn);
    const during = { ...wanted, readers: [...new Set([...after, ...reading])].sort() };
    steps.push(...(await keySteps({ site, views, keyArn: key.arn, during, after, refusals, signal })));
  }
  const snapshotsOf = snapshotReader(site, signal);
  if (toLend.length > 0) steps.push(lendStep(site, own, toLend, snapshotsOf));
  for (const itself of lacking) {
    const { site: there, key: itsKey, published: its, target } = itself;
    const device = { deviceName: '', source: { snapshotId: '', own: false, encrypted: key !== undefined } };
    const effective = effectiveImageCopy(asked([device], itsKey), true, its.defaults);
    const encryption = encryptionOf(effective);
    const { account } = there;
    if (!target.pending) await checkUse(context, itself, readPrincipal(sites.roleArn(account), account), effective);
    const begun = { ...(target.pending ? { pending: target.pending } : {}), failed: target.failed };
    const from = { region: site.region, ...(own ? { imageId: own.imageId } : {}), site: siteKey(site) };
    steps.push(
      copyStep({ site: there, manifest, source: source!, key: itsKey, begun, from, encryption, stage: 'reencrypt' }),
    );
  }
  const lent = [...new Set([...(own?.readers ?? []), ...toLend.map((account) => `account:${account}`)])];
  if (lent.length > 0) {
    steps.push(withdrawStep(site, own, lent, 'each account has its own copy by then', snapshotsOf));
  }
  return steps;
}

export function snapshotReader({ aws }: Site, signal: AbortSignal): (imageId: string) => Promise<string[]> {
  return async (imageId) => {
    const { Images } = await aws.ec2.send(new DescribeImagesCommand({ ImageIds: [imageId] }), { abortSignal: signal });
    return Images?.[0] ? snapshotIdsOf(Images[0]) : [];
  };
}

/** Where copies of the regions are made from, and its devices as far as they are known now. */
export function copySource(
  { manifest, sites }: Context,
  states: readonly RegionState[],
  staging: PublishedImage | undefined,
): { readonly region: string; readonly imageId?: string; readonly site?: string } {
  const { source, home: region } = manifest;
  if (source.kind === 'image') return { region, imageId: source.imageId };
  if (source.kind === 'instance') return { region, ...(staging ? { imageId: staging.imageId } : {}), site: STAGING };
  const first = states.find(({ site }) => site.region === region);
  const imageId = first && targetAt(first.published, manifest.version).available?.imageId;
  return { region, ...(imageId ? { imageId } : {}), site: siteKey(sites.at(sites.account, region)) };
}
