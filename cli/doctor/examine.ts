/** From a subject and what is asked about it to the checks that answer. */
import type { Instance } from '@aws-sdk/client-ec2';
import { CliError, UsageError } from '../error.ts';
import type { DeviceOverride } from '../foresee/images.ts';
import { type Principal, readPrincipal } from '../foresee/principal.ts';
import type { Views } from '../foresee/views.ts';
import { diagnoseImageCopy, diagnoseSnapshotCopy } from './copy.ts';
import type { Case, Finding, Ledger } from './diagnosis.ts';
import { hintOf, mistakeFinding } from './error-text.ts';
import { diagnoseStart, instanceIn, lastCall, overridesInTrail, tellEnd } from './instance.ts';
import { diagnoseLaunch, type Launch } from './launch.ts';
import { diagnoseShare } from './share.ts';
import { launchOf, templateIn } from './template.ts';
import { eventsAbout } from './trail.ts';
import { diagnoseAttach, diagnoseCreateVolume, vanishedVolume, volumeIn } from './volume.ts';

export interface Question {
  readonly subject: string;
  readonly as?: string;
  /** Version of a launch template. */
  readonly version?: string;
  readonly encrypted?: boolean;
  readonly kmsKey?: string;
  readonly copyTo?: string;
  /** Account id or `all`. */
  readonly shareWith?: string;
  /** What a tool showed. */
  readonly error?: string;
}

/** What was looked at, for the report. */
export interface Examined {
  /** `request`: what was asked for is wrong by itself. */
  readonly task: Case['task'] | 'request';
  readonly principal: Principal;
  readonly region: string;
  /** Calls about the subject that failed for what they asked, by the trail; they do not keep it from being launched. */
  readonly past: readonly Finding[];
}

export async function examine(views: Views, question: Question, ledger: Ledger): Promise<Examined> {
  const { subject } = question;
  refuseStrays(question);
  const principal =
    question.as === undefined ? callerOf(views) : readPrincipal(question.as, views.account, views.partition);
  const hint = question.error === undefined ? undefined : hintOf(question.error);
  if (question.error !== undefined && !hint) ledger.notSeen('the error text is not one that the doctor knows');
  if (hint?.mistake) {
    ledger.fault(mistakeFinding(hint.mistake, `It answers: ${question.error}`));
    return { task: 'request', principal, region: views.region, past: [] };
  }
  const found = { views, principal, ledger };
  const past = await pastMistakes(found, subject);
  const told = (task: Case['task'], by = principal, region = views.region): Examined => ({
    task,
    principal: by,
    region,
    past,
  });
  const override = overrideOf(question);
  const sharing = question.shareWith ?? (hint?.share === 'all' ? 'all' : undefined);
  const isStored = /^(ami|snap)-/.test(subject);
  if (isStored && (sharing !== undefined || hint?.share)) {
    const share = { subject, ...(sharing ? { with: sharing } : {}) };
    await diagnoseShare(
      { ...found, task: 'share' },
      { ...share, ...(question.kmsKey ? { kmsKeyId: question.kmsKey } : {}) },
    );
    return told('share');
  }
  const copyTo = question.copyTo ?? (hint?.task?.startsWith('copy-') ? views.region : undefined);
  if (isStored && copyTo !== undefined) {
    const task = subject.startsWith('ami-') ? 'copy-image' : 'copy-snapshot';
    const there = { ...found, views: views.inRegion(copyTo), task } as const;
    const copy = { from: views.region, ...override };
    await (task === 'copy-image'
      ? diagnoseImageCopy(there, subject, copy)
      : diagnoseSnapshotCopy(there, subject, copy));
    return told(task, principal, copyTo);
  }
  if (subject.startsWith('ami-')) {
    await diagnoseLaunch({ ...found, task: 'launch' }, { imageId: subject, overrides: [override] });
    return told('launch');
  }
  if (subject.startsWith('snap-')) {
    await diagnoseCreateVolume({ ...found, task: 'create-volume' }, subject, override);
    return told('create-volume');
  }
  if (subject.startsWith('vol-')) return told(...(await examineVolume(found, question, override)));
  if (subject.startsWith('i-')) return told(...(await examineInstance(found, question, override)));
  await examineTemplate({ ...found, task: 'launch' }, question, override);
  return told('launch');
}

/** @throws {UsageError} for an option that would do nothing for this subject. */
function refuseStrays({ subject, version, copyTo, shareWith }: Question): void {
  if (copyTo !== undefined && shareWith !== undefined) {
    throw new UsageError('--copy-to and --share-with are two questions: ask one at a time.');
  }
  const isStored = /^(ami|snap)-/.test(subject);
  if (!isStored && (copyTo ?? shareWith) !== undefined) {
    throw new UsageError('--copy-to and --share-with are for an AMI or a snapshot.');
  }
  if (version !== undefined && (isStored || /^(vol|i)-/.test(subject))) {
    throw new UsageError('--version is for a launch template.');
  }
}

function callerOf({ arn, account }: Views): Principal {
  try {
    return readPrincipal(arn, account);
  } catch (cause) {
    // A federated user has no rights of its own that could be looked up.
    throw new UsageError(`The credentials are those of ${arn}: say with --as who is to launch it.`, { cause });
  }
}

type Found = Omit<Case, 'task'>;

function overrideOf({ encrypted, kmsKey }: Question): DeviceOverride {
  return { ...(encrypted === undefined ? {} : { encrypted }), ...(kmsKey === undefined ? {} : { kmsKeyId: kmsKey }) };
}

async function examineVolume(
  found: Found,
  { subject, as }: Question,
  override: DeviceOverride,
): Promise<[Case['task'], Principal]> {
  const volume = await volumeIn({ ...found, task: 'attach' }, subject);
  if (volume.seen && volume.value !== 'missing') {
    await diagnoseAttach({ ...found, task: 'attach' }, volume.value);
    return ['attach', found.principal];
  }
  if (!volume.seen) found.ledger.notSeen(volume);
  const vanished = await vanishedVolume(found, subject);
  if (!vanished) {
    throw new CliError(`There is no volume ${subject}, and the trail does not tell of a snapshot that it was made of.`);
  }
  const principal =
    as === undefined && vanished.caller ? readPrincipal(vanished.caller, found.views.account) : found.principal;
  await diagnoseCreateVolume({ ...found, principal, task: 'create-volume' }, vanished.snapshotId, {
    ...vanished.override,
    ...override,
  });
  return ['create-volume', principal];
}

/** Reasons that EC2 gives for a launch that came to nothing (K-14 to K-17, K-23). */
const FAILED = /^Client\.(InvalidKMSKey|InternalError|InvalidSnapshot)/;

async function examineInstance(
  found: Found,
  { subject, as }: Question,
  override: DeviceOverride,
): Promise<[Case['task'], Principal]> {
  const { views, ledger } = found;
  const { account } = found.principal;
  const seen = await instanceIn(views, account, subject);
  if (!seen.seen) {
    ledger.notSeen(seen);
    return ['launch', found.principal];
  }
  if (seen.value === 'missing') throw new CliError(`Account ${account} has no instance ${subject} in ${views.region}.`);
  const instance = seen.value;
  const ended = ['shutting-down', 'terminated'].includes(instance.State?.Name ?? '');
  const call = await lastCall(views, account, subject, ended ? 'RunInstances' : 'StartInstances');
  if (!call.seen) ledger.notSeen(call);
  const event = call.seen ? call.value : undefined;
  const principal = as === undefined && event?.caller ? readPrincipal(event.caller, account) : found.principal;
  const who = { ...found, principal };
  const keyInTrail = await tellEnd(who, instance, event);
  if (!ended) {
    await diagnoseStart({ ...who, task: 'start' }, instance);
    return ['start', principal];
  }
  if (!FAILED.test(instance.StateReason?.Code ?? '')) {
    ledger.ok(`${subject} ended for another reason than its launch; whether it could be launched again:`);
  }
  const template = await templateOverrides(who, instance);
  const launch: Launch = {
    imageId: instance.ImageId ?? '',
    overrides: [...template, ...overridesInTrail(event), override],
  };
  await diagnoseLaunch({ ...who, task: 'launch', ...(keyInTrail ? { keyInTrail } : {}) }, launch);
  return ['launch', principal];
}

/** Devices of the template version that the instance was launched by (LT-14). */
async function templateOverrides(
  { views, principal, ledger }: Found,
  instance: Instance,
): Promise<readonly DeviceOverride[]> {
  const tag = (name: string) => instance.Tags?.find(({ Key }) => Key === `aws:ec2launchtemplate:${name}`)?.Value;
  const id = tag('id');
  if (id === undefined) return [];
  const seen = await templateIn(views, principal.account, id, tag('version'));
  if (!seen.seen) ledger.notSeen(seen);
  if (!seen.seen || seen.value === 'missing') return [];
  return launchOf(seen.value, { region: views.region, account: principal.account }, [])?.overrides ?? [];
}

async function examineTemplate(found: Case, { subject, version }: Question, override: DeviceOverride): Promise<void> {
  const { views, principal, ledger } = found;
  const seen = await templateIn(views, principal.account, subject, version);
  if (!seen.seen) return ledger.notSeen(seen);
  if (seen.value === 'missing') {
    throw new CliError(
      `${JSON.stringify(subject)} is no AMI, snapshot, volume or instance id, and account ${principal.account} has no such launch template.`,
    );
  }
  const { LaunchTemplateName: name, VersionNumber: number } = seen.value;
  const launch = launchOf(seen.value, { region: views.region, account: principal.account }, [override]);
  if (!launch) {
    const image = seen.value.LaunchTemplateData?.ImageId;
    return ledger.notSeen(`version ${number} of ${name} names ${image ?? 'no image'}: ask about the AMI itself`);
  }
  ledger.ok(`version ${number} of ${name} launches ${launch.imageId}`);
  await diagnoseLaunch(found, launch);
}

/** Calls about it that were refused for what they asked, unless the same operation succeeded later. */
async function pastMistakes({ views, principal }: Found, subject: string): Promise<Finding[]> {
  if (!/^(ami|snap)-/.test(subject)) return [];
  const seen = await eventsAbout(views, principal.account, 'ResourceName', subject);
  if (!seen.seen) return [];
  const latest = new Map(seen.value.toReversed().map((event) => [event.name, event]));
  return [...latest.values()].flatMap((event) => {
    const mistake = event.errorMessage === undefined ? undefined : hintOf(event.errorMessage)?.mistake;
    if (!mistake) return [];
    const when = `${event.name} by ${event.caller ?? 'somebody'} at ${event.time.toISOString()}`;
    return [mistakeFinding(mistake, `${when} was answered: ${event.errorMessage}`)];
  });
}
