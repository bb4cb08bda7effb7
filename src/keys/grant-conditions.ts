/** What a decision on kms:CreateGrant looks at (kms 24, authorization-and-wire 6.11). */
import type { Call } from '../authz/caller.ts';
import type { AccessRequest } from './access.ts';
import type { NewGrant } from './grants.ts';

export function createGrantConditions(call: Call, grant: NewGrant): AccessRequest {
  const { encryptionContextSubset: subset, encryptionContextEquals: equals, sourceArn } = grant.constraints;
  const pairs = equals ?? subset;
  return {
    ...(pairs ? { encryptionContext: pairs } : {}),
    proposedGrant: { operations: grant.operations, ...grant.constraints },
    conditions: {
      ...forAwsResource(call),
      'kms:GranteePrincipal': grant.granteePrincipal,
      'kms:GranteeServicePrincipal': grant.granteeServicePrincipal,
      'kms:RetiringPrincipal': grant.retiringPrincipal,
      'kms:RetiringServicePrincipal': grant.retiringServicePrincipal,
      'kms:GrantOperations': grant.operations,
      'kms:GrantConstraintType': equals ? 'EncryptionContextEquals' : subset ? 'EncryptionContextSubset' : undefined,
      'kms:GrantConstraintSourceArn': sourceArn,
    },
  };
}

/** True exactly where a service forwards the call (kms 15.17). */
export function forAwsResource(call: Call): { 'kms:GrantIsForAWSResource': boolean } {
  return { 'kms:GrantIsForAWSResource': call.viaService !== undefined };
}
