/** Rotation of key material, by schedule and on demand (kms §16). */
import {
  type DisableKeyRotationCommand,
  type EnableKeyRotationCommand,
  type GetKeyRotationStatusCommand,
  IncludeKeyMaterial,
  type ListKeyRotationsCommand,
  type RotateKeyOnDemandCommand,
} from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { type Kms, note, permitted } from './kms.ts';
import { pageMembers, pageOf, pageRequest } from './paging.ts';
import { expirationMembers } from './shapes.ts';

const PERIOD_DAYS = 365;
const LIST = 'ListKeyRotations';

export const enableKeyRotation =
  (kms: Kms): OperationOf<EnableKeyRotationCommand> =>
  async (call, input) => {
    new Constraints().range('rotationPeriodInDays', input.RotationPeriodInDays, 90, 2560).enforce();
    const days = input.RotationPeriodInDays ?? PERIOD_DAYS;
    note(call, false, { keyId: input.KeyId, rotationPeriodInDays: days });
    const { permit } = await permitted(kms, call, 'kms:EnableKeyRotation', input.KeyId!, {
      conditions: { 'kms:RotationPeriodInDays': days },
    });
    await kms.keys.enableRotation(permit, days);
    return {};
  };

export const disableKeyRotation =
  (kms: Kms): OperationOf<DisableKeyRotationCommand> =>
  async (call, input) => {
    note(call, false, { keyId: input.KeyId });
    const { permit } = await permitted(kms, call, 'kms:DisableKeyRotation', input.KeyId!);
    await kms.keys.disableRotation(permit);
    return {};
  };

export const getKeyRotationStatus =
  (kms: Kms): OperationOf<GetKeyRotationStatusCommand> =>
  async (call, input) => {
    note(call, true, { keyId: input.KeyId });
    const { permit, key } = await permitted(kms, call, 'kms:GetKeyRotationStatus', input.KeyId!);
    const { enabled, periodInDays, nextAt } = await kms.keys.rotationStatus(permit);
    return {
      KeyId: key.arn,
      KeyRotationEnabled: enabled,
      ...(periodInDays === undefined ? {} : { RotationPeriodInDays: periodInDays }),
      ...(nextAt === undefined ? {} : { NextRotationDate: nextAt }),
    };
  };

export const rotateKeyOnDemand =
  (kms: Kms): OperationOf<RotateKeyOnDemandCommand> =>
  async (call, input) => {
    note(call, false, { keyId: input.KeyId });
    const { permit, key } = await permitted(kms, call, 'kms:RotateKeyOnDemand', input.KeyId!);
    await kms.keys.rotateOnDemand(permit);
    return { KeyId: key.arn };
  };

export const listKeyRotations =
  (kms: Kms): OperationOf<ListKeyRotationsCommand> =>
  async (call, input) => {
    const request = pageRequest(LIST, input, { max: 1000, usual: 100 });
    new Constraints()
      .oneOf('includeKeyMaterial', input.IncludeKeyMaterial, Object.values(IncludeKeyMaterial))
      .enforce();
    note(call, true, { keyId: input.KeyId });
    const { permit, key } = await permitted(kms, call, 'kms:ListKeyRotations', input.KeyId!);
    const all = await kms.keys.listMaterial(permit);
    const wanted = input.IncludeKeyMaterial === 'ALL_KEY_MATERIAL' ? all : all.filter(({ rotation }) => rotation);
    const page = pageOf(wanted, request);
    return {
      Rotations: page.items.map((material) => ({
        KeyId: key.arn,
        KeyMaterialId: material.materialId,
        KeyMaterialState: material.state,
        ...(material.importState ? { ImportState: material.importState } : {}),
        ...(material.expiration ? expirationMembers(material.expiration) : {}),
        ...(material.description === undefined ? {} : { KeyMaterialDescription: material.description }),
        ...(material.rotation ? { RotationDate: material.createdAt, RotationType: material.rotation } : {}),
      })),
      ...pageMembers(LIST, page),
    };
  };
