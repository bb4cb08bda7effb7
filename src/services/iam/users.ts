/** CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser, tags and boundary of users. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import { entityArn, type User } from '../../identity/entities.ts';
import type { Arn } from '../../ids.ts';
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
  validation,
  withoutTags,
  withTags,
} from './iam.ts';

export function boundaryOf(arn: Arn | undefined) {
  if (arn === undefined) return {};
  return {
    PermissionsBoundary: { PermissionsBoundaryType: 'PermissionsBoundaryPolicy' as const, PermissionsBoundaryArn: arn },
  };
}

export function shownUser(user: User, details = true): aws.User {
  return {
    Path: user.path,
    UserName: user.name,
    UserId: user.id,
    Arn: user.arn,
    CreateDate: user.createdAt,
    ...(details ? boundaryOf(user.boundaryArn) : {}),
    ...(details && Object.keys(user.tags).length > 0 ? { Tags: shownTags(user.tags) } : {}),
  };
}

/** The name a request gives, or the calling user's own (15.3); `undefined` for the root user. */
export function userNameOrCaller(call: Call, given: string | undefined): string | undefined {
  if (given !== undefined) return requireName(given, 'user');
  if (call.caller.type === 'User') return call.caller.userName;
  if (call.caller.type === 'Account') return undefined;
  throw validation('Must specify userName when calling with non-User credentials');
}

export async function existingUser(iam: Iam, call: Call, name: string): Promise<User> {
  const user = await iam.identity.users.lookUp(call.caller.accountId, name);
  if (!user) throw noSuchEntity(`The user with name ${name} cannot be found.`);
  return user;
}

export const createUser =
  (iam: Iam): OperationOf<aws.CreateUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const arn = entityArn(call.caller.accountId, 'user', requirePath(input.Path), name);
    const tags = tagsOf(input.Tags);
    const permit = await authorize(
      iam,
      call,
      'iam:CreateUser',
      { arn },
      {
        ...tagContext(tags),
        'iam:PermissionsBoundary': input.PermissionsBoundary,
      },
    );
    const boundary = input.PermissionsBoundary as Arn | undefined;
    const user = await iam.identity.users.create(permit, { tags, ...(boundary ? { boundaryArn: boundary } : {}) });
    return { User: shownUser(user) };
  };

export const getUser =
  (iam: Iam): OperationOf<aws.GetUserCommand> =>
  async (call, input) => {
    const name = userNameOrCaller(call, input.UserName);
    if (name !== undefined) {
      await authorizeOn(iam, call, 'iam:GetUser', 'user', name);
      return { User: shownUser(await existingUser(iam, call, name)) };
    }
    const { accountId, arn } = call.caller;
    await authorize(iam, call, 'iam:GetUser', { arn });
    const account = await iam.identity.organizations.account(accountId);
    const user = { Path: '/', UserName: account?.alias, UserId: accountId, Arn: arn, CreateDate: account?.joinedAt };
    return { User: user };
  };

export const listUsers =
  (iam: Iam): OperationOf<aws.ListUsersCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:ListUsers', { arn: entityArn(call.caller.accountId, 'user', '/', '*') });
    const all = await iam.identity.users.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = page(all, (user) => user.name.toLowerCase(), input);
    return { Users: items.map((user) => shownUser(user, false)), ...rest };
  };

export const updateUser =
  (iam: Iam): OperationOf<aws.UpdateUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const change = {
      ...(input.NewUserName === undefined ? {} : { name: requireName(input.NewUserName, 'user') }),
      ...(input.NewPath === undefined ? {} : { path: requirePath(input.NewPath) }),
    };
    const permit = await authorizeOn(iam, call, 'iam:UpdateUser', 'user', name);
    // The new name must be allowed as the old one is.
    if (change.name !== undefined || change.path !== undefined) {
      const before = await existingUser(iam, call, name);
      const after = entityArn(before.accountId, 'user', change.path ?? before.path, change.name ?? before.name);
      await authorize(iam, call, 'iam:UpdateUser', { arn: after });
    }
    await iam.identity.users.rename(permit, change);
    return {};
  };

export const deleteUser =
  (iam: Iam): OperationOf<aws.DeleteUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await iam.identity.users.remove(await authorizeOn(iam, call, 'iam:DeleteUser', 'user', name));
    return {};
  };

export const tagUser =
  (iam: Iam): OperationOf<aws.TagUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const tags = tagsOf(input.Tags);
    const permit = await authorizeOn(iam, call, 'iam:TagUser', 'user', name, tagContext(tags));
    await iam.identity.users.setTags(permit, (before) => withTags(before, tags));
    return {};
  };

export const untagUser =
  (iam: Iam): OperationOf<aws.UntagUserCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const keys = input.TagKeys ?? [];
    const permit = await authorizeOn(iam, call, 'iam:UntagUser', 'user', name, { 'aws:TagKeys': keys });
    await iam.identity.users.setTags(permit, (before) => withoutTags(before, keys));
    return {};
  };

export const listUserTags =
  (iam: Iam): OperationOf<aws.ListUserTagsCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await authorizeOn(iam, call, 'iam:ListUserTags', 'user', name);
    const { tags } = await existingUser(iam, call, name);
    const { items, ...rest } = page(shownTags(tags), (tag) => tag.Key, input);
    return { Tags: items, ...rest };
  };

export const putUserPermissionsBoundary =
  (iam: Iam): OperationOf<aws.PutUserPermissionsBoundaryCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const permit = await authorizeOn(iam, call, 'iam:PutUserPermissionsBoundary', 'user', name, {
      'iam:PermissionsBoundary': input.PermissionsBoundary,
    });
    await iam.identity.users.setBoundary(permit, input.PermissionsBoundary as Arn);
    return {};
  };

export const deleteUserPermissionsBoundary =
  (iam: Iam): OperationOf<aws.DeleteUserPermissionsBoundaryCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const permit = await authorizeOn(iam, call, 'iam:DeleteUserPermissionsBoundary', 'user', name);
    await iam.identity.users.setBoundary(permit, undefined);
    return {};
  };
