/** The verbs of `ingot publish`. */
import { connect } from '../aws.ts';
import { confirmed } from '../confirm.ts';
import type { ConnectionOptions } from '../connection-options.ts';
import { CliError, InterruptedError, UsageError } from '../error.ts';
import { interruptSignal } from '../interrupt.ts';
import { printable } from '../printable.ts';
import { Report } from '../report.ts';
import { planRetirement, RETIREMENT_STAGES } from './destroy.ts';
import { readManifest, readSchema } from './manifest.ts';
import { performLanes, performPlan, UnprovenError } from './perform.ts';
import { makePlan, type Plan } from './plan.ts';
import { failing, type Proof, prove } from './prove.ts';
import { describeStep, type Run } from './step.ts';
import { planDocument, planText, proofText, refusalText, retirementText } from './tell.ts';

export interface PublishOptions extends ConnectionOptions {
  readonly json?: true;
  readonly yes?: true;
  readonly force?: true;
}

class RefusedError extends CliError {}

async function planOf(file: string, options: PublishOptions, report: Report, signal: AbortSignal): Promise<Plan> {
  const manifest = await readManifest(file);
  const aws = await connect({ region: manifest.regions[0]!.region, ...options });
  const force = options.force === true;
  return report.waiting(`Looking at what is there`, () => makePlan(aws, manifest, { signal, now: new Date(), force }));
}

const refused = ({ refusals }: Plan) =>
  new RefusedError(
    `Refused, ${refusals.length === 1 ? 'for one reason' : `for ${refusals.length} reasons`}. Nothing was changed.`,
  );

/** `ingot publish plan FILE`. */
export async function planPublication(file: string, options: PublishOptions): Promise<void> {
  const report = new Report(options);
  const plan = await planOf(file, options, report, interruptSignal());
  report.result(planDocument(plan), planText(plan));
  if (plan.refusals.length > 0) throw refused(plan);
}

/** `ingot publish apply FILE`, and `ingot publish FILE` with `ask`. */
export async function applyPublication(file: string, options: PublishOptions, ask = false): Promise<void> {
  const report = new Report(options);
  const signal = interruptSignal();
  const plan = await planOf(file, options, report, signal);
  if (plan.refusals.length > 0) {
    report.result(planDocument(plan), refusalText(plan));
    throw refused(plan);
  }
  for (const note of plan.notes) report.warn(note);
  if (plan.steps.length === 0) {
    const proofs = await report.waiting('Proving that each consumer can launch it', () => prove(plan, signal));
    tell(report, plan, proofs, 'Nothing to do.');
    if (failing(proofs).length > 0) throw new UnprovenError(proofs);
    return;
  }
  if (ask) {
    process.stderr.write(`${printable(planText(plan))}\n\n`);
    if (!(await confirmed(`Do ${plan.steps.length} steps?`, options)))
      throw new InterruptedError('Nothing was changed.');
  }
  let proofs: Proof[];
  try {
    proofs = await performPlan(plan, report, signal);
  } catch (error) {
    if (error instanceof UnprovenError) tell(report, plan, error.proofs, 'Published, and not proven.');
    throw error;
  }
  tell(report, plan, proofs, `${plan.manifest.name} ${plan.manifest.version} is published.`);
}

function tell(report: Report, plan: Plan, proofs: readonly Proof[], headline: string): void {
  const { name, version } = plan.manifest;
  const done = plan.steps.length === 0;
  report.result(
    { name, version, nothingToDo: done, steps: plan.steps.map(describeStep), proofs, notes: plan.notes },
    [headline, ...(proofs.length > 0 ? ['', proofText(proofs)] : [])].join('\n'),
  );
}

/** `ingot publish destroy FILE --version V`. */
export async function destroyVersion(
  file: string,
  options: PublishOptions & { readonly version: string },
): Promise<void> {
  const report = new Report(options);
  const signal = interruptSignal();
  const manifest = await readManifest(file);
  const aws = await connect({ region: manifest.regions[0]!.region, ...options });
  const { version } = options;
  const plan = await report.waiting('Looking at what is there', () =>
    planRetirement(aws, manifest, version, { signal, ...(options.force ? { force: true } : {}) }),
  );
  const steps = plan.steps.map(describeStep);
  const document = { name: manifest.name, version, steps, hindrances: plan.hindrances, notes: plan.notes };
  if (plan.hindrances.length > 0) {
    report.result(document, plan.hindrances.map((one) => `✘ ${one}`).join('\n'));
    throw new RefusedError('Refused. Nothing was changed.');
  }
  for (const note of plan.notes) report.warn(note);
  if (steps.length === 0) {
    report.result(
      { ...document, nothingToDo: true },
      `Nothing to do: nothing of ${manifest.name} ${version} is there.`,
    );
    return;
  }
  if (!options.yes) process.stderr.write(`${printable(retirementText(plan))}\n\n`);
  if (!(await confirmed(`Retire ${manifest.name} ${version} for good?`, options))) {
    throw new InterruptedError('Nothing was changed.');
  }
  const run: Run = { signal, report, images: new Map() };
  try {
    await performLanes(plan.steps, RETIREMENT_STAGES, run);
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new InterruptedError(`Stopped. Go on with\n  ingot publish destroy ${file} --version ${version}`, {
      cause: error,
    });
  }
  report.result(document, `${manifest.name} ${version} is retired.`);
}

/** `ingot publish schema`. */
export async function printSchema(): Promise<void> {
  process.stdout.write(await readSchema());
}

/** `ingot publish FILE`: plan, ask, apply. */
export async function publish(file: string | undefined, options: PublishOptions): Promise<void> {
  if (file === undefined) throw new UsageError('Name the manifest: ingot publish FILE; see --help for its verbs.');
  await applyPublication(file, options, true);
}
