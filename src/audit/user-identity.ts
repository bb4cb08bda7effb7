/** `userIdentity` of an event: who called, in CloudTrail's forms. */
import type { Call, Caller } from '../authz/caller.ts';
import type { AccountId } from '../ids.ts';
import { parseArn, rootArn } from '../ids.ts';

/** As the trail of `recipient` shows the caller: another account's trail learns the account and the id, no more. */
export function userIdentity(call: Call, recipient: AccountId, serviceEvent: boolean): object {
  const { caller } = call;
  const invokedBy = call.invokedBy === undefined ? {} : { invokedBy: call.invokedBy };
  if (serviceEvent) return { accountId: recipient, invokedBy: call.invokedBy ?? 'AWS Internal' };
  if (recipient !== caller.accountId) {
    return { type: 'AWSAccount', principalId: caller.userId, accountId: caller.accountId, ...invokedBy };
  }
  return { ...identityInOwnTrail(caller), ...invokedBy };
}

function identityInOwnTrail(caller: Caller): object {
  const principal = { principalId: caller.userId, arn: caller.arn, accountId: caller.accountId };
  const accessKey = caller.accessKeyId === undefined ? {} : { accessKeyId: caller.accessKeyId };
  const session = caller.session && { attributes: sessionAttributes(caller.session.issuedAt) };
  switch (caller.type) {
    case 'Account':
      return { type: 'Root', ...principal, ...accessKey, ...(session && { sessionContext: session }) };
    case 'User':
      return {
        type: 'IAMUser',
        ...principal,
        ...accessKey,
        userName: caller.userName,
        ...(session && { sessionContext: session }),
      };
    case 'AssumedRole': {
      const sessionIssuer = {
        type: 'Role',
        principalId: caller.uniqueId,
        arn: caller.principalArn,
        accountId: caller.accountId,
        userName: caller.principalArn.slice(caller.principalArn.lastIndexOf('/') + 1),
      };
      return { type: 'AssumedRole', ...principal, ...accessKey, sessionContext: { sessionIssuer, ...session } };
    }
    case 'Service':
      return infrastructureIdentity(caller) ?? { type: 'AWSService', accountId: caller.accountId };
  }
}

/** EC2's own role for one instance (kms 27.4). */
function infrastructureIdentity(caller: Caller): object | undefined {
  const [kind, role, instance] = parseArn(caller.arn)?.resource.split('/') ?? [];
  if (kind !== 'assumed-role' || role === undefined || instance === undefined) return undefined;
  const { accountId } = caller;
  return {
    type: 'AssumedRole',
    principalId: caller.userId,
    arn: caller.arn,
    accountId,
    sessionContext: {
      sessionIssuer: {
        type: 'Role',
        principalId: `${accountId}:${role}`,
        arn: rootArn(accountId).replace(/root$/, `role/${role}`),
        accountId,
        userName: role,
      },
    },
    inScopeOf: { issuerType: 'AWS::EC2::Instance', credentialsIssuedTo: instance },
  };
}

function sessionAttributes(issuedAt: Date): object {
  return { creationDate: wholeSeconds(issuedAt), mfaAuthenticated: 'false' };
}

/** As LookupEvents filters by it: `root`, the user's name, the role session's name. */
export function userNameOf(caller: Caller): string | undefined {
  switch (caller.type) {
    case 'Account':
      return 'root';
    case 'User':
      return caller.userName;
    case 'AssumedRole':
      return caller.session?.name;
    case 'Service':
      return caller.arn.slice(caller.arn.lastIndexOf('/') + 1);
  }
}

/** `2030-01-01T00:00:00Z`: events carry no fractions. */
export function wholeSeconds(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
