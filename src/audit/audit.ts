/**
 * The audit trail: one durable record per API call, and one per KMS call that EBS makes, in CloudTrail's event shape
 * (kms 26). `record` resolves when the record is on disk; records of calls in flight share one commit.
 */
import type { Denied } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import type { AccountId } from '../ids.ts';

export interface AuditEntry {
  readonly call: Call;
  /** For example `kms.amazonaws.com`. */
  readonly eventSource: string;
  /** Operation name, for example `GenerateDataKeyWithoutPlaintext`. */
  readonly eventName: string;
  readonly readOnly: boolean;
  /** lowerCamel names; secrets, plaintext, ciphertext and tokens already left out (kms 26.2). */
  readonly requestParameters?: unknown;
  readonly responseElements?: unknown;
  readonly additionalEventData?: unknown;
  readonly resources?: readonly { readonly arn: string; readonly accountId: AccountId; readonly type: string }[];
  /** Further resources that the event is looked up by and that its document does not name, as with EC2. */
  readonly lookedUpBy?: readonly { readonly name: string; readonly type: string }[];
  readonly error?: { readonly code: string; readonly message: string };
  /** The denial behind the error: its reasons are kept with the record, sealed for those who may decode them. */
  readonly denied?: Denied;
  /** Also shown to these accounts, with a shared event id (kms 26.6). */
  readonly otherAccounts?: readonly AccountId[];
  readonly eventType?: 'AwsApiCall' | 'AwsServiceEvent';
  /** `AWS Internal` where a service calls KMS (kms 27.2). */
  readonly vpcEndpointId?: string;
}

export interface Audit {
  record(entry: AuditEntry): Promise<void>;
}

export type { Call, Caller };
