/**
 * The proof: whether each consumer can launch what is published for it, judged as `ingot doctor` judges, and where its
 * role can be assumed also asked of EC2 by a dry run.
 */
import { type Image, RunInstancesCommand } from '@aws-sdk/client-ec2';
import { parseArn } from '../../policy/arn.ts';
import { mapBounded } from '../bounded.ts';
import { type DeviceRequest, effectiveDevices } from '../foresee/devices.ts';
import { findKey, isEbsManagedAlias, keyProblem } from '../foresee/key.ts';
import { keyAccess, whyUnknown } from '../foresee/key-access.ts';
import { type KeyNeed, volumeNeeds } from '../foresee/needs.ts';
import { type Principal, readPrincipal } from '../foresee/principal.ts';
import { describeUnseen, type Views } from '../foresee/views.ts';
import { encryptionOf } from './image-steps.ts';
import type { Plan } from './plan.ts';
import { type PublishedImage, readDefaults, readPublished } from './published.ts';
import { targetAt } from './region-plan.ts';
import { type Site, siteKey } from './sites.ts';
import type { Encryption } from './step.ts';

export interface Proof {
  readonly account: string;
  readonly region: string;
  readonly imageId?: string;
  /** Who was judged: the role in the account, or its root user where the role cannot be assumed. */
  readonly principal: string;
  readonly verdict: 'can launch' | 'cannot launch' | 'not known';
  /** What a launch there is sealed under. */
  readonly encryption?: Encryption;
  /** Why not, or what could not be seen. */
  readonly why: readonly string[];
}

const CONSUMERS_AT_ONCE = 8;

export async function prove(plan: Plan, signal: AbortSignal): Promise<Proof[]> {
  const { manifest, sites, accounts } = plan;
  const read = new Map<string, Promise<PublishedImage | undefined>>();
  const imageAt = (site: Site) => {
    const at = siteKey(site);
    let image = read.get(at);
    if (!image) {
      image = readPublished(site, manifest, signal).then((one) => targetAt(one, manifest.version).available);
      read.set(at, image);
    }
    return image;
  };
  const everywhere = manifest.regions.flatMap(({ region }) => accounts.map((account) => ({ account, region })));
  const proofs = await mapBounded(everywhere, CONSUMERS_AT_ONCE, signal, async ({ account, region }) => {
    const reachable = (await sites.whyNotAssumable(account)) === undefined;
    const holder = sites.at(manifest.mode === 'reencrypt' ? account : sites.account, region);
    if (!holder.own && !reachable) return [];
    const image = await imageAt(holder);
    const principals = [
      readPrincipal(reachable ? sites.roleArn(account) : account, account, sites.partition),
      ...(manifest.autoScaling ? [readPrincipal('autoscaling', account, sites.partition)] : []),
    ];
    const views = await sites.views(region, reachable ? [account] : []);
    const there = reachable ? sites.at(account, region) : undefined;
    const judged: Proof[] = [];
    for (const principal of principals) {
      const told = { account, region, principal: principal.arn };
      if (!image) judged.push({ ...told, verdict: 'cannot launch', why: ['there is no image'] });
      else
        judged.push({
          ...told,
          imageId: image.imageId,
          ...(await judge(views, there, principal, image, holder, signal)),
        });
    }
    return judged;
  });
  return proofs.flat();
}

async function judge(
  views: Views,
  there: Site | undefined,
  principal: Principal,
  image: PublishedImage,
  holder: Site,
  signal: AbortSignal,
): Promise<Pick<Proof, 'verdict' | 'why' | 'encryption'>> {
  const denied: string[] = [];
  const unknown: string[] = [];
  const defaults = there && (await readDefaults(there, signal));
  const own = holder.account === principal.account;
  const devices = devicesOf(image, own);
  const effective = effectiveDevices(devices, defaults ?? { encryptionByDefault: false, defaultKey: 'alias/aws/ebs' });
  const needs = effective.flatMap(volumeNeeds);
  for (const need of needs) {
    // What its own default key allows is for the account to know.
    if (need.side === 'target' && !defaults) continue;
    await judgeNeed(views, principal, need, denied, unknown);
  }
  if (!defaults) unknown.push(`the default key of ${principal.account} is not seen: its role cannot be assumed`);
  else if (principal.kind === 'role') denied.push(...(await dryRun(there!, image.image, signal, unknown)));
  const verdict = denied.length > 0 ? 'cannot launch' : unknown.length > 0 ? 'not known' : 'can launch';
  const why = [...new Set([...denied, ...unknown])];
  return { verdict, why, ...(defaults ? { encryption: encryptionOf(effective) } : {}) };
}

function devicesOf({ image, keyArn }: PublishedImage, own: boolean): DeviceRequest[] {
  return (image.BlockDeviceMappings ?? []).flatMap(({ DeviceName, Ebs }) => {
    if (!Ebs) return [];
    const source = Ebs.SnapshotId && {
      snapshotId: Ebs.SnapshotId,
      own,
      encrypted: Ebs.Encrypted === true,
      ...(keyArn ? { keyArn } : {}),
    };
    return [{ deviceName: DeviceName ?? '', ...(source ? { source } : {}) }];
  });
}

async function judgeNeed(
  views: Views,
  principal: Principal,
  { key, actions, ebsId, side }: KeyNeed,
  denied: string[],
  unknown: string[],
): Promise<void> {
  // The AWS managed key lets its whole account use it, and is made when it is first needed (D-8, D-9).
  if (key === undefined || isEbsManagedAlias(key)) return;
  const seen = await findKey(views, key, principal.account);
  if (!seen.seen) unknown.push(describeUnseen(seen));
  const problem = seen.seen ? keyProblem(seen.value, views.region) : undefined;
  if (problem !== undefined) {
    denied.push(
      `the ${side === 'source' ? 'key of the image' : 'key of the volumes'} ${key} is ${problem.replaceAll('-', ' ')}`,
    );
    return;
  }
  const found =
    seen.seen && seen.value !== 'missing' ? seen.value : { arn: key, account: parseArn(key)?.account ?? '' };
  const verdicts = await keyAccess(views, {
    principal,
    key: found,
    actions,
    ...(ebsId === undefined ? {} : { ebsId }),
  });
  for (const one of verdicts) {
    if (one.verdict === 'denied') denied.push(`${one.action} on ${one.keyArn} is denied: ${one.because}`);
    if (one.verdict === 'unknown') unknown.push(...whyUnknown(one));
  }
}

const REFUSED =
  /^(AuthFailure|UnauthorizedOperation|InvalidAMIID\.(NotFound|Unavailable)|InvalidParameter(Dependency|Combination))$/;

/** What EC2 itself says; a dry run does not look at keys (RI-5). */
async function dryRun({ aws }: Site, image: Image, signal: AbortSignal, unknown: string[]): Promise<string[]> {
  const InstanceType = image.Architecture === 'arm64' ? 't4g.micro' : 't3.micro';
  const command = new RunInstancesCommand({
    ImageId: image.ImageId,
    MinCount: 1,
    MaxCount: 1,
    InstanceType,
    DryRun: true,
  });
  try {
    await aws.ec2.send(command, { abortSignal: signal });
    return [];
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof Error)) throw error;
    if (error.name === 'DryRunOperation') return [];
    if (REFUSED.test(error.name)) return [`a dry run of the launch says ${error.name}: ${error.message}`];
    unknown.push(`a dry run of the launch could not be made: ${error.name}`);
    return [];
  }
}

/** The consumers that cannot launch: what makes an apply fail. */
export const failing = (proofs: readonly Proof[]) => proofs.filter(({ verdict }) => verdict === 'cannot launch');
