/** The report for people at a terminal: what is wrong by check, what was not seen, and a summary. */
import { styleText } from 'node:util';
import { table } from '../../table.ts';
import { describeUse } from '../key-use.ts';
import { type AuditReport, type Finding, type KeyUse, type NotSeen, SEVERITIES, type Severity } from '../model.ts';

type Style = Parameters<typeof styleText>[0];

const STYLES: Readonly<Record<Severity, Style>> = {
  critical: ['bold', 'red'],
  high: 'red',
  medium: 'yellow',
  low: 'cyan',
  informational: 'gray',
};

export interface TerminalOptions {
  readonly colour: boolean;
  /** Rows of one check; more are counted. */
  readonly rowsMost: number;
}

export function terminal(report: AuditReport, options: TerminalOptions): string {
  const paint = (style: Style, text: string) =>
    options.colour ? styleText(style, text, { validateStream: false }) : text;
  const open = report.findings.filter(({ accepted }) => !accepted);
  const parts: string[] = [];
  for (const [check, findings] of Map.groupBy(open, ({ check }) => check)) {
    parts.push(...group(check, findings, options, paint), '');
  }
  if (report.notSeen.length > 0) parts.push(...unseen(report.notSeen, options, paint), '');
  parts.push(...summary(report, open, paint));
  return parts.join('\n');
}

type Paint = (style: Style, text: string) => string;

function group(check: string, findings: readonly Finding[], { rowsMost }: TerminalOptions, paint: Paint): string[] {
  const { title, severity } = findings[0]!;
  const shown = findings.slice(0, rowsMost);
  const differs = shown.some((one) => one.severity !== severity);
  const rows = shown.map(({ account, region, resource, detail, severity: own }) => [
    account,
    region,
    resource.name ? `${resource.id}\n${printable(resource.name)}` : resource.id,
    ...(differs ? [own] : []),
    wrapped(printable(detail)),
  ]);
  const lines = [`${paint(STYLES[severity], severity.toUpperCase())}  ${paint('bold', `${check}  ${title}`)}`];
  const head = ['Account', 'Region', 'Resource', ...(differs ? ['Severity'] : []), 'Why'];
  lines.push(indented(table(head, rows)));
  if (findings.length > rowsMost) lines.push(`  … and ${findings.length - rowsMost} more.`);
  const text = findings[0]!.mend.map(printable).join('\n        ');
  // What is too long to be copied from a screen is whole in every other format.
  if (text.length <= MEND_MOST) lines.push(`  ${paint('green', 'Mend')}  ${text}`);
  else lines.push(`  ${paint('green', 'Mend')}  is long: see it with --output FILE.html or --format json.`);
  return lines;
}

function unseen(notSeen: readonly NotSeen[], { rowsMost }: TerminalOptions, paint: Paint): string[] {
  const rows = notSeen
    .slice(0, rowsMost)
    .map(({ account = '', region = '', part, resource, call, reason }) => [
      account,
      region,
      resource ? `${part}\n${resource}` : part,
      wrapped(printable(`${call}: ${reason}`)),
    ]);
  const lines = [paint('magenta', 'NOT SEEN  what could not be read has not passed')];
  lines.push(indented(table(['Account', 'Region', 'What', 'Why'], rows)));
  if (notSeen.length > rowsMost) lines.push(`  … and ${notSeen.length - rowsMost} more.`);
  return lines;
}

function summary(report: AuditReport, open: readonly Finding[], paint: Paint): string[] {
  const { counts, accounts, regions, coverage, findings, notSeen } = report;
  const count = (status: string) => coverage.filter((one) => one.status === status).length;
  const bySeverity = SEVERITIES.flatMap((severity) => {
    const number = open.filter((finding) => finding.severity === severity).length;
    return number > 0 ? [paint(STYLES[severity], `${number} ${severity}`)] : [];
  });
  const accepted = findings.length - open.length;
  return [
    `${counted(open.length, 'finding', 'findings')}${bySeverity.length > 0 ? `: ${bySeverity.join(', ')}` : ''}` +
      `${accepted > 0 ? `; ${accepted} accepted` : ''}${notSeen.length > 0 ? `; ${counted(notSeen.length, 'thing', 'things')} not seen` : ''}.`,
    `${counted(accounts.length, 'account', 'accounts')} in ${regions.join(', ')}: ${counts.images} images, ` +
      `${counts.snapshots} snapshots, ${counts.volumes} volumes, ${counts.instances} instances, ` +
      `${counts.templates} launch templates, ${counts.keys} keys.`,
    `Checks: ${count('passed')} passed, ${count('failed')} failed, ${count('not-seen')} not seen, ${count('not-asked')} not asked.`,
    ...(report.baseline?.expired.length
      ? [`${report.baseline.expired.length} entries of the baseline are expired.`]
      : []),
    ...(report.baseline?.unused.length
      ? [`${report.baseline.unused.length} entries of the baseline match nothing.`]
      : []),
  ];
}

const counted = (number: number, one: string, many: string) => `${number} ${number === 1 ? one : many}`;

/** What dies with one key, by name. */
export function keyUseText(use: KeyUse): string {
  const kinds: readonly (readonly [string, readonly string[]])[] = [
    ['Images', use.images],
    ['Snapshots', use.snapshots],
    ['Volumes', use.volumes],
    ['Instances', use.instances],
    ['Launch templates', use.templates],
    ['Default key of EBS in', use.defaults],
  ];
  const rows = kinds.filter(([, ids]) => ids.length > 0).map(([kind, ids]) => [kind, wrapped(ids.join(', '), 80)]);
  const head = `${use.key}${use.aliases.length > 0 ? ` (${use.aliases.join(', ')})` : ''} is ${use.state}.`;
  if (rows.length === 0) return `${head}\nNothing that was seen needs it.`;
  return `${head}\nIf it is deleted, ${describeUse(use)} die with it:\n\n${table(['', ''], rows).replace(/^\s*\n/, '')}`;
}

const WIDTH = 72;
const MEND_MOST = 900;

/** Names, descriptions and reasons come from elsewhere: no control character of theirs reaches the terminal. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ');
}

function wrapped(text: string, width = WIDTH): string {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.join('\n');
}

const indented = (text: string) => text.replaceAll(/^(?=.)/gm, '  ');
