/**
 * What a key may do in which state: the table of kms §5 as data, and one function that reads it.
 *
 * Column order is {@link STATES}. Letters are the exceptions of the specification: D disabled, P pending deletion, N not
 * pending deletion, I pending import, U unavailable, C creating, X updating, E origin is EXTERNAL, A origin is AWS_KMS,
 * S unsupported. Where the specification has a dash, U stands: only keys of custom key stores are ever unavailable.
 */
import type { KeySummary } from './on-behalf.ts';
import { type KeyRefusal, refuse } from './refusals.ts';

export type KeyState = KeySummary['state'];

export const STATES = [
  'Enabled',
  'Disabled',
  'PendingDeletion',
  'PendingReplicaDeletion',
  'PendingImport',
  'Unavailable',
  'Creating',
  'Updating',
] as const satisfies readonly KeyState[];

const USE = 'ok D P P I U C ok';
const ALWAYS = 'ok ok ok ok ok ok ok ok';
const UNLESS_PENDING_DELETION = 'ok ok P P ok ok ok ok';

export const MATRIX = {
  Encrypt: USE,
  Decrypt: USE,
  ReEncrypt: USE,
  GenerateDataKey: USE,
  GenerateDataKeyWithoutPlaintext: USE,
  GenerateDataKeyPair: USE,
  GenerateDataKeyPairWithoutPlaintext: USE,
  Sign: USE,
  Verify: USE,
  GenerateMac: USE,
  VerifyMac: USE,
  DeriveSharedSecret: USE,
  Encapsulate: USE,
  Decapsulate: USE,
  GetPublicKey: USE,
  CreateGrant: 'ok D P P I ok C ok',
  ListGrants: ALWAYS,
  RevokeGrant: ALWAYS,
  RetireGrant: ALWAYS,
  DescribeKey: ALWAYS,
  GetKeyPolicy: ALWAYS,
  PutKeyPolicy: ALWAYS,
  ListKeyPolicies: ALWAYS,
  ListResourceTags: ALWAYS,
  ListAliases: ALWAYS,
  ListKeyRotations: ALWAYS,
  GetKeyLastUsage: ALWAYS,
  DeleteAlias: ALWAYS,
  CreateAlias: UNLESS_PENDING_DELETION,
  UpdateAlias: UNLESS_PENDING_DELETION,
  TagResource: UNLESS_PENDING_DELETION,
  UntagResource: UNLESS_PENDING_DELETION,
  UpdateKeyDescription: UNLESS_PENDING_DELETION,
  EnableKey: 'ok ok P P I ok C X',
  DisableKey: 'ok ok P P I ok C X',
  EnableKeyRotation: 'ok D P P E S C ok',
  DisableKeyRotation: 'ok D P P E S C ok',
  RotateKeyOnDemand: 'ok D P P I U C X',
  GetKeyRotationStatus: 'ok ok ok ok E S ok ok',
  ScheduleKeyDeletion: 'ok ok P P ok ok ok X',
  CancelKeyDeletion: 'N N ok ok N N N N',
  GetParametersForImport: 'ok ok P P ok A C X',
  ImportKeyMaterial: 'ok ok P P ok A C ok',
  DeleteImportedKeyMaterial: 'ok ok ok ok ok U C X',
  ReplicateKey: 'ok D P P I U C X',
  UpdatePrimaryRegion: 'ok D P P I U C ok',
} as const satisfies Readonly<Record<string, string>>;

export type StatefulOperation = keyof typeof MATRIX;

const REASONS = {
  D: 'key-disabled',
  P: 'key-pending-deletion',
  N: 'key-not-pending-deletion',
  I: 'key-pending-import',
  U: 'key-unavailable',
  C: 'key-creating',
  X: 'key-updating',
  E: 'key-origin-external',
  A: 'key-origin-aws-kms',
  S: 'key-operation-unsupported',
} as const satisfies Readonly<Record<string, KeyRefusal['reason']>>;

const VERDICTS = new Map(
  Object.entries(MATRIX).flatMap(([operation, row]) =>
    row.split(' ').map((verdict, column) => [`${operation}/${STATES[column]}`, verdict] as const),
  ),
);

/** The reason why `operation` is refused in `state`, or `undefined` where it may go on. */
export function refusalOf(operation: StatefulOperation, state: KeyState): KeyRefusal['reason'] | undefined {
  const verdict = VERDICTS.get(`${operation}/${state}`);
  return verdict === 'ok' ? undefined : REASONS[verdict as keyof typeof REASONS];
}

/** @throws {Refusal} where the key's state forbids the operation. */
export function requireState(key: { readonly arn: string; readonly state: KeyState }, operation: StatefulOperation) {
  const reason = refusalOf(operation, key.state);
  if (reason !== undefined) throw refuse(reason, { arn: key.arn, state: key.state });
}
