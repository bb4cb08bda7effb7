/** DecodeAuthorizationMessage: what a denial of EC2 sealed for those who may ask (authorization-and-wire 8.7). */
import type { DecodeAuthorizationMessageCommand } from '@aws-sdk/client-sts';
import { ApiError, IntegrityError } from '../../errors.ts';
import type { AuthorizationMessages } from '../../identity/authorization-messages.ts';
import type { OperationOf } from '../operation.ts';
import type { Sts } from './sts.ts';

export const decodeAuthorizationMessage =
  (sts: Sts, messages: AuthorizationMessages): OperationOf<DecodeAuthorizationMessageCommand> =>
  async (call, input) => {
    await sts.authorizer.authorize(call, 'sts:DecodeAuthorizationMessage', { arn: '*' });
    try {
      return { DecodedMessage: messages.decode(input.EncodedMessage ?? '', call.caller.accountId) };
    } catch (cause) {
      if (!(cause instanceof IntegrityError)) throw cause;
      throw new ApiError('InvalidAuthorizationMessageException', 'The encoded message is invalid.', { cause });
    }
  };
