/** Findings as SARIF 2.1.0, for code scanning and editors. What was not seen is a notification of the run. */
import { CHECKS, checkOf } from '../check-table.ts';
import { FRAMEWORKS } from '../controls.ts';
import type { AuditReport, Finding, NotSeen, Severity } from '../model.ts';

const LEVELS: Readonly<Record<Severity, 'error' | 'warning' | 'note'>> = {
  critical: 'error',
  high: 'error',
  medium: 'warning',
  low: 'note',
  informational: 'note',
};
/** What GitHub sorts by; within the bands it gives the words. */
const SCORES: Readonly<Record<Severity, string>> = {
  critical: '9.5',
  high: '8.0',
  medium: '5.5',
  low: '2.0',
  informational: '0.0',
};

const PAGE = 'https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json';

export function sarif(report: AuditReport): object {
  const { findings, notSeen, startedAt, endedAt, caller } = report;
  return {
    $schema: PAGE,
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'ingot audit', rules: CHECKS.map(({ id }) => rule(id)) } },
        invocations: [
          {
            executionSuccessful: true,
            startTimeUtc: startedAt,
            endTimeUtc: endedAt,
            account: caller,
            toolExecutionNotifications: notSeen.map(notification),
          },
        ],
        columnKind: 'utf16CodeUnits',
        results: findings.map(result),
      },
    ],
  };
}

function rule(id: string): object {
  const { title, why, severity, controls } = checkOf(id);
  const helpUri = controls.find(({ basis }) => basis === 'published')?.source.url ?? controls[0]?.source.url;
  const help = controls.map(({ framework, id: control, title: what, basis }) => {
    return `- ${FRAMEWORKS[framework].short} ${control}: ${what} (${basis})`;
  });
  return {
    id,
    name: title.replace(/[^A-Za-z]+(.)?/g, (_, letter: string | undefined) => letter?.toUpperCase() ?? ''),
    shortDescription: { text: `${title}.` },
    fullDescription: { text: why },
    ...(helpUri ? { helpUri } : {}),
    help: { text: help.join('\n'), markdown: help.join('\n') },
    defaultConfiguration: { level: LEVELS[severity] },
    properties: {
      tags: ['security', ...new Set(controls.map(({ framework, id: control }) => `${framework}/${control}`))],
      'security-severity': SCORES[severity],
    },
  };
}

function result(finding: Finding): object {
  const { check, severity, resource, detail, account, region, fingerprint, accepted, evidence, mend } = finding;
  return {
    ruleId: check,
    ruleIndex: CHECKS.findIndex(({ id }) => id === check),
    level: LEVELS[severity],
    message: { text: `${resource.name ? `${resource.name} (${resource.id})` : resource.id}: ${detail}` },
    locations: [
      {
        // There is no file: a path by account, region and resource keeps viewers that want one content.
        physicalLocation: {
          artifactLocation: {
            uri: [account, region, ...resource.type.split('::').filter(Boolean), resource.id]
              .map(encodeURIComponent)
              .join('/'),
          },
        },
        logicalLocations: [{ name: resource.id, fullyQualifiedName: resource.arn, kind: 'resource' }],
      },
    ],
    partialFingerprints: { 'ingotAudit/v1': fingerprint },
    properties: { severity, account, region, resourceType: resource.type, evidence, mend },
    ...(accepted
      ? {
          suppressions: [
            { kind: 'external', status: 'accepted', justification: `${accepted.reason} (until ${accepted.expires})` },
          ],
        }
      : {}),
  };
}

function notification({ account, region, part, call, reason, resource }: NotSeen): object {
  const where = [account, region, resource].filter(Boolean).join(' ');
  return { level: 'warning', message: { text: `Not seen: ${part}${where ? ` of ${where}` : ''}. ${call}: ${reason}` } };
}
