/** Why a key, alias or grant said no. What EC2 and EBS can meet stands in on-behalf.ts, the rest is KMS's own. */
import { Refusal } from '../errors.ts';
import type { KeyRefusalReason } from './on-behalf.ts';

/** Reasons that only operations of the KMS API meet. */
export type KeyManagementReason =
  | 'key-arn-invalid'
  | 'key-creating'
  | 'key-updating'
  | 'key-origin-external'
  | 'key-origin-aws-kms'
  | 'key-not-primary'
  | 'key-is-replica'
  | 'replica-exists'
  | 'algorithm-incompatible'
  | 'context-unsupported'
  | 'plaintext-too-long'
  | 'message-type-unsupported'
  | 'digest-length'
  | 'signature-invalid'
  | 'mac-invalid'
  | 'peer-key-malformed'
  | 'import-token-invalid'
  | 'import-token-expired'
  | 'material-undecipherable'
  | 'material-incorrect'
  | 'material-pending'
  | 'material-not-pending'
  | 'material-not-found'
  | 'key-operation-unsupported'
  | 'policy-lockout'
  | 'policy-too-large'
  | 'policy-name'
  | 'alias-exists'
  | 'alias-reserved'
  | 'alias-name-invalid'
  | 'alias-prefix'
  | 'alias-target-is-alias'
  | 'alias-other-kind'
  | 'alias-limit'
  | 'grant-limit'
  | 'key-limit'
  | 'principal-invalid'
  | 'rotation-limit'
  | 'tags-duplicate'
  | 'tags-too-many'
  | 'tags-reserved'
  | 'dry-run';

export type KeyRefusal = Refusal<KeyRefusalReason | KeyManagementReason>;

/** A refusal of this module; `facts.arn` is the ARN the message names. */
export function refuse(
  reason: KeyRefusal['reason'],
  facts: Refusal['facts'] = {},
  options?: { cause?: unknown },
): KeyRefusal {
  return new Refusal(reason, facts, options);
}
