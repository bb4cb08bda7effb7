import type { GetKeyLastUsageCommand, KeyLastUsageTrackingOperation } from '@aws-sdk/client-kms';
import type { OperationOf } from '../operation.ts';
import { type Kms, note, permitted } from './kms.ts';

export const getKeyLastUsage =
  (kms: Kms): OperationOf<GetKeyLastUsageCommand> =>
  async (call, input) => {
    note(call, true, { keyId: input.KeyId });
    const { permit, key } = await permitted(kms, call, 'kms:GetKeyLastUsage', input.KeyId!);
    const use = await kms.keys.lastUse(permit);
    return {
      KeyId: key.arn,
      KeyLastUsage: use
        ? {
            Operation: use.operation as KeyLastUsageTrackingOperation,
            Timestamp: use.at,
            ...(use.eventId === undefined ? {} : { CloudTrailEventId: use.eventId }),
            KmsRequestId: use.requestId,
          }
        : {},
      TrackingStartDate: key.usageSince,
      KeyCreationDate: key.createdAt,
    };
  };
