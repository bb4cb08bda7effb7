/**
 * What the doctor finds: every check as it is made, and the faults in the order in which a launch would meet them.
 * Faults have the ids of the table of real failure modes (F01 to F21); what that table does not have has a name.
 */
import type { KeyVerdict } from '../foresee/key-access.ts';
import type { Mend } from '../foresee/mend.ts';
import type { Task } from '../foresee/needs.ts';
import type { Principal } from '../foresee/principal.ts';
import { describeUnseen, type Unseen, type Views } from '../foresee/views.ts';
import type { Report } from '../report.ts';

type Mark = 'ok' | 'fault' | 'unseen';

export interface Check {
  readonly mark: Mark;
  readonly text: string;
}

export interface Finding {
  /** `F03`, or a name such as `image-unavailable`. */
  readonly fault: string;
  /** One sentence: who cannot do what, and why. */
  readonly title: string;
  /** What AWS shows of it. */
  readonly symptom: string;
  readonly key?: string;
  readonly principal?: string;
  /** Every action that fails, the first one first. */
  readonly actions?: readonly string[];
  /** Condition key that calls of EBS cannot meet. */
  readonly condition?: string;
  /** Further facts, each a sentence. */
  readonly details: readonly string[];
  /** What has to be done, in this order; more than one where several accounts have their part. */
  readonly mends: readonly Mend[];
  /** Other ways to the same end. */
  readonly alternatives: readonly Mend[];
}

/** The question, the same through all checks. */
export interface Case {
  readonly views: Views;
  readonly principal: Principal;
  readonly task: Task | 'share';
  readonly ledger: Ledger;
  /** Key of a refused call behind a failed launch, for a snapshot whose key only its owner is shown. */
  readonly keyInTrail?: string;
}

/** Collects, and tells each check as it is made. */
export class Ledger {
  readonly checks: Check[] = [];
  readonly findings: Finding[] = [];
  readonly unseen: string[] = [];
  readonly #report: Report;

  constructor(report: Report) {
    this.#report = report;
  }

  ok(text: string): void {
    this.checks.push({ mark: 'ok', text });
    this.#report.step(text);
  }

  fault(finding: Omit<Finding, 'details' | 'mends' | 'alternatives'> & Partial<Finding>): void {
    const { title } = finding;
    this.checks.push({ mark: 'fault', text: title });
    this.findings.push({ details: [], mends: [], alternatives: [], ...finding });
    this.#report.fault(title);
  }

  notSeen(what: Unseen | string): void {
    const text = typeof what === 'string' ? what : describeUnseen(what);
    if (this.unseen.includes(text)) return;
    this.unseen.push(text);
    this.checks.push({ mark: 'unseen', text });
    this.#report.unseen(text);
  }

  get verdict(): 'can' | 'cannot' | 'unknown' {
    if (this.findings.length > 0) return 'cannot';
    return this.unseen.length > 0 ? 'unknown' : 'can';
  }
}

export type DeniedVerdict = Extract<KeyVerdict, { readonly verdict: 'denied' }>;

/** What each task is called in sentences. */
export const TASKS: Readonly<Record<Task | 'share' | 'request', string>> = {
  launch: 'launch it',
  'create-volume': 'make volumes of it',
  attach: 'attach it',
  start: 'start it',
  'copy-snapshot': 'copy it',
  'copy-image': 'copy it',
  share: 'share it',
  request: 'make this request',
};

/** What AWS shows when KMS says no behind the task: nothing at once, mostly (3.3). */
export const SYMPTOMS: Readonly<Record<Task, string>> = {
  launch:
    'RunInstances answers, and the instance goes from pending to terminated with Client.InvalidKMSKey.InvalidState or ' +
    'Client.InternalError: Client error on launch.',
  'create-volume':
    'CreateVolume answers, and the volume vanishes: InvalidVolume.NotFound. The client token stays used up: retry with a new one.',
  attach: 'AttachVolume answers CustomerKeyHasBeenRevoked.',
  start:
    'StartInstances answers, and the instance goes back to stopped with Client.InternalError: Client error on launch.',
  'copy-snapshot': 'CopySnapshot answers, and the copy ends in error: Given key ID is not accessible.',
  'copy-image': 'CopyImage answers, and the image ends failed: Copy image failed with an internal error.',
};
