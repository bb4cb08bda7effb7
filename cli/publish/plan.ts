/** From the manifest and what is there now to the steps that remain. Nothing is changed here. */
import { stat } from 'node:fs/promises';
import type { Aws } from '../aws.ts';
import { mapBounded } from '../bounded.ts';
import { describeFailure } from '../error.ts';
import type { DeviceRequest } from '../foresee/devices.ts';
import { cleanStep, deleteSnapshotStep, deprecateStep, encryptionOf, removeStep, stagingStep } from './image-steps.ts';
import { foreseeLaunches, type Launch } from './launches.ts';
import type { Manifest } from './manifest.ts';
import { type Published, type PublishedImage, readDefaults, readPublished } from './published.ts';
import { type Refusal, Refusals } from './refusal.ts';
import { resolveSiteKey } from './region-key.ts';
import {
  type AccountState,
  type Context,
  checkSharing,
  checkTarget,
  consumersOf,
  copySource,
  imageSteps,
  isKeyless,
  madeOf,
  type RegionState,
  readAccount,
  reencryptSteps,
  refusePublic,
  shareSteps,
  targetAt,
} from './region-plan.ts';
import { partVersions } from './retention.ts';
import { Sites, siteKey, worksInAccounts } from './sites.ts';
import { checkDisk, identify, sourceDevices } from './source.ts';
import { STAGES, type Step } from './step.ts';
import { type FoundTemplate, readTemplate, templateEncryption, templateSteps, usesOf } from './templates.ts';

const REGIONS_AT_ONCE = 8;
const ACCOUNTS_AT_ONCE = 10;

export interface Plan {
  readonly manifest: Manifest;
  readonly sites: Sites;
  readonly steps: readonly Step[];
  readonly refusals: readonly Refusal[];
  /** What the plan leaves alone, or could not see. */
  readonly notes: readonly string[];
  /** The version's images that are there, by account and region. */
  readonly images: ReadonlyMap<string, string>;
  /** What launches of the consumers will be sealed under, as far as their accounts can be seen. */
  readonly launches: readonly Launch[];
  /** Account ids the image is for, the publisher aside. */
  readonly accounts: readonly string[];
}

export interface PlanOptions {
  readonly signal: AbortSignal;
  readonly now: Date;
  /** Retires surplus versions that something uses. */
  readonly force?: boolean;
}

export async function makePlan(aws: Aws, manifest: Manifest, options: PlanOptions): Promise<Plan> {
  const { signal } = options;
  const refusals = new Refusals();
  const notes: string[] = [];
  const sites = await Sites.of(aws, manifest.role);
  const { accounts, listed } = await accountsOf(sites, manifest, refusals, notes);
  const reachable = await reachableOf(sites, manifest, accounts, refusals, signal);

  const published = await readRegions(sites, manifest, refusals, signal);
  const complete =
    published.length === manifest.regions.length &&
    published.every((one) => targetAt(one, manifest.version).available !== undefined);
  const source = await sourceOf(manifest, complete, refusals, notes, signal);
  const context: Context = { manifest, sites, accounts, listed, reachable, refusals, signal, source };
  const states = await mapBounded(published, REGIONS_AT_ONCE, signal, async (one): Promise<RegionState> => {
    const { site, defaults } = one;
    const given = manifest.regions.find(({ region }) => region === site.region)?.key;
    const views = await sites.views(site.region, reachable);
    const key = manifest.encrypted
      ? await resolveSiteKey(site, views, given, defaults.defaultKey, refusals)
      : undefined;
    const state = { site, views, published: one, key };
    checkTarget(context, state, key);
    await checkSharing(context, state, given);
    return state;
  });

  const made = await sourceSteps(context, states, complete);
  const images = new Map<string, string>();
  const launches: Launch[] = [];
  const perRegion = await mapBounded(states, REGIONS_AT_ONCE, signal, (state) =>
    planRegion(context, state, made.devices, { ...options, notes, images, launches }),
  );
  const steps = [...made.steps, ...perRegion.flat()];
  const order = manifest.regions.map(({ region }) => region);
  launches.sort((one, other) => order.indexOf(one.region) - order.indexOf(other.region));
  steps.sort((one, other) => STAGES.indexOf(one.stage) - STAGES.indexOf(other.stage));
  return { manifest, sites, steps, refusals: refusals.all, notes: [...new Set(notes)], images, launches, accounts };
}

async function accountsOf(
  sites: Sites,
  manifest: Manifest,
  refusals: Refusals,
  notes: string[],
): Promise<Pick<Context, 'accounts' | 'listed'>> {
  const { audience } = manifest;
  try {
    return { accounts: await sites.accountsOf(audience), listed: true };
  } catch (error) {
    const message = `The accounts of the organization cannot be listed: ${describeFailure(error)}`;
    if (worksInAccounts(manifest)) {
      const mend = 'publish from the management account or a delegated administrator, or name accounts';
      refusals.add('organization-unseen', 'organization', message, mend);
    } else notes.push(`${message} What they may do is not checked.`);
    return { accounts: audience.accounts.filter((account) => account !== sites.account), listed: false };
  }
}

/** Accounts whose role can be assumed; those that have to be are refused otherwise. */
async function reachableOf(
  sites: Sites,
  manifest: Manifest,
  accounts: readonly string[],
  refusals: Refusals,
  signal: AbortSignal,
): Promise<string[]> {
  const ofTemplates = manifest.templates.flatMap(({ account }) => account ?? []);
  const needed = new Set([...(worksInAccounts(manifest) ? accounts : []), ...ofTemplates]);
  needed.delete(sites.account);
  const reachable: string[] = [];
  const asked = [...new Set([...accounts, ...needed])];
  const answers = await mapBounded(asked, ACCOUNTS_AT_ONCE, signal, (account) => sites.whyNotAssumable(account));
  asked.forEach((account, index) => {
    const why = answers[index];
    if (why === undefined) reachable.push(account);
    else if (needed.has(account)) {
      const message = `${sites.roleArn(account)} cannot be assumed by ${sites.arn}: ${why}`;
      const mend = `let its trust policy name ${sites.arn}, allow that sts:AssumeRole, or name another role (for.role)`;
      refusals.add('role-not-assumable', account, message, mend);
    }
  });
  return reachable;
}

async function readRegions(
  sites: Sites,
  manifest: Manifest,
  refusals: Refusals,
  signal: AbortSignal,
): Promise<Published[]> {
  const found = await mapBounded(manifest.regions, REGIONS_AT_ONCE, signal, async ({ region }) => {
    try {
      return await readPublished(sites.at(sites.account, region), manifest, signal);
    } catch (error) {
      signal.throwIfAborted();
      const mend = 'enable the region for the account, or allow ec2:Describe*, ec2:GetEbs* there';
      refusals.add('region-unreachable', region, describeFailure(error), mend);
      return undefined;
    }
  });
  return found.filter((one) => one !== undefined);
}

async function sourceOf(
  manifest: Manifest,
  complete: boolean,
  refusals: Refusals,
  notes: string[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const { source } = manifest;
  if (source.kind === 'disk') {
    const there = await stat(source.path).catch(() => undefined);
    if (!there?.isFile()) {
      if (complete) notes.push(`${source.path} is not here: what is published is not compared with it.`);
      else
        refusals.add('source-missing', 'source', `There is no disk ${source.path}.`, 'say where it is in source.disk');
      return undefined;
    }
    if (!complete) await checkDisk(manifest, refusals, signal);
  }
  return identify(manifest, signal);
}

/** What stands before and after all regions: the first image of a disk, the AMI of an instance, and its end. */
async function sourceSteps(
  context: Context,
  states: readonly RegionState[],
  complete: boolean,
): Promise<{ readonly steps: Step[]; readonly devices: readonly DeviceRequest[] }> {
  const { manifest, sites, refusals, signal, source } = context;
  const home = sites.at(sites.account, manifest.home);
  let staging: PublishedImage | undefined;
  let devices: DeviceRequest[] | undefined;
  const steps: Step[] = [];
  if (manifest.source.kind === 'instance') {
    const there = states.find(({ site }) => site.region === manifest.home)?.published;
    const read = there ?? (await readPublished(home, manifest, signal));
    const mine = read.staging.filter(({ version }) => version === manifest.version);
    staging = mine.find(({ state }) => state === 'available');
    const pending = mine.find(({ state }) => state === 'pending');
    if (staging || pending || !complete) steps.push(cleanStep(home, staging ?? pending));
    if (!complete) {
      const views = await sites.views(manifest.home, []);
      devices = await sourceDevices(home, views, manifest, refusals, signal);
      if (devices && !staging) {
        const failed = mine.filter((one) => one !== pending);
        const sealed = devices.map(({ deviceName, source: from }) => ({
          deviceName,
          why: 'as its volume',
          ...(from?.encrypted
            ? {
                outcome: 'encrypted' as const,
                choice: 'snapshot-key' as const,
                sameKey: true,
                ...(from.keyArn ? { key: from.keyArn } : {}),
              }
            : { outcome: 'plain' as const }),
        }));
        const begun = { ...(pending ? { pending } : {}), failed };
        steps.push(stagingStep(home, manifest, source!, begun, encryptionOf(sealed)));
      }
    }
  } else if (manifest.source.kind === 'image' && !complete) {
    devices = await sourceDevices(home, await sites.views(manifest.home, []), manifest, refusals, signal);
  } else if (manifest.source.kind === 'disk') {
    const first = states.find(({ site }) => site.region === manifest.home);
    if (first) devices = [diskDevice(context, first)];
  }
  if (!devices) return { steps, devices: [] };
  const from = copySource(context, states, staging);
  for (const state of states) steps.push(...(await imageSteps(context, state, devices, from)));
  return { steps, devices };
}

function diskDevice({ manifest, refusals }: Context, home: RegionState): DeviceRequest {
  const made = madeOf(home);
  if (manifest.audience.everyone && made.encrypted) refusePublic(refusals, home.site, made);
  const deviceName = manifest.source.kind === 'disk' ? manifest.source.rootDevice : '';
  const keyArn = home.key?.kind === 'customer' ? home.key.arn : undefined;
  const source = { snapshotId: '', own: true, encrypted: made.encrypted, ...(keyArn ? { keyArn } : {}) };
  return { deviceName, source };
}

interface RegionOptions extends PlanOptions {
  readonly notes: string[];
  readonly images: Map<string, string>;
  readonly launches: Launch[];
}

async function planRegion(
  context: Context,
  state: RegionState,
  devices: readonly DeviceRequest[],
  options: RegionOptions,
): Promise<Step[]> {
  const { manifest, sites, reachable, accounts, signal, refusals } = context;
  const { site, published } = state;
  const { images } = options;
  const own = targetAt(published, manifest.version).available;
  if (own) images.set(siteKey(site), own.imageId);
  const templates: FoundTemplate[] = [];
  for (const target of manifest.templates.filter(({ region }) => region === site.region)) {
    const account = target.account ?? sites.account;
    const isStranger = account !== sites.account && !accounts.includes(account) && !manifest.audience.everyone;
    if (isStranger && context.listed) {
      const message = `The launch template ${target.template} is in account ${account}, which the image is not for.`;
      refusals.add('template-stranger', site.region, message, 'name the account in for, or leave its template out');
    }
    if (account !== sites.account && !reachable.includes(account)) continue;
    const found = await readTemplate(sites.at(account, site.region), target, refusals, signal);
    if (found) templates.push(found);
  }
  if (isKeyless(context, state)) return [];
  const steps: Step[] = [];
  const copies: AccountState[] = [];
  if (manifest.mode === 'share') steps.push(...(await shareSteps(context, state)));
  else {
    const holders = consumersOf(context);
    copies.push(
      ...(await mapBounded(holders, ACCOUNTS_AT_ONCE, signal, (account) => readAccount(context, account, site.region))),
    );
    for (const { site: there, target } of copies) {
      if (target.available) images.set(siteKey(there), target.available.imageId);
    }
    steps.push(...(await reencryptSteps(context, state, copies)));
  }
  const stateOf = (account: string) => copies.find((one) => one.site.account === account);
  const launches = await foreseeLaunches(context, state, (account) =>
    seenBy(account, stateOf(account) ?? state, own, devices),
  );
  options.launches.push(...launches);
  for (const { account, region, problem } of launches) {
    if (problem) options.notes.push(`Launches in ${account} ${region} would fail: ${problem}.`);
  }
  for (const found of templates) {
    const { account } = found.site;
    const copy = stateOf(account);
    const at = copy ? siteKey(copy.site) : siteKey(site);
    const known = images.get(at);
    const defaults = account === sites.account ? published.defaults : await readDefaults(found.site, signal);
    const encryption = await templateEncryption(
      found,
      seenBy(account, copy ?? state, own, devices),
      defaults,
      (copy ?? state).views,
      refusals,
    );
    steps.push(...templateSteps(found, manifest, { ...(known ? { known } : {}), at }, encryption));
  }
  for (const one of [state, ...copies]) steps.push(...(await agingSteps(context, one, templates, options)));
  return steps;
}

/** The devices of the version's image, made or to be made, as a launch in the account sees them. */
function seenBy(
  account: string,
  { key, site, published }: RegionState,
  image: PublishedImage | undefined,
  source: readonly DeviceRequest[],
): DeviceRequest[] {
  const made = image?.image.BlockDeviceMappings?.flatMap(({ DeviceName, Ebs }) => (Ebs ? [DeviceName ?? ''] : []));
  const keyArn = key?.kind === 'customer' ? key.arn : undefined;
  const encrypted = key !== undefined || published.defaults.encryptionByDefault;
  const snapshot = { snapshotId: '', own: site.account === account, encrypted, ...(keyArn ? { keyArn } : {}) };
  const names = made ?? source.map(({ deviceName }) => deviceName);
  return names.map((deviceName) => ({ deviceName, source: snapshot }));
}

/** Deprecating and retiring older versions, and snapshots that a stopped removal left behind. */
async function agingSteps(
  context: Context,
  { site, published }: RegionState,
  moved: readonly FoundTemplate[],
  { now, force, notes }: RegionOptions,
): Promise<Step[]> {
  const { manifest, sites, reachable } = context;
  const { kept, surplus } = partVersions(published.images, manifest.version, manifest.keep);
  const steps: Step[] = [];
  const where = site.own ? site.region : siteKey(site);
  const used = new Map<string, string>();
  if (surplus.length > 0 && !force) {
    const ids = surplus.map(({ imageId }) => imageId);
    const lookers = [site, ...(site.own ? reachable.map((account) => sites.at(account, site.region)) : [])];
    for (const looker of lookers) {
      const { templates, instances } = await usesOf(looker, ids);
      for (const { id, name, imageId, isDefault } of templates) {
        // A template that this plan moves launches the new version afterwards, unless its default stays.
        const moving = moved.find((one) => one.id === id && one.site.account === looker.account);
        if (moving && (moving.target.setDefault || !isDefault)) continue;
        used.set(imageId, `launch template ${name}${looker.own ? '' : ` of ${looker.account}`}`);
      }
      for (const { instanceId, imageId } of instances) used.set(imageId, `instance ${instanceId}`);
    }
  }
  for (const image of surplus) {
    const by = used.get(image.imageId);
    if (by === undefined) steps.push(removeStep(site, image, `${manifest.keep} versions are kept`));
    else
      notes.push(`${where}: ${image.imageId} (${image.version}) is one too many and stays: ${by} uses it (--force).`);
  }
  const staying = [...kept, ...surplus.filter(({ imageId }) => used.has(imageId))];
  if (manifest.deprecateAfterDays !== undefined) {
    for (const image of staying) {
      if (image.state !== 'available' || image.deprecatedAt) continue;
      steps.push(deprecateStep(site, image, manifest.deprecateAfterDays, now));
    }
  }
  const target = targetAt(published, manifest.version).available;
  for (const snapshot of published.loose) {
    const left = snapshot.version === manifest.version ? target !== undefined : true;
    const hasImage = published.images.some(({ version }) => version === snapshot.version);
    if (snapshot.state === 'pending' || !left || (hasImage && snapshot.version !== manifest.version)) continue;
    steps.push(deleteSnapshotStep(site, snapshot, 'no AMI has it any more'));
  }
  return steps;
}
