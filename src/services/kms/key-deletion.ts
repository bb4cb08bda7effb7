/** ScheduleKeyDeletion and CancelKeyDeletion (kms §19). */
import type { CancelKeyDeletionCommand, ScheduleKeyDeletionCommand } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { Constraints } from './constraints.ts';
import { auditDate, authorize, type Kms, locate, note, permitted } from './kms.ts';

const WINDOW_DAYS = 30;

export const scheduleKeyDeletion =
  (kms: Kms): OperationOf<ScheduleKeyDeletionCommand> =>
  async (call, input) => {
    new Constraints().range('pendingWindowInDays', input.PendingWindowInDays, 7, 30).enforce();
    const days = input.PendingWindowInDays ?? WINDOW_DAYS;
    const parameters = { keyId: input.KeyId, pendingWindowInDays: days };
    note(call, false, parameters);
    const target = await locate(kms, call, 'kms:ScheduleKeyDeletion', input.KeyId!);
    const { key } = target;
    const permit = await authorize(kms, call, 'kms:ScheduleKeyDeletion', target, {
      conditions: {
        'kms:ScheduleKeyDeletionPendingWindowInDays': days,
        'kms:TrailingDaysWithoutKeyUsage': await kms.keys.trailingDaysWithoutUse(key),
      },
    });
    const { state, deletionAt } = await kms.keys.scheduleDeletion(permit, days);
    note(call, false, parameters, {
      keyId: key.arn,
      keyState: state,
      pendingWindowInDays: days,
      ...(deletionAt ? { deletionDate: auditDate(deletionAt) } : {}),
    });
    return {
      KeyId: key.arn,
      ...(deletionAt ? { DeletionDate: deletionAt } : {}),
      KeyState: state,
      PendingWindowInDays: days,
    };
  };

export const cancelKeyDeletion =
  (kms: Kms): OperationOf<CancelKeyDeletionCommand> =>
  async (call, input) => {
    note(call, false, { keyId: input.KeyId });
    const { permit, key } = await permitted(kms, call, 'kms:CancelKeyDeletion', input.KeyId!);
    await kms.keys.cancelDeletion(permit);
    note(call, false, { keyId: input.KeyId }, { keyId: key.arn });
    return { KeyId: key.arn };
  };
