/** GenerateDataKeyPair and GenerateDataKeyPairWithoutPlaintext (kms 9.5). */
import {
  DataKeyPairSpec,
  type GenerateDataKeyPairCommand,
  type GenerateDataKeyPairWithoutPlaintextCommand,
} from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import { isKeySpec, materialKind } from '../../keys/key-specs.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { SYMMETRIC_DEFAULT } from './algorithms.ts';
import { Constraints, encryptionContext, unsupported } from './constraints.ts';
import { contextNote } from './encrypt.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, noteMaterial, permitted } from './kms.ts';

export const generateDataKeyPair =
  (kms: Kms): OperationOf<GenerateDataKeyPairCommand> =>
  async (call, input) => {
    if (input.Recipient) throw unsupported('Recipient');
    const { made, shown } = await generate(kms, call, 'kms:GenerateDataKeyPair', input);
    return { ...shown, PrivateKeyPlaintext: made.privateKey };
  };

export const generateDataKeyPairWithoutPlaintext =
  (kms: Kms): OperationOf<GenerateDataKeyPairWithoutPlaintextCommand> =>
  async (call, input) => {
    const { made, shown } = await generate(kms, call, 'kms:GenerateDataKeyPairWithoutPlaintext', input);
    made.privateKey.fill(0);
    return shown;
  };

async function generate(
  kms: Kms,
  call: Call,
  action: 'kms:GenerateDataKeyPair' | 'kms:GenerateDataKeyPairWithoutPlaintext',
  input: InputOf<GenerateDataKeyPairWithoutPlaintextCommand>,
) {
  const spec = input.KeyPairSpec!;
  new Constraints().oneOf('keyPairSpec', spec, Object.values(DataKeyPairSpec)).enforce();
  const context = encryptionContext(input.EncryptionContext);
  note(call, true, { keyId: input.KeyId, keyPairSpec: spec, ...contextNote(context) });
  checkGrantTokens(kms, input.GrantTokens);
  const conditions = { 'kms:EncryptionAlgorithm': SYMMETRIC_DEFAULT, 'kms:DataKeyPairSpec': spec };
  const request = { encryptionContext: context, conditions };
  const { permit, key } = await permitted(kms, call, action, input.KeyId!, request, 'any');
  const kind = isKeySpec(spec) ? materialKind(spec) : undefined;
  if (kind?.kind !== 'pair') throw unsupported(`KeyPairSpec ${spec}`);
  const made = await kms.keys.generateDataKeyPair(permit, kind.pair, context, dryRunOf(input));
  noteMaterial(call, made.materialId);
  if (input.DryRun) {
    made.privateKey.fill(0);
    throw dryRunSucceeded();
  }
  const shown = {
    PrivateKeyCiphertextBlob: made.privateKeyCiphertext,
    PublicKey: made.publicKey,
    KeyId: key.arn,
    KeyPairSpec: spec,
    KeyMaterialId: made.materialId,
  };
  return { made, shown };
}
