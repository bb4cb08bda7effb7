/** One thing that a publication does, told before it is done. */
import type { Report } from '../report.ts';

/** In this order within a region, the proof after `close`; `source` and `clean` stand before and after all regions. */
export const STAGES = [
  'source',
  'copy',
  'key',
  'share',
  'reencrypt',
  'withdraw',
  'close',
  'template',
  'deprecate',
  'retire',
  'clean',
] as const;
export type Stage = (typeof STAGES)[number];

/** What the data made by a step is sealed under, defaults included. */
export interface Encryption {
  readonly encrypted: boolean;
  readonly key?: string;
  readonly why: string;
}

export interface Step {
  readonly stage: Stage;
  readonly action:
    | 'import'
    | 'create-image'
    | 'copy-image'
    | 'key-policy'
    | 'grant'
    | 'share'
    | 'withdraw'
    | 'template-version'
    | 'template-default'
    | 'deprecate'
    | 'retire'
    | 'delete-snapshot';
  readonly account: string;
  readonly region: string;
  readonly what: string;
  readonly why: string;
  readonly encryption?: Encryption;
  /** Gives a sentence on what is done now. Safe to run again: it looks before it makes. */
  perform(run: Run): Promise<string>;
}

/** What steps of one apply tell each other. */
export interface Run {
  readonly signal: AbortSignal;
  readonly report: Report;
  /** AMI of the version by account and region; `staging` for the AMI of an instance. */
  readonly images: Map<string, string>;
}

/** As `--json` shows it. */
export function describeStep({ stage, action, account, region, what, why, encryption }: Step) {
  return { stage, action, account, region, what, why, ...(encryption ? { encryption } : {}) };
}
