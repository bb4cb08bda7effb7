/** Instance profiles and their one role (15.11). */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { InstanceProfile } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, requireName, shownTags, tagContext } from './iam.ts';
import { deletion, existing, listed, newEntity, pageOf, tagOperations } from './named-entities.ts';
import { shownRole } from './roles.ts';

export async function shownProfile(iam: Iam, profile: InstanceProfile): Promise<aws.InstanceProfile> {
  const role = profile.roleId === undefined ? undefined : await iam.identity.roles.byId(profile.roleId);
  return {
    Path: profile.path,
    InstanceProfileName: profile.name,
    InstanceProfileId: profile.id,
    Arn: profile.arn,
    CreateDate: profile.createdAt,
    Roles: role ? [await shownRole(iam, role, false)] : [],
    Tags: shownTags(profile.tags),
  };
}

export const createInstanceProfile =
  (iam: Iam): OperationOf<aws.CreateInstanceProfileCommand> =>
  async (call, input) => {
    const { arn, tags } = newEntity(call, 'instance-profile', input);
    const permit = await authorize(iam, call, 'iam:CreateInstanceProfile', { arn }, tagContext(tags));
    return { InstanceProfile: await shownProfile(iam, await iam.identity.instanceProfiles.create(permit, tags)) };
  };

export const getInstanceProfile =
  (iam: Iam): OperationOf<aws.GetInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    await authorizeOn(iam, call, 'iam:GetInstanceProfile', 'instance-profile', name);
    const profile = await existing(iam, call, 'instance-profile', name);
    return { InstanceProfile: await shownProfile(iam, profile) };
  };

export const listInstanceProfiles =
  (iam: Iam): OperationOf<aws.ListInstanceProfilesCommand> =>
  async (call, input) => {
    const filter = input.PathPrefix === undefined ? {} : { pathPrefix: input.PathPrefix };
    const list = () => iam.identity.instanceProfiles.list(call.caller.accountId, filter);
    return shownPage(iam, await listed(iam, call, 'instance-profile', list, input));
  };

export const listInstanceProfilesForRole =
  (iam: Iam): OperationOf<aws.ListInstanceProfilesForRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:ListInstanceProfilesForRole', 'role', name);
    const { id } = await existing(iam, call, 'role', name);
    const holding = await iam.identity.instanceProfiles.list(call.caller.accountId, { roleId: id });
    return shownPage(iam, pageOf(holding, input));
  };

async function shownPage(iam: Iam, { items, ...rest }: ReturnType<typeof pageOf<InstanceProfile>>) {
  return { InstanceProfiles: await Promise.all(items.map((profile) => shownProfile(iam, profile))), ...rest };
}

export const deleteInstanceProfile: (iam: Iam) => OperationOf<aws.DeleteInstanceProfileCommand> = deletion(
  'instance-profile',
  (iam, permit) => iam.identity.instanceProfiles.remove(permit),
);

const tags = tagOperations('instance-profile', (iam, ...change) => iam.identity.instanceProfiles.setTags(...change));
export const tagInstanceProfile: (iam: Iam) => OperationOf<aws.TagInstanceProfileCommand> = tags.tag;
export const untagInstanceProfile: (iam: Iam) => OperationOf<aws.UntagInstanceProfileCommand> = tags.untag;
export const listInstanceProfileTags: (iam: Iam) => OperationOf<aws.ListInstanceProfileTagsCommand> = tags.list;

export const addRoleToInstanceProfile =
  (iam: Iam): OperationOf<aws.AddRoleToInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const role = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:AddRoleToInstanceProfile', 'instance-profile', name);
    await requirePassRole(iam, call, role);
    await iam.identity.instanceProfiles.addRole(permit, role);
    return {};
  };

/** Whoever puts a role into a profile hands it to EC2 (7.11). */
async function requirePassRole(iam: Iam, call: Call, role: string): Promise<void> {
  await authorizeOn(iam, call, 'iam:PassRole', 'role', role, { 'iam:PassedToService': 'ec2.amazonaws.com' });
}

export const removeRoleFromInstanceProfile =
  (iam: Iam): OperationOf<aws.RemoveRoleFromInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const permit = await authorizeOn(iam, call, 'iam:RemoveRoleFromInstanceProfile', 'instance-profile', name);
    await iam.identity.instanceProfiles.removeRole(permit, requireName(input.RoleName, 'role'));
    return {};
  };
