/** Findings as CSV (RFC 4180), for spreadsheets. */
import { checkOf } from '../check-table.ts';
import type { AuditReport } from '../model.ts';

const COLUMNS = [
  'fingerprint',
  'check',
  'severity',
  'status',
  'account',
  'region',
  'resource_type',
  'resource_arn',
  'resource_name',
  'title',
  'detail',
  'controls',
  'mend',
  'accepted_reason',
  'accepted_until',
] as const;

export function csv({ findings, notSeen }: AuditReport): string {
  const rows: (readonly string[])[] = findings.map((finding) => [
    finding.fingerprint,
    finding.check,
    finding.severity,
    finding.accepted ? 'accepted' : 'open',
    finding.account,
    finding.region,
    finding.resource.type,
    finding.resource.arn,
    finding.resource.name ?? '',
    finding.title,
    finding.detail,
    checkOf(finding.check)
      .controls.map(({ framework, id }) => `${framework}:${id}`)
      .join(' '),
    finding.mend.join('\n'),
    finding.accepted?.reason ?? '',
    finding.accepted?.expires ?? '',
  ]);
  for (const one of notSeen) {
    const { account = '', region = '', part, call, reason, resource = '' } = one;
    rows.push([
      '',
      '',
      '',
      'not seen',
      account,
      region,
      '',
      resource,
      '',
      `Not seen: ${part}`,
      `${call}: ${reason}`,
      ...Array(4).fill(''),
    ]);
  }
  return [COLUMNS, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

/**
 * A cell that a spreadsheet would take for a formula gets an apostrophe in front: names and tags are written by whoever
 * owns the resource, not by whoever opens the file.
 */
function cell(text: string): string {
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
