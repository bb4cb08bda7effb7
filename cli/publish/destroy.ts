/** Retiring one version: launch templates off it, sharing withdrawn, its images and snapshots gone, keys closed again. */
import type { Aws } from '../aws.ts';
import { CliError } from '../error.ts';
import { cleanStep, deleteSnapshotStep, removeStep } from './image-steps.ts';
import { keySteps } from './key-steps.ts';
import type { Manifest } from './manifest.ts';
import { type Published, type PublishedImage, readPublished } from './published.ts';
import { Refusals } from './refusal.ts';
import { snapshotReader } from './region-plan.ts';
import { readGrants, revokeStep, withdrawStep } from './share-steps.ts';
import { type Site, Sites } from './sites.ts';
import type { Step } from './step.ts';
import { moveBackSteps, usesOf } from './templates.ts';

export interface Retirement {
  readonly version: string;
  readonly steps: readonly Step[];
  /** Why it is refused: launch templates that point at it. */
  readonly hindrances: readonly string[];
  readonly notes: readonly string[];
}

export async function planRetirement(
  aws: Aws,
  manifest: Manifest,
  version: string,
  options: { readonly force?: boolean; readonly signal: AbortSignal },
): Promise<Retirement> {
  const { signal } = options;
  const sites = await Sites.of(aws, manifest.role);
  const accounts = await sites.accountsOf(manifest.audience);
  const reachable: string[] = [];
  const hindrances: string[] = [];
  const notes: string[] = [];
  for (const account of accounts) {
    const why = await sites.whyNotAssumable(account);
    if (why === undefined) reachable.push(account);
    else if (manifest.mode === 'reencrypt') hindrances.push(`the copies in ${account} cannot be reached: ${why}`);
    else
      notes.push(
        `Whether launch templates of ${account} use it is not seen: ${sites.roleArn(account)} is not assumable.`,
      );
  }
  const steps: Step[] = [];
  const regions = new Set([...manifest.regions.map(({ region }) => region), manifest.home]);
  for (const region of regions) {
    const own = sites.at(sites.account, region);
    const others = reachable.map((account) => sites.at(account, region));
    const copies = manifest.mode === 'reencrypt' ? others : [];
    const found: { readonly site: Site; readonly published: Published; readonly images: readonly PublishedImage[] }[] =
      [];
    for (const site of [own, ...copies]) {
      const published = await readPublished(site, manifest, signal);
      found.push({ site, published, images: published.images.filter((image) => image.version === version) });
    }
    const ids = found.flatMap(({ images }) => images.map(({ imageId }) => imageId));
    for (const site of [own, ...others]) {
      const { templates, instances } = await usesOf(site, ids);
      for (const [id, use] of new Map(templates.map((one) => [one.id, one]))) {
        const whose = `launch template ${use.name} of ${site.account} in ${region}`;
        const back = options.force ? await moveBackSteps(site, { id, name: use.name }, ids, signal) : undefined;
        if (back) steps.push(...back);
        else if (options.force) hindrances.push(`${whose} has no version with another image: delete or change it`);
        else
          hindrances.push(`${whose} launches it by version ${use.version}: move it, or give --force to move it back`);
      }
      for (const { instanceId } of instances) {
        notes.push(`${instanceId} of ${site.account} in ${region} was launched from it, and goes on running.`);
      }
    }
    for (const { site, published, images } of found) {
      for (const image of images) {
        if (image.readers.length > 0) {
          const read = snapshotReader(site, signal);
          steps.push(withdrawStep(site, image, image.readers, `version ${version} is retired`, read));
        }
        steps.push(removeStep(site, image, `version ${version} is retired`));
      }
      const staging = published.staging.filter((image) => image.version === version);
      steps.push(...staging.map((image) => ({ ...cleanStep(site, image), stage: 'retire' as const })));
      const loose = published.loose.filter((snapshot) => snapshot.version === version);
      steps.push(...loose.map((snapshot) => deleteSnapshotStep(site, snapshot, `version ${version} is retired`)));
    }
    steps.push(...(await closingSteps(sites, own, manifest, found[0]!.published, version, signal)));
  }
  return { version, steps, hindrances, notes };
}

/** Statements and grants that no other version needs, on every key that the version or its leftovers are under. */
async function closingSteps(
  sites: Sites,
  site: Site,
  manifest: Manifest,
  { images }: Published,
  version: string,
  signal: AbortSignal,
): Promise<Step[]> {
  const steps: Step[] = [];
  const refusals = new Refusals();
  const views = await sites.views(site.region, []);
  for (const keyArn of new Set(images.filter((one) => one.version === version).flatMap((one) => one.keyArn ?? []))) {
    const others = images.filter((image) => image.version !== version && image.keyArn === keyArn);
    const after = [...new Set(others.flatMap(({ readers }) => readers))]
      .filter((reader) => reader !== 'everyone')
      .sort();
    const grants = await readGrants(site, keyArn, manifest.name);
    const holders = grants.map(({ grantee }) => grantee.split(':')[4] ?? '');
    const autoScaling = after.length > 0 ? [...new Set(holders)].sort() : [];
    const wanted = {
      name: manifest.name,
      partition: sites.partition,
      region: site.region,
      autoScaling,
      readers: after,
    };
    const changed = await keySteps({ site, views, keyArn, during: wanted, after, refusals, signal });
    steps.push(...changed.map((step) => ({ ...step, stage: 'close' as const })));
    if (after.length === 0) steps.push(...grants.map((grant) => revokeStep(site, keyArn, grant, 'close')));
  }
  if (refusals.all.length > 0)
    throw new CliError(refusals.all.map(({ message, mend }) => `${message} ${mend}`).join('\n'));
  return steps;
}

/** The order of a retirement: off the templates, out of hands, away. */
export const RETIREMENT_STAGES = ['template', 'withdraw', 'close', 'retire'] as const;
