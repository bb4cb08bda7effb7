/** Doing what a plan says: region beside region, stage after stage, and a region that fails stops no other. */
import { inLanes } from '../ebs/lanes.ts';
import { CliError, describeFailure, InterruptedError } from '../error.ts';
import type { Report } from '../report.ts';
import type { Plan } from './plan.ts';
import { failing, type Proof, prove } from './prove.ts';
import { type Run, STAGES, type Stage, type Step } from './step.ts';

/** EC2 takes 20 copies at a time into a region; what is asked of one region at a time stays well below. */
const STEPS_AT_ONCE = 5;
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
    await performRegions(plan, before, run);
    const proofs = await report.waiting('Proving that each consumer can launch it', () => prove(plan, signal));
    if (failing(proofs).length > 0) throw new UnprovenError(proofs);
    await performRegions(plan, ['template', 'deprecate', 'retire'], run);
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

async function performRegions({ steps }: Plan, stages: readonly Stage[], run: Run): Promise<void> {
  await performLanes(steps, stages, run);
}

/** Runs the stages in each region by itself; throws when all have ended, with everything that failed. */
export async function performLanes(steps: readonly Step[], stages: readonly Stage[], run: Run): Promise<void> {
  const regions = [...new Set(steps.map(({ region }) => region))].values();
  const failures: { readonly region: string; readonly error: unknown }[] = [];
  await inLanes(REGIONS_AT_ONCE, run.signal, async (signal) => {
    for (const region of regions) {
      try {
        for (const stage of stages) {
          signal.throwIfAborted();
          await performSteps(
            steps.filter((step) => step.region === region && step.stage === stage),
            run,
          );
        }
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push({ region, error });
        run.report.fault(`${region}: ${describeFailure(error)}`);
      }
    }
  });
  if (failures.length === 0) return;
  const lines = failures.map(({ region, error }) => `  ${region}: ${describeFailure(error)}`);
  const causes = failures.map(({ error }) => error);
  throw new CliError(['Not all is done; apply again once the reason is mended:', ...lines].join('\n'), {
    cause: causes.length === 1 ? causes[0] : new AggregateError(causes),
  });
}

/** Side by side; in key policies and launch templates one after the other, for each builds on the one before. */
async function performSteps(steps: readonly Step[], run: Run): Promise<void> {
  const ordered = steps.some(({ stage }) => stage === 'template' || stage === 'key' || stage === 'close');
  const queue = steps.values();
  await inLanes(ordered ? 1 : STEPS_AT_ONCE, run.signal, async (signal) => {
    for (const step of queue) {
      signal.throwIfAborted();
      const done = await step.perform({ ...run, signal });
      run.report.step(`${step.region}${placeSuffix(step)}: ${done}`);
    }
  });
}

const placeSuffix = ({ account, stage }: Step) => (stage === 'reencrypt' || stage === 'template' ? ` ${account}` : '');
