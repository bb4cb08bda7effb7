/** EnableKey, DisableKey and UpdateKeyDescription. */
import type { DisableKeyCommand, EnableKeyCommand, UpdateKeyDescriptionCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { authorize, type Kms, locate, note, permitted } from './kms.ts';

export const enableKey =
  (kms: Kms): OperationOf<EnableKeyCommand> =>
  async (call, input) => {
    note(call, false, { keyId: input.KeyId });
    const { permit } = await permitted(kms, call, 'kms:EnableKey', input.KeyId!);
    await kms.keys.enableKey(permit);
    return {};
  };

export const disableKey =
  (kms: Kms): OperationOf<DisableKeyCommand> =>
  async (call, input) => {
    note(call, false, { keyId: input.KeyId });
    const target = await locate(kms, call, 'kms:DisableKey', input.KeyId!);
    const permit = await authorize(kms, call, 'kms:DisableKey', target, {
      conditions: { 'kms:TrailingDaysWithoutKeyUsage': await kms.keys.trailingDaysWithoutUse(target.key) },
    });
    await kms.keys.disableKey(permit);
    return {};
  };

export const updateKeyDescription =
  (kms: Kms): OperationOf<UpdateKeyDescriptionCommand> =>
  async (call, input) => {
    new Constraints().length('description', input.Description, 0, 8192).enforce();
    note(call, false, { keyId: input.KeyId, description: input.Description });
    const { permit } = await permitted(kms, call, 'kms:UpdateKeyDescription', input.KeyId!);
    await kms.keys.updateDescription(permit, input.Description!);
    return {};
  };
