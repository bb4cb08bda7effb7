/** GetAccountSummary and GetAccountAuthorizationDetails: everything of an account in one answer. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { Group, Role, User } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, encodeDocument, type Iam, page, shownTags } from './iam.ts';
import { shownProfile } from './instance-profiles.ts';
import { boundaryOf } from './named-entities.ts';
import { shownPolicy, shownVersion } from './policies.ts';
import { lastUseOf, shownRole } from './roles.ts';

/** Counts, and the quotas that Ingot enforces. */
export const getAccountSummary =
  (iam: Iam): OperationOf<aws.GetAccountSummaryCommand> =>
  async (call) => {
    await authorize(iam, call, 'iam:GetAccountSummary', { arn: '*' });
    const { accountId } = call.caller;
    const { users, groups, roles, policies, instanceProfiles, accessKeys } = iam.identity;
    const local = await policies.list(accountId, 'Local');
    const SummaryMap = {
      Users: (await users.list(accountId)).length,
      Groups: (await groups.list(accountId)).length,
      Roles: (await roles.list(accountId)).length,
      InstanceProfiles: (await instanceProfiles.list(accountId)).length,
      Policies: local.length,
      PolicySizeQuota: 6144,
      VersionsPerPolicyQuota: 5,
      UserPolicySizeQuota: 2048,
      GroupPolicySizeQuota: 5120,
      RolePolicySizeQuota: 10_240,
      AssumeRolePolicySizeQuota: 4096,
      AttachedPoliciesPerUserQuota: 20,
      AttachedPoliciesPerGroupQuota: 20,
      AttachedPoliciesPerRoleQuota: 20,
      AccessKeysPerUserQuota: 2,
      AccountAccessKeysPresent: (await accessKeys.listOf(accountId)).length > 0 ? 1 : 0,
      // There are none of these, and no way to make them.
      MFADevices: 0,
      MFADevicesInUse: 0,
      AccountMFAEnabled: 0,
      AccountPasswordPresent: 0,
      AccountSigningCertificatesPresent: 0,
      Providers: 0,
      ServerCertificates: 0,
    };
    return { SummaryMap };
  };

/** One thing of the account, and what is told of it. */
interface Item {
  readonly key: string;
  show(): Promise<Partial<aws.GetAccountAuthorizationDetailsResponse>>;
}

export const getAccountAuthorizationDetails =
  (iam: Iam): OperationOf<aws.GetAccountAuthorizationDetailsCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:GetAccountAuthorizationDetails', { arn: '*' });
    const { accountId } = call.caller;
    const { users, groups, roles, policies } = iam.identity;
    const wanted = (type: aws.EntityType) => !input.Filter?.length || input.Filter.includes(type);
    const items: Item[] = [];
    if (wanted('User')) {
      for (const user of await users.list(accountId)) {
        items.push({ key: `1 ${user.id}`, show: async () => ({ UserDetailList: [await userDetail(iam, user)] }) });
      }
    }
    if (wanted('Group')) {
      for (const group of await groups.list(accountId)) {
        items.push({ key: `2 ${group.id}`, show: async () => ({ GroupDetailList: [await groupDetail(iam, group)] }) });
      }
    }
    if (wanted('Role')) {
      for (const role of await roles.list(accountId)) {
        items.push({ key: `3 ${role.id}`, show: async () => ({ RoleDetailList: [await roleDetail(iam, role)] }) });
      }
    }
    for (const policy of await policies.list(accountId, 'All')) {
      if (!wanted(policy.awsManaged ? 'AWSManagedPolicy' : 'LocalManagedPolicy')) continue;
      // As in AWS, of AWS's own policies only those in use.
      if (policy.awsManaged && !(await isUsed(iam, call, policy.arn))) continue;
      const key = `4 ${policy.arn}`;
      items.push({ key, show: async () => ({ Policies: [await policyDetail(iam, call, policy)] }) });
    }
    const { items: shown, ...rest } = page(items, ({ key }) => key, input);
    const lists = { UserDetailList: [], GroupDetailList: [], RoleDetailList: [], Policies: [] } as {
      UserDetailList: aws.UserDetail[];
      GroupDetailList: aws.GroupDetail[];
      RoleDetailList: aws.RoleDetail[];
      Policies: aws.ManagedPolicyDetail[];
    };
    for (const item of shown) {
      const found = await item.show();
      lists.UserDetailList.push(...(found.UserDetailList ?? []));
      lists.GroupDetailList.push(...(found.GroupDetailList ?? []));
      lists.RoleDetailList.push(...(found.RoleDetailList ?? []));
      lists.Policies.push(...(found.Policies ?? []));
    }
    return { ...lists, ...rest };
  };

async function isUsed(iam: Iam, call: Call, arn: string): Promise<boolean> {
  const { accountId } = call.caller;
  const { policies } = iam.identity;
  return (await policies.ownersOf(accountId, arn)).length > 0 || (await policies.boundedBy(accountId, arn)).length > 0;
}

async function ownPolicies(iam: Iam, id: string) {
  const inline = await iam.identity.policies.inlineOf(id);
  const attached = await iam.identity.policies.attachedTo(id);
  return {
    inline: inline.map(({ name, document }) => ({ PolicyName: name, PolicyDocument: encodeDocument(document) })),
    AttachedManagedPolicies: attached.map(({ name, arn }) => ({ PolicyName: name, PolicyArn: arn })),
  };
}

function named(entity: User | Group | Role) {
  return { Path: entity.path, Arn: entity.arn, CreateDate: entity.createdAt };
}

async function userDetail(iam: Iam, user: User): Promise<aws.UserDetail> {
  const { inline, AttachedManagedPolicies } = await ownPolicies(iam, user.id);
  return {
    ...named(user),
    UserName: user.name,
    UserId: user.id,
    UserPolicyList: inline,
    GroupList: (await iam.identity.groups.groupsOf(user)).map(({ name }) => name),
    AttachedManagedPolicies,
    ...boundaryOf(user.boundaryArn),
    Tags: shownTags(user.tags),
  };
}

async function groupDetail(iam: Iam, group: Group): Promise<aws.GroupDetail> {
  const { inline, AttachedManagedPolicies } = await ownPolicies(iam, group.id);
  return {
    ...named(group),
    GroupName: group.name,
    GroupId: group.id,
    GroupPolicyList: inline,
    AttachedManagedPolicies,
  };
}

async function roleDetail(iam: Iam, role: Role): Promise<aws.RoleDetail> {
  const { inline, AttachedManagedPolicies } = await ownPolicies(iam, role.id);
  const profiles = await iam.identity.instanceProfiles.list(role.accountId, { roleId: role.id });
  const { AssumeRolePolicyDocument } = await shownRole(iam, role, false);
  return {
    ...named(role),
    RoleName: role.name,
    RoleId: role.id,
    AssumeRolePolicyDocument,
    InstanceProfileList: await Promise.all(profiles.map((profile) => shownProfile(iam, profile))),
    RolePolicyList: inline,
    AttachedManagedPolicies,
    ...boundaryOf(role.boundaryArn),
    Tags: shownTags(role.tags),
    RoleLastUsed: await lastUseOf(iam, role),
  };
}

async function policyDetail(
  iam: Iam,
  call: Call,
  policy: Parameters<typeof shownPolicy>[2],
): Promise<aws.ManagedPolicyDetail> {
  const { Tags: _, ...shown } = await shownPolicy(iam, call, policy);
  const versions = await iam.identity.policies.versions(policy.arn);
  return { ...shown, PolicyVersionList: (versions ?? []).map((version) => shownVersion(version, true)) };
}
