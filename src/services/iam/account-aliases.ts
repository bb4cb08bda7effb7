/** CreateAccountAlias, DeleteAccountAlias, ListAccountAliases. */
import type * as aws from '@aws-sdk/client-iam';
import type { OperationOf } from '../operation.ts';
import { authorize, type Iam, page, validation } from './iam.ts';

function requireAlias(alias: string | undefined): string {
  if (!alias || alias.length < 3 || alias.length > 63 || !/^[a-z0-9](?:[a-z0-9]|-(?!-))*[a-z0-9]$/.test(alias)) {
    throw validation(
      `1 validation error detected: Value '${alias}' at 'accountAlias' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z0-9]([a-z0-9]|-(?!-)){1,61}[a-z0-9]$`,
    );
  }
  return alias;
}

export const createAccountAlias =
  (iam: Iam): OperationOf<aws.CreateAccountAliasCommand> =>
  async (call, input) => {
    const alias = requireAlias(input.AccountAlias);
    const permit = await authorize(iam, call, 'iam:CreateAccountAlias', { arn: '*' });
    await iam.identity.organizations.setAlias(permit, call.caller.accountId, alias);
    return {};
  };

export const deleteAccountAlias =
  (iam: Iam): OperationOf<aws.DeleteAccountAliasCommand> =>
  async (call, input) => {
    const alias = requireAlias(input.AccountAlias);
    const permit = await authorize(iam, call, 'iam:DeleteAccountAlias', { arn: '*' });
    await iam.identity.organizations.setAlias(permit, call.caller.accountId, alias);
    return {};
  };

export const listAccountAliases =
  (iam: Iam): OperationOf<aws.ListAccountAliasesCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:ListAccountAliases', { arn: '*' });
    const account = await iam.identity.organizations.account(call.caller.accountId);
    const aliases = account?.alias === undefined ? [] : [account.alias];
    const { items, ...rest } = page(aliases, (alias) => alias, input);
    return { AccountAliases: items, ...rest };
  };
