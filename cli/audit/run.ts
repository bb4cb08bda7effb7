/** `ingot audit`: reads an estate, judges it, and tells. */
import { connect } from '../aws.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { CliError, EXIT, InterruptedError, UsageError } from '../error.ts';
import { interruptSignal } from '../interrupt.ts';
import { Report } from '../report.ts';
import { applyBaseline, isDay, readBaseline, renewedBaseline } from './baseline.ts';
import { collect } from './collect.ts';
import { EstateIndex } from './estate-index.ts';
import { keyUseText } from './formats/terminal.ts';
import { Gate } from './gate.ts';
import { judge } from './judge.ts';
import { isNeeded, useOf } from './key-use.ts';
import {
  type AuditReport,
  type Estate,
  type Format,
  type KeyUse,
  type NotSeen,
  type Severity,
  worstFirst,
} from './model.ts';
import { type Output, readOutput, render, writeWhole } from './output.ts';
import { type PolicyOptions, readPolicy } from './policy-file.ts';
import { readOrganization } from './read-organization.ts';
import { Reader } from './reader.ts';
import { findAccounts, findRegions, type TargetOptions } from './targets.ts';

export interface AuditOptions extends ConnectionOptions, TargetOptions, PolicyOptions {
  readonly key?: string;
  readonly format?: Format;
  readonly output?: readonly string[];
  readonly json?: true;
  readonly failOn?: Severity;
  readonly allowNotSeen?: true;
  readonly baseline?: string;
  readonly writeBaseline?: string;
  readonly reason?: string;
  readonly expires?: string;
  readonly parallel: number;
}

export async function audit(options: AuditOptions): Promise<void> {
  const signal = interruptSignal();
  try {
    await auditEstate(options, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new InterruptedError('Stopped. An audit only reads: nothing is left behind, and the next one begins anew.');
  }
}

async function auditEstate(options: AuditOptions, signal: AbortSignal): Promise<void> {
  const format = options.json ? 'json' : (options.format ?? 'text');
  const outputs = (options.output ?? []).map(readOutput);
  const renewal = renewalOf(options);
  const policy = await readPolicy(options);
  const entries = options.baseline === undefined ? [] : await readBaseline(options.baseline);
  const startedAt = new Date();
  const report = new Report({ json: format !== 'text' });
  const aws = await connect(options);
  const caller = await aws.identity(signal);

  const notSeen: NotSeen[] = [];
  const home = new Reader(aws, { account: caller.account, region: aws.region }, new Gate(1), notSeen, signal);
  const organization = await report.waiting('Reading the organization', () => readOrganization(home));
  const [regions, accounts] = await Promise.all([
    findRegions(aws, options.regions, signal),
    findAccounts(aws, caller.account, organization, options, new Gate(options.parallel), signal),
  ]);
  const progress = report.counter('Reading', accounts.filter((one) => one.aws).length * regions.length, 'places');
  let estate: Estate;
  try {
    estate = await collect({
      ...{ accounts, regions, organization, policy, notSeen, signal },
      callsAtOnce: options.parallel,
      now: startedAt,
      onPlace: () => progress.advance(1),
    });
  } finally {
    progress.stop();
  }
  if (estate.places.length === 0) {
    throw new CliError(`No account could be read:\n${estate.notSeen.map(({ reason }) => `  ${reason}`).join('\n')}`);
  }
  const index = new EstateIndex(estate);
  if (options.key !== undefined) {
    tellKeyUse(new Report({ json: format === 'json' }), index, options.key);
    return;
  }
  const judged = judge(estate);
  const applied = applyBaseline(judged.findings, entries, startedAt);
  const names = organization && organization !== 'none' ? organization.members : new Map();
  const document: AuditReport = {
    kind: 'ingot-audit',
    version: 1,
    startedAt: startedAt.toISOString(),
    endedAt: new Date().toISOString(),
    caller: caller.arn,
    accounts: accounts.map(({ id }) => ({ id, ...(names.has(id) ? { name: names.get(id)?.name } : {}) })),
    regions,
    policy,
    counts: countsOf(estate),
    findings: applied.findings,
    coverage: judged.coverage,
    notSeen: judged.notSeen,
    sharing: index.sharing(),
    keys: keyUses(index),
    ...(options.baseline === undefined ? {} : { baseline: { expired: applied.expired, unused: applied.unused } }),
  };
  await give(document, format, outputs, report);
  if (renewal) {
    await writeWhole(renewal.path, renewedBaseline(applied, entries, renewal));
    report.step(`${renewal.path} accepts every finding until ${renewal.expires}`);
  }
  if (options.failOn !== undefined)
    process.exitCode = exitCodeOf(document, options.failOn, options.allowNotSeen === true);
}

/** @throws {UsageError} unless what is to be accepted has a reason and a day to come. */
function renewalOf(options: AuditOptions): { path: string; reason: string; expires: string } | undefined {
  const { writeBaseline: path, reason, expires } = options;
  if (path === undefined) {
    if (reason !== undefined || expires !== undefined) {
      throw new UsageError('--reason and --expires are for --write-baseline.');
    }
    return undefined;
  }
  if (!reason?.trim()) throw new UsageError('--write-baseline needs --reason: why the findings are accepted.');
  if (expires === undefined || !isDay(expires) || expires < new Date().toISOString().slice(0, 10)) {
    throw new UsageError('--write-baseline needs --expires: the last day they are accepted, such as 2027-01-31.');
  }
  return { path, reason, expires };
}

async function give(document: AuditReport, format: Format, outputs: readonly Output[], report: Report): Promise<void> {
  for (const output of outputs) {
    await writeWhole(output.path, render(document, output.format));
    report.step(`${output.path} written`);
  }
  process.stdout.write(render(document, format, { colour: report.colourful }));
}

/** Accepted findings do not count; a gate that could not look does not open unless it is told to. */
export function exitCodeOf(
  { findings, notSeen }: Pick<AuditReport, 'findings' | 'notSeen'>,
  least: Severity,
  allowNotSeen: boolean,
): number {
  const fails = findings.some(({ severity, accepted }) => !accepted && worstFirst(severity, least) <= 0);
  if (fails) return EXIT.differs;
  return notSeen.length > 0 && !allowNotSeen ? EXIT.incomplete : EXIT.done;
}

function countsOf({ places }: Estate): AuditReport['counts'] {
  const sum = (count: (place: Estate['places'][number]) => number) => places.reduce((all, one) => all + count(one), 0);
  return {
    places: places.length,
    images: sum(({ images }) => images.length),
    snapshots: sum(({ snapshots }) => snapshots.length),
    volumes: sum(({ volumes }) => volumes.length),
    instances: sum(({ instances }) => instances.length),
    templates: sum(({ templates }) => new Set(templates.map(({ id }) => id)).size),
    keys: new Set(places.flatMap(({ keys }) => keys.map(({ arn }) => arn))).size,
  };
}

function keyUses(index: EstateIndex): KeyUse[] {
  return index.keys
    .map((key) => useOf(key, index))
    .filter(isNeeded)
    .sort((one, other) => other.images.length - one.images.length || (one.key < other.key ? -1 : 1));
}

function tellKeyUse(report: Report, index: EstateIndex, named: string): void {
  const place = index.estate.places.find((one) => index.resolveKey(one, named));
  const key = place && index.resolveKey(place, named);
  if (!key) throw new CliError(`There is no key ${named} in what was audited.`);
  const use = useOf(key, index);
  const { notSeen } = index.estate;
  const unseen = notSeen.length > 0 ? `\n\n${notSeen.length} things were not seen; more may depend on it.` : '';
  report.result({ ...use, notSeen }, `${keyUseText(use)}${unseen}`);
}
