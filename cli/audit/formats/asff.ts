/**
 * Findings in the AWS Security Finding Format (2018-10-08), as `aws securityhub batch-import-findings --findings
 * file://…` takes them, 100 at a time. Lengths and counts are those of the format's reference.
 */
import { partitionOf } from '../arns.ts';
import { checkOf } from '../check-table.ts';
import { FRAMEWORKS } from '../controls.ts';
import type { AuditReport, Finding, Severity } from '../model.ts';

/** Types that the format has details for; all others are `Other`. */
const TYPES: Readonly<Record<string, string>> = {
  'AWS::EC2::Volume': 'AwsEc2Volume',
  'AWS::EC2::Instance': 'AwsEc2Instance',
  'AWS::EC2::LaunchTemplate': 'AwsEc2LaunchTemplate',
  'AWS::KMS::Key': 'AwsKmsKey',
  'AWS::::Account': 'AwsAccount',
};

const LABELS: Readonly<Record<Severity, string>> = {
  critical: 'CRITICAL',
  high: 'HIGH',
  medium: 'MEDIUM',
  low: 'LOW',
  informational: 'INFORMATIONAL',
};

const MOST = {
  title: 256,
  description: 1024,
  recommendation: 512,
  url: 2048,
  requirement: 64,
  requirements: 32,
  field: 2048,
};

export function asff({ findings, startedAt, endedAt }: AuditReport): object[] {
  return findings.map((finding) => {
    const { check, account, region, resource, severity, detail, fingerprint, accepted } = finding;
    const partition = partitionOf(region);
    const product = `arn:${partition}:securityhub:${region}:${account}:product/${account}/default`;
    const { why, controls } = checkOf(check);
    const requirements = controls.map(({ framework, id }) => `${FRAMEWORKS[framework].short}/${id}`);
    return {
      SchemaVersion: '2018-10-08',
      Id: `${region}/${account}/${check}/${fingerprint}`,
      ProductArn: product,
      ProductName: 'ingot audit',
      CompanyName: 'Ingot',
      GeneratorId: check,
      AwsAccountId: account,
      Region: region,
      Types: ['Software and Configuration Checks/Industry and Regulatory Standards/Ingot audit'],
      FirstObservedAt: startedAt,
      LastObservedAt: endedAt,
      CreatedAt: startedAt,
      UpdatedAt: endedAt,
      Severity: { Label: LABELS[severity], Original: severity },
      Title: cut(`${check} ${finding.title}`, MOST.title),
      Description: cut(`${detail} ${why}`, MOST.description),
      Remediation: { Recommendation: recommendation(finding) },
      ProductFields: productFields(finding),
      Resources: [
        {
          Type: TYPES[resource.type] ?? 'Other',
          Id: resource.type === 'AWS::::Account' ? `AWS::::Account:${account}` : resource.arn,
          Partition: partition,
          Region: region,
        },
      ],
      Compliance: {
        Status: 'FAILED',
        RelatedRequirements: [...new Set(requirements)]
          .map((one) => cut(one, MOST.requirement))
          .slice(0, MOST.requirements),
      },
      WorkflowState: 'NEW',
      Workflow: { Status: accepted ? 'SUPPRESSED' : 'NEW' },
      RecordState: 'ACTIVE',
      ...(accepted ? { Note: note(accepted.reason, accepted.expires, endedAt) } : {}),
    };
  });
}

function recommendation({ check, mend }: Finding): object {
  const Url = checkOf(check).controls.find(({ basis }) => basis === 'published')?.source.url;
  return { Text: cut(mend.join('\n'), MOST.recommendation), ...(Url ? { Url: cut(Url, MOST.url) } : {}) };
}

function productFields({ fingerprint, mend, evidence }: Finding): Record<string, string> {
  return {
    'ingot/fingerprint': fingerprint,
    'ingot/evidence': cut(JSON.stringify(evidence), MOST.field),
    'ingot/mend': cut(mend.join('\n'), MOST.field),
  };
}

function note(reason: string, expires: string, UpdatedAt: string): object {
  return { Text: cut(`Accepted until ${expires}: ${reason}`, 512), UpdatedBy: 'ingot audit --baseline', UpdatedAt };
}

/** In UTF-16 units, as the format counts; a pair is not cut apart. */
function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  const kept = text.slice(0, most - 1);
  return `${/[\uD800-\uDBFF]$/.test(kept) ? kept.slice(0, -1) : kept}…`;
}
