/**
 * The KMS API (kms §1): one table of operations over `keys/`. Operations that are not in the table (asymmetric and HMAC
 * keys, imported material, multi-Region keys, custom key stores) are refused by name.
 */
import type { Keys } from '../../keys/keys.ts';
import type { Service } from '../operation.ts';
import { createAlias, deleteAlias, listAliases, updateAlias } from './aliases.ts';
import { createGrant } from './create-grant.ts';
import { createKey } from './create-key.ts';
import { decrypt } from './decrypt.ts';
import { describeKey } from './describe-key.ts';
import { encrypt } from './encrypt.ts';
import { retireGrant, revokeGrant } from './end-grant.ts';
import { translate } from './errors.ts';
import { generateDataKey, generateDataKeyWithoutPlaintext } from './generate-data-key.ts';
import { generateRandom } from './generate-random.ts';
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
import { listGrants, listRetirableGrants } from './list-grants.ts';
import { listKeys } from './list-keys.ts';
import { reEncrypt } from './re-encrypt.ts';
import { listResourceTags, tagResource, untagResource } from './resource-tags.ts';

export function kmsService(deps: { readonly keys: Keys }): Service {
  const kms = { keys: deps.keys };
  return {
    name: 'kms',
    translate,
    operations: {
      CancelKeyDeletion: cancelKeyDeletion(kms),
      CreateAlias: createAlias(kms),
      CreateGrant: createGrant(kms),
      CreateKey: createKey(kms),
      Decrypt: decrypt(kms),
      DeleteAlias: deleteAlias(kms),
      DescribeKey: describeKey(kms),
      DisableKey: disableKey(kms),
      DisableKeyRotation: disableKeyRotation(kms),
      EnableKey: enableKey(kms),
      EnableKeyRotation: enableKeyRotation(kms),
      Encrypt: encrypt(kms),
      GenerateDataKey: generateDataKey(kms),
      GenerateDataKeyWithoutPlaintext: generateDataKeyWithoutPlaintext(kms),
      GenerateRandom: generateRandom(kms),
      GetKeyPolicy: getKeyPolicy(kms),
      GetKeyRotationStatus: getKeyRotationStatus(kms),
      ListAliases: listAliases(kms),
      ListGrants: listGrants(kms),
      ListKeyPolicies: listKeyPolicies(kms),
      ListKeyRotations: listKeyRotations(kms),
      ListKeys: listKeys(kms),
      ListResourceTags: listResourceTags(kms),
      ListRetirableGrants: listRetirableGrants(kms),
      PutKeyPolicy: putKeyPolicy(kms),
      ReEncrypt: reEncrypt(kms),
      RetireGrant: retireGrant(kms),
      RevokeGrant: revokeGrant(kms),
      RotateKeyOnDemand: rotateKeyOnDemand(kms),
      ScheduleKeyDeletion: scheduleKeyDeletion(kms),
      TagResource: tagResource(kms),
      UntagResource: untagResource(kms),
      UpdateAlias: updateAlias(kms),
      UpdateKeyDescription: updateKeyDescription(kms),
    },
  };
}
