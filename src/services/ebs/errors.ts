/** Errors of the EBS direct APIs (ec2-encryption 6.4): types, reasons and the literal messages of E-18 to E-21. */
import { Denied } from '../../authz/authorizer.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { KeyRefusalReason } from '../../keys/on-behalf.ts';
import type { DirectRefusalReason } from '../../volumes/direct.ts';
import type { VolumeRefusalReason } from '../../volumes/volumes.ts';

const STATUS = {
  ValidationException: 400,
  RequestThrottledException: 400,
  ServiceQuotaExceededException: 402,
  AccessDeniedException: 403,
  InvalidSignatureException: 403,
  ResourceNotFoundException: 404,
  ConflictException: 409,
} as const;

export function ebsError(
  type: keyof typeof STATUS,
  message: string,
  options: { reason?: string; cause?: unknown } = {},
): ApiError {
  return new ApiError(type, message, {
    status: STATUS[type],
    cause: options.cause,
    ...(options.reason && { members: { Reason: options.reason } }),
  });
}

export function invalid(reason: string, message: string, cause?: unknown): ApiError {
  return ebsError('ValidationException', message, { reason, cause });
}
export const invalidParameter = (message: string): ApiError => invalid('INVALID_PARAMETER_VALUE', message);

export function snapshotNotFound(id: string): ApiError {
  return ebsError('ResourceNotFoundException', `The snapshot '${id}' does not exist.`, {
    reason: 'SNAPSHOT_NOT_FOUND',
  });
}

type Facts = Refusal['facts'];
type Answer = (facts: Facts) => ApiError;
const id = (facts: Facts) => String(facts.snapshotId ?? facts.id ?? '');

const direct: Readonly<Record<DirectRefusalReason, Answer>> = {
  'parent-and-encrypted': () => invalidParameter('ParentSnapshotId and Encrypt cannot be specified together'),
  'key-of-plain': () => invalidParameter('Encrypt cannot be false when KmsKeyArn is specified'),
  'parent-and-key': () => invalidParameter('ParentSnapshotId and KmsKeyArn cannot be specified together'),
  'plain-despite-default': () =>
    invalidParameter('Encryption by default is enabled: the snapshot cannot be unencrypted'),
  'kms-key-without-encrypted': () => invalidParameter('KmsKeyArn cannot be specified without Encrypted'),
  'encrypted-false-of-encrypted': () => invalidParameter('Encrypted cannot be false for an encrypted snapshot'),
  'plain-copy-of-encrypted': () => invalidParameter('Encrypted cannot be false for an encrypted snapshot'),
  'parent-not-complete': (facts) => invalid('INVALID_SNAPSHOT_ID', `Source snapshot (${id(facts)}) is not complete.`),
  'parent-not-found': (facts) => snapshotNotFound(id(facts)),
  'size-below-parent': (facts) =>
    invalid('INVALID_VOLUME_SIZE', `VolumeSize must be at least the size of the parent snapshot, ${facts.sizeGiB} GiB`),
  'upload-not-found': (facts) => snapshotNotFound(id(facts)),
  'upload-ended': (facts) =>
    facts.state === 'error'
      ? invalid('INVALID_SNAPSHOT_ID', 'Snapshot is in error state')
      : invalid('INVALID_SNAPSHOT_ID', 'Snapshot is already completed'),
  'block-beyond-end': (facts) =>
    invalid('INVALID_BLOCK', `Block index ${facts.index} is beyond the volume size extent`),
  'snapshot-not-readable': (facts) => snapshotNotFound(id(facts)),
  'uploads-pending': (facts) =>
    ebsError('ServiceQuotaExceededException', `At most ${facts.max} snapshots of an account can be pending.`, {
      reason: 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED',
    }),
  'snapshots-unrelated': () => invalid('UNRELATED_SNAPSHOTS', 'The snapshots are not of the same lineage'),
  'block-token-invalid': (facts) => invalid('INVALID_BLOCK_TOKEN', `The block token ${facts.token} is invalid.`),
  'page-token-invalid': (facts) => invalid('INVALID_PAGE_TOKEN', `The pagination token ${facts.token} is invalid.`),
};

const keyUnusable = (): ApiError => invalid('INVALID_DEPENDENCY_REQUEST', 'The KMS key cannot be used in its state');
const keyNotFound = (): ApiError =>
  ebsError('ResourceNotFoundException', 'KMS key not found', { reason: 'DEPENDENCY_RESOURCE_NOT_FOUND' });

const keyReasons: Readonly<Record<KeyRefusalReason, Answer>> = {
  'key-not-found': keyUnusable,
  'key-identifier-invalid': keyUnusable,
  'key-other-region': keyUnusable,
  'alias-not-found': keyUnusable,
  'key-disabled': keyUnusable,
  'key-pending-deletion': keyUnusable,
  'key-not-pending-deletion': keyUnusable,
  'key-pending-import': keyUnusable,
  'key-unavailable': keyUnusable,
  'key-usage': keyUnusable,
  'ciphertext-invalid': keyUnusable,
  'ciphertext-other-key': keyUnusable,
  'ciphertext-key-unknown': keyUnusable,
  'grant-not-found': keyUnusable,
  'grant-token-invalid': () => invalid('INVALID_GRANT_TOKEN', 'The grant token is invalid'),
  'limit-exceeded': () =>
    ebsError('ServiceQuotaExceededException', 'A limit of the KMS key has been reached', {
      reason: 'DEPENDENCY_SERVICE_QUOTA_EXCEEDED',
    }),
  throttled: () =>
    ebsError('RequestThrottledException', 'KMS calls of the account have been throttled', {
      reason: 'DEPENDENCY_REQUEST_THROTTLED',
    }),
};

const volumeReasons: Readonly<Partial<Record<VolumeRefusalReason, Answer>>> = {
  'snapshot-not-found': (facts) => snapshotNotFound(id(facts)),
};

/** Turns what the domain throws into errors of this API; `undefined` is left to be an internal failure. */
export function translateEbs(error: unknown, operation: string): Error | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof Denied) {
    if (!error.action.startsWith('kms:')) {
      return ebsError('AccessDeniedException', error.text, { reason: 'UNAUTHORIZED_ACCOUNT', cause: error });
    }
    // E-21: a denied data key for a new snapshot is another error than a key that may not be read with.
    const isGenerate = operation === 'StartSnapshot' && error.action.startsWith('kms:GenerateDataKey');
    return withCause(isGenerate ? keyUnusable() : keyNotFound(), error);
  }
  if (error instanceof Refusal) {
    const answers: Readonly<Record<string, Answer>> = { ...keyReasons, ...volumeReasons, ...direct };
    const answer = Object.hasOwn(answers, error.reason) ? answers[error.reason] : undefined;
    return answer && withCause(answer(error.facts), error);
  }
  return undefined;
}

function withCause(answer: ApiError, cause: unknown): ApiError {
  return new ApiError(answer.code, answer.message, { status: answer.status, members: answer.members, cause });
}
