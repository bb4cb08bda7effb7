/**
 * What an audit knows: facts of accounts and regions as the API told them, and what could not be read. Checks judge
 * these facts and ask nothing more, so that the same facts always give the same findings.
 */

/** Worst first. */
export const SEVERITIES = ['critical', 'high', 'medium', 'low', 'informational'] as const;
export type Severity = (typeof SEVERITIES)[number];

export const FORMATS = ['text', 'json', 'asff', 'sarif', 'csv', 'html'] as const;
export type Format = (typeof FORMATS)[number];

export function worstFirst(one: Severity, other: Severity): number {
  return SEVERITIES.indexOf(one) - SEVERITIES.indexOf(other);
}

/** A kind of fact that is read, or not seen, as one. */
export type Part =
  | 'account'
  | 'organization'
  | 'encryption by default'
  | 'block public access for images'
  | 'block public access for snapshots'
  | 'allowed images'
  | 'images'
  | 'image permissions'
  | 'snapshots'
  | 'snapshot permissions'
  | 'volumes'
  | 'instances'
  | 'launch templates'
  | 'keys'
  | 'key policies'
  | 'key rotation'
  | 'key grants'
  | 'key tags';

export interface Place {
  readonly account: string;
  readonly region: string;
}

/** Something that was asked for and not answered: no check passes for want of it. */
export interface NotSeen extends Partial<Place> {
  readonly part: Part;
  /** For example `ec2:DescribeImages`. */
  readonly call: string;
  readonly reason: string;
  /** The one thing it was asked about; everything of its kind where absent. */
  readonly resource?: string;
}

/** A permission on an image or a snapshot. */
export interface Share {
  readonly kind: 'account' | 'everyone' | 'organization' | 'organizational-unit';
  /** 12 digits or an ARN; `all` for everyone. */
  readonly value: string;
}

export interface ImageDeviceFacts {
  readonly device: string;
  readonly snapshotId?: string;
  readonly encrypted?: boolean;
}

export interface ImageFacts {
  readonly id: string;
  readonly name?: string;
  readonly owner: string;
  readonly state: string;
  readonly public: boolean;
  readonly created?: string;
  readonly deprecated?: string;
  readonly lastLaunched?: string;
  readonly devices: readonly ImageDeviceFacts[];
  /** `undefined` where the permissions were not seen. */
  readonly shares: readonly Share[] | undefined;
}

export interface SnapshotFacts {
  readonly id: string;
  readonly encrypted: boolean;
  readonly key?: string;
  readonly volume?: string;
  readonly shares: readonly Share[] | undefined;
}

export interface VolumeFacts {
  readonly id: string;
  readonly encrypted: boolean;
  readonly key?: string;
  readonly snapshot?: string;
  readonly zone?: string;
  readonly attached: readonly { readonly instance: string; readonly device: string }[];
}

export interface InstanceFacts {
  readonly id: string;
  readonly name?: string;
  readonly state: string;
  readonly image?: string;
  readonly volumes: readonly { readonly device: string; readonly id: string }[];
}

export interface TemplateDeviceFacts {
  readonly device: string;
  readonly snapshotId?: string;
  readonly encrypted?: boolean;
  /** As written in the template: id, alias or ARN. */
  readonly key?: string;
  /** Whether it names a volume at all; `NoDevice` and instance stores do not. */
  readonly volume: boolean;
}

/** One version that launches use: the default, the latest, or both. */
export interface TemplateFacts {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly isDefault: boolean;
  readonly isLatest: boolean;
  readonly image?: string;
  readonly devices: readonly TemplateDeviceFacts[];
}

export interface GrantFacts {
  readonly id: string;
  readonly grantee: string;
  readonly operations: readonly string[];
  readonly encryptionContextSubset?: Readonly<Record<string, string>>;
  readonly encryptionContextEquals?: Readonly<Record<string, string>>;
  readonly sourceArn?: string;
}

export interface KeyFacts extends Place {
  readonly arn: string;
  readonly id: string;
  /** `Missing` where KMS knows no such key. */
  readonly state: string;
  readonly manager: 'AWS' | 'CUSTOMER';
  readonly description?: string;
  readonly symmetric: boolean;
  readonly origin?: string;
  readonly multiRegion?: 'PRIMARY' | 'REPLICA';
  readonly deletionDate?: string;
  readonly aliases: readonly string[];
  readonly rotation?: boolean;
  /** The document, as its owner wrote it. */
  readonly policy?: string;
  readonly grants?: readonly GrantFacts[];
  readonly tags?: Readonly<Record<string, string>>;
}

export interface PlaceFacts extends Place {
  readonly encryptionByDefault?: boolean;
  /** An ARN, or `alias/aws/ebs` of an account that never chose one. */
  readonly defaultKey?: string;
  readonly imageBlockPublicAccess?: string;
  readonly snapshotBlockPublicAccess?: string;
  readonly allowedImages?: string;
  readonly images: readonly ImageFacts[];
  /** Images of others that templates and instances here use. */
  readonly foreignImages: readonly ImageFacts[];
  readonly snapshots: readonly SnapshotFacts[];
  readonly volumes: readonly VolumeFacts[];
  readonly instances: readonly InstanceFacts[];
  readonly templates: readonly TemplateFacts[];
  readonly keys: readonly KeyFacts[];
}

export interface Organization {
  readonly id: string;
  readonly arn: string;
  readonly managementAccount: string;
  /** By account id: its name and where it stands, as `o-…/r-…/ou-…/`. */
  readonly members: ReadonlyMap<string, { readonly name: string; readonly path: string }>;
}

/** What the auditor was told to hold the facts against. */
export interface AuditPolicy {
  /** ARNs, ids, `alias/…`, or `tag:NAME=VALUE`; empty where every key is as good as another. */
  readonly approvedKeys: readonly string[];
  /** Accounts outside the organization that images may be shared with. */
  readonly trustedAccounts: readonly string[];
  /** A shared image that nobody launched for so long counts as unused. */
  readonly unusedAfterDays: number;
}

export interface Estate {
  readonly places: readonly PlaceFacts[];
  readonly notSeen: readonly NotSeen[];
  /** `undefined` if it was not seen; `none` for an account that is in no organization. */
  readonly organization: Organization | 'none' | undefined;
  readonly policy: AuditPolicy;
  readonly now: Date;
}

export interface Resource {
  readonly arn: string;
  /** CloudFormation's name of the type. */
  readonly type: string;
  readonly id: string;
  readonly name?: string;
}

export interface Accepted {
  readonly reason: string;
  /** A day, `2027-01-31`. */
  readonly expires: string;
}

export interface Finding extends Place {
  readonly check: string;
  readonly title: string;
  readonly severity: Severity;
  readonly resource: Resource;
  readonly detail: string;
  readonly evidence: Readonly<Record<string, unknown>>;
  /** Commands of the AWS CLI. */
  readonly mend: readonly string[];
  /** The same for the same check and resource in every run. */
  readonly fingerprint: string;
  /** Where a baseline accepts it. */
  readonly accepted?: Accepted;
}

export type CoverageStatus = 'passed' | 'failed' | 'not-seen' | 'not-asked';

/** What one check came to in one account and region. */
export interface Coverage extends Place {
  readonly check: string;
  readonly status: CoverageStatus;
}

/** Everything that dies with one key. */
export interface KeyUse {
  readonly key: string;
  readonly state: string;
  readonly aliases: readonly string[];
  readonly images: readonly string[];
  readonly snapshots: readonly string[];
  readonly volumes: readonly string[];
  readonly instances: readonly string[];
  readonly templates: readonly string[];
  /** Accounts and regions whose default key it is, as `account/region`. */
  readonly defaults: readonly string[];
}

export interface SharedWith {
  readonly image: string;
  readonly name?: string;
  readonly owner: string;
  readonly region: string;
  readonly with: readonly Share[];
}

/** The JSON report; `compare` and `--baseline` read it back. */
export interface AuditReport {
  readonly kind: 'ingot-audit';
  readonly version: 1;
  readonly startedAt: string;
  readonly endedAt: string;
  readonly caller: string;
  readonly accounts: readonly { readonly id: string; readonly name?: string }[];
  readonly regions: readonly string[];
  readonly policy: AuditPolicy;
  readonly counts: {
    readonly places: number;
    readonly images: number;
    readonly snapshots: number;
    readonly volumes: number;
    readonly instances: number;
    readonly templates: number;
    readonly keys: number;
  };
  readonly findings: readonly Finding[];
  readonly coverage: readonly Coverage[];
  readonly notSeen: readonly NotSeen[];
  readonly sharing: readonly SharedWith[];
  readonly keys: readonly KeyUse[];
  /** Of the baseline: entries whose day is past, and entries that matched nothing. */
  readonly baseline?: { readonly expired: readonly string[]; readonly unused: readonly string[] };
}
