/**
 * The KMS API (kms §1): one table of operations over `keys/`, with every operation of the SDK's client. Custom key
 * stores, which need hardware, are refused by name.
 */
import type { Call } from '../../authz/caller.ts';
import type { OperationTable, Service } from '../operation.ts';
import { createAlias, deleteAlias, listAliases, updateAlias } from './aliases.ts';
import { createGrant } from './create-grant.ts';
import { createKey } from './create-key.ts';
import {
  connectCustomKeyStore,
  deleteCustomKeyStore,
  describeCustomKeyStores,
  disconnectCustomKeyStore,
} from './custom-key-stores.ts';
import { decrypt } from './decrypt.ts';
import { deriveSharedSecret } from './derive-shared-secret.ts';
import { describeKey } from './describe-key.ts';
import { decapsulate, encapsulate } from './encapsulate.ts';
import { encrypt } from './encrypt.ts';
import { retireGrant, revokeGrant } from './end-grant.ts';
import { translate } from './errors.ts';
import { generateDataKey, generateDataKeyWithoutPlaintext } from './generate-data-key.ts';
import { generateDataKeyPair, generateDataKeyPairWithoutPlaintext } from './generate-data-key-pair.ts';
import { generateRandom } from './generate-random.ts';
import { getKeyLastUsage } from './get-key-last-usage.ts';
import { getPublicKey } from './get-public-key.ts';
import { deleteImportedKeyMaterial, getParametersForImport, importKeyMaterial } from './imported-material.ts';
import { cancelKeyDeletion, scheduleKeyDeletion } from './key-deletion.ts';
import { getKeyPolicy, listKeyPolicies, putKeyPolicy } from './key-policy.ts';
import {
  disableKeyRotation,
  enableKeyRotation,
  getKeyRotationStatus,
  listKeyRotations,
  rotateKeyOnDemand,
} from './key-rotation.ts';
import { disableKey, enableKey, updateKeyDescription } from './key-state.ts';
import type { Kms } from './kms.ts';
import { listGrants, listRetirableGrants } from './list-grants.ts';
import { listKeys } from './list-keys.ts';
import { generateMac, verifyMac } from './mac.ts';
import { replicateKey, updatePrimaryRegion } from './multi-region.ts';
import { reEncrypt } from './re-encrypt.ts';
import { listResourceTags, tagResource, untagResource } from './resource-tags.ts';
import { sign, verify } from './sign.ts';

export function kmsService(kms: Kms): Service {
  return {
    name: 'kms',
    internalCode: 'KMSInternalException',
    translate,
    operations: counted(kms, {
      CancelKeyDeletion: cancelKeyDeletion(kms),
      ConnectCustomKeyStore: connectCustomKeyStore(kms),
      CreateAlias: createAlias(kms),
      CreateGrant: createGrant(kms),
      CreateKey: createKey(kms),
      Decapsulate: decapsulate(kms),
      Decrypt: decrypt(kms),
      DeleteAlias: deleteAlias(kms),
      DeleteCustomKeyStore: deleteCustomKeyStore(kms),
      DeleteImportedKeyMaterial: deleteImportedKeyMaterial(kms),
      DeriveSharedSecret: deriveSharedSecret(kms),
      DescribeCustomKeyStores: describeCustomKeyStores(kms),
      DescribeKey: describeKey(kms),
      DisableKey: disableKey(kms),
      DisableKeyRotation: disableKeyRotation(kms),
      DisconnectCustomKeyStore: disconnectCustomKeyStore(kms),
      EnableKey: enableKey(kms),
      EnableKeyRotation: enableKeyRotation(kms),
      Encapsulate: encapsulate(kms),
      Encrypt: encrypt(kms),
      GenerateDataKey: generateDataKey(kms),
      GenerateDataKeyPair: generateDataKeyPair(kms),
      GenerateDataKeyPairWithoutPlaintext: generateDataKeyPairWithoutPlaintext(kms),
      GenerateDataKeyWithoutPlaintext: generateDataKeyWithoutPlaintext(kms),
      GenerateMac: generateMac(kms),
      GenerateRandom: generateRandom(kms),
      GetKeyLastUsage: getKeyLastUsage(kms),
      GetKeyPolicy: getKeyPolicy(kms),
      GetKeyRotationStatus: getKeyRotationStatus(kms),
      GetParametersForImport: getParametersForImport(kms),
      GetPublicKey: getPublicKey(kms),
      ImportKeyMaterial: importKeyMaterial(kms),
      ListAliases: listAliases(kms),
      ListGrants: listGrants(kms),
      ListKeyPolicies: listKeyPolicies(kms),
      ListKeyRotations: listKeyRotations(kms),
      ListKeys: listKeys(kms),
      ListResourceTags: listResourceTags(kms),
      ListRetirableGrants: listRetirableGrants(kms),
      PutKeyPolicy: putKeyPolicy(kms),
      ReEncrypt: reEncrypt(kms),
      ReplicateKey: replicateKey(kms),
      RetireGrant: retireGrant(kms),
      RevokeGrant: revokeGrant(kms),
      RotateKeyOnDemand: rotateKeyOnDemand(kms),
      ScheduleKeyDeletion: scheduleKeyDeletion(kms),
      Sign: sign(kms),
      TagResource: tagResource(kms),
      UntagResource: untagResource(kms),
      UpdateAlias: updateAlias(kms),
      UpdateKeyDescription: updateKeyDescription(kms),
      UpdatePrimaryRegion: updatePrimaryRegion(kms),
      Verify: verify(kms),
      VerifyMac: verifyMac(kms),
    }),
  };
}

/** Where rates are imposed each call counts before it is looked at (28.6). */
function counted({ keys }: Kms, operations: OperationTable): OperationTable {
  if (!keys.isThrottled) return operations;
  return Object.fromEntries(
    Object.entries(operations).map(([name, operation]) => [
      name,
      async (call: Call, input: never) => {
        keys.countCall(call, name);
        return operation(call, input);
      },
    ]),
  );
}
