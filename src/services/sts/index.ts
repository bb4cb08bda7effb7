/** STS: who is calling, and temporary credentials (authorization-and-wire §14). */

import { PolicyMalformed } from '../../../policy/document.ts';
import { Denied } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { ApiError } from '../../errors.ts';
import type { AuthorizationMessages } from '../../identity/authorization-messages.ts';
import type { OperationTable, Service } from '../operation.ts';
import { assumeRole } from './assume-role.ts';
import { getAccessKeyInfo, getCallerIdentity, getSessionToken } from './caller.ts';
import { decodeAuthorizationMessage } from './decode-authorization-message.ts';
import { accessDenied, type Sts } from './sts.ts';

export type { Sts } from './sts.ts';

/** Operations that credentials of GetSessionToken may call (14.7). */
const FOR_SESSION_TOKENS = new Set(['AssumeRole', 'GetCallerIdentity']);

export function stsService(sts: Sts, messages: AuthorizationMessages): Service {
  const operations: OperationTable = {
    AssumeRole: assumeRole(sts),
    DecodeAuthorizationMessage: decodeAuthorizationMessage(sts, messages),
    GetAccessKeyInfo: getAccessKeyInfo(sts),
    GetCallerIdentity: getCallerIdentity(),
    GetSessionToken: getSessionToken(sts),
  };
  const guarded = Object.entries(operations).map(([name, operation]) => [name, guard(name, operation)] as const);
  return { name: 'sts', operations: Object.fromEntries(guarded), translate };
}

function guard(name: string, operation: OperationTable[string]): OperationTable[string] {
  if (FOR_SESSION_TOKENS.has(name)) return operation;
  return async (call: Call, input: never) => {
    if (call.caller.session?.kind === 'get-session-token') {
      throw accessDenied(`Cannot call ${name} with session credentials`);
    }
    return operation(call, input);
  };
}

function translate(error: unknown): Error | undefined {
  if (error instanceof PolicyMalformed) return new ApiError('MalformedPolicyDocument', error.detail, { cause: error });
  if (!(error instanceof Denied)) return undefined;
  // AssumeRole is denied without a reason, so that a missing role and a closed one read the same (8.9).
  const withReason = !/^sts:(?:AssumeRole|TagSession|SetSourceIdentity)$/.test(error.action);
  const text = `User: ${error.call.caller.arn} is not authorized to perform: ${error.action} on resource: ${error.resource}`;
  return accessDenied(withReason ? `${text} ${error.decision.because}` : text, error);
}
