/** The diagnosis for people, and for programs. */
import { styleText } from 'node:util';
import type { Mend } from '../foresee/mend.ts';
import { indented } from '../foresee/terraform.ts';
import { type Finding, type Ledger, TASKS } from './diagnosis.ts';
import type { Examined } from './examine.ts';

export interface Applied {
  /** What it was for, as it was found. */
  readonly finding: Finding;
  readonly mend: Mend;
  readonly results: readonly unknown[];
}

export function diagnosisDocument(
  subject: string,
  examined: Examined,
  ledger: Ledger,
  applied: readonly Applied[],
): object {
  const { task, principal, region, past } = examined;
  return {
    subject,
    task,
    principal: principal.sessionArn ?? principal.arn,
    account: principal.account,
    region,
    verdict: ledger.verdict,
    checks: ledger.checks,
    findings: ledger.findings.map(findingDocument),
    past: past.map(findingDocument),
    unseen: ledger.unseen,
    applied: applied.map(({ finding, mend, results }) => ({
      finding: findingDocument(finding),
      mend: mendDocument(mend),
      results,
    })),
  };
}

function findingDocument(finding: Finding): object {
  return { ...finding, mends: finding.mends.map(mendDocument), alternatives: finding.alternatives.map(mendDocument) };
}

function mendDocument({ kind, title, account, json, calls, commands, terraform, note }: Mend): object {
  return {
    kind,
    title,
    account,
    ...(json === undefined ? {} : { json }),
    calls: calls.map(({ service, operation, region, input }) => ({
      service,
      operation,
      ...(region ? { region } : {}),
      input,
    })),
    commands,
    ...(terraform === undefined ? {} : { terraform }),
    ...(note === undefined ? {} : { note }),
  };
}

export function diagnosisText(subject: string, { task, principal, past }: Examined, ledger: Ledger): string {
  const who = principal.sessionArn ?? principal.arn;
  const [first, ...more] = ledger.findings;
  const lines: string[] = [];
  if (first) {
    lines.push(bold(`${first.fault}  ${subject}: ${who} cannot ${TASKS[task]}.`), ...findingLines(first));
    if (more.length > 0) lines.push('', `After that there is more (${more.length}):`);
    for (const { fault, title } of more) lines.push(`  ${fault}  ${title}`);
  } else if (ledger.unseen.length > 0) {
    lines.push(bold(`${subject}: nothing that could be seen keeps ${who} from it, and not everything could be seen:`));
    for (const text of ledger.unseen) lines.push(`  ? ${text}`);
  } else lines.push(bold(`${subject}: ${who} can ${TASKS[task]}.`));
  for (const finding of past) {
    lines.push('', bold(`${finding.fault}  seen in the trail: ${finding.title}.`), ...findingLines(finding));
  }
  return lines.join('\n');
}

function findingLines(finding: Finding): string[] {
  const { title, symptom, details, mends, alternatives } = finding;
  const lines = ['', `Why:   ${title}.`, ...details.map((detail) => `       ${detail}`), `Shows: ${symptom}`];
  mends.forEach((mend, at) => {
    lines.push('', ...mendLines(mends.length === 1 ? 'Mend' : `Mend ${at + 1} of ${mends.length}`, mend));
  });
  for (const mend of alternatives) lines.push('', ...mendLines('Or', mend));
  if (mends.length === 0) lines.push('', 'There is no single mend for it.');
  return lines;
}

function mendLines(name: string, { title, account, json, commands, terraform, note }: Mend): string[] {
  const where = /^\d{12}$/.test(account) ? ` (in account ${account})` : '';
  const part = (heading: string, text: string) => [
    `  ${styleText('dim', heading, { stream: process.stdout })}`,
    indented(indented(text)),
  ];
  return [
    bold(`${name}: ${title}${where}.`),
    ...(note ? [`  ${note}`] : []),
    ...(json === undefined ? [] : part('JSON', JSON.stringify(json, undefined, 2))),
    ...(commands ? part('AWS CLI', commands) : []),
    ...(terraform ? part('Terraform', terraform) : []),
  ];
}

function bold(text: string): string {
  return styleText('bold', text, { stream: process.stdout });
}
