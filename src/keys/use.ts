/** The way into every cryptographic operation: the key that was authorized, its usage, its state, and the note of its use. */
import type { Permit } from '../authz/permit.ts';
import type { KeyUsage } from './key-specs.ts';
import { isSymmetric } from './key-specs.ts';
import { type KeyParts, permittedKey } from './parts.ts';
import type { KeyRecord } from './records.ts';
import { refuse } from './refusals.ts';
import { requireState, type StatefulOperation } from './states.ts';

/** A dry run does everything but leave a trace (kms 22.2). */
export interface UseOptions {
  readonly dryRun?: boolean;
}

/** Operations that use key material, and the usage that a key needs for them (6.5). */
const USAGE = {
  Encrypt: 'ENCRYPT_DECRYPT',
  Decrypt: 'ENCRYPT_DECRYPT',
  ReEncrypt: 'ENCRYPT_DECRYPT',
  GenerateDataKey: 'ENCRYPT_DECRYPT',
  GenerateDataKeyWithoutPlaintext: 'ENCRYPT_DECRYPT',
  GenerateDataKeyPair: 'ENCRYPT_DECRYPT',
  GenerateDataKeyPairWithoutPlaintext: 'ENCRYPT_DECRYPT',
  Sign: 'SIGN_VERIFY',
  Verify: 'SIGN_VERIFY',
  GenerateMac: 'GENERATE_VERIFY_MAC',
  VerifyMac: 'GENERATE_VERIFY_MAC',
  DeriveSharedSecret: 'KEY_AGREEMENT',
  Encapsulate: 'ENCAPSULATE_DECAPSULATE',
  Decapsulate: 'ENCAPSULATE_DECAPSULATE',
} as const satisfies { readonly [Operation in StatefulOperation]?: KeyUsage };

export type UseOfKey = keyof typeof USAGE;

/** @throws {Refusal} `key-usage`, or `ciphertext-other-key` where the key opens no ciphertext at all (6.5). */
export function requireUsage(key: KeyRecord, operation: UseOfKey, opens = false): void {
  const dataKey = operation.startsWith('GenerateDataKey');
  if (key.usage === USAGE[operation] && (!dataKey || isSymmetric(key))) return;
  if (opens) throw refuse('ciphertext-other-key', { arn: key.arn });
  throw refuse('key-usage', { arn: key.arn, usage: key.usage, operation });
}

/** Runs `work` with the authorized key, and notes the use when it succeeded. */
export async function useKey<Result>(
  { store, uses, rates }: Pick<KeyParts, 'store' | 'uses' | 'rates'>,
  permit: Permit,
  operation: UseOfKey,
  { dryRun = false }: UseOptions,
  work: (key: KeyRecord) => Promise<Result>,
): Promise<Result> {
  const key = await permittedKey(store, permit);
  if (permit.call && !operation.startsWith('GenerateDataKeyPair')) rates?.countUse(permit.call, key.spec);
  requireUsage(key, operation, operation === 'Decrypt');
  requireState(key, operation);
  const result = await work(key);
  if (!dryRun) uses.note(key, operation, permit);
  return result;
}
