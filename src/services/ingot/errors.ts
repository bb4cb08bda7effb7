/** Errors of Ingot's own service: types as AWS's REST services have them, and why. */
import { Denied } from '../../authz/authorizer.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { KeyRefusalReason } from '../../keys/on-behalf.ts';
import type { VerificationRefusalReason } from '../../verification/verifications.ts';
import type { ProofRefusalReason } from '../../volumes/prove-snapshot.ts';

export function failure(code: string, status: number, message: string, cause?: unknown): ApiError {
  return new ApiError(code, message, { status, cause });
}

export const snapshotNotFound = (id: string): ApiError =>
  failure('ResourceNotFoundException', 404, `The snapshot '${id}' does not exist.`);

type Answer = (refusal: Refusal) => ApiError;

const keyCannotBeUsed =
  (why: string): Answer =>
  (cause) =>
    failure('ConflictException', 409, `The KMS key of the snapshot cannot be used: ${why}.`, cause);
const missing = keyCannotBeUsed('it does not exist');
const unavailable = keyCannotBeUsed('it is not available');
const foreign = keyCannotBeUsed('it did not wrap the data key');

const ANSWERS: Readonly<Record<KeyRefusalReason | ProofRefusalReason | VerificationRefusalReason, Answer>> = {
  'key-not-found': missing,
  'key-identifier-invalid': missing,
  'key-other-region': missing,
  'alias-not-found': missing,
  'key-disabled': keyCannotBeUsed('it is disabled'),
  'key-pending-deletion': keyCannotBeUsed('it is pending deletion'),
  'key-not-pending-deletion': unavailable,
  'key-pending-import': keyCannotBeUsed('it is pending import'),
  'key-unavailable': unavailable,
  'key-usage': unavailable,
  'ciphertext-invalid': foreign,
  'ciphertext-other-key': foreign,
  'ciphertext-key-unknown': foreign,
  'grant-not-found': unavailable,
  'grant-token-invalid': unavailable,
  'limit-exceeded': (cause) => failure('LimitExceededException', 429, 'A limit of the KMS key was reached.', cause),
  throttled: (cause) => failure('LimitExceededException', 429, 'KMS calls of the account were throttled.', cause),
  'snapshot-not-provable': (cause) =>
    failure('ConflictException', 409, 'The snapshot is not completed, or it is archived.', cause),
  'verifications-running': (cause) =>
    failure(
      'LimitExceededException',
      429,
      `An account has ${cause.facts.max} verification at a time, and all accounts together a few: ask again later.`,
      cause,
    ),
};

/** `undefined` is left to be an internal failure. */
export function translate(error: unknown): Error | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof Denied) return failure('AccessDeniedException', 403, error.text, error);
  if (!(error instanceof Refusal) || !Object.hasOwn(ANSWERS, error.reason)) return undefined;
  return ANSWERS[error.reason as keyof typeof ANSWERS](error);
}
