/**
 * The policy language of IAM and the judgement of a request by it: a pure library of its own. The server decides by it,
 * and the tools foresee by it what a server of the AWS API will decide. It promises the order and the words of
 * authorization-and-wire §1–§8; gathering policies and naming condition values is left to those who call.
 */
import type { Explanation } from './explain.ts';

/** Values of condition keys for one decision. Names are matched ignoring case; `undefined` means absent. */
export type ConditionValues = Readonly<Record<string, ConditionValue | undefined>>;
/** An array makes the key multivalued. */
export type ConditionValue = string | number | boolean | Date | readonly string[];

/** A KMS grant as the evaluator needs it (kms 15). */
export interface GrantView {
  readonly grantId: string;
  /** Principal ARN, account root ARN, or service principal such as `ec2.eu-west-1.amazonaws.com`. */
  readonly granteePrincipal: string;
  /** Operation names without prefix, for example `Decrypt`. */
  readonly operations: readonly string[];
  readonly encryptionContextSubset?: Readonly<Record<string, string>>;
  readonly encryptionContextEquals?: Readonly<Record<string, string>>;
  /** Resource on whose behalf the call has to be made: aws:SourceArn, which service principals' calls alone have. */
  readonly sourceArn?: string;
  /** For kms:RetireGrant (kms 15.12): who may retire it whatever the policies say. */
  readonly retiringPrincipal?: string;
  /** For kms:RetireGrant: account that made the grant; the key's owner where absent. */
  readonly issuingAccount?: string;
}

/** The grant that kms:CreateGrant is to make (kms 15.9). */
export type ProposedGrant = Pick<
  GrantView,
  'operations' | 'encryptionContextSubset' | 'encryptionContextEquals' | 'sourceArn'
>;

export interface Decision {
  readonly allowed: boolean;
  /** True if a Deny statement matched. */
  readonly explicit: boolean;
  /** The layer that said no, or the one that allowed. */
  readonly layer:
    | 'identity'
    | 'resource'
    | 'grant'
    | 'boundary'
    | 'session'
    | 'service-control'
    | 'resource-control'
    | 'trust'
    | 'root-user';
  /** The tail of AWS's denial text, for example `because no identity-based policy allows the kms:Decrypt action` (8.2, 8.3). */
  readonly because: string;
  /** Statements that matched, with where they stand. */
  readonly matched: readonly {
    readonly layer: string;
    readonly policy: string;
    readonly sid?: string;
    readonly effect: 'Allow' | 'Deny';
  }[];
  /** What was judged and what would have allowed it; filled in by whoever reports a denial. */
  readonly explanation?: Explanation;
}
