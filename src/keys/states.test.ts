import assert from 'node:assert/strict';
import { test } from 'node:test';
import { kmsErrorOf } from './kms-words.ts';
import { type KeyState, MATRIX, requireState, STATES, type StatefulOperation } from './states.ts';

const ARN = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';

/** The table of kms §5, as its texts read; written down apart from the one the code reads. */
const TEXTS: Readonly<Record<string, string>> = {
  D: `DisabledException: ${ARN} is disabled.`,
  P: `KMSInvalidStateException: ${ARN} is pending deletion.`,
  N: `KMSInvalidStateException: ${ARN} is not pending deletion.`,
  I: `KMSInvalidStateException: ${ARN} is pending import.`,
  U: `KMSInvalidStateException: ${ARN} is unavailable.`,
  C: `KMSInvalidStateException: ${ARN} is creating.`,
  X: `KMSInvalidStateException: ${ARN} is updating.`,
  E: `UnsupportedOperationException: ${ARN} origin is EXTERNAL which is not valid for this operation.`,
  A: `UnsupportedOperationException: ${ARN} origin is AWS_KMS which is not valid for this operation.`,
  S: 'UnsupportedOperationException: ',
};
//                        Enabled Disabled Pending PendingReplica PendingImport Unavailable Creating Updating
const TABLE: readonly [readonly StatefulOperation[], string][] = [
  [['Encrypt', 'Decrypt', 'ReEncrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'], '. D P P I U C .'],
  [['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext', 'Sign', 'Verify'], '. D P P I U C .'],
  [['GenerateMac', 'VerifyMac', 'DeriveSharedSecret', 'GetPublicKey'], '. D P P I U C .'],
  [['Encapsulate', 'Decapsulate'], '. D P P I U C .'],
  [['CreateGrant'], '. D P P I . C .'],
  [['ListGrants', 'RevokeGrant', 'RetireGrant'], '. . . . . . . .'],
  [['DescribeKey', 'GetKeyPolicy', 'PutKeyPolicy', 'ListKeyPolicies', 'ListResourceTags'], '. . . . . . . .'],
  [['ListAliases', 'DeleteAlias', 'ListKeyRotations', 'GetKeyLastUsage'], '. . . . . . . .'],
  [['CreateAlias', 'UpdateAlias', 'TagResource', 'UntagResource', 'UpdateKeyDescription'], '. . P P . . . .'],
  [['EnableKey', 'DisableKey'], '. . P P I . C X'],
  [['EnableKeyRotation', 'DisableKeyRotation'], '. D P P E S C .'],
  [['RotateKeyOnDemand'], '. D P P I U C X'],
  [['GetKeyRotationStatus'], '. . . . E S . .'],
  [['ScheduleKeyDeletion'], '. . P P . . . X'],
  [['CancelKeyDeletion'], 'N N . . N N N N'],
  [['GetParametersForImport'], '. . P P . A C X'],
  [['ImportKeyMaterial'], '. . P P . A C .'],
  [['DeleteImportedKeyMaterial'], '. . . . . U C X'],
  [['ReplicateKey'], '. D P P I U C X'],
  [['UpdatePrimaryRegion'], '. D P P I U C .'],
];

function answer(operation: StatefulOperation, state: KeyState): string {
  try {
    requireState({ arn: ARN, state }, operation);
    return '.';
  } catch (error) {
    const words = kmsErrorOf(error);
    return `${words?.code}: ${words?.message}`;
  }
}

test('kms §5: every operation in every state answers as the table says', () => {
  const listed = TABLE.flatMap(([operations]) => operations);
  assert.deepEqual([...listed].sort(), Object.keys(MATRIX).sort());
  for (const [operations, row] of TABLE) {
    const expected = row.split(' ');
    assert.equal(expected.length, STATES.length);
    for (const operation of operations) {
      for (const [column, state] of STATES.entries()) {
        const code = expected[column]!;
        assert.equal(answer(operation, state), TEXTS[code] ?? code, `${operation} in ${state}`);
      }
    }
  }
});
