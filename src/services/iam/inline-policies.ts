/** Put, Get, Delete and List of the inline policies of users, groups and roles. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { OwnerType } from '../../identity/policies.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeOn,
  encodeDocument,
  type Iam,
  lookUp,
  noSuchEntity,
  type PageInput,
  page,
  requireName,
} from './iam.ts';

async function ownerId(iam: Iam, call: Call, type: OwnerType, name: string): Promise<string> {
  const found = await lookUp(iam, call.caller.accountId, type, name);
  if (!found) throw noSuchEntity(`The ${type} with name ${name} cannot be found.`);
  return found.id;
}

async function documentOf(iam: Iam, call: Call, type: OwnerType, name: string, policy: string): Promise<string> {
  const inline = await iam.identity.policies.inlineOf(await ownerId(iam, call, type, name));
  const found = inline.find((one) => one.name === policy);
  if (!found) throw noSuchEntity(`The ${type} policy with name ${policy} cannot be found.`);
  return encodeDocument(found.document);
}

async function namesOf(iam: Iam, call: Call, type: OwnerType, name: string, input: PageInput) {
  const inline = await iam.identity.policies.inlineOf(await ownerId(iam, call, type, name));
  const { items, ...rest } = page(
    inline.map((one) => one.name),
    (policy) => policy,
    input,
  );
  return { PolicyNames: items, ...rest };
}

export const putUserPolicy =
  (iam: Iam): OperationOf<aws.PutUserPolicyCommand> =>
  async (call, input) => {
    const permit = await authorizeOn(iam, call, 'iam:PutUserPolicy', 'user', requireName(input.UserName, 'user'));
    await iam.identity.policies.putInline(permit, requireName(input.PolicyName, 'policy'), input.PolicyDocument ?? '');
    return {};
  };

export const putGroupPolicy =
  (iam: Iam): OperationOf<aws.PutGroupPolicyCommand> =>
  async (call, input) => {
    const permit = await authorizeOn(iam, call, 'iam:PutGroupPolicy', 'group', requireName(input.GroupName, 'group'));
    await iam.identity.policies.putInline(permit, requireName(input.PolicyName, 'policy'), input.PolicyDocument ?? '');
    return {};
  };

export const putRolePolicy =
  (iam: Iam): OperationOf<aws.PutRolePolicyCommand> =>
  async (call, input) => {
    const permit = await authorizeOn(iam, call, 'iam:PutRolePolicy', 'role', requireName(input.RoleName, 'role'));
    await iam.identity.policies.putInline(permit, requireName(input.PolicyName, 'policy'), input.PolicyDocument ?? '');
    return {};
  };

export const getUserPolicy =
  (iam: Iam): OperationOf<aws.GetUserPolicyCommand> =>
  async (call, input) => {
    const UserName = requireName(input.UserName, 'user');
    const PolicyName = requireName(input.PolicyName, 'policy');
    await authorizeOn(iam, call, 'iam:GetUserPolicy', 'user', UserName);
    return { UserName, PolicyName, PolicyDocument: await documentOf(iam, call, 'user', UserName, PolicyName) };
  };

export const getGroupPolicy =
  (iam: Iam): OperationOf<aws.GetGroupPolicyCommand> =>
  async (call, input) => {
    const GroupName = requireName(input.GroupName, 'group');
    const PolicyName = requireName(input.PolicyName, 'policy');
    await authorizeOn(iam, call, 'iam:GetGroupPolicy', 'group', GroupName);
    return { GroupName, PolicyName, PolicyDocument: await documentOf(iam, call, 'group', GroupName, PolicyName) };
  };

export const getRolePolicy =
  (iam: Iam): OperationOf<aws.GetRolePolicyCommand> =>
  async (call, input) => {
    const RoleName = requireName(input.RoleName, 'role');
    const PolicyName = requireName(input.PolicyName, 'policy');
    await authorizeOn(iam, call, 'iam:GetRolePolicy', 'role', RoleName);
    return { RoleName, PolicyName, PolicyDocument: await documentOf(iam, call, 'role', RoleName, PolicyName) };
  };

export const deleteUserPolicy =
  (iam: Iam): OperationOf<aws.DeleteUserPolicyCommand> =>
  async (call, input) => {
    const permit = await authorizeOn(iam, call, 'iam:DeleteUserPolicy', 'user', requireName(input.UserName, 'user'));
    await iam.identity.policies.deleteInline(permit, requireName(input.PolicyName, 'policy'));
    return {};
  };

export const deleteGroupPolicy =
  (iam: Iam): OperationOf<aws.DeleteGroupPolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const permit = await authorizeOn(iam, call, 'iam:DeleteGroupPolicy', 'group', name);
    await iam.identity.policies.deleteInline(permit, requireName(input.PolicyName, 'policy'));
    return {};
  };

export const deleteRolePolicy =
  (iam: Iam): OperationOf<aws.DeleteRolePolicyCommand> =>
  async (call, input) => {
    const permit = await authorizeOn(iam, call, 'iam:DeleteRolePolicy', 'role', requireName(input.RoleName, 'role'));
    await iam.identity.policies.deleteInline(permit, requireName(input.PolicyName, 'policy'));
    return {};
  };

export const listUserPolicies =
  (iam: Iam): OperationOf<aws.ListUserPoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await authorizeOn(iam, call, 'iam:ListUserPolicies', 'user', name);
    return namesOf(iam, call, 'user', name, input);
  };

export const listGroupPolicies =
  (iam: Iam): OperationOf<aws.ListGroupPoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    await authorizeOn(iam, call, 'iam:ListGroupPolicies', 'group', name);
    return namesOf(iam, call, 'group', name, input);
  };

export const listRolePolicies =
  (iam: Iam): OperationOf<aws.ListRolePoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:ListRolePolicies', 'role', name);
    return namesOf(iam, call, 'role', name, input);
  };
