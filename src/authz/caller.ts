/** Who calls: what a verified signature, or a service acting by itself, amounts to. */
import { type AccountId, type Arn, type InstanceId, newUuid, type Region } from '../ids.ts';

/** The principal behind a request (authorization-and-wire 2.9). */
export interface Caller {
  readonly accountId: AccountId;
  readonly type: 'Account' | 'User' | 'AssumedRole' | 'Service';
  /** As GetCallerIdentity and denial texts show it: a role's is its session ARN. */
  readonly arn: Arn;
  /** aws:PrincipalArn: a role's is the role ARN with its path. */
  readonly principalArn: Arn;
  /** aws:userid: account id, `AIDA…`, or `AROA…:session`. */
  readonly userId: string;
  /** Unique id stored in policies behind the ARN: account id, `AIDA…` or `AROA…`. */
  readonly uniqueId: string;
  readonly userName?: string;
  /** Service principal such as `ec2.amazonaws.com`, of a service that acts by itself (2.5). */
  readonly service?: string;
  readonly accessKeyId?: string;
  readonly tags: Readonly<Record<string, string>>;
  /** Present with temporary credentials. */
  readonly session?: CallerSession;
}

export interface CallerSession {
  readonly name: string;
  readonly kind: 'assume-role' | 'get-session-token';
  readonly issuedAt: Date;
  readonly expiresAt: Date;
  /** Session policies (Policy and PolicyArns of AssumeRole), as JSON documents. They only narrow. */
  readonly policies: readonly string[];
  readonly sourceIdentity?: string;
}

/**
 * What an operation knows of the request it serves, besides the input. A service that calls another on the caller's
 * behalf (a forward access session, authorization-and-wire 5.7) passes the same call on with `viaService` set.
 */
export interface Call {
  readonly caller: Caller;
  readonly region: Region;
  readonly requestId: string;
  readonly now: Date;
  /** Absent when a service calls on the caller's behalf (5.2). */
  readonly sourceIp?: string;
  readonly userAgent: string;
  readonly secureTransport: boolean;
  /** Resource for which a service principal calls by itself: aws:SourceArn (5.5). */
  readonly sourceArn?: Arn;
  /** kms:ViaService, for example `ec2.us-east-1.amazonaws.com`; also makes aws:ViaAWSService true. */
  readonly viaService?: string;
  /** The service as CloudTrail names it in `userIdentity.invokedBy`, for example `ebs.amazonaws.com`. */
  readonly invokedBy?: string;
  /** Where the operation leaves facts for its audit record, by {@link noteForAudit}; the front door supplies it. */
  readonly audit?: AuditNotes;
}

/** One resource of an audit record, for example type `AWS::KMS::Key` (kms 26.4). */
export interface AuditedResource {
  readonly arn: string;
  readonly accountId: AccountId;
  readonly type: string;
}

/**
 * What an operation knows for its audit record that its input and output do not say. The front door records every call
 * by itself; members given here are added (`resources`, `otherAccounts`) or take the place of what it derives.
 */
export interface AuditFacts {
  readonly resources?: readonly AuditedResource[];
  /** Owners of the resources touched, besides the caller (kms 26.6). */
  readonly otherAccounts?: readonly AccountId[];
  /** `null` leaves the element out. */
  readonly requestParameters?: unknown;
  readonly responseElements?: unknown;
  readonly additionalEventData?: unknown;
  readonly readOnly?: boolean;
}

/** The facts of one call, gathered while it runs. */
export class AuditNotes {
  /** Id of the record in the caller's own trail, known before it is written. */
  readonly eventId: string = newUuid();
  #facts: AuditFacts = {};
  get facts(): AuditFacts {
    return this.#facts;
  }
  add(facts: AuditFacts): void {
    const before = this.#facts;
    this.#facts = {
      ...before,
      ...facts,
      resources: [...(before.resources ?? []), ...(facts.resources ?? [])],
      otherAccounts: [...(before.otherAccounts ?? []), ...(facts.otherAccounts ?? [])],
    };
  }
}

/** Adds facts to the audit record of `call`; does nothing for a call that the front door did not make. */
export function noteForAudit(call: Call, facts: AuditFacts): void {
  call.audit?.add(facts);
}

/** The same call, made by EC2 or EBS for the caller (ec2-encryption K-11). */
export function viaEc2(call: Call, invokedBy = 'ec2-frontend-api.amazonaws.com'): Call {
  const { sourceIp: _, audit: __, ...rest } = call;
  return { ...rest, viaService: `ec2.${call.region}.amazonaws.com`, invokedBy };
}

/** EC2's own principal for one instance, which opens volume data keys by grant (ec2-encryption K-8). */
export function instanceInfrastructureArn(account: AccountId, instance: InstanceId): Arn {
  return `arn:aws:sts::${account}:assumed-role/aws:ec2-infrastructure/${instance}` as Arn;
}
export function infrastructureCaller(account: AccountId, instance: InstanceId): Caller {
  const arn = instanceInfrastructureArn(account, instance);
  const userId = `${account}:aws:ec2-infrastructure:${instance}`;
  return { accountId: account, type: 'Service', arn, principalArn: arn, userId, uniqueId: userId, tags: {} };
}

/** A service that acts by itself for an account, for example `ec2.amazonaws.com` where it hands an instance its role. */
export function serviceCaller(account: AccountId, service: string): Caller {
  const arn = service as Arn;
  return {
    accountId: account,
    type: 'Service',
    arn,
    principalArn: arn,
    userId: service,
    uniqueId: service,
    service,
    tags: {},
  };
}
