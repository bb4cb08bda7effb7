/** Encapsulate and Decapsulate: ML-KEM. */
import { type DecapsulateCommand, type EncapsulateCommand, EncapsulationAlgorithmSpec } from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, unsupported } from './constraints.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';

export const encapsulate =
  (kms: Kms): OperationOf<EncapsulateCommand> =>
  async (call, input) => {
    const { permit, key } = await admit(kms, call, 'kms:Encapsulate', input);
    const { sharedSecret, ciphertext } = await kms.keys.encapsulate(permit, dryRunOf(input));
    if (input.DryRun) {
      sharedSecret.fill(0);
      throw dryRunSucceeded();
    }
    return {
      KeyId: key.arn,
      SharedSecret: sharedSecret,
      SharedSecretCiphertextBlob: ciphertext,
      EncapsulationAlgorithm: input.EncapsulationAlgorithm,
    };
  };

export const decapsulate =
  (kms: Kms): OperationOf<DecapsulateCommand> =>
  async (call, input) => {
    new Constraints().bytes('sharedSecretCiphertextBlob', input.SharedSecretCiphertextBlob, 1, 6144).enforce();
    if ('Recipient' in input && input.Recipient) throw unsupported('Recipient');
    const { permit, key } = await admit(kms, call, 'kms:Decapsulate', input);
    const secret = await kms.keys.decapsulate(permit, input.SharedSecretCiphertextBlob!, dryRunOf(input));
    if (input.DryRun) {
      secret.fill(0);
      throw dryRunSucceeded();
    }
    return { KeyId: key.arn, SharedSecret: secret, EncapsulationAlgorithm: input.EncapsulationAlgorithm };
  };

async function admit<Action extends 'kms:Encapsulate' | 'kms:Decapsulate'>(
  kms: Kms,
  call: Call,
  action: Action,
  input: InputOf<EncapsulateCommand>,
) {
  const algorithm = input.EncapsulationAlgorithm!;
  new Constraints().oneOf('encapsulationAlgorithm', algorithm, Object.values(EncapsulationAlgorithmSpec)).enforce();
  note(call, true, { keyId: input.KeyId, encapsulationAlgorithm: algorithm });
  checkGrantTokens(kms, input.GrantTokens);
  const conditions = { 'kms:EncapsulationAlgorithm': algorithm };
  return permitted(kms, call, action, input.KeyId!, { conditions }, 'any');
}
