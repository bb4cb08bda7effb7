import { type DeriveSharedSecretCommand, KeyAgreementAlgorithmSpec } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { Constraints, unsupported } from './constraints.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';

export const deriveSharedSecret =
  (kms: Kms): OperationOf<DeriveSharedSecretCommand> =>
  async (call, input) => {
    const algorithm = input.KeyAgreementAlgorithm!;
    new Constraints()
      .bytes('publicKey', input.PublicKey, 1, 8192)
      .oneOf('keyAgreementAlgorithm', algorithm, Object.values(KeyAgreementAlgorithmSpec))
      .enforce();
    if (input.Recipient) throw unsupported('Recipient');
    note(call, true, { keyId: input.KeyId, keyAgreementAlgorithm: algorithm });
    checkGrantTokens(kms, input.GrantTokens);
    const conditions = { 'kms:KeyAgreementAlgorithm': algorithm };
    const { permit, key } = await permitted(kms, call, 'kms:DeriveSharedSecret', input.KeyId!, { conditions }, 'any');
    const secret = await kms.keys.deriveSharedSecret(permit, input.PublicKey!, dryRunOf(input));
    if (input.DryRun) {
      secret.fill(0);
      throw dryRunSucceeded();
    }
    return { KeyId: key.arn, SharedSecret: secret, KeyAgreementAlgorithm: algorithm, KeyOrigin: key.origin };
  };
