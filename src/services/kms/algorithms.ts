/** Encryption algorithms of a request against the key (kms §6). */
import { EncryptionAlgorithmSpec } from '@aws-sdk/client-kms';
import { ApiError } from '../../errors.ts';
import type { KeyRecord } from '../../keys/records.ts';

export const ENCRYPTION_ALGORITHMS = Object.values(EncryptionAlgorithmSpec);

export const SYMMETRIC_DEFAULT = 'SYMMETRIC_DEFAULT';

/** @throws {ApiError} InvalidKeyUsageException (6.6) */
export function requireAlgorithm(key: KeyRecord, algorithm: string | undefined): void {
  if (algorithm === undefined || algorithm === SYMMETRIC_DEFAULT) return;
  throw new ApiError('InvalidKeyUsageException', `Algorithm ${algorithm} is incompatible with key spec ${key.spec}.`);
}
