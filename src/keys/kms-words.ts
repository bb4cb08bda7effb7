/**
 * A refusal in KMS's own code and text (kms §5, §25). It stands here and not only in `services/kms` because the audit
 * record of a call that EC2 makes carries them too.
 */

import { PolicyMalformed } from '../../policy/document.ts';
import { Denied } from '../authz/authorizer.ts';
import { Refusal } from '../errors.ts';
import type { KeyRefusalReason } from './on-behalf.ts';
import type { KeyManagementReason, KeyRefusal } from './refusals.ts';

export interface KmsError {
  readonly code: string;
  /** Empty where KMS answers no text (1.7). */
  readonly message: string;
}

/** 8.8 */
export const CIPHERTEXT_KEY_UNKNOWN =
  'The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.';

/** 28.6 */
const THROTTLED = 'You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.';

/** 14.6 */
const INVALID_PRINCIPALS = 'Policy contains a statement with one or more invalid principals.';

/** KMS's words for what this module throws; `undefined` for a failure that is no refusal. */
export function kmsErrorOf(error: unknown): KmsError | undefined {
  if (error instanceof Denied) return { code: 'AccessDeniedException', message: error.text };
  if (error instanceof PolicyMalformed) {
    const message = error.problem === 'principal' ? INVALID_PRINCIPALS : error.detail;
    return { code: 'MalformedPolicyDocumentException', message };
  }
  if (!(error instanceof Refusal) || !isKeyReason(error.reason)) return undefined;
  const [code, message] = WORDS[error.reason](error.facts);
  return { code, message };
}

type Facts = KeyRefusal['facts'];
type Reason = KeyRefusalReason | KeyManagementReason;

const state = (text: string) => (facts: Facts) => ['KMSInvalidStateException', `${facts.arn} ${text}`] as const;

const WORDS: Readonly<Record<Reason, (facts: Facts) => readonly [code: string, message: string]>> = {
  'key-not-found': (facts) => ['NotFoundException', `Key '${facts.arn}' does not exist`],
  'key-identifier-invalid': (facts) => ['NotFoundException', `Invalid keyId '${facts.value}'`],
  'key-arn-invalid': (facts) => ['InvalidArnException', `Invalid arn ${facts.value}`],
  'key-other-region': (facts) => ['NotFoundException', `Invalid arn ${facts.region}`],
  'alias-not-found': (facts) => ['NotFoundException', `Alias ${facts.arn} is not found.`],
  'key-disabled': (facts) => ['DisabledException', `${facts.arn} is disabled.`],
  'key-pending-deletion': state('is pending deletion.'),
  'key-not-pending-deletion': state('is not pending deletion.'),
  'key-pending-import': state('is pending import.'),
  'key-unavailable': state('is unavailable.'),
  'key-creating': state('is creating.'),
  'key-updating': state('is updating.'),
  'key-origin-external': (facts) => [
    'UnsupportedOperationException',
    `${facts.arn} origin is EXTERNAL which is not valid for this operation.`,
  ],
  'key-origin-aws-kms': (facts) => [
    'UnsupportedOperationException',
    `${facts.arn} origin is AWS_KMS which is not valid for this operation.`,
  ],
  'key-operation-unsupported': () => ['UnsupportedOperationException', ''],
  'key-not-primary': (facts) => ['UnsupportedOperationException', `${facts.arn} is not a multi-region primary key.`],
  'key-is-replica': (facts) => [
    'UnsupportedOperationException',
    `${facts.arn} is a multi-Region replica key. Use its primary key for this operation.`,
  ],
  'replica-exists': (facts) => ['AlreadyExistsException', `The multi-Region key has a key in ${facts.region} already.`],
  'algorithm-incompatible': (facts) => [
    'InvalidKeyUsageException',
    `Algorithm ${facts.algorithm} is incompatible with key spec ${facts.spec}.`,
  ],
  'context-unsupported': () => [
    'ValidationException',
    'EncryptionContext is supported with symmetric encryption keys only.',
  ],
  'plaintext-too-long': (facts) => [
    'ValidationException',
    `Algorithm ${facts.algorithm} and key spec ${facts.spec} cannot encrypt data larger than ${facts.limit} bytes.`,
  ],
  'message-type-unsupported': (facts) => [
    'ValidationException',
    `MessageType ${facts.messageType} is not supported with algorithm ${facts.algorithm}.`,
  ],
  'digest-length': (facts) => ['ValidationException', `Digest is invalid length for algorithm ${facts.algorithm}.`],
  'signature-invalid': () => ['KMSInvalidSignatureException', ''],
  'mac-invalid': () => ['KMSInvalidMacException', ''],
  'peer-key-malformed': () => ['ValidationException', ''],
  'import-token-invalid': () => ['InvalidImportTokenException', 'The import token is not one for this key.'],
  'import-token-expired': () => ['ExpiredImportTokenException', 'The import token has expired.'],
  'material-undecipherable': () => ['InvalidCiphertextException', ''],
  'material-incorrect': (facts) => ['IncorrectKeyMaterialException', String(facts.detail ?? '')],
  'material-pending': (facts) => [
    'KMSInvalidStateException',
    `New key material (id: ${facts.materialId}) cannot be imported into KMS key ${facts.keyId}, because another key material (id: ${facts.pendingId}) is pending rotation.`,
  ],
  'material-not-pending': (facts) => [
    'KMSInvalidStateException',
    `No available key material pending rotation for the key: ${facts.arn}.`,
  ],
  'material-not-found': (facts) => [
    'NotFoundException',
    `Key material ${facts.materialId} of ${facts.arn} does not exist.`,
  ],
  'key-usage': (facts) => [
    'InvalidKeyUsageException',
    `${facts.arn} key usage is ${facts.usage} which is not valid for ${facts.operation}.`,
  ],
  'ciphertext-invalid': () => ['InvalidCiphertextException', ''],
  'ciphertext-other-key': () => [
    'IncorrectKeyException',
    'The key ID in the request does not identify a CMK that can perform this operation.',
  ],
  'ciphertext-key-unknown': () => ['AccessDeniedException', CIPHERTEXT_KEY_UNKNOWN],
  'grant-not-found': (facts) => ['NotFoundException', `Grant ID ${facts.grantId} not found`],
  'grant-token-invalid': () => ['InvalidGrantTokenException', 'The grant token is not valid.'],
  'grant-limit': (facts) => ['LimitExceededException', `The key ${facts.arn} has ${facts.limit} grants already.`],
  'policy-lockout': () => [
    'MalformedPolicyDocumentException',
    'The new key policy will not allow you to update the key policy in the future.',
  ],
  'policy-too-large': (facts) => ['LimitExceededException', `A key policy has at most ${facts.limit} bytes.`],
  'policy-name': (facts) => ['NotFoundException', `No such policy exists: ${facts.name}`],
  'alias-exists': (facts) => ['AlreadyExistsException', `An alias with the name ${facts.arn} already exists`],
  'alias-reserved': (facts) => [
    'NotAuthorizedException',
    `The alias ${facts.alias} is reserved: names beginning with alias/aws/ belong to AWS managed keys.`,
  ],
  'alias-name-invalid': (facts) => ['InvalidAliasNameException', `${facts.alias} is not a valid alias name.`],
  'alias-prefix': () => [
    'ValidationException',
    'Alias must start with the prefix "alias/". Please see https://docs.aws.amazon.com/kms/latest/developerguide/kms-alias.html',
  ],
  'alias-target-is-alias': () => ['ValidationException', 'Aliases must refer to keys. Not aliases'],
  'alias-other-kind': () => [
    'ValidationException',
    'The current and new KMS key must be of the same type, and they must have the same key usage.',
  ],
  'alias-limit': (facts) => ['LimitExceededException', `The key ${facts.arn} has the most aliases it can have.`],
  'key-limit': (facts) => ['LimitExceededException', `The account has ${facts.limit} keys in this Region already.`],
  'limit-exceeded': () => ['LimitExceededException', ''],
  throttled: () => ['ThrottlingException', THROTTLED],
  'principal-invalid': (facts) => ['InvalidArnException', `Invalid arn ${facts.arn}`],
  'rotation-limit': (facts) => [
    'LimitExceededException',
    `The on-demand rotations limit has been reached for the given keyId. No more on-demand rotations can be performed for this key: ${facts.arn}`,
  ],
  'tags-duplicate': () => ['TagException', 'Duplicate tag keys'],
  'tags-too-many': () => ['TagException', 'Too many tags'],
  'tags-reserved': () => ['TagException', 'Tags beginning with aws: are reserved'],
  'dry-run': () => ['DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.'],
};

function isKeyReason(reason: string): reason is Reason {
  return Object.hasOwn(WORDS, reason);
}
