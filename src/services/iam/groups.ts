/** Groups and their members. */
import type * as aws from '@aws-sdk/client-iam';
import { entityArn, type Group } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, noSuchEntity, page, requireName, requirePath } from './iam.ts';
import { existingUser, shownUser } from './users.ts';

function shownGroup(group: Group): aws.Group {
  return {
    Path: group.path,
    GroupName: group.name,
    GroupId: group.id,
    Arn: group.arn,
    CreateDate: group.createdAt,
  };
}

export const createGroup =
  (iam: Iam): OperationOf<aws.CreateGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const arn = entityArn(call.caller.accountId, 'group', requirePath(input.Path), name);
    const group = await iam.identity.groups.create(await authorize(iam, call, 'iam:CreateGroup', { arn }));
    return { Group: shownGroup(group) };
  };

export const updateGroup =
  (iam: Iam): OperationOf<aws.UpdateGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const change = {
      ...(input.NewGroupName === undefined ? {} : { name: requireName(input.NewGroupName, 'group') }),
      ...(input.NewPath === undefined ? {} : { path: requirePath(input.NewPath) }),
    };
    const permit = await authorizeOn(iam, call, 'iam:UpdateGroup', 'group', name);
    // The new name must be allowed as the old one is.
    const before = await iam.identity.groups.lookUp(call.caller.accountId, name);
    if (!before) throw noSuchEntity(`The group with name ${name} cannot be found.`);
    const arn = entityArn(before.accountId, 'group', change.path ?? before.path, change.name ?? before.name);
    if (arn !== before.arn) await authorize(iam, call, 'iam:UpdateGroup', { arn });
    await iam.identity.groups.rename(permit, change);
    return {};
  };

export const getGroup =
  (iam: Iam): OperationOf<aws.GetGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    await authorizeOn(iam, call, 'iam:GetGroup', 'group', name);
    const group = await iam.identity.groups.lookUp(call.caller.accountId, name);
    if (!group) throw noSuchEntity(`The group with name ${name} cannot be found.`);
    const members = await iam.identity.groups.membersOf(group);
    const { items, ...rest } = page(members, (user) => user.name.toLowerCase(), input);
    return { Group: shownGroup(group), Users: items.map((user) => shownUser(user, false)), ...rest };
  };

export const listGroups =
  (iam: Iam): OperationOf<aws.ListGroupsCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:ListGroups', { arn: entityArn(call.caller.accountId, 'group', '/', '*') });
    const all = await iam.identity.groups.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = page(all, (group) => group.name.toLowerCase(), input);
    return { Groups: items.map(shownGroup), ...rest };
  };

export const listGroupsForUser =
  (iam: Iam): OperationOf<aws.ListGroupsForUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await authorizeOn(iam, call, 'iam:ListGroupsForUser', 'user', name);
    const groups = await iam.identity.groups.groupsOf(await existingUser(iam, call, name));
    const { items, ...rest } = page(groups, (group) => group.name.toLowerCase(), input);
    return { Groups: items.map(shownGroup), ...rest };
  };

export const deleteGroup =
  (iam: Iam): OperationOf<aws.DeleteGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    await iam.identity.groups.remove(await authorizeOn(iam, call, 'iam:DeleteGroup', 'group', name));
    return {};
  };

export const addUserToGroup =
  (iam: Iam): OperationOf<aws.AddUserToGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const permit = await authorizeOn(iam, call, 'iam:AddUserToGroup', 'group', name);
    await iam.identity.groups.add(permit, requireName(input.UserName, 'user'));
    return {};
  };

export const removeUserFromGroup =
  (iam: Iam): OperationOf<aws.RemoveUserFromGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const permit = await authorizeOn(iam, call, 'iam:RemoveUserFromGroup', 'group', name);
    await iam.identity.groups.drop(permit, requireName(input.UserName, 'user'));
    return {};
  };
