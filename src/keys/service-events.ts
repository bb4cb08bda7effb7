/** What KMS does by itself (rotation, final deletion) is recorded too, as an AwsServiceEvent (kms 26.7). */
import type { AuditEntry } from '../audit/audit.ts';
import type { Call } from '../authz/caller.ts';
import { type AccountId, type Arn, type KeyId, newUuid, parseArn, type Region } from '../ids.ts';
import type { KeyRecord } from './records.ts';

type KeyNames = Pick<KeyRecord, 'accountId' | 'region' | 'keyId'>;

/** Account, Region and key id out of a key ARN that this module made. */
export function readKeyArn(arn: Arn): KeyNames {
  const parts = parseArn(arn);
  if (!parts) throw new Error(`${arn} is no key ARN`);
  const keyId = parts.resource.slice('key/'.length) as KeyId;
  return { accountId: parts.account as AccountId, region: parts.region as Region, keyId };
}

export function serviceEvent(
  eventName: 'RotateKey' | 'DeleteKey' | 'DeleteExpiredKeyMaterial' | 'SynchronizeMultiRegionKey',
  key: KeyNames & { readonly arn: Arn },
  now: Date,
  additionalEventData: Readonly<Record<string, string>>,
): AuditEntry {
  return {
    call: serviceCall(key, now),
    eventSource: 'kms.amazonaws.com',
    eventName,
    eventType: 'AwsServiceEvent',
    readOnly: false,
    additionalEventData,
    resources: [{ arn: key.arn, accountId: key.accountId, type: 'AWS::KMS::Key' }],
  };
}

/** KMS itself, in the account of the key. */
function serviceCall(key: KeyNames, now: Date): Call {
  const arn = 'kms.amazonaws.com' as Arn;
  return {
    caller: { accountId: key.accountId, type: 'Service', arn, principalArn: arn, userId: arn, uniqueId: arn, tags: {} },
    region: key.region,
    requestId: newUuid(),
    now,
    userAgent: 'AWS Internal',
    secureTransport: true,
    invokedBy: 'AWS Internal',
  };
}
