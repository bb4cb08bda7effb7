import type { EncryptCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { ENCRYPTION_ALGORITHMS, SYMMETRIC_DEFAULT } from './algorithms.ts';
import { Constraints, encryptionContext } from './constraints.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, noteMaterial, permitted } from './kms.ts';

export const encrypt =
  (kms: Kms): OperationOf<EncryptCommand> =>
  async (call, input) => {
    const algorithm = input.EncryptionAlgorithm ?? SYMMETRIC_DEFAULT;
    new Constraints()
      .bytes('plaintext', input.Plaintext, 1, 4096)
      .oneOf('encryptionAlgorithm', algorithm, ENCRYPTION_ALGORITHMS)
      .enforce();
    const context = encryptionContext(input.EncryptionContext);
    note(call, true, { keyId: input.KeyId, encryptionAlgorithm: algorithm, ...contextNote(context) });
    checkGrantTokens(kms, input.GrantTokens);
    const conditions = { 'kms:EncryptionAlgorithm': algorithm };
    const request = { encryptionContext: context, conditions };
    const { permit, key } = await permitted(kms, call, 'kms:Encrypt', input.KeyId!, request, 'any');
    const method = { algorithm, context };
    const { ciphertext, materialId } = await kms.keys.encrypt(permit, input.Plaintext!, method, dryRunOf(input));
    noteMaterial(call, materialId);
    if (input.DryRun) throw dryRunSucceeded();
    return { CiphertextBlob: ciphertext, KeyId: key.arn, EncryptionAlgorithm: algorithm };
  };

/** The context as the audit record shows it, which leaves an empty one out. */
export function contextNote(context: Readonly<Record<string, string>>): Record<string, unknown> {
  return Object.keys(context).length > 0 ? { encryptionContext: context } : {};
}
