/** Refusals of keys in KMS's own errors (kms §25); everything is HTTP 400 (1.4). */
import { ApiError } from '../../errors.ts';
import { kmsErrorOf } from '../../keys/kms-words.ts';

export function translate(error: unknown): Error | undefined {
  const words = kmsErrorOf(error);
  return words && new ApiError(words.code, words.message, { cause: error });
}

/** A dry run leaves no trace of the key's use (22.2). */
export function dryRunOf(input: { readonly DryRun?: boolean | undefined }): { readonly dryRun: boolean } {
  return { dryRun: input.DryRun ?? false };
}

/** The answer to a dry run of what would have succeeded (22.2). */
export function dryRunSucceeded(): ApiError {
  return new ApiError('DryRunOperationException', 'The request would have succeeded, but the DryRun option is set.');
}
