/** GenerateDataKey and GenerateDataKeyWithoutPlaintext (kms §9): the same data key, with distinct permissions (9.4). */
import {
  DataKeySpec,
  type GenerateDataKeyCommand,
  type GenerateDataKeyWithoutPlaintextCommand,
} from '@aws-sdk/client-kms';
import type { Call } from '../../authz/caller.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { SYMMETRIC_DEFAULT } from './algorithms.ts';
import { Constraints, encryptionContext, invalid, unsupported } from './constraints.ts';
import { contextNote } from './encrypt.ts';
import { dryRunOf, dryRunSucceeded } from './errors.ts';
import { checkGrantTokens, type Kms, note, noteMaterial, permitted } from './kms.ts';

const BYTES: Readonly<Record<DataKeySpec, number>> = { AES_128: 16, AES_256: 32 };

export const generateDataKey =
  (kms: Kms): OperationOf<GenerateDataKeyCommand> =>
  async (call, input) => {
    if (input.Recipient) throw unsupported('Recipient');
    const { made, arn } = await generate(kms, call, 'kms:GenerateDataKey', input);
    return { CiphertextBlob: made.ciphertext, Plaintext: made.plaintext, KeyId: arn, KeyMaterialId: made.materialId };
  };

export const generateDataKeyWithoutPlaintext =
  (kms: Kms): OperationOf<GenerateDataKeyWithoutPlaintextCommand> =>
  async (call, input) => {
    const { made, arn } = await generate(kms, call, 'kms:GenerateDataKeyWithoutPlaintext', input);
    made.plaintext.fill(0);
    return { CiphertextBlob: made.ciphertext, KeyId: arn, KeyMaterialId: made.materialId };
  };

async function generate(
  kms: Kms,
  call: Call,
  action: 'kms:GenerateDataKey' | 'kms:GenerateDataKeyWithoutPlaintext',
  input: InputOf<GenerateDataKeyWithoutPlaintextCommand>,
) {
  new Constraints()
    .oneOf('keySpec', input.KeySpec, Object.values(DataKeySpec))
    .range('numberOfBytes', input.NumberOfBytes, 1, 1024)
    .enforce();
  const { KeySpec: spec, NumberOfBytes: count } = input;
  if ((spec === undefined) === (count === undefined)) {
    throw invalid('Please specify either number of bytes or key spec.');
  }
  const byteCount = spec === undefined ? count! : BYTES[spec];
  const context = encryptionContext(input.EncryptionContext);
  const size = spec === undefined ? { numberOfBytes: count } : { keySpec: spec };
  note(call, true, { keyId: input.KeyId, ...size, ...contextNote(context) });
  checkGrantTokens(kms, input.GrantTokens);
  const request = { encryptionContext: context, conditions: { 'kms:EncryptionAlgorithm': SYMMETRIC_DEFAULT } };
  const { permit, key } = await permitted(kms, call, action, input.KeyId!, request, 'any');
  const made = await kms.keys.generateDataKey(permit, byteCount, context, dryRunOf(input));
  noteMaterial(call, made.materialId);
  if (input.DryRun) {
    made.plaintext.fill(0);
    throw dryRunSucceeded();
  }
  return { made, arn: key.arn };
}
