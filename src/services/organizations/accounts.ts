/** The organization and its accounts. */
import type * as aws from '@aws-sdk/client-organizations';
import type { AccountRequest } from '../../identity/organization.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeManagement,
  invalidInput,
  type OrganizationsDeps,
  organizationsError,
  page,
  requireMember,
  shownAccount,
  tagContext,
  tagsOf,
} from './organizations.ts';

function shownRequest(request: AccountRequest): aws.CreateAccountStatus {
  return {
    Id: request.id,
    AccountName: request.accountName,
    State: request.failure ? 'FAILED' : 'SUCCEEDED',
    RequestedTimestamp: request.requestedAt,
    CompletedTimestamp: request.requestedAt,
    ...(request.accountId ? { AccountId: request.accountId } : {}),
    ...(request.failure ? { FailureReason: request.failure } : {}),
  };
}

/** The account is made before the answer, so the status is final at once. */
export const createAccount =
  (deps: OrganizationsDeps): OperationOf<aws.CreateAccountCommand> =>
  async (call, input) => {
    const { Email: email = '', AccountName: name = '' } = input;
    if (email.length < 6 || email.length > 64 || !/^[^\s@]+@[^\s@]+\.[^\s@]+$/.test(email)) {
      throw invalidInput('You provided an invalid email address.', 'INVALID_EMAIL_ADDRESS_TARGET');
    }
    if (!/^[\u0020-\u007e]{1,50}$/.test(name)) throw invalidInput('You provided an invalid account name.');
    if (input.RoleName !== undefined && !/^[\w+=,.@-]{1,64}$/.test(input.RoleName)) {
      throw invalidInput('You provided an invalid role name.', 'INVALID_ROLE_NAME');
    }
    const tags = tagsOf(input.Tags);
    if (input.IamUserAccessToBilling !== undefined) {
      throw invalidInput('The parameter IamUserAccessToBilling is not supported by Ingot.');
    }
    const permit = await authorizeManagement(deps, call, 'organizations:CreateAccount', '*', tagContext(tags));
    const roleName = input.RoleName === undefined ? {} : { roleName: input.RoleName };
    const request = await deps.identity.organizations.createAccount(permit, { name, email, tags, ...roleName });
    return { CreateAccountStatus: shownRequest(request) };
  };

export const describeCreateAccountStatus =
  (deps: OrganizationsDeps): OperationOf<aws.DescribeCreateAccountStatusCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:DescribeCreateAccountStatus');
    const request = await deps.identity.organizations.accountRequest(input.CreateAccountRequestId ?? '');
    if (!request) {
      throw organizationsError(
        'CreateAccountStatusNotFoundException',
        "We can't find a create account request with the specified ID.",
      );
    }
    return { CreateAccountStatus: shownRequest(request) };
  };

export const listCreateAccountStatus =
  (deps: OrganizationsDeps): OperationOf<aws.ListCreateAccountStatusCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListCreateAccountStatus');
    const states = input.States ?? [];
    const all = (await deps.identity.organizations.accountRequests()).map(shownRequest);
    const wanted = all.filter((status) => states.length === 0 || states.includes(status.State!));
    const { items, ...rest } = page(wanted, input);
    return { CreateAccountStatuses: items, ...rest };
  };

export const listAccounts =
  (deps: OrganizationsDeps): OperationOf<aws.ListAccountsCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListAccounts');
    const { managementAccount } = await deps.identity.organizations.get();
    const { items, ...rest } = page(await deps.identity.organizations.accounts(), input);
    return { Accounts: items.map((account) => shownAccount(account, managementAccount)), ...rest };
  };

export const listAccountsForParent =
  (deps: OrganizationsDeps): OperationOf<aws.ListAccountsForParentCommand> =>
  async (call, input) => {
    await authorizeManagement(deps, call, 'organizations:ListAccountsForParent');
    const { managementAccount, rootId } = await deps.identity.organizations.get();
    const parent = input.ParentId ?? '';
    const units = await deps.identity.organizations.units();
    if (parent !== rootId && !units.some((unit) => unit.id === parent)) {
      throw organizationsError(
        'ParentNotFoundException',
        "We can't find a root or OU with the ParentId that you specified.",
      );
    }
    const { items, ...rest } = page(await deps.identity.organizations.accounts(parent), input);
    return { Accounts: items.map((account) => shownAccount(account, managementAccount)), ...rest };
  };

export const describeAccount =
  (deps: OrganizationsDeps): OperationOf<aws.DescribeAccountCommand> =>
  async (call, input) => {
    const account = await deps.identity.organizations.member(input.AccountId ?? '');
    await authorizeManagement(deps, call, 'organizations:DescribeAccount', account?.arn ?? '*');
    if (!account) {
      throw organizationsError('AccountNotFoundException', "You specified an account that doesn't exist.");
    }
    const { managementAccount } = await deps.identity.organizations.get();
    return { Account: shownAccount(account, managementAccount) };
  };

/** The account's principals are refused from then on; what it owns stays. */
export const closeAccount =
  (deps: OrganizationsDeps): OperationOf<aws.CloseAccountCommand> =>
  async (call, input) => {
    const id = input.AccountId ?? '';
    const account = await deps.identity.organizations.member(id);
    const permit = await authorizeManagement(deps, call, 'organizations:CloseAccount', account?.arn ?? '*');
    await deps.identity.organizations.closeAccount(permit, id);
    return {};
  };

export const removeAccountFromOrganization =
  (deps: OrganizationsDeps): OperationOf<aws.RemoveAccountFromOrganizationCommand> =>
  async (call, input) => {
    const id = input.AccountId ?? '';
    const arn = (await deps.identity.organizations.member(id))?.arn ?? '*';
    const permit = await authorizeManagement(deps, call, 'organizations:RemoveAccountFromOrganization', arn);
    await deps.identity.organizations.leave(permit, id);
    return {};
  };

/** A member account goes by itself. */
export const leaveOrganization =
  (deps: OrganizationsDeps): OperationOf<aws.LeaveOrganizationCommand> =>
  async (call) => {
    const permit = await deps.authorizer.authorize(call, 'organizations:LeaveOrganization', { arn: '*' });
    await requireMember(deps, call);
    await deps.identity.organizations.leave(permit, call.caller.accountId);
    return {};
  };

/** Any account of the organization may ask. */
export const describeOrganization =
  (deps: OrganizationsDeps): OperationOf<aws.DescribeOrganizationCommand> =>
  async (call) => {
    await deps.authorizer.authorize(call, 'organizations:DescribeOrganization', { arn: '*' });
    await requireMember(deps, call);
    const organization = await deps.identity.organizations.get();
    const management = await deps.identity.organizations.account(organization.managementAccount);
    return {
      Organization: {
        Id: organization.id,
        Arn: organization.arn,
        FeatureSet: 'ALL',
        MasterAccountArn: management?.arn,
        MasterAccountId: organization.managementAccount,
        MasterAccountEmail: management?.email,
        AvailablePolicyTypes: [{ Type: 'SERVICE_CONTROL_POLICY', Status: 'ENABLED' }],
      },
    };
  };

export const moveAccount =
  (deps: OrganizationsDeps): OperationOf<aws.MoveAccountCommand> =>
  async (call, input) => {
    const account = await deps.identity.organizations.member(input.AccountId ?? '');
    const permit = await authorizeManagement(deps, call, 'organizations:MoveAccount', account?.arn ?? '*');
    const move = {
      accountId: input.AccountId ?? '',
      from: input.SourceParentId ?? '',
      to: input.DestinationParentId ?? '',
    };
    await deps.identity.organizations.moveAccount(permit, move);
    return {};
  };
