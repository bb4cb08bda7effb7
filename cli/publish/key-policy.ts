/**
 * The statements of a key policy by which consumers read what is published under the key: through EC2 only, grants only
 * for AWS's own use. Each publication has its statements under its own Sids; all others are left as they stand.
 */
import { createHash } from 'node:crypto';
import { type EbsUse, ebsUseStatements } from '../foresee/statements.ts';
import type { Reader } from './published.ts';

interface Statement {
  readonly Sid?: string;
  readonly Effect?: string;
  readonly Principal?: unknown;
  readonly Action?: unknown;
  readonly Resource?: unknown;
  readonly Condition?: unknown;
}

interface Document {
  readonly Version?: string;
  readonly Id?: string;
  readonly Statement: readonly Statement[];
}

/** KMS takes no larger policy. */
export const POLICY_BYTES_MAX = 32_768;

/** What Auto Scaling's role is granted: the same, on its own. */
export const GRANTED = ['CreateGrant', 'Decrypt', 'DescribeKey', 'ReEncryptFrom'] as const;

/** Sids are letters and digits; the digest keeps names apart that differ only in others. */
export function sidPrefix(name: string): string {
  const words = name.split(/[^A-Za-z0-9]+/).filter(Boolean);
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 6);
  return `IngotPublish${words.map((word) => word[0]!.toUpperCase() + word.slice(1)).join('')}${digest}`;
}

export interface Wanted {
  readonly name: string;
  readonly partition: string;
  readonly region: string;
  readonly readers: readonly Reader[];
  /** Accounts whose own principals make the grant for their Auto Scaling role. */
  readonly autoScaling: readonly string[];
}

export function wantedStatements({ name, partition, region, readers, autoScaling }: Wanted): Statement[] {
  const prefix = sidPrefix(name);
  const pairs = (kind: string, who: Pick<EbsUse, 'principals' | 'organization'>): Statement[] => [
    ...ebsUseStatements({ side: 'source', regions: [region], name: `${prefix}${kind}`, ...who }),
  ];
  const rootsOf = (accounts: readonly string[]) => accounts.map((account) => `arn:${partition}:iam::${account}:root`);
  const valuesOf = (kind: string) =>
    readers.filter((reader) => reader.startsWith(`${kind}:`)).map((reader) => reader.slice(kind.length + 1));

  const accounts = valuesOf('account').sort();
  const organizations = [...new Set(valuesOf('organization').map((arn) => arn.split('/').at(-1)!))];
  const paths = valuesOf('unit').map((arn) => {
    const [organization, unit] = arn.split('/').slice(-2);
    return `${organization}/*/${unit}/*`;
  });
  paths.sort();
  const statements: Statement[] = [];
  if (accounts.length > 0) {
    for (const { Condition, ...statement } of ebsUseStatements({
      side: 'source',
      regions: [region],
      name: `${prefix}Accounts`,
      principals: rootsOf(accounts),
    })) {
      const StringEquals = { ...Condition.StringEquals, 'kms:CallerAccount': accounts };
      statements.push({ ...statement, Condition: { ...Condition, StringEquals } });
    }
  }
  organizations.forEach((id, index) => {
    const kind = `Organization${index === 0 ? '' : index + 1}`;
    statements.push(...pairs(kind, { principals: '*', organization: { id } }));
  });
  if (paths.length > 0) statements.push(...pairs('Units', { principals: '*', organization: { paths } }));
  if (autoScaling.length > 0) {
    statements.push({
      Sid: `${prefix}AutoScalingEbsGrants`,
      Effect: 'Allow',
      Principal: { AWS: rootsOf([...autoScaling].sort()) },
      Action: 'kms:CreateGrant',
      Resource: '*',
      Condition: {
        StringEquals: {
          'kms:CallerAccount': [...autoScaling].sort(),
          'kms:GranteePrincipal': [...autoScaling].sort().map((account) => autoScalingRole(partition, account)),
        },
        'ForAllValues:StringEquals': { 'kms:GrantOperations': [...GRANTED] },
      },
    });
  }
  return statements;
}

export const autoScalingRole = (partition: string, account: string) =>
  `arn:${partition}:iam::${account}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling`;

export interface Merged {
  readonly policy: string;
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** The policy with exactly these statements of the publication; undefined where it says the same already. */
export function mergePolicy(policy: string, name: string, wanted: readonly Statement[]): Merged | undefined {
  const document = JSON.parse(policy) as Document;
  const statements = [document.Statement].flat() as Statement[];
  const prefix = sidPrefix(name);
  const isOurs = ({ Sid }: Statement) =>
    Sid?.startsWith(prefix) === true &&
    /^(Accounts|Organization\d*|Units|AutoScaling)Ebs(Use|Grants)$/.test(Sid.slice(prefix.length));
  const before = new Map(statements.filter(isOurs).map((one) => [one.Sid!, one]));
  const after = new Map(wanted.map((one) => [one.Sid!, one]));
  const added = [...after.keys()].filter((sid) => !before.has(sid));
  const removed = [...before.keys()].filter((sid) => !after.has(sid));
  const changed = [...after]
    .filter(([sid, one]) => before.has(sid) && !means(before.get(sid)!, one))
    .map(([sid]) => sid);
  if (added.length + removed.length + changed.length === 0) return undefined;
  const kept = statements.flatMap((one) => {
    if (!isOurs(one)) return [one];
    const now = after.get(one.Sid!);
    return now ? [changed.includes(one.Sid!) ? now : one] : [];
  });
  const Statement = [...kept, ...added.map((sid) => after.get(sid)!)];
  return { policy: JSON.stringify({ ...document, Statement }), added, changed, removed };
}

/** Whether two statements say the same: one value or a list of it, in any order. */
function means(one: Statement, other: Statement): boolean {
  return canonical(one) === canonical(other);
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return value.length === 1 ? canonical(value[0]) : `[${value.map(canonical).sort().join()}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(String(value));
  const members = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}:${canonical(one)}`);
  return `{${members.sort().join()}}`;
}
