import { type CreateGrantCommand, GrantOperation } from '@aws-sdk/client-kms';
import { parseArn } from '../../ids.ts';
import { createGrantConditions } from '../../keys/grant-conditions.ts';
import type { NewGrant } from '../../keys/grants.ts';
import { isSymmetric, type KeyUsage, materialKind } from '../../keys/key-specs.ts';
import type { GrantConstraints, KeyRecord } from '../../keys/records.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { Constraints, encryptionContext, invalid } from './constraints.ts';
import { authorize, checkGrantTokens, type Kms, locate, note } from './kms.ts';
import { checkServicePrincipal, oneOf } from './service-principals.ts';

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
    const grant: NewGrant = {
      ...readGrantee(input, constraints),
      operations: input.Operations!,
      constraints,
      ...readRetiring(input),
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
    if ((constraints.encryptionContextEquals ?? constraints.encryptionContextSubset) && !isSymmetric(target.key)) {
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
    .length('granteeServicePrincipal', input.GranteeServicePrincipal, 1, 256)
    .length('retiringPrincipal', input.RetiringPrincipal, 1, 256)
    .length('retiringServicePrincipal', input.RetiringServicePrincipal, 1, 256)
    .length('name', input.Name, 1, 256)
    .pattern('name', input.Name, /^[a-zA-Z0-9:/_-]*$/, '^[a-zA-Z0-9:/_-]+$')
    .length('operations', input.Operations, 1, Number.MAX_SAFE_INTEGER)
    .length('constraints.sourceArn', input.Constraints?.SourceArn, 20, 512);
  for (const [index, operation] of (input.Operations ?? []).entries()) {
    constraints.oneOf(`operations.${index + 1}.member`, operation, Object.values(GrantOperation));
  }
  if (input.GranteeServicePrincipal === undefined) constraints.given('granteePrincipal', input.GranteePrincipal);
  constraints.enforce();
  if (input.Operations?.every((operation) => operation === 'CreateGrant')) {
    throw invalid('Grants must not contain only the CreateGrant operation.');
  }
}

/** A grant to a service holds for one resource, and somebody is to retire it (15.4). */
function readGrantee(
  { GranteePrincipal: principal, GranteeServicePrincipal: service, ...input }: Input,
  { sourceArn }: GrantConstraints,
): { granteePrincipal: string } | { granteeServicePrincipal: string } {
  if (service === undefined) return { granteePrincipal: principal! };
  if (principal !== undefined) throw oneOf('GranteePrincipal', 'GranteeServicePrincipal');
  if (sourceArn === undefined) throw invalid('A grant with a GranteeServicePrincipal needs a SourceArn constraint.');
  if (input.RetiringPrincipal === undefined && input.RetiringServicePrincipal === undefined) {
    throw invalid('A grant with a GranteeServicePrincipal needs a RetiringPrincipal or a RetiringServicePrincipal.');
  }
  return { granteeServicePrincipal: checkServicePrincipal('GranteeServicePrincipal', service) };
}

function readRetiring({
  RetiringPrincipal: principal,
  RetiringServicePrincipal: service,
}: Input): { retiringPrincipal?: string } | { retiringServicePrincipal: string } {
  if (service === undefined) return principal === undefined ? {} : { retiringPrincipal: principal };
  if (principal !== undefined) throw oneOf('RetiringPrincipal', 'RetiringServicePrincipal');
  return { retiringServicePrincipal: checkServicePrincipal('RetiringServicePrincipal', service) };
}

/**
 * At most one encryption context constraint, of at most 8 pairs (15.5). Terraform sends the one it was not given as an
 * empty map beside the other; it counts only where it stands alone. A SourceArn may stand beside either.
 */
function readConstraints(given: Input['Constraints']): GrantConstraints {
  if (!given) return {};
  const isAnyGiven = isNotEmpty(given.EncryptionContextSubset) || isNotEmpty(given.EncryptionContextEquals);
  const counts = (context: Context): Context => (isAnyGiven && !isNotEmpty(context) ? undefined : context);
  const subset = counts(given.EncryptionContextSubset);
  const equals = counts(given.EncryptionContextEquals);
  if (subset && equals) throw invalid('More than one constraint supplied');
  const pairs = Object.entries(subset ?? equals ?? {});
  if (pairs.length > 8) throw invalid('A grant constraint has at most 8 encryption context pairs.');
  if (pairs.some(([, value]) => value.length > 384)) {
    throw invalid('A value in the encryption context of a grant constraint has at most 384 characters.');
  }
  if (given.SourceArn !== undefined && !parseArn(given.SourceArn)) {
    throw invalid(`The grant constraint SourceArn is not an ARN: ${given.SourceArn}`);
  }
  return {
    ...(subset ? { encryptionContextSubset: encryptionContext(subset) } : {}),
    ...(equals ? { encryptionContextEquals: encryptionContext(equals) } : {}),
    ...(given.SourceArn === undefined ? {} : { sourceArn: given.SourceArn }),
  };
}
