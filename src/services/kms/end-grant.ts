/** RetireGrant and RevokeGrant (kms 15.12, 15.13). */
import type { RetireGrantCommand, RevokeGrantCommand } from '@aws-sdk/client-kms';
import { noteForAudit } from '../../authz/caller.ts';
import { forAwsResource } from '../../keys/grant-conditions.ts';
import { refuse } from '../../keys/refusals.ts';
import type { OperationOf } from '../operation.ts';
import { Constraints, invalid } from './constraints.ts';
import { authorize, checkGrantId, type Kms, locate, note, permitted } from './kms.ts';

export const retireGrant =
  (kms: Kms): OperationOf<RetireGrantCommand> =>
  async (call, input) => {
    new Constraints().length('grantToken', input.GrantToken, 1, 8192).enforce();
    checkGrantId(input.GrantId);
    note(call, false, null);
    const { keyId, grantId } = readGrant(kms, input);
    noteForAudit(call, { additionalEventData: { grantId } });
    const target = await locate(kms, call, 'kms:RetireGrant', keyId);
    const { key } = target;
    const grant = await kms.keys.findGrant(key.arn, grantId);
    if (!grant) {
      if (key.accountId !== call.caller.accountId) {
        return kms.keys.access.refuseMissing(call, 'kms:RetireGrant', key.arn, key.accountId);
      }
      throw refuse('grant-not-found', { grantId });
    }
    const { encryptionContextEquals: equals, encryptionContextSubset: subset } = grant.constraints;
    const pairs = equals ?? subset;
    const permit = await authorize(kms, call, 'kms:RetireGrant', target, {
      grant,
      ...(pairs ? { encryptionContext: pairs } : {}),
      conditions: {
        'kms:GrantConstraintType': equals ? 'EncryptionContextEquals' : subset ? 'EncryptionContextSubset' : undefined,
      },
    });
    await kms.keys.retireGrant(permit, grantId, { dryRun: input.DryRun ?? false });
    return {};
  };

/** Which grant: by its token, or by key ARN and grant id. */
function readGrant(
  { keys }: Kms,
  input: { readonly GrantToken?: string; readonly KeyId?: string; readonly GrantId?: string },
): { keyId: string; grantId: string } {
  if (input.GrantToken !== undefined && input.GrantId === undefined) {
    const { keyArn, grantId } = keys.readGrantToken(input.GrantToken);
    return { keyId: keyArn, grantId };
  }
  if (input.GrantToken !== undefined || input.KeyId === undefined || input.GrantId === undefined) {
    throw invalid('Specify either a grant token, or the key ARN and the grant ID.');
  }
  if (!input.KeyId.startsWith('arn:')) throw refuse('key-arn-invalid', { value: input.KeyId });
  return { keyId: input.KeyId, grantId: input.GrantId };
}

export const revokeGrant =
  (kms: Kms): OperationOf<RevokeGrantCommand> =>
  async (call, input) => {
    checkGrantId(input.GrantId);
    note(call, false, { keyId: input.KeyId, grantId: input.GrantId });
    const { permit } = await permitted(kms, call, 'kms:RevokeGrant', input.KeyId!, {
      conditions: forAwsResource(call),
    });
    await kms.keys.revokeGrant(permit, input.GrantId!, { dryRun: input.DryRun ?? false });
    return {};
  };
