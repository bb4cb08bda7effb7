/** The checks, and what they come to over an estate. */
import { createHash } from 'node:crypto';
import type { Check, Doubt } from './check.ts';
import { CHECKS } from './check-table.ts';
import { EstateIndex } from './estate-index.ts';
import {
  type Coverage,
  type CoverageStatus,
  type Estate,
  type Finding,
  type NotSeen,
  type PlaceFacts,
  worstFirst,
} from './model.ts';

export interface Judgement {
  /** Worst first. */
  readonly findings: Finding[];
  readonly coverage: Coverage[];
  readonly notSeen: NotSeen[];
}

/** The same for the same check and resource in every run; a setting of an account is one per region. */
export function fingerprintOf(check: string, arn: string, region: string): string {
  return createHash('sha256').update(`${check}\n${arn}\n${region}`).digest('hex').slice(0, 32);
}

export function judge(estate: Estate): Judgement {
  const index = new EstateIndex(estate);
  const findings: Finding[] = [];
  const coverage: Coverage[] = [];
  const notSeen = [...estate.notSeen];
  const unasked = (check: Check) => check.asked !== undefined && !check.asked(index);
  for (const check of CHECKS) {
    for (const place of estate.places) {
      const { account, region } = place;
      if (unasked(check)) {
        coverage.push({ check: check.id, account, region, status: 'not-asked' });
        continue;
      }
      const doubts: Doubt[] = [];
      const found = check.find(place, index, (doubt) => doubts.push(doubt));
      for (const { severity = check.severity, ...one } of found) {
        const fingerprint = fingerprintOf(check.id, one.resource.arn, region);
        findings.push({ check: check.id, title: check.title, severity, account, region, ...one, fingerprint });
      }
      for (const doubt of unique(doubts)) notSeen.push({ account, region, ...doubt });
      const status = found.length > 0 ? 'failed' : wasSeen(check, place, estate, doubts) ? 'passed' : 'not-seen';
      coverage.push({ check: check.id, account, region, status });
    }
    for (const { account = '', region = '' } of estate.notSeen.filter(({ part }) => part === 'account')) {
      const status: CoverageStatus = unasked(check) ? 'not-asked' : 'not-seen';
      coverage.push({ check: check.id, account, region, status });
    }
  }
  findings.sort((one, other) => worstFirst(one.severity, other.severity) || compare(one, other));
  return { findings, coverage, notSeen: unique(notSeen) };
}

function compare(one: Finding, other: Finding): number {
  const key = ({ check, account, region, resource }: Finding) => [check, account, region, resource.arn].join(' ');
  return key(one) < key(other) ? -1 : 1;
}

function unique<Item extends object>(items: readonly Item[]): Item[] {
  return [...new Map(items.map((item) => [JSON.stringify(item), item])).values()];
}

/** Facts of the organization concern every place. */
function wasSeen(check: Check, { account, region }: PlaceFacts, estate: Estate, doubts: readonly Doubt[]): boolean {
  if (doubts.length > 0) return false;
  return !estate.notSeen.some(
    (one) =>
      check.needs.includes(one.part) &&
      (one.part === 'organization' || (one.account === account && one.region === region)),
  );
}
