/** GenerateMac and VerifyMac (kms §10). */
import { type GenerateMacCommand, MacAlgorithmSpec, type VerifyMacCommand } from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';

export const generateMac =
  (kms: Kms): OperationOf<GenerateMacCommand> =>
  async (call, input) => {
    const { permit, key } = await admit(kms, call, 'kms:GenerateMac', input);
    const mac = await kms.keys.generateMac(permit, input.MacAlgorithm!, input.Message!, dryRunOf(input));
    if (input.DryRun) throw dryRunSucceeded();
    return { KeyId: key.arn, Mac: mac, MacAlgorithm: input.MacAlgorithm };
  };

/** A MAC that does not hold is an error, never `false` (10.2). */
export const verifyMac =
  (kms: Kms): OperationOf<VerifyMacCommand> =>
  async (call, input) => {
    new Constraints().bytes('mac', input.Mac, 1, 6144).enforce();
    const { permit, key } = await admit(kms, call, 'kms:VerifyMac', input);
    await kms.keys.verifyMac(permit, input.MacAlgorithm!, input.Message!, input.Mac!, dryRunOf(input));
    if (input.DryRun) throw dryRunSucceeded();
    return { KeyId: key.arn, MacValid: true, MacAlgorithm: input.MacAlgorithm };
  };

async function admit<Action extends 'kms:GenerateMac' | 'kms:VerifyMac'>(
  kms: Kms,
  call: Call,
  action: Action,
  input: InputOf<GenerateMacCommand>,
) {
  const algorithm = input.MacAlgorithm!;
  new Constraints()
    .bytes('message', input.Message, 1, 4096)
    .oneOf('macAlgorithm', algorithm, Object.values(MacAlgorithmSpec))
    .enforce();
  note(call, true, { keyId: input.KeyId, macAlgorithm: algorithm });
  checkGrantTokens(kms, input.GrantTokens);
  return permitted(kms, call, action, input.KeyId!, { conditions: { 'kms:MacAlgorithm': algorithm } }, 'any');
}
