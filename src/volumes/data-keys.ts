/**
 * Data keys as volumes and snapshots hold them: wrapped, with the id of the lineage and the one pair of encryption
 * context they are wrapped for (K-1 to K-4). Opened keys are used and let go; nothing here keeps one.
 */
import type { Call } from '../authz/caller.ts';
import type { AccountId, Arn, DataKeyId, Region } from '../ids.ts';
import { newUuid } from '../ids.ts';
import type { EncryptionContext, KeysOnBehalf } from '../keys/on-behalf.ts';
import type { OpenDataKey } from './storage.ts';
import type { VolumeRow } from './tables.ts';

/** 64 bytes: two halves of AES-256-XTS (K-1). */
export const DATA_KEY_BYTES = 64;

export interface WrappedDataKey {
  readonly id: DataKeyId;
  readonly wrapped: Uint8Array;
  /** Value of `aws:ebs:id`. */
  readonly contextId: string;
  /** Absent where the installation's root key wraps it (plain volumes and snapshots). */
  readonly kmsKeyArn: Arn | undefined;
}

export function ebsContext(id: string): EncryptionContext {
  return { 'aws:ebs:id': id };
}

export function newDataKeyId(): DataKeyId {
  return newUuid() as DataKeyId;
}

/** The key columns of a row, whose names end alike for snapshots, volumes and bases. */
export function wrappedKeyOf(row: {
  data_key_id: DataKeyId | null;
  wrapped_key: Uint8Array | null;
  context_id: string | null;
  kms_key_arn: Arn | null;
}): WrappedDataKey | undefined {
  if (row.data_key_id === null || row.wrapped_key === null || row.context_id === null) return undefined;
  return {
    id: row.data_key_id,
    wrapped: row.wrapped_key,
    contextId: row.context_id,
    kmsKeyArn: row.kms_key_arn ?? undefined,
  };
}

export function keyColumns(key: WrappedDataKey) {
  return {
    data_key_id: key.id,
    wrapped_key: key.wrapped,
    context_id: key.contextId,
    kms_key_arn: key.kmsKeyArn ?? null,
  };
}

/** The base as the record holds it, where there is one. */
export function baseKeyOf(row: VolumeRow): WrappedDataKey | undefined {
  return wrappedKeyOf({
    data_key_id: row.base_data_key_id,
    wrapped_key: row.base_wrapped_key,
    context_id: row.base_context_id,
    kms_key_arn: row.base_kms_key_arn,
  });
}

export function baseColumns(key: WrappedDataKey) {
  return {
    base_data_key_id: key.id,
    base_wrapped_key: key.wrapped,
    base_context_id: key.contextId,
    base_kms_key_arn: key.kmsKeyArn ?? null,
  };
}

/** A new data key of a plain lineage. */
export async function newPlainKey(keys: KeysOnBehalf, contextId: string): Promise<WrappedDataKey> {
  const { wrapped } = await keys.newInstallationDataKey(ebsContext(contextId));
  return { id: newDataKeyId(), wrapped, contextId, kmsKeyArn: undefined };
}

/** A new data key under `kmsKeyArn`, asked for in the name of the caller. */
export async function newKmsKey(
  keys: KeysOnBehalf,
  call: Call,
  kmsKeyArn: Arn,
  contextId: string,
): Promise<WrappedDataKey> {
  const wrapped = await keys.generateDataKeyWithoutPlaintext(call, kmsKeyArn, DATA_KEY_BYTES, ebsContext(contextId));
  return { id: newDataKeyId(), wrapped, contextId, kmsKeyArn };
}

/** Opens a data key for work that was authorized when it began, or that needs no right (BI-6). */
export async function openForSystem(keys: KeysOnBehalf, key: WrappedDataKey, reason: string): Promise<OpenDataKey> {
  const context = ebsContext(key.contextId);
  const secret = key.kmsKeyArn
    ? await keys.openForSystem(key.kmsKeyArn, key.wrapped, context, reason)
    : await keys.openInstallationDataKey(key.wrapped, context);
  return { id: key.id, secret };
}

/** Opens a data key in the name of `call`: kms:Decrypt is checked and recorded. */
export async function openAs(keys: KeysOnBehalf, call: Call, key: WrappedDataKey): Promise<OpenDataKey> {
  const context = ebsContext(key.contextId);
  const secret = key.kmsKeyArn
    ? await keys.decrypt(call, key.kmsKeyArn, key.wrapped, context)
    : await keys.openInstallationDataKey(key.wrapped, context);
  return { id: key.id, secret };
}

export function ec2Principal(region: Region): string {
  return `ec2.${region}.amazonaws.com`;
}

/** A call that EC2 makes for itself: it retires the grants it holds the right to retire (27.5). */
export function ec2ServiceCall(account: AccountId, region: Region, now: Date): Call {
  const principal = ec2Principal(region) as Arn;
  return {
    caller: {
      accountId: account,
      type: 'Service',
      arn: principal,
      principalArn: principal,
      userId: principal,
      uniqueId: principal,
      tags: {},
    },
    region,
    requestId: newUuid(),
    now,
    userAgent: 'AWS Internal',
    secureTransport: true,
    viaService: principal,
    invokedBy: 'AWS Internal',
  };
}
