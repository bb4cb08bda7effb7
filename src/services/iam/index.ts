/** IAM: the subset that Terraform, Packer and the AWS CLI need (authorization-and-wire §15). */
import type { OperationTable, Service } from '../operation.ts';
import * as accessKeys from './access-keys.ts';
import * as accountAliases from './account-aliases.ts';
import * as accountReports from './account-reports.ts';
import * as attached from './attached-policies.ts';
import { translate } from './errors.ts';
import * as groups from './groups.ts';
import type { Iam } from './iam.ts';
import * as inline from './inline-policies.ts';
import * as profiles from './instance-profiles.ts';
import * as policies from './policies.ts';
import * as roles from './roles.ts';
import * as linked from './service-linked-roles.ts';
import * as simulate from './simulate.ts';
import * as users from './users.ts';

export type { Iam } from './iam.ts';

export function iamService(iam: Iam): Service {
  const operations: OperationTable = {
    CreateUser: users.createUser(iam),
    GetUser: users.getUser(iam),
    ListUsers: users.listUsers(iam),
    UpdateUser: users.updateUser(iam),
    DeleteUser: users.deleteUser(iam),
    TagUser: users.tagUser(iam),
    UntagUser: users.untagUser(iam),
    ListUserTags: users.listUserTags(iam),
    PutUserPermissionsBoundary: users.putUserPermissionsBoundary(iam),
    DeleteUserPermissionsBoundary: users.deleteUserPermissionsBoundary(iam),

    CreateAccessKey: accessKeys.createAccessKey(iam),
    ListAccessKeys: accessKeys.listAccessKeys(iam),
    GetAccessKeyLastUsed: accessKeys.getAccessKeyLastUsed(iam),
    UpdateAccessKey: accessKeys.updateAccessKey(iam),
    DeleteAccessKey: accessKeys.deleteAccessKey(iam),

    CreateGroup: groups.createGroup(iam),
    UpdateGroup: groups.updateGroup(iam),
    GetGroup: groups.getGroup(iam),
    ListGroups: groups.listGroups(iam),
    ListGroupsForUser: groups.listGroupsForUser(iam),
    DeleteGroup: groups.deleteGroup(iam),
    AddUserToGroup: groups.addUserToGroup(iam),
    RemoveUserFromGroup: groups.removeUserFromGroup(iam),

    CreateRole: roles.createRole(iam),
    GetRole: roles.getRole(iam),
    ListRoles: roles.listRoles(iam),
    UpdateRole: roles.updateRole(iam),
    UpdateRoleDescription: roles.updateRoleDescription(iam),
    DeleteRole: roles.deleteRole(iam),
    UpdateAssumeRolePolicy: roles.updateAssumeRolePolicy(iam),
    TagRole: roles.tagRole(iam),
    UntagRole: roles.untagRole(iam),
    ListRoleTags: roles.listRoleTags(iam),
    PutRolePermissionsBoundary: roles.putRolePermissionsBoundary(iam),
    DeleteRolePermissionsBoundary: roles.deleteRolePermissionsBoundary(iam),
    CreateServiceLinkedRole: linked.createServiceLinkedRole(iam),
    DeleteServiceLinkedRole: linked.deleteServiceLinkedRole(iam),
    GetServiceLinkedRoleDeletionStatus: linked.getServiceLinkedRoleDeletionStatus(iam),

    PutUserPolicy: inline.putUserPolicy(iam),
    PutGroupPolicy: inline.putGroupPolicy(iam),
    PutRolePolicy: inline.putRolePolicy(iam),
    GetUserPolicy: inline.getUserPolicy(iam),
    GetGroupPolicy: inline.getGroupPolicy(iam),
    GetRolePolicy: inline.getRolePolicy(iam),
    DeleteUserPolicy: inline.deleteUserPolicy(iam),
    DeleteGroupPolicy: inline.deleteGroupPolicy(iam),
    DeleteRolePolicy: inline.deleteRolePolicy(iam),
    ListUserPolicies: inline.listUserPolicies(iam),
    ListGroupPolicies: inline.listGroupPolicies(iam),
    ListRolePolicies: inline.listRolePolicies(iam),

    AttachUserPolicy: attached.attachUserPolicy(iam),
    AttachGroupPolicy: attached.attachGroupPolicy(iam),
    AttachRolePolicy: attached.attachRolePolicy(iam),
    DetachUserPolicy: attached.detachUserPolicy(iam),
    DetachGroupPolicy: attached.detachGroupPolicy(iam),
    DetachRolePolicy: attached.detachRolePolicy(iam),
    ListAttachedUserPolicies: attached.listAttachedUserPolicies(iam),
    ListAttachedGroupPolicies: attached.listAttachedGroupPolicies(iam),
    ListAttachedRolePolicies: attached.listAttachedRolePolicies(iam),

    CreatePolicy: policies.createPolicy(iam),
    GetPolicy: policies.getPolicy(iam),
    ListPolicies: policies.listPolicies(iam),
    DeletePolicy: policies.deletePolicy(iam),
    CreatePolicyVersion: policies.createPolicyVersion(iam),
    GetPolicyVersion: policies.getPolicyVersion(iam),
    ListPolicyVersions: policies.listPolicyVersions(iam),
    DeletePolicyVersion: policies.deletePolicyVersion(iam),
    SetDefaultPolicyVersion: policies.setDefaultPolicyVersion(iam),
    ListEntitiesForPolicy: policies.listEntitiesForPolicy(iam),
    TagPolicy: policies.tagPolicy(iam),
    UntagPolicy: policies.untagPolicy(iam),
    ListPolicyTags: policies.listPolicyTags(iam),

    CreateInstanceProfile: profiles.createInstanceProfile(iam),
    GetInstanceProfile: profiles.getInstanceProfile(iam),
    ListInstanceProfiles: profiles.listInstanceProfiles(iam),
    ListInstanceProfilesForRole: profiles.listInstanceProfilesForRole(iam),
    DeleteInstanceProfile: profiles.deleteInstanceProfile(iam),
    TagInstanceProfile: profiles.tagInstanceProfile(iam),
    UntagInstanceProfile: profiles.untagInstanceProfile(iam),
    ListInstanceProfileTags: profiles.listInstanceProfileTags(iam),
    AddRoleToInstanceProfile: profiles.addRoleToInstanceProfile(iam),
    RemoveRoleFromInstanceProfile: profiles.removeRoleFromInstanceProfile(iam),

    SimulatePrincipalPolicy: simulate.simulatePrincipalPolicy(iam),
    SimulateCustomPolicy: simulate.simulateCustomPolicy(iam),
    GetContextKeysForPrincipalPolicy: simulate.getContextKeysForPrincipalPolicy(iam),
    GetContextKeysForCustomPolicy: simulate.getContextKeysForCustomPolicy(iam),

    CreateAccountAlias: accountAliases.createAccountAlias(iam),
    DeleteAccountAlias: accountAliases.deleteAccountAlias(iam),
    ListAccountAliases: accountAliases.listAccountAliases(iam),
    GetAccountSummary: accountReports.getAccountSummary(iam),
    GetAccountAuthorizationDetails: accountReports.getAccountAuthorizationDetails(iam),
  };
  return { name: 'iam', operations, translate };
}
