/** Organizations: accounts, units and control policies of the installation's one organization. */

import { PolicyMalformed } from '../../../policy/document.ts';
import { Denied } from '../../authz/authorizer.ts';
import { ApiError, Refusal } from '../../errors.ts';
import type { IdentityRefusalReason } from '../../identity/refusals.ts';
import type { OperationTable, Service } from '../operation.ts';
import * as accounts from './accounts.ts';
import { type OrganizationsDeps, organizationsError } from './organizations.ts';
import * as policies from './policies.ts';
import * as services from './services.ts';
import * as tags from './tags.ts';
import * as units from './units.ts';

export type { OrganizationsDeps } from './organizations.ts';

export function organizationsService(deps: OrganizationsDeps): Service {
  const operations: OperationTable = {
    CreateAccount: accounts.createAccount(deps),
    DescribeCreateAccountStatus: accounts.describeCreateAccountStatus(deps),
    ListCreateAccountStatus: accounts.listCreateAccountStatus(deps),
    ListAccounts: accounts.listAccounts(deps),
    ListAccountsForParent: accounts.listAccountsForParent(deps),
    DescribeAccount: accounts.describeAccount(deps),
    DescribeOrganization: accounts.describeOrganization(deps),
    MoveAccount: accounts.moveAccount(deps),
    CloseAccount: accounts.closeAccount(deps),
    RemoveAccountFromOrganization: accounts.removeAccountFromOrganization(deps),
    LeaveOrganization: accounts.leaveOrganization(deps),

    ListRoots: units.listRoots(deps),
    CreateOrganizationalUnit: units.createOrganizationalUnit(deps),
    DescribeOrganizationalUnit: units.describeOrganizationalUnit(deps),
    UpdateOrganizationalUnit: units.updateOrganizationalUnit(deps),
    DeleteOrganizationalUnit: units.deleteOrganizationalUnit(deps),
    ListOrganizationalUnitsForParent: units.listOrganizationalUnitsForParent(deps),
    ListParents: units.listParents(deps),
    ListChildren: units.listChildren(deps),

    TagResource: tags.tagResource(deps),
    UntagResource: tags.untagResource(deps),
    ListTagsForResource: tags.listTagsForResource(deps),

    EnablePolicyType: services.enablePolicyType(deps),
    ListAWSServiceAccessForOrganization: services.listAWSServiceAccessForOrganization(deps),
    ListDelegatedAdministrators: services.listDelegatedAdministrators(deps),

    CreatePolicy: policies.createPolicy(deps),
    DescribePolicy: policies.describePolicy(deps),
    UpdatePolicy: policies.updatePolicy(deps),
    DeletePolicy: policies.deletePolicy(deps),
    ListPolicies: policies.listPolicies(deps),
    AttachPolicy: policies.attachPolicy(deps),
    DetachPolicy: policies.detachPolicy(deps),
    ListTargetsForPolicy: policies.listTargetsForPolicy(deps),
    ListPoliciesForTarget: policies.listPoliciesForTarget(deps),
  };
  return { name: 'organizations', operations, translate };
}

type Say = (facts: Refusal['facts']) => ApiError;

const say =
  (code: string, message: string): Say =>
  () =>
    organizationsError(code, message);

/** IAM says these; Organizations never meets them. */
const foreign: Say = () => new ApiError('ServiceException', 'The request processing has failed.', { status: 500 });

const WORDS: Readonly<Record<IdentityRefusalReason, Say>> = {
  'no-such-entity': foreign,
  'entity-exists': foreign,
  'delete-conflict': foreign,
  'policy-not-attachable': foreign,
  'service-role-policy': foreign,
  'unmodifiable-entity': foreign,
  'limit-exceeded': (facts) =>
    organizationsError(
      'ConstraintViolationException',
      `You have exceeded the number of ${facts.what}: ${facts.limit}.`,
      {
        Reason: 'MAX_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED',
      },
    ),
  'account-not-found': say('AccountNotFoundException', "You specified an account that doesn't exist."),
  'account-closed': say('AccountAlreadyClosedException', 'You attempted to close an account that is already closed.'),
  'management-account': () =>
    organizationsError('ConstraintViolationException', 'You cannot close the management account.', {
      Reason: 'CANNOT_CLOSE_MANAGEMENT_ACCOUNT',
    }),
  'parent-not-found': say(
    'DestinationParentNotFoundException',
    "We can't find the destination container (a root or OU) with the ParentId that you specified.",
  ),
  'unit-not-found': say(
    'OrganizationalUnitNotFoundException',
    "You specified an organizational unit that doesn't exist.",
  ),
  'unit-not-empty': say(
    'OrganizationalUnitNotEmptyException',
    'The specified OU is not empty. Move all accounts to another root or to other OUs, remove all child OUs, and try the operation again.',
  ),
  'unit-name-taken': say('DuplicateOrganizationalUnitException', 'An OU with the same name already exists.'),
  'source-parent-wrong': say(
    'SourceParentNotFoundException',
    "We can't find a source root or OU with the ParentId that you specified.",
  ),
  'control-policy-not-found': say(
    'PolicyNotFoundException',
    "We can't find a policy with the PolicyId that you specified.",
  ),
  'control-policy-name-taken': say('DuplicatePolicyException', 'A policy with the same name already exists.'),
  'control-policy-in-use': say(
    'PolicyInUseException',
    'The policy is attached to one or more entities. You must detach it from all roots, OUs, and accounts before performing this operation.',
  ),
  'control-policy-attached': say(
    'DuplicatePolicyAttachmentException',
    'The selected policy is already attached to the specified target.',
  ),
  'control-policy-not-attached': say(
    'PolicyNotAttachedException',
    "The policy isn't attached to the specified target in the specified root.",
  ),
  'control-policy-managed': () =>
    organizationsError('InvalidInputException', 'You attempted to modify an AWS managed policy.', {
      Reason: 'IMMUTABLE_POLICY',
    }),
  'control-policy-last': () =>
    organizationsError(
      'ConstraintViolationException',
      'You cannot remove the last policy attached to the specified target.',
      {
        Reason: 'MIN_POLICY_TYPE_ATTACHMENT_LIMIT_EXCEEDED',
      },
    ),
  'target-not-found': say(
    'TargetNotFoundException',
    "We can't find a root, OU, account, or policy with the TargetId that you specified.",
  ),
};

function translate(error: unknown, _call: unknown, operation: string): Error | undefined {
  if (error instanceof Denied) return new ApiError('AccessDeniedException', error.text, { cause: error });
  if (error instanceof PolicyMalformed) {
    return new ApiError('MalformedPolicyDocumentException', error.detail, { cause: error });
  }
  if (error instanceof Refusal && Object.hasOwn(WORDS, error.reason)) {
    const said = WORDS[error.reason as IdentityRefusalReason](error.facts);
    const leaving = operation === 'LeaveOrganization' || operation === 'RemoveAccountFromOrganization';
    if (leaving && error.reason === 'management-account') {
      return new ApiError(
        'MasterCannotLeaveOrganizationException',
        'You cannot remove the management account from an organization.',
        { cause: error },
      );
    }
    if (leaving && error.reason === 'account-closed') {
      return new ApiError(
        'ConstraintViolationException',
        'You cannot remove a suspended account from an organization.',
        {
          cause: error,
        },
      );
    }
    const missingParent = said.code === 'DestinationParentNotFoundException' && operation !== 'MoveAccount';
    const code = missingParent ? 'ParentNotFoundException' : said.code;
    return new ApiError(code, said.message, { status: said.status, members: said.members, cause: error });
  }
  return undefined;
}
