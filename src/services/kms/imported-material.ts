/** GetParametersForImport, ImportKeyMaterial and DeleteImportedKeyMaterial (kms §17). */
import {
  AlgorithmSpec,
  type DeleteImportedKeyMaterialCommand,
  ExpirationModelType,
  type GetParametersForImportCommand,
  type ImportKeyMaterialCommand,
  ImportType,
  WrappingKeySpec,
} from '@aws-sdk/client-kms';
import {
  WRAPPING_ALGORITHMS,
  WRAPPING_KEYS,
  type WrappingAlgorithm,
  type WrappingKeySpec as WrappingKey,
} from '../../keys/imports.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, invalid, unsupported } from './constraints.ts';
import { type Kms, note, permitted } from './kms.ts';

const YEAR_MS = 365 * 86_400_000;

export const getParametersForImport =
  (kms: Kms): OperationOf<GetParametersForImportCommand> =>
  async (call, input) => {
    const { WrappingAlgorithm: algorithm, WrappingKeySpec: spec } = input;
    new Constraints()
      .oneOf('wrappingAlgorithm', algorithm, Object.values(AlgorithmSpec))
      .oneOf('wrappingKeySpec', spec, Object.values(WrappingKeySpec))
      .enforce();
    note(call, true, { keyId: input.KeyId, wrappingAlgorithm: algorithm, wrappingKeySpec: spec });
    const { permit, key } = await permitted(kms, call, 'kms:GetParametersForImport', input.KeyId!, {
      conditions: { 'kms:WrappingAlgorithm': algorithm, 'kms:WrappingKeySpec': spec },
    });
    if (!isWrappingAlgorithm(algorithm!)) throw unsupported(`WrappingAlgorithm ${algorithm}`);
    if (!isWrappingKey(spec!)) throw unsupported(`WrappingKeySpec ${spec}`);
    const { token, publicKey, validTo } = await kms.keys.parametersForImport(permit, algorithm, spec);
    return { KeyId: key.arn, ImportToken: token, PublicKey: publicKey, ParametersValidTo: validTo };
  };

export const importKeyMaterial =
  (kms: Kms): OperationOf<ImportKeyMaterialCommand> =>
  async (call, input) => {
    new Constraints()
      .bytes('importToken', input.ImportToken, 1, 6144)
      .bytes('encryptedKeyMaterial', input.EncryptedKeyMaterial, 1, 6144)
      .oneOf('expirationModel', input.ExpirationModel, Object.values(ExpirationModelType))
      .oneOf('importType', input.ImportType, Object.values(ImportType))
      .length('keyMaterialDescription', input.KeyMaterialDescription, 0, 256)
      .pattern('keyMaterialId', input.KeyMaterialId, /^[a-f0-9]{64}$/, '^[a-f0-9]+$')
      .enforce();
    const { model, validTo } = readExpiration(input, call.now);
    note(call, false, {
      keyId: input.KeyId,
      expirationModel: model,
      ...(validTo ? { validTo: validTo.toISOString() } : {}),
      ...(input.ImportType === undefined ? {} : { importType: input.ImportType }),
      ...(input.KeyMaterialId === undefined ? {} : { keyMaterialId: input.KeyMaterialId }),
    });
    const { permit, key } = await permitted(kms, call, 'kms:ImportKeyMaterial', input.KeyId!, {
      conditions: { 'kms:ExpirationModel': model, 'kms:ValidTo': validTo },
    });
    const materialId = await kms.keys.importMaterial(permit, {
      token: input.ImportToken!,
      wrapped: input.EncryptedKeyMaterial!,
      expiration: validTo ? { validTo } : {},
      ...(input.ImportType === undefined ? {} : { type: input.ImportType }),
      ...(input.KeyMaterialId === undefined ? {} : { materialId: input.KeyMaterialId }),
      ...(input.KeyMaterialDescription === undefined ? {} : { description: input.KeyMaterialDescription }),
    });
    return { KeyId: key.arn, KeyMaterialId: materialId };
  };

export const deleteImportedKeyMaterial =
  (kms: Kms): OperationOf<DeleteImportedKeyMaterialCommand> =>
  async (call, input) => {
    new Constraints().pattern('keyMaterialId', input.KeyMaterialId, /^[a-f0-9]{64}$/, '^[a-f0-9]+$').enforce();
    note(call, false, {
      keyId: input.KeyId,
      ...(input.KeyMaterialId === undefined ? {} : { keyMaterialId: input.KeyMaterialId }),
    });
    const { permit, key } = await permitted(kms, call, 'kms:DeleteImportedKeyMaterial', input.KeyId!);
    const materialId = await kms.keys.deleteImportedMaterial(permit, input.KeyMaterialId);
    return { KeyId: key.arn, ...(materialId === undefined ? {} : { KeyMaterialId: materialId }) };
  };

/** 17.3 */
function readExpiration({ ExpirationModel, ValidTo }: InputOf<ImportKeyMaterialCommand>, now: Date) {
  const model = ExpirationModel ?? 'KEY_MATERIAL_EXPIRES';
  if (model === 'KEY_MATERIAL_DOES_NOT_EXPIRE') {
    if (ValidTo) throw invalid('A validTo date must not be set if the ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE');
    return { model };
  }
  if (!ValidTo) throw invalid('A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES');
  const ms = ValidTo.getTime() - now.getTime();
  if (!(ms > 0 && ms <= YEAR_MS)) throw invalid('The validTo date must be in the future, and at most 365 days away');
  return { model, validTo: ValidTo };
}

function isWrappingAlgorithm(name: string): name is WrappingAlgorithm {
  return Object.hasOwn(WRAPPING_ALGORITHMS, name);
}
function isWrappingKey(name: string): name is WrappingKey {
  return Object.hasOwn(WRAPPING_KEYS, name);
}
