/** GetCallerIdentity, GetSessionToken and GetAccessKeyInfo. */
import type { GetAccessKeyInfoCommand, GetCallerIdentityCommand, GetSessionTokenCommand } from '@aws-sdk/client-sts';
import { accountOfAccessKeyId } from '../../identity/unique-ids.ts';
import type { OperationOf } from '../operation.ts';
import { accessDenied, constraint, refuseTokenSize, requireSeconds, type Sts, validation } from './sts.ts';

/** Needs no permission, and works under explicit denies (14.1). */
export const getCallerIdentity = (): OperationOf<GetCallerIdentityCommand> => async (call) => ({
  UserId: call.caller.userId,
  Account: call.caller.accountId,
  Arn: call.caller.arn,
});

const SESSION_SECONDS_MAX = 129_600;
const ROOT_SESSION_SECONDS_MAX = 3600;

/** Needs no permission; roles cannot call it (14.7). */
export const getSessionToken =
  (sts: Sts): OperationOf<GetSessionTokenCommand> =>
  async (call, input) => {
    const { caller } = call;
    refuseTokenSize(input);
    if (caller.session !== undefined || (caller.type !== 'User' && caller.type !== 'Account')) {
      throw accessDenied('Cannot call GetSessionToken with session credentials');
    }
    if (input.SerialNumber !== undefined || input.TokenCode !== undefined) {
      throw accessDenied('MultiFactorAuthentication failed: no MFA device is registered, and Ingot has none.');
    }
    const wanted = requireSeconds(input.DurationSeconds ?? 43_200, 900, SESSION_SECONDS_MAX);
    const seconds = caller.type === 'Account' ? Math.min(wanted, ROOT_SESSION_SECONDS_MAX) : wanted;
    const owner = { id: caller.uniqueId, accountId: caller.accountId };
    const made = await sts.identity.sessions.sessionToken(owner, seconds);
    return {
      Credentials: {
        AccessKeyId: made.accessKeyId,
        SecretAccessKey: made.secretAccessKey,
        SessionToken: made.sessionToken,
        Expiration: made.expiresAt,
      },
    };
  };

/** Works for keys that are invalid or inactive: ids of the current form tell their account (14.8, 14.9). */
export const getAccessKeyInfo =
  (sts: Sts): OperationOf<GetAccessKeyInfoCommand> =>
  async (call, input) => {
    const id = input.AccessKeyId ?? '';
    if (id.length < 16 || id.length > 128 || !/^\w+$/.test(id)) {
      throw constraint('accessKeyId', id, 'satisfy regular expression pattern: [\\w]*');
    }
    await sts.authorizer.authorize(call, 'sts:GetAccessKeyInfo', { arn: '*' });
    const account = accountOfAccessKeyId(id) ?? (await sts.identity.accessKeys.find(id))?.accountId;
    if (account === undefined) throw validation('Invalid AccessKeyId');
    return { Account: account };
  };
