/**
 * The statements that let somebody use a key through EBS and nothing else: the documented set of 4.1, bound to calls that
 * EC2 makes (`kms:ViaService`), and CreateGrant only for grants that EC2 makes for itself (P-2).
 */
import { ebsPrincipal } from './ebs-call.ts';

export interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow';
  readonly Principal?: string | { readonly AWS: string | readonly string[] };
  readonly Action: readonly string[] | string;
  readonly Resource: string;
  readonly Condition: Conditions;
}

type Conditions = Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;

export interface EbsUse {
  /** What the key is to them: `source`, what an image is sealed under; `target`, what volumes and copies will be. */
  readonly side: 'source' | 'target';
  /** Regions in which EC2 will call; several for a multi-Region key. */
  readonly regions: readonly string[];
  /** Begins the Sids; letters and digits. */
  readonly name: string;
  /** For a key policy: ARNs, or `*` with `organization`. */
  readonly principals?: '*' | readonly string[];
  /** Narrows `*` to an organization (`o-…`) or to paths below units (`o-…/r-…/ou-…/`), SH-17. */
  readonly organization?: { readonly id: string } | { readonly paths: readonly string[] };
  /** For a statement of IAM: ARN of the key. */
  readonly resource?: string;
  /** The account may make grants itself, for its service-linked roles (P-13). */
  readonly ownGrants?: boolean;
}

const ACTIONS = {
  source: ['kms:Decrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom'],
  target: [
    'kms:Decrypt',
    'kms:DescribeKey',
    'kms:GenerateDataKeyWithoutPlaintext',
    'kms:ReEncryptFrom',
    'kms:ReEncryptTo',
  ],
} as const;

export function ebsUseStatements(use: EbsUse): [Statement, Statement] {
  const services = use.regions.map(ebsPrincipal);
  const { organization } = use;
  const viaService = { 'kms:ViaService': services.length === 1 ? (services[0] as string) : services };
  const id: Record<string, string> =
    organization && 'id' in organization ? { 'aws:PrincipalOrgID': organization.id } : {};
  const paths: Conditions =
    organization && 'paths' in organization
      ? { 'ForAnyValue:StringLike': { 'aws:PrincipalOrgPaths': organization.paths } }
      : {};
  const who =
    use.principals === undefined ? {} : { Principal: use.principals === '*' ? '*' : { AWS: only(use.principals) } };
  const Resource = use.resource ?? '*';
  const equals = { StringEquals: { ...viaService, ...id } };
  const grants: Conditions = use.ownGrants
    ? { ...(Object.keys(id).length > 0 ? { StringEquals: id } : {}), ...paths }
    : { ...equals, Bool: { 'kms:GrantIsForAWSResource': 'true' }, ...paths };
  return [
    {
      Sid: `${use.name}EbsUse`,
      Effect: 'Allow',
      ...who,
      Action: ACTIONS[use.side],
      Resource,
      Condition: { ...equals, ...paths },
    },
    { Sid: `${use.name}EbsGrants`, Effect: 'Allow', ...who, Action: 'kms:CreateGrant', Resource, Condition: grants },
  ];
}

function only(names: readonly string[]): string | readonly string[] {
  return names.length === 1 ? (names[0] as string) : names;
}

/** Letters and digits of a name, for a Sid. */
export function sidOf(name: string): string {
  return name
    .split(/[^A-Za-z0-9]+/)
    .map((word) => `${word.charAt(0).toUpperCase()}${word.slice(1)}`)
    .join('')
    .slice(0, 40);
}

interface Document {
  readonly Version?: string;
  readonly Statement: readonly { readonly Sid?: string }[] | { readonly Sid?: string };
}

/** The document with the statements in it; those of the same Sid are replaced, so that doing it again changes nothing. */
export function withStatements(document: string | undefined, added: readonly { readonly Sid: string }[]): string {
  const before: Document = document ? (JSON.parse(document) as Document) : { Version: '2012-10-17', Statement: [] };
  const names = new Set(added.map(({ Sid }) => Sid));
  const kept = [before.Statement].flat().filter(({ Sid }) => Sid === undefined || !names.has(Sid));
  return JSON.stringify({ ...before, Statement: [...kept, ...added] });
}

/** The document with one statement, by its place, changed. */
export function withChanged(
  document: string,
  index: number,
  change: (statement: Record<string, unknown>) => Record<string, unknown>,
): string {
  const before = JSON.parse(document) as { readonly Statement: unknown };
  const Statement = [before.Statement]
    .flat()
    .map((one, at) => (at === index ? change(one as Record<string, unknown>) : one));
  return JSON.stringify({ ...before, Statement });
}
