/** What STS operations share. */
import type { Authorizer } from '../../authz/authorizer.ts';
import { ApiError } from '../../errors.ts';
import type { Identity } from '../../identity/identity.ts';

export interface Sts {
  readonly identity: Identity;
  readonly authorizer: Authorizer;
}

export function validation(message: string): ApiError {
  return new ApiError('ValidationError', message);
}

export function accessDenied(message: string, cause?: unknown): ApiError {
  return new ApiError('AccessDenied', message, { status: 403, cause });
}

/** A constraint that a member failed, as AWS words it. */
export function constraint(member: string, value: unknown, rule: string): ApiError {
  return validation(
    `1 validation error detected: Value '${value}' at '${member}' failed to satisfy constraint: Member must ${rule}`,
  );
}

/** A session token is as long as it is; padding it is not offered. */
export function refuseTokenSize(input: { readonly MinimumSessionTokenSize?: number | undefined }): void {
  if (input.MinimumSessionTokenSize) throw validation('MinimumSessionTokenSize is not supported by Ingot.');
}

export function requireSeconds(seconds: number, min: number, max: number): number {
  if (seconds < min) throw constraint('durationSeconds', seconds, `have value greater than or equal to ${min}`);
  if (seconds > max) throw constraint('durationSeconds', seconds, `have value less than or equal to ${max}`);
  return seconds;
}
