/** Sign and Verify (kms §10). */
import { MessageType, type SignCommand, SigningAlgorithmSpec, type VerifyCommand } from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import type { KeyRecord } from '../../keys/records.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, unsupported } from './constraints.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';

export const sign =
  (kms: Kms): OperationOf<SignCommand> =>
  async (call, input) => {
    const { permit, key, text } = await admit(kms, call, 'kms:Sign', input);
    const signature = await kms.keys.sign(permit, text, dryRunOf(input));
    if (input.DryRun) throw dryRunSucceeded();
    return { KeyId: key.arn, Signature: signature, SigningAlgorithm: text.algorithm };
  };

/** A signature that does not hold is an error, never `false` (10.2). */
export const verify =
  (kms: Kms): OperationOf<VerifyCommand> =>
  async (call, input) => {
    new Constraints().bytes('signature', input.Signature, 1, 6144).enforce();
    const { permit, key, text } = await admit(kms, call, 'kms:Verify', input);
    await kms.keys.verify(permit, text, input.Signature!, dryRunOf(input));
    if (input.DryRun) throw dryRunSucceeded();
    return { KeyId: key.arn, SignatureValid: true, SigningAlgorithm: text.algorithm };
  };

/** What both check and ask for. */
async function admit<Action extends 'kms:Sign' | 'kms:Verify'>(
  kms: Kms,
  call: Call,
  action: Action,
  input: InputOf<SignCommand>,
): Promise<{ permit: Permit<Action>; key: KeyRecord; text: Signed }> {
  const messageType = input.MessageType ?? 'RAW';
  const algorithm = input.SigningAlgorithm!;
  new Constraints()
    .bytes('message', input.Message, 1, 4096)
    .oneOf('messageType', messageType, Object.values(MessageType))
    .oneOf('signingAlgorithm', algorithm, Object.values(SigningAlgorithmSpec))
    .enforce();
  note(call, true, { keyId: input.KeyId, messageType, signingAlgorithm: algorithm });
  checkGrantTokens(kms, input.GrantTokens);
  const conditions = { 'kms:SigningAlgorithm': algorithm, 'kms:MessageType': messageType };
  const { permit, key } = await permitted(kms, call, action, input.KeyId!, { conditions }, 'any');
  // OpenSSL has both; Node passes neither on: no prehash of Ed25519, no mu of ML-DSA.
  if (messageType === 'EXTERNAL_MU') throw unsupported('MessageType EXTERNAL_MU');
  if (algorithm === 'ED25519_PH_SHA_512' && key.spec === 'ECC_NIST_EDWARDS25519') {
    throw unsupported('SigningAlgorithm ED25519_PH_SHA_512');
  }
  return { permit, key, text: { algorithm, messageType, message: input.Message! } };
}

interface Signed {
  readonly algorithm: SigningAlgorithmSpec;
  readonly messageType: 'RAW' | 'DIGEST';
  readonly message: Uint8Array;
}
