/** CreateUser, GetUser, ListUsers, UpdateUser, DeleteUser, tags and boundary of users. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { User } from '../../identity/entities.ts';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, requireName, shownTags, tagContext, validation } from './iam.ts';
import {
  boundaryOf,
  boundaryOperations,
  deletion,
  existing,
  listed,
  newEntity,
  renaming,
  tagOperations,
} from './named-entities.ts';

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

export const createUser =
  (iam: Iam): OperationOf<aws.CreateUserCommand> =>
  async (call, input) => {
    const { arn, tags } = newEntity(call, 'user', input);
    const context = { ...tagContext(tags), 'iam:PermissionsBoundary': input.PermissionsBoundary };
    const permit = await authorize(iam, call, 'iam:CreateUser', { arn }, context);
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
      return { User: shownUser(await existing(iam, call, 'user', name)) };
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
    const list = () => iam.identity.users.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = await listed(iam, call, 'user', list, input);
    return { Users: items.map((user) => shownUser(user, false)), ...rest };
  };

export const updateUser: (iam: Iam) => OperationOf<aws.UpdateUserCommand> = renaming('user', (iam, ...change) =>
  iam.identity.users.rename(...change),
);

export const deleteUser: (iam: Iam) => OperationOf<aws.DeleteUserCommand> = deletion('user', (iam, permit) =>
  iam.identity.users.remove(permit),
);

const tags = tagOperations('user', (iam, ...change) => iam.identity.users.setTags(...change));
export const tagUser: (iam: Iam) => OperationOf<aws.TagUserCommand> = tags.tag;
export const untagUser: (iam: Iam) => OperationOf<aws.UntagUserCommand> = tags.untag;
export const listUserTags: (iam: Iam) => OperationOf<aws.ListUserTagsCommand> = tags.list;

const boundary = boundaryOperations('user', (iam, ...change) => iam.identity.users.setBoundary(...change));
export const putUserPermissionsBoundary: (iam: Iam) => OperationOf<aws.PutUserPermissionsBoundaryCommand> =
  boundary.put;
export const deleteUserPermissionsBoundary: (iam: Iam) => OperationOf<aws.DeleteUserPermissionsBoundaryCommand> =
  boundary.remove;
