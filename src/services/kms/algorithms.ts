/** Encryption algorithms that a request may name (kms §6); whether a key has them is the key's affair. */
import { EncryptionAlgorithmSpec } from '@aws-sdk/client-kms';

export const ENCRYPTION_ALGORITHMS = Object.values(EncryptionAlgorithmSpec);

export const SYMMETRIC_DEFAULT = 'SYMMETRIC_DEFAULT';
