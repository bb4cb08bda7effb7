/**
 * EC2's errors: codes with their HTTP status, the literal texts that clients match on (ec2-encryption 7.2), and how
 * refusals of the domain are said in EC2's words.
 */
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { ApiError, Refusal } from '../../errors.ts';
import { isEc2Id } from '../../ids.ts';
import type { KeyRefusalReason } from '../../keys/on-behalf.ts';
import type { KeyManagementReason } from '../../keys/refusals.ts';
import type { VolumeRefusalReason } from '../../volumes/volumes.ts';

/** Every code whose status is not 400 (L-23). */
const STATUS: Readonly<Record<string, number>> = {
  UnauthorizedOperation: 403,
  DryRunOperation: 412,
  InsufficientInstanceCapacity: 500,
  InternalError: 500,
  RequestLimitExceeded: 503,
  Unavailable: 503,
};

/** An EC2 error with the status its code has on AWS. */
export function ec2Error(code: string, message: string, options: { cause?: unknown; status?: number } = {}): ApiError {
  return new ApiError(code, message, { status: options.status ?? STATUS[code] ?? 400, cause: options.cause });
}

export function missingParameter(name: string): ApiError {
  return ec2Error('MissingParameter', `The request must contain the parameter ${name}`);
}
export function invalidParameterValue(message: string): ApiError {
  return ec2Error('InvalidParameterValue', message);
}
export function invalidParameterCombination(message: string): ApiError {
  return ec2Error('InvalidParameterCombination', message);
}
/** A parameter of AWS that Ingot does not honour: refused by name, never ignored. */
export function unsupportedParameter(name: string): ApiError {
  return ec2Error('UnsupportedOperation', `The parameter ${name} is not supported.`);
}

// Not found, and not of the right shape (7.2) -------------------------------------------------------------------------

export function imageNotFound(ids: readonly string[]): ApiError {
  const message =
    ids.length === 1 ? `The image id '[${ids[0]}]' does not exist` : `The image ids '[${ids.join(', ')}]' do not exist`;
  return ec2Error('InvalidAMIID.NotFound', message);
}
export function imageUnavailable(id: string): ApiError {
  return ec2Error('InvalidAMIID.Unavailable', `The image ID: '${id}' is no longer available`);
}
/** `Not authorized for image:ami-…`, HTTP 400 (SH-20). */
export function imageNotOwned(id: string): ApiError {
  return ec2Error('AuthFailure', `Not authorized for image:${id}`);
}
/** `Not authorized for images: [ami-…]` of a launch (SH-20, 8.11). */
export function imageNotLaunchable(ids: readonly string[]): ApiError {
  return ec2Error('AuthFailure', `Not authorized for images: [${ids.join(', ')}]`);
}
export function snapshotNotFound(id: string): ApiError {
  return ec2Error('InvalidSnapshot.NotFound', `The snapshot '${id}' does not exist.`);
}
export function volumeNotFound(id: string): ApiError {
  return ec2Error('InvalidVolume.NotFound', `The volume '${id}' does not exist.`);
}
export function instanceNotFound(ids: readonly string[]): ApiError {
  const message =
    ids.length === 1
      ? `The instance ID '${ids[0]}' does not exist`
      : `The instance IDs '${ids.join(', ')}' do not exist`;
  return ec2Error('InvalidInstanceID.NotFound', message);
}

/** Refuses an image id that is missing or malformed (7.2). */
export function requireImageId(id: string | undefined): asserts id is string {
  if (!id) throw missingParameter('ImageId');
  if (isEc2Id(id, 'ami')) return;
  const expecting = id.startsWith('ami-') ? '' : ' (expecting "ami-...")';
  throw ec2Error('InvalidAMIID.Malformed', `Invalid id: "${id}"${expecting}`);
}
export function requireInstanceId(id: string | undefined): asserts id is string {
  if (!id) throw missingParameter('InstanceId');
  if (isEc2Id(id, 'i')) return;
  const expecting = id.startsWith('i-') ? '' : ' (expecting "i-...")';
  throw ec2Error('InvalidInstanceID.Malformed', `Invalid id: "${id}"${expecting}`);
}
export function requireVolumeId(id: string | undefined): asserts id is string {
  if (!id) throw missingParameter('VolumeId');
  if (isEc2Id(id, 'vol')) return;
  throw ec2Error('InvalidVolumeID.Malformed', `Value (${id}) for parameter volumeId is invalid.`);
}
/** CV-9: trailing space included. CopySnapshot says it otherwise (CS-10). */
export function requireSnapshotId(id: string | undefined): asserts id is string {
  if (!id) throw missingParameter('SnapshotId');
  if (isEc2Id(id, 'snap')) return;
  throw ec2Error('InvalidSnapshotID.Malformed', `Value ( ${id} ) for parameter SNAPSHOT is invalid. `);
}

// What the domain says, in EC2's words --------------------------------------------------------------------------------

export interface RefusalPlace {
  readonly facts: Refusal['facts'];
  readonly call: Call;
  /** Operation name, for example `CreateVolume`: some refusals have other words in other operations. */
  readonly operation: string;
}
/** One answer for every reason of a domain module; a new reason does not compile until it is here. */
export type RefusalTable<Reason extends string> = Readonly<Record<Reason, (place: RefusalPlace) => ApiError>>;

const revoked = (): ApiError =>
  ec2Error('CustomerKeyHasBeenRevoked', 'The encrypted volume was unable to access the KMS key');
/** CS-4 in operations that look at the key at once, K-18 when attaching. */
const keyRefused =
  (state: string) =>
  ({ facts, operation }: RefusalPlace): ApiError =>
    operation === 'AttachVolume'
      ? revoked()
      : invalidParameterValue(`The specified keyId ${keyName(facts)} is ${state}`);
const keyName = (facts: Refusal['facts']): string => String(facts.arn ?? facts.value ?? 'given');
const keyInternal = ({ facts }: RefusalPlace): ApiError =>
  ec2Error('InternalError', `The KMS key ${keyName(facts)} could not be used.`);

const keyLimit = ({ facts }: RefusalPlace): ApiError =>
  ec2Error('ResourceLimitExceeded', `A limit of AWS KMS has been reached: ${facts.limit ?? keyName(facts)}.`);

/** Of the reasons that stand beside EBS's own, those that a call in the caller's name can meet. */
type KeyReason =
  | KeyRefusalReason
  | Extract<KeyManagementReason, 'key-arn-invalid' | 'key-creating' | 'key-updating' | 'grant-limit' | 'key-limit'>;

export const keyRefusals: RefusalTable<KeyReason> = {
  'key-arn-invalid': keyRefused('invalid'),
  'key-creating': keyRefused('being created'),
  'key-updating': keyRefused('being updated'),
  'grant-limit': keyLimit,
  'key-limit': keyLimit,
  'key-not-found': keyRefused('invalid'),
  'key-identifier-invalid': keyRefused('invalid'),
  'key-other-region': keyRefused('invalid'),
  'alias-not-found': keyRefused('invalid'),
  'key-disabled': keyRefused('disabled'),
  'key-pending-deletion': keyRefused('pending deletion'),
  'key-not-pending-deletion': keyInternal,
  'key-pending-import': keyRefused('pending import'),
  'key-unavailable': keyRefused('unavailable'),
  'key-usage': keyRefused('invalid'),
  'ciphertext-invalid': keyInternal,
  'ciphertext-other-key': keyInternal,
  'ciphertext-key-unknown': keyInternal,
  'grant-not-found': keyInternal,
  'grant-token-invalid': keyInternal,
  'limit-exceeded': keyLimit,
  throttled: () => ec2Error('RequestLimitExceeded', 'Request limit exceeded.'),
};

const text = (value: string | number | boolean | undefined): string => String(value ?? '');
/** Facts name their id after its kind; `id` is accepted as well. */
const idOf = (facts: Refusal['facts'], kind: string): string => text(facts[`${kind}Id`] ?? facts.id ?? facts[kind]);

export const volumeRefusals: RefusalTable<VolumeRefusalReason> = {
  // CV-9, L-8 and SH-29: creating a volume has its own words.
  'snapshot-not-found': ({ facts, operation }) =>
    operation === 'CreateVolume'
      ? ec2Error('InvalidSnapshot.NotFound', 'Snapshot does not exist')
      : snapshotNotFound(idOf(facts, 'snapshot')),
  'snapshot-not-completed': ({ facts }) =>
    ec2Error('IncorrectState', `Snapshot is in invalid state - ${text(facts.state ?? 'pending')}`),
  'snapshot-archived': ({ facts }) =>
    ec2Error('IncorrectState', `The snapshot ${idOf(facts, 'snapshot')} is archived.`),
  'snapshot-in-use': ({ facts }) =>
    ec2Error(
      'InvalidSnapshot.InUse',
      `The snapshot ${idOf(facts, 'snapshot')} is currently in use by ${text(facts.imageId ?? facts.by)}`,
    ),
  'snapshot-locked': ({ facts }) =>
    ec2Error('OperationNotPermitted', `The snapshot ${idOf(facts, 'snapshot')} is locked.`),
  'snapshot-lock-absent': ({ facts }) =>
    ec2Error('IncorrectState', `The snapshot ${idOf(facts, 'snapshot')} is not locked.`),
  'snapshot-lock-compliance': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      `The snapshot ${idOf(facts, 'snapshot')} is locked in compliance mode. Only the lock duration can be changed, and only extended.`,
    ),
  'snapshot-not-archived': ({ facts }) =>
    ec2Error('IncorrectState', `The snapshot ${idOf(facts, 'snapshot')} is not archived.`),
  'snapshot-fast-restored': ({ facts }) =>
    ec2Error(
      'OperationNotPermitted',
      `The snapshot ${idOf(facts, 'snapshot')} is enabled for fast snapshot restore and cannot be archived.`,
    ),
  // L-27.
  'snapshots-pending': ({ facts }) =>
    ec2Error(
      'ConcurrentSnapshotLimitExceeded',
      `Maximum allowed in-progress snapshots for the volume ${idOf(facts, 'volume')} exceeded: ${facts.max}.`,
    ),
  // L-26.
  'snapshot-rate': () =>
    ec2Error(
      'SnapshotCreationPerVolumeRateExceeded',
      'The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable sleep interval between requests.',
    ),
  'fast-restore-limit': ({ facts }) =>
    ec2Error('FastSnapshotRestoreLimitExceeded', `At most ${facts.max} fast snapshot restores can be enabled.`),
  'volume-shrink': ({ facts }) =>
    invalidParameterValue(
      `New size cannot be smaller than existing size. Requested: ${facts.sizeGiB}GiB, existing: ${facts.currentGiB}GiB.`,
    ),
  'volume-not-found': ({ facts }) => volumeNotFound(idOf(facts, 'volume')),
  'volume-in-use': ({ facts }) =>
    ec2Error('VolumeInUse', `Volume ${idOf(facts, 'volume')} is currently attached to ${text(facts.instanceId)}`),
  'volume-state': ({ facts }) =>
    ec2Error(
      'IncorrectState',
      `The volume '${idOf(facts, 'volume')}' is not in a valid state for this operation - ${text(facts.state)}`,
    ),
  'volume-size': ({ facts }) =>
    invalidParameterValue(text(facts.message ?? `Volume of ${text(facts.sizeGiB)}GiB is not a valid size.`)),
  // ERR-dep: RunInstances has it without brackets.
  'kms-key-without-encrypted': ({ operation }) =>
    ec2Error(
      'InvalidParameterDependency',
      operation === 'RunInstances' || operation === 'CopyImage'
        ? 'The parameter KmsKeyId requires the parameter Encrypted to be set.'
        : 'The parameter [KmsKeyId] requires the parameter Encrypted to be set.',
    ),
  'encrypted-false-of-encrypted': () =>
    invalidParameterCombination(
      'EncryptedVolume parameter [false] is inconsistent with snapshot encryption state [true]',
    ),
  // ERR-plaincopy of table 1.5.
  'plain-copy-of-encrypted': ({ facts }) =>
    ec2Error(
      'InvalidRequest',
      `Snapshot ${idOf(facts, 'snapshot')} is encrypted. Creating unencrypted copy from an encrypted snapshot is not supported.`,
    ),
  'attachment-not-found': ({ facts }) =>
    ec2Error(
      'IncorrectState',
      `Volume '${idOf(facts, 'volume')}' is in the 'available' state, or not attached to ${text(facts.instanceId)}.`,
    ),
  'multi-attach-limit': ({ facts }) =>
    ec2Error(
      'AttachmentLimitExceeded',
      `The volume '${idOf(facts, 'volume')}' is attached to as many instances as a volume with Multi-Attach can be.`,
    ),
  'kms-key-unusable': keyRefused('invalid'),
  'kms-key-not-symmetric': keyRefused('invalid'),
};

/** Makes the token of 8.7 from a denial, for sts DecodeAuthorizationMessage. */
export type EncodeAuthorizationFailure = (denied: Denied) => string;

/** UnauthorizedOperation in the words of P-11 and 8.6; calls checked against `*` name neither resource nor token. */
export function unauthorized(denied: Denied, encode: EncodeAuthorizationFailure): ApiError {
  const general = 'You are not authorized to perform this operation.';
  const { call, action, resource, decision } = denied;
  const message =
    resource === '*'
      ? `${general} User: ${call.caller.arn} is not authorized to perform: ${action} ${decision.because}`
      : `${general} ${denied.text}. Encoded authorization failure message: ${encode(denied)}`;
  return ec2Error('UnauthorizedOperation', message, { cause: denied });
}

/** Turns what the domain throws into EC2's errors; `undefined` is left to be an internal failure. */
export function translateEc2(
  error: unknown,
  call: Call,
  operation: string,
  how: { readonly encode: EncodeAuthorizationFailure; readonly refusals: RefusalTable<string> },
): Error | undefined {
  if (error instanceof ApiError) return error;
  if (error instanceof Denied) {
    if (!error.action.startsWith('kms:')) return unauthorized(error, how.encode);
    // KMS rights show at call time only here: CS-5 (trailing space included) and K-18.
    if (operation === 'AttachVolume') return withCause(revoked(), error);
    return ec2Error('AuthFailure', `Not authorized to use key ${error.resource} `, { status: 403, cause: error });
  }
  if (error instanceof Refusal) {
    const answer = Object.hasOwn(how.refusals, error.reason) ? how.refusals[error.reason] : undefined;
    return answer && withCause(answer({ facts: error.facts, call, operation }), error);
  }
  return undefined;
}

function withCause(answer: ApiError, cause: unknown): ApiError {
  return ec2Error(answer.code, answer.message, { status: answer.status, cause });
}
