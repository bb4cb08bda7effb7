import { type CreateGrantCommand, GrantOperation } from '@aws-sdk/client-kms';
import { createGrantConditions } from '../../keys/grant-conditions.ts';
import { isSymmetric, type KeyUsage, materialKind } from '../../keys/key-specs.ts';
import type { GrantConstraints, KeyRecord } from '../../keys/records.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, encryptionContext, invalid, unsupported } from './constraints.ts';
import { authorize, checkGrantTokens, type Kms, locate, note } from './kms.ts';

type Input = InputOf<CreateGrantCommand>;

/** What can be granted on any key. */
const OF_ANY_KEY: readonly string[] = ['CreateGrant', 'RetireGrant', 'DescribeKey'];
const OF_USAGE: Readonly<Record<KeyUsage, readonly string[]>> = {
  ENCRYPT_DECRYPT: ['Decrypt', 'Encrypt', 'ReEncryptFrom', 'ReEncryptTo'],
  SIGN_VERIFY: ['Sign', 'Verify'],
  GENERATE_VERIFY_MAC: ['GenerateMac', 'VerifyMac'],
  KEY_AGREEMENT: ['DeriveSharedSecret'],
  ENCAPSULATE_DECAPSULATE: ['Encapsulate', 'Decapsulate'],
};
const OF_SYMMETRIC_KEYS: readonly string[] = [
  'GenerateDataKey',
  'GenerateDataKeyWithoutPlaintext',
  'GenerateDataKeyPair',
  'GenerateDataKeyPairWithoutPlaintext',
];

/** Whether the key can do what is to be granted on it (15.2). */
function isGrantable(key: KeyRecord, operation: string): boolean {
  if (OF_ANY_KEY.includes(operation) || OF_USAGE[key.usage].includes(operation)) return true;
  if (operation === 'GetPublicKey') return materialKind(key.spec).kind === 'pair';
  return isSymmetric(key) && OF_SYMMETRIC_KEYS.includes(operation);
}

export const createGrant =
  (kms: Kms): OperationOf<CreateGrantCommand> =>
  async (call, input) => {
    checkShape(input);
    const constraints = readConstraints(input.Constraints);
    const grant = {
      granteePrincipal: input.GranteePrincipal!,
      operations: input.Operations!,
      constraints,
      ...(input.RetiringPrincipal === undefined ? {} : { retiringPrincipal: input.RetiringPrincipal }),
      ...(input.Name === undefined ? {} : { name: input.Name }),
    };
    const { constraints: _, ...shown } = grant;
    const parameters = {
      keyId: input.KeyId,
      ...shown,
      ...(Object.keys(constraints).length > 0 ? { constraints } : {}),
    };
    note(call, false, parameters);
    checkGrantTokens(kms, input.GrantTokens);
    const target = await locate(kms, call, 'kms:CreateGrant', input.KeyId!);
    const permit = await authorize(kms, call, 'kms:CreateGrant', target, createGrantConditions(call, grant));
    const alien = grant.operations.find((operation) => !isGrantable(target.key, operation));
    if (alien !== undefined) {
      throw invalid(`Operation ${alien} is not valid for a key with key usage ${target.key.usage}.`);
    }
    if (Object.keys(constraints).length > 0 && !isSymmetric(target.key)) {
      throw invalid('Encryption context constraints are supported with symmetric encryption keys only.');
    }
    const made = await kms.keys.createGrant(permit, grant, { dryRun: input.DryRun ?? false });
    note(call, false, parameters, { grantId: made.grantId, keyId: target.key.arn });
    return { GrantId: made.grantId, GrantToken: made.grantToken };
  };

type Context = Readonly<Record<string, string>> | undefined;
const isNotEmpty = (context: Context): boolean => context !== undefined && Object.keys(context).length > 0;

function checkShape(input: Input): void {
  const constraints = new Constraints()
    .length('granteePrincipal', input.GranteePrincipal, 1, 256)
    .length('retiringPrincipal', input.RetiringPrincipal, 1, 256)
    .length('name', input.Name, 1, 256)
    .pattern('name', input.Name, /^[a-zA-Z0-9:/_-]*$/, '^[a-zA-Z0-9:/_-]+$')
    .length('operations', input.Operations, 1, Number.MAX_SAFE_INTEGER);
  for (const [index, operation] of (input.Operations ?? []).entries()) {
    constraints.oneOf(`operations.${index + 1}.member`, operation, Object.values(GrantOperation));
  }
  constraints.enforce();
  if (input.GranteeServicePrincipal !== undefined) throw unsupported('GranteeServicePrincipal');
  if (input.RetiringServicePrincipal !== undefined) throw unsupported('RetiringServicePrincipal');
  new Constraints().given('granteePrincipal', input.GranteePrincipal).enforce();
  if (input.Operations?.every((operation) => operation === 'CreateGrant')) {
    throw invalid('Grants must not contain only the CreateGrant operation.');
  }
}

/**
 * At most one encryption context constraint, of at most 8 pairs (15.5). Terraform sends the one it was not given as an
 * empty map beside the other; it counts only where it stands alone.
 */
function readConstraints(given: Input['Constraints']): GrantConstraints {
  if (!given) return {};
  const isAnyGiven = isNotEmpty(given.EncryptionContextSubset) || isNotEmpty(given.EncryptionContextEquals);
  const counts = (context: Context): Context => (isAnyGiven && !isNotEmpty(context) ? undefined : context);
  const subset = counts(given.EncryptionContextSubset);
  const equals = counts(given.EncryptionContextEquals);
  if ('SourceArn' in given && given.SourceArn !== undefined) throw unsupported('The grant constraint SourceArn');
  if (subset && equals) throw invalid('More than one constraint supplied');
  const pairs = Object.entries(subset ?? equals ?? {});
  if (pairs.length > 8) throw invalid('A grant constraint has at most 8 encryption context pairs.');
  if (pairs.some(([, value]) => value.length > 384)) {
    throw invalid('A value in the encryption context of a grant constraint has at most 384 characters.');
  }
  if (subset) return { encryptionContextSubset: encryptionContext(subset) };
  return equals ? { encryptionContextEquals: encryptionContext(equals) } : {};
}
