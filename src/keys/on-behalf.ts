/**
 * KMS as EC2 and EBS use it: every method authorizes the *original caller* for the KMS action on the key (a forward
 * access session: kms:ViaService set, ec2-encryption K-11), does it through the same domain methods as the KMS API,
 * and leaves one audit record (kms 26, 27). `call` must come from `viaEc2()`; for the instance's own principal use a
 * call whose caller is `infrastructureCaller()`.
 *
 * Throws `Denied` when policies and grants say no, `Refusal<KeyRefusalReason>` when the key cannot be used.
 */
import type { Call } from '../authz/caller.ts';
import type { SecretKey } from '../crypto/secret-key.ts';
import type { Tx } from '../db/db.ts';
import type { AccountId, Arn, Region } from '../ids.ts';

export type EncryptionContext = Readonly<Record<string, string>>;

export interface KeySummary {
  readonly arn: Arn;
  readonly accountId: AccountId;
  readonly region: Region;
  readonly manager: 'CUSTOMER' | 'AWS';
  readonly state:
    | 'Creating'
    | 'Enabled'
    | 'Disabled'
    | 'PendingImport'
    | 'PendingDeletion'
    | 'PendingReplicaDeletion'
    | 'Unavailable'
    | 'Updating';
  /** True for SYMMETRIC_DEFAULT with ENCRYPT_DECRYPT: the only kind EBS accepts (V-4). */
  readonly usableByEbs: boolean;
}

export interface GrantRequest {
  readonly granteePrincipal: string;
  readonly retiringPrincipal?: string;
  readonly operations: readonly string[];
  readonly encryptionContextSubset?: EncryptionContext;
}

export interface KeysOnBehalf {
  /**
   * Looks a key up by key id, alias name, key ARN or alias ARN (V-4), in the account of `call.caller` and `call.region`;
   * `alias/aws/ebs` is made on first use (D-8). Not authorized, nothing recorded; `undefined` where there is none.
   */
  resolve(call: Call, identifier: string): Promise<KeySummary | undefined>;
  /** The AWS managed key of EBS in the caller's account and region, created lazily (kms 13). */
  ebsManagedKey(call: Call): Promise<KeySummary>;
  describeKey(call: Call, keyArn: Arn): Promise<KeySummary>;
  /** `numberOfBytes` random bytes, wrapped under the key for `context`. */
  generateDataKeyWithoutPlaintext(
    call: Call,
    keyArn: Arn,
    numberOfBytes: number,
    context: EncryptionContext,
  ): Promise<Uint8Array>;
  generateDataKey(
    call: Call,
    keyArn: Arn,
    numberOfBytes: number,
    context: EncryptionContext,
  ): Promise<{ wrapped: Uint8Array; plaintext: SecretKey }>;
  decrypt(call: Call, keyArn: Arn, wrapped: Uint8Array, context: EncryptionContext): Promise<SecretKey>;
  /** ReEncryptFrom on the source key (the one that made `wrapped`) and ReEncryptTo on the destination. */
  reEncrypt(
    call: Call,
    source: { keyArn: Arn; wrapped: Uint8Array; context: EncryptionContext },
    destination: { keyArn: Arn; context: EncryptionContext },
  ): Promise<Uint8Array>;
  /** `keep` records the grant in the transaction that makes it, so that no crash leaves a grant nobody knows. */
  createGrant(
    call: Call,
    keyArn: Arn,
    grant: GrantRequest,
    keep: (tx: Tx, grantId: string) => Promise<void>,
  ): Promise<{ grantId: string }>;
  /** EC2 retires a grant it holds the retiring right to; never fails on a missing grant or an unusable key (kms 5.2). */
  retireGrant(call: Call, keyArn: Arn, grantId: string): Promise<void>;
  /**
   * Opens a wrapped data key for work the caller needs no KMS right for (CreateSnapshot makes no KMS call, BI-6; a
   * background copy that was authorized when it started). Works while the key's material exists, whatever its state.
   */
  openForSystem(keyArn: Arn, wrapped: Uint8Array, context: EncryptionContext, reason: string): Promise<SecretKey>;
  /** Data key of a plain (API: unencrypted) volume or snapshot, wrapped by the installation's root key. */
  newInstallationDataKey(context: EncryptionContext): Promise<{ wrapped: Uint8Array; plaintext: SecretKey }>;
  openInstallationDataKey(wrapped: Uint8Array, context: EncryptionContext): Promise<SecretKey>;
}

export type KeyRefusalReason =
  | 'key-not-found'
  | 'key-identifier-invalid'
  | 'key-other-region'
  | 'alias-not-found'
  | 'key-disabled'
  | 'key-pending-deletion'
  | 'key-not-pending-deletion'
  | 'key-pending-import'
  | 'key-unavailable'
  | 'key-usage'
  | 'ciphertext-invalid'
  | 'ciphertext-other-key'
  | 'ciphertext-key-unknown'
  | 'grant-not-found'
  | 'grant-token-invalid'
  | 'limit-exceeded'
  | 'throttled';
