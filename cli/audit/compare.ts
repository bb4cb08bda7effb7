/** `ingot audit compare A B`: what is new, what is gone, and what stayed between two reports. */
import { CliError, EXIT } from '../error.ts';
import { Report } from '../report.ts';
import { table } from '../table.ts';
import { readText } from './baseline.ts';
import { type AuditReport, type Finding, worstFirst } from './model.ts';

export interface CompareOptions {
  readonly exitCode?: true;
  readonly json?: true;
}

export interface Comparison {
  readonly new: readonly Finding[];
  readonly gone: readonly Finding[];
  readonly unchanged: readonly Finding[];
}

export async function compareReports(first: string, second: string, options: CompareOptions): Promise<void> {
  const [before, after] = await Promise.all([first, second].map(readReport));
  const found = compare(before!, after!);
  new Report(options).result(found, describe(found, after!));
  if (options.exitCode && found.new.length > 0) process.exitCode = EXIT.differs;
}

/** @throws {CliError} if it is no report of `ingot audit --format json`. */
export async function readReport(path: string): Promise<AuditReport> {
  const text = await readText(path);
  let report: Partial<AuditReport> | null;
  try {
    report = JSON.parse(text) as Partial<AuditReport>;
  } catch (cause) {
    throw new CliError(`${path} is not JSON.`, { cause });
  }
  if (report?.kind !== 'ingot-audit' || report.version !== 1 || !Array.isArray(report.findings)) {
    throw new CliError(`${path} is no report of \`ingot audit --format json\`.`);
  }
  return report as AuditReport;
}

/** By fingerprint; what the second could not see is not gone, but unchanged. */
export function compare(before: AuditReport, after: AuditReport): Comparison {
  const known = new Map(before.findings.map((finding) => [finding.fingerprint, finding]));
  const there = new Map(after.findings.map((finding) => [finding.fingerprint, finding]));
  const judged = new Set(
    after.coverage
      .filter(({ status }) => status === 'passed' || status === 'failed')
      .map(({ check, account, region }) => [check, account, region].join(' ')),
  );
  const left = before.findings.filter(({ fingerprint }) => !there.has(fingerprint));
  const wasJudged = ({ check, account, region }: Finding) => judged.has([check, account, region].join(' '));
  return {
    new: after.findings.filter(({ fingerprint }) => !known.has(fingerprint)),
    gone: left.filter(wasJudged),
    unchanged: [
      ...after.findings.filter(({ fingerprint }) => known.has(fingerprint)),
      ...left.filter((finding) => !wasJudged(finding)),
    ],
  };
}

function describe(found: Comparison, after: AuditReport): string {
  const rows = (['new', 'gone'] as const).flatMap((kind) =>
    [...found[kind]]
      .sort((one, other) => worstFirst(one.severity, other.severity))
      .map((one) => [kind, one.severity, one.check, one.account, one.region, one.resource.id, one.title]),
  );
  const counted = `${found.new.length} new, ${found.gone.length} gone, ${found.unchanged.length} unchanged.`;
  const unseen =
    after.notSeen.length > 0
      ? [`${after.notSeen.length} things were not seen the second time; findings about them count as unchanged.`]
      : [];
  if (rows.length === 0) return [counted, ...unseen].join('\n');
  return [table(['', 'Severity', 'Check', 'Account', 'Region', 'Resource', 'What'], rows), '', counted, ...unseen].join(
    '\n',
  );
}
