/** Instance profiles and their one role (15.11). */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import { entityArn, type InstanceProfile } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorize,
  authorizeOn,
  type Iam,
  noSuchEntity,
  page,
  requireName,
  requirePath,
  shownTags,
  tagContext,
  tagsOf,
  withoutTags,
  withTags,
} from './iam.ts';
import { existingRole, shownRole } from './roles.ts';

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
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const arn = entityArn(call.caller.accountId, 'instance-profile', requirePath(input.Path), name);
    const tags = tagsOf(input.Tags);
    const permit = await authorize(iam, call, 'iam:CreateInstanceProfile', { arn }, tagContext(tags));
    return { InstanceProfile: await shownProfile(iam, await iam.identity.instanceProfiles.create(permit, tags)) };
  };

export const getInstanceProfile =
  (iam: Iam): OperationOf<aws.GetInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    await authorizeOn(iam, call, 'iam:GetInstanceProfile', 'instance-profile', name);
    const profile = await iam.identity.instanceProfiles.lookUp(call.caller.accountId, name);
    if (!profile) throw noSuchEntity(`Instance Profile ${name} cannot be found.`);
    return { InstanceProfile: await shownProfile(iam, profile) };
  };

export const listInstanceProfiles =
  (iam: Iam): OperationOf<aws.ListInstanceProfilesCommand> =>
  async (call, input) => {
    const { accountId } = call.caller;
    await authorize(iam, call, 'iam:ListInstanceProfiles', { arn: entityArn(accountId, 'instance-profile', '/', '*') });
    const filter = input.PathPrefix === undefined ? {} : { pathPrefix: input.PathPrefix };
    return listed(iam, await iam.identity.instanceProfiles.list(accountId, filter), input);
  };

export const listInstanceProfilesForRole =
  (iam: Iam): OperationOf<aws.ListInstanceProfilesForRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:ListInstanceProfilesForRole', 'role', name);
    const { id } = await existingRole(iam, call, name);
    return listed(iam, await iam.identity.instanceProfiles.list(call.caller.accountId, { roleId: id }), input);
  };

async function listed(iam: Iam, profiles: readonly InstanceProfile[], input: Parameters<typeof page>[2]) {
  const { items, ...rest } = page(profiles, (profile) => profile.name.toLowerCase(), input);
  return { InstanceProfiles: await Promise.all(items.map((profile) => shownProfile(iam, profile))), ...rest };
}

export const deleteInstanceProfile =
  (iam: Iam): OperationOf<aws.DeleteInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const permit = await authorizeOn(iam, call, 'iam:DeleteInstanceProfile', 'instance-profile', name);
    await iam.identity.instanceProfiles.remove(permit);
    return {};
  };

export const tagInstanceProfile =
  (iam: Iam): OperationOf<aws.TagInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const tags = tagsOf(input.Tags);
    const permit = await authorizeOn(iam, call, 'iam:TagInstanceProfile', 'instance-profile', name, tagContext(tags));
    await iam.identity.instanceProfiles.setTags(permit, (before) => withTags(before, tags));
    return {};
  };

export const untagInstanceProfile =
  (iam: Iam): OperationOf<aws.UntagInstanceProfileCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    const keys = input.TagKeys ?? [];
    const context = { 'aws:TagKeys': keys };
    const permit = await authorizeOn(iam, call, 'iam:UntagInstanceProfile', 'instance-profile', name, context);
    await iam.identity.instanceProfiles.setTags(permit, (before) => withoutTags(before, keys));
    return {};
  };

export const listInstanceProfileTags =
  (iam: Iam): OperationOf<aws.ListInstanceProfileTagsCommand> =>
  async (call, input) => {
    const name = requireName(input.InstanceProfileName, 'instance-profile');
    await authorizeOn(iam, call, 'iam:ListInstanceProfileTags', 'instance-profile', name);
    const profile = await iam.identity.instanceProfiles.lookUp(call.caller.accountId, name);
    if (!profile) throw noSuchEntity(`Instance Profile ${name} cannot be found.`);
    const { items, ...rest } = page(shownTags(profile.tags), (tag) => tag.Key, input);
    return { Tags: items, ...rest };
  };

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
