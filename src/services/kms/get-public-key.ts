import type { GetPublicKeyCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { checkGrantTokens, type Kms, note, permitted } from './kms.ts';
import { keyMetadata } from './shapes.ts';

export const getPublicKey =
  (kms: Kms): OperationOf<GetPublicKeyCommand> =>
  async (call, input) => {
    note(call, true, { keyId: input.KeyId });
    checkGrantTokens(kms, input.GrantTokens);
    const { permit, key } = await permitted(kms, call, 'kms:GetPublicKey', input.KeyId!, {}, 'any');
    const publicKey = await kms.keys.publicKey(permit);
    const { CustomerMasterKeySpec, KeySpec, KeyUsage, ...shown } = keyMetadata(key);
    const { EncryptionAlgorithms, SigningAlgorithms, KeyAgreementAlgorithms, EncapsulationAlgorithms } = shown;
    return {
      KeyId: key.arn,
      PublicKey: publicKey,
      ...(CustomerMasterKeySpec ? { CustomerMasterKeySpec } : {}),
      KeySpec,
      KeyUsage,
      ...(EncryptionAlgorithms ? { EncryptionAlgorithms } : {}),
      ...(SigningAlgorithms ? { SigningAlgorithms } : {}),
      ...(KeyAgreementAlgorithms ? { KeyAgreementAlgorithms } : {}),
      ...(EncapsulationAlgorithms ? { EncapsulationAlgorithms } : {}),
    };
  };
