/** Doing what a plan says: region beside region, stage after stage, and a region that fails stops no other. */

import { mapBounded } from '../bounded.ts';
import { CliError, describeFailure, InterruptedError } from '../error.ts';
import type { Report } from '../report.ts';
import { settling } from '../settling.ts';
import type { Plan } from './plan.ts';
import { failing, type Proof, prove } from './prove.ts';
import { type Run, STAGES, type Stage, type Step } from './step.ts';

/** EC2 takes 20 copies of snapshots at a time into a region (CS-14). */
const STEPS_AT_ONCE = 20;
const REGIONS_AT_ONCE = 8;

/** A consumer cannot launch: nothing is moved to the version. */
export class UnprovenError extends CliError {
  readonly proofs: readonly Proof[];

  constructor(proofs: readonly Proof[]) {
    const lines = failing(proofs).map(({ account, region, why }) => `  ${account} in ${region}: ${why.join('; ')}`);
    super(['These cannot launch what is published for them; no launch template was moved:', ...lines].join('\n'));
    this.proofs = proofs;
  }
}

/** Stages that come after the proof. */
const AFTER_PROOF: readonly Stage[] = ['template', 'deprecate', 'retire', 'clean'];

/** @throws {InterruptedError} when stopped, {UnprovenError}, or {CliError} with what failed where. */
export async function performPlan(plan: Plan, report: Report, signal: AbortSignal): Promise<Proof[]> {
  const run: Run = { signal, report, images: new Map(plan.images) };
  try {
    const before = STAGES.filter((stage) => stage !== 'source' && !AFTER_PROOF.includes(stage));
    await performSteps(
      plan.steps.filter(({ stage }) => stage === 'source'),
      run,
    );
    await performLanes(plan.steps, before, run);
    const proofs = await report.waiting('Proving that each consumer can launch it', () =>
      settling(
        () => prove(plan, signal),
        (seen) => failing(seen).length === 0,
        signal,
      ),
    );
    if (failing(proofs).length > 0) throw new UnprovenError(proofs);
    await performLanes(plan.steps, ['template', 'deprecate', 'retire'], run);
    await performSteps(
      plan.steps.filter(({ stage }) => stage === 'clean'),
      run,
    );
    return proofs;
  } catch (error) {
    if (!signal.aborted) throw error;
    const { path } = plan.manifest;
    throw new InterruptedError(
      `Stopped. What AWS has begun goes on by itself, and nothing is made twice: go on with\n  ingot publish apply ${path}`,
      { cause: error },
    );
  }
}

/** Runs the stages in each region by itself; throws when all have ended, with everything that failed. */
export async function performLanes(steps: readonly Step[], stages: readonly Stage[], run: Run): Promise<void> {
  const regions = [...new Set(steps.map(({ region }) => region))];
  const failures: { readonly region: string; readonly error: unknown }[] = [];
  await mapBounded(regions, REGIONS_AT_ONCE, run.signal, async (region) => {
    try {
      for (const stage of stages) {
        run.signal.throwIfAborted();
        await performSteps(
          steps.filter((step) => step.region === region && step.stage === stage),
          run,
        );
      }
    } catch (error) {
      if (run.signal.aborted) throw error;
      failures.push({ region, error });
      run.report.fault(`${region}: ${describeFailure(error)}`);
    }
  });
  if (failures.length === 0) return;
  const lines = failures.map(({ region, error }) => `  ${region}: ${describeFailure(error)}`);
  const causes = failures.map(({ error }) => error);
  throw new CliError(['Not all is done; apply again once the reason is mended:', ...lines].join('\n'), {
    cause: causes.length === 1 ? causes[0] : new AggregateError(causes),
  });
}

/**
 * Side by side, and one that fails stops no other; in key policies and launch templates one after the other, for each
 * builds on the one before.
 */
async function performSteps(steps: readonly Step[], run: Run): Promise<void> {
  const ordered = steps.some(({ stage }) => stage === 'template' || stage === 'key' || stage === 'close');
  const failures: { readonly account: string; readonly error: unknown }[] = [];
  await mapBounded(steps, ordered ? 1 : STEPS_AT_ONCE, run.signal, async (step) => {
    try {
      const done = await step.perform(run);
      run.report.step(`${step.region}${placeSuffix(step)}: ${done}`);
    } catch (error) {
      if (ordered || run.signal.aborted) throw error;
      failures.push({ account: step.account, error });
    }
  });
  if (failures.length === 1) throw failures[0]!.error;
  if (failures.length > 1) {
    const lines = failures.map(({ account, error }) => `${account}: ${describeFailure(error)}`);
    throw new CliError(lines.join('\n    '), { cause: new AggregateError(failures.map(({ error }) => error)) });
  }
}

const placeSuffix = ({ account, stage }: Step) => (stage === 'reencrypt' || stage === 'template' ? ` ${account}` : '');
