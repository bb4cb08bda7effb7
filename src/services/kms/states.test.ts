/** Every operation in every state of a key, through the service (kms §4, §5). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MATRIX, STATES } from '../../keys/states.ts';
import { failureOf, openKms } from './test-kms.ts';
import { forceState, KEY_OPERATIONS, type KeyOperation, type Kind, prepare, REQUESTS } from './test-requests.ts';

/** The letters of kms §5. */
const TEXTS: Readonly<Record<string, string>> = {
  D: 'DisabledException: <arn> is disabled.',
  P: 'KMSInvalidStateException: <arn> is pending deletion.',
  N: 'KMSInvalidStateException: <arn> is not pending deletion.',
  I: 'KMSInvalidStateException: <arn> is pending import.',
  U: 'KMSInvalidStateException: <arn> is unavailable.',
  C: 'KMSInvalidStateException: <arn> is creating.',
  X: 'KMSInvalidStateException: <arn> is updating.',
  E: 'UnsupportedOperationException: <arn> origin is EXTERNAL which is not valid for this operation.',
  A: 'UnsupportedOperationException: <arn> origin is AWS_KMS which is not valid for this operation.',
  S: 'UnsupportedOperationException: ',
};

/**
 * Written down from the specification, not from the code's own table. Columns are STATES; where the specification has a
 * dash, the key could only be one of a custom key store, and U stands. `u`: a key of another kind than the usual one.
 */
const TABLE: readonly [operations: readonly KeyOperation[], row: string, kind?: Kind][] = [
  [['Encrypt', 'Decrypt', 'ReEncrypt', 'GenerateDataKey', 'GenerateDataKeyWithoutPlaintext'], '. D P P I U C .'],
  [['GenerateDataKeyPair', 'GenerateDataKeyPairWithoutPlaintext'], '. D P P I U C .'],
  [['Sign', 'Verify', 'GenerateMac', 'VerifyMac', 'DeriveSharedSecret', 'GetPublicKey'], '. D P P I U C .'],
  [['Encapsulate', 'Decapsulate'], '. D P P I U C .'],
  [['CreateGrant'], '. D P P I . C .'],
  [['ListGrants', 'RevokeGrant', 'RetireGrant'], '. . . . . . . .'],
  [['DescribeKey', 'GetKeyPolicy', 'PutKeyPolicy', 'ListKeyPolicies', 'ListResourceTags'], '. . . . . . . .'],
  [['ListAliases', 'DeleteAlias', 'ListKeyRotations', 'GetKeyLastUsage'], '. . . . . . . .'],
  [['CreateAlias', 'UpdateAlias', 'TagResource', 'UntagResource', 'UpdateKeyDescription'], '. . P P . . . .'],
  [['EnableKey', 'DisableKey'], '. . P P I . C X'],
  [['EnableKeyRotation', 'DisableKeyRotation'], '. D P P E S C .'],
  [['EnableKeyRotation', 'DisableKeyRotation'], 'E E E E E E E E', 'imported'],
  [['RotateKeyOnDemand'], '. D P P I U C X'],
  [['GetKeyRotationStatus'], '. . . . E S . .'],
  [['ScheduleKeyDeletion'], '. . P P . . . X'],
  [['CancelKeyDeletion'], 'N N . . N N N N'],
  [['GetParametersForImport'], '. . P P . A C X'],
  [['ImportKeyMaterial'], '. . P P . A C .'],
  [['DeleteImportedKeyMaterial'], '. . . . . U C X'],
  [['GetParametersForImport', 'ImportKeyMaterial', 'DeleteImportedKeyMaterial'], 'A A A A A A A A', 'symmetric'],
  [['ReplicateKey'], '. D P P I U C X'],
  [['UpdatePrimaryRegion'], '. D P P I U C .'],
];

test('kms 4.1, 4.5, 4.6, 5.1 to 5.3: every operation in every state answers as the table says', async () => {
  assert.deepEqual([...new Set(TABLE.flatMap(([operations]) => operations))].sort(), [...KEY_OPERATIONS].sort());
  assert.deepEqual([...KEY_OPERATIONS].sort(), Object.keys(MATRIX).sort());
  await using world = await openKms();
  for (const [operations, row, kind] of TABLE) {
    const codes = row.split(' ');
    assert.equal(codes.length, STATES.length);
    for (const operation of operations) {
      const { input, kind: usual, names } = REQUESTS[operation];
      let key = await prepare(world, kind ?? usual);
      for (const [column, state] of STATES.entries()) {
        await forceState(world, key, state);
        const request = input(names === 'arn' ? key.arn : key.id, key);
        const answer = await failureOf(world.as(world.root, operation, request as never));
        const code = codes[column]!;
        if (code === '.') {
          assert.match(answer, /^succeeded/, `${operation} in ${state}`);
          key = await prepare(world, kind ?? usual);
        } else {
          assert.equal(answer, TEXTS[code]!.replace('<arn>', key.arn), `${operation} in ${state}`);
        }
      }
    }
  }
});
