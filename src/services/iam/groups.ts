/** Groups and their members. */
import type * as aws from '@aws-sdk/client-iam';
import type { Group } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, requireName } from './iam.ts';
import { deletion, existing, listed, newEntity, pageOf, renaming } from './named-entities.ts';
import { shownUser } from './users.ts';

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
    const { arn } = newEntity(call, 'group', input);
    const group = await iam.identity.groups.create(await authorize(iam, call, 'iam:CreateGroup', { arn }));
    return { Group: shownGroup(group) };
  };

export const updateGroup: (iam: Iam) => OperationOf<aws.UpdateGroupCommand> = renaming('group', (iam, ...change) =>
  iam.identity.groups.rename(...change),
);

export const getGroup =
  (iam: Iam): OperationOf<aws.GetGroupCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    await authorizeOn(iam, call, 'iam:GetGroup', 'group', name);
    const group = await existing(iam, call, 'group', name);
    const members = await iam.identity.groups.membersOf(group);
    const { items, ...rest } = pageOf(members, input);
    return { Group: shownGroup(group), Users: items.map((user) => shownUser(user, false)), ...rest };
  };

export const listGroups =
  (iam: Iam): OperationOf<aws.ListGroupsCommand> =>
  async (call, input) => {
    const list = () => iam.identity.groups.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = await listed(iam, call, 'group', list, input);
    return { Groups: items.map(shownGroup), ...rest };
  };

export const listGroupsForUser =
  (iam: Iam): OperationOf<aws.ListGroupsForUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await authorizeOn(iam, call, 'iam:ListGroupsForUser', 'user', name);
    const groups = await iam.identity.groups.groupsOf(await existing(iam, call, 'user', name));
    const { items, ...rest } = pageOf(groups, input);
    return { Groups: items.map(shownGroup), ...rest };
  };

export const deleteGroup: (iam: Iam) => OperationOf<aws.DeleteGroupCommand> = deletion('group', (iam, permit) =>
  iam.identity.groups.remove(permit),
);

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
