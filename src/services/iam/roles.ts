/** Roles: create, read, update, delete, trust policy, tags, boundary. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import { entityArn, type Role } from '../../identity/entities.ts';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorize,
  authorizeOn,
  encodeDocument,
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
import { boundaryOf } from './users.ts';

export async function shownRole(iam: Iam, role: Role, details = true): Promise<aws.Role> {
  return {
    Path: role.path,
    RoleName: role.name,
    RoleId: role.id,
    Arn: role.arn,
    CreateDate: role.createdAt,
    AssumeRolePolicyDocument: encodeDocument(await iam.identity.roles.shownTrustPolicy(role)),
    ...(role.description === '' ? {} : { Description: role.description }),
    MaxSessionDuration: role.maxSessionSeconds,
    ...(details ? boundaryOf(role.boundaryArn) : {}),
    ...(details && Object.keys(role.tags).length > 0 ? { Tags: shownTags(role.tags) } : {}),
  };
}

/** Empty for a role that was never used. */
export async function lastUseOf(iam: Iam, role: Role): Promise<aws.RoleLastUsed> {
  const use = await iam.identity.lastUses.of(role.id);
  return use ? { LastUsedDate: use.at, Region: use.region } : {};
}

export async function existingRole(iam: Iam, call: Call, name: string): Promise<Role> {
  const role = await iam.identity.roles.lookUp(call.caller.accountId, name);
  if (!role) throw noSuchEntity(`The role with name ${name} cannot be found.`);
  return role;
}

function requireDuration(seconds: number | undefined): number | undefined {
  if (seconds !== undefined && (seconds < 3600 || seconds > 43_200)) {
    throw validation(
      `1 validation error detected: Value '${seconds}' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between 3600 and 43200`,
    );
  }
  return seconds;
}

function requireDescription(text: string | undefined): string | undefined {
  if (text !== undefined && text.length > 1000) {
    throw validation(
      "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to 1000",
    );
  }
  return text;
}

export const createRole =
  (iam: Iam): OperationOf<aws.CreateRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const arn = entityArn(call.caller.accountId, 'role', requirePath(input.Path), name);
    const tags = tagsOf(input.Tags);
    const maxSessionSeconds = requireDuration(input.MaxSessionDuration) ?? 3600;
    const description = requireDescription(input.Description) ?? '';
    const permit = await authorize(
      iam,
      call,
      'iam:CreateRole',
      { arn },
      {
        ...tagContext(tags),
        'iam:PermissionsBoundary': input.PermissionsBoundary,
      },
    );
    if (/^\/aws-service-role\//.test(input.Path ?? '')) {
      throw validation('The path /aws-service-role/ is reserved for service-linked roles.');
    }
    const role = await iam.identity.roles.create(permit, {
      trustPolicy: input.AssumeRolePolicyDocument ?? '',
      description,
      maxSessionSeconds,
      tags,
      ...(input.PermissionsBoundary ? { boundaryArn: input.PermissionsBoundary as Arn } : {}),
    });
    return { Role: await shownRole(iam, role) };
  };

export const getRole =
  (iam: Iam): OperationOf<aws.GetRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:GetRole', 'role', name);
    const role = await existingRole(iam, call, name);
    return { Role: { ...(await shownRole(iam, role)), RoleLastUsed: await lastUseOf(iam, role) } };
  };

export const listRoles =
  (iam: Iam): OperationOf<aws.ListRolesCommand> =>
  async (call, input) => {
    await authorize(iam, call, 'iam:ListRoles', { arn: entityArn(call.caller.accountId, 'role', '/', '*') });
    const all = await iam.identity.roles.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = page(all, (role) => role.name.toLowerCase(), input);
    return { Roles: await Promise.all(items.map((role) => shownRole(iam, role, false))), ...rest };
  };

export const updateRole =
  (iam: Iam): OperationOf<aws.UpdateRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const description = requireDescription(input.Description);
    const maxSessionSeconds = requireDuration(input.MaxSessionDuration);
    const permit = await authorizeOn(iam, call, 'iam:UpdateRole', 'role', name);
    await iam.identity.roles.update(permit, {
      ...(description === undefined ? {} : { description }),
      ...(maxSessionSeconds === undefined ? {} : { maxSessionSeconds }),
    });
    return {};
  };

export const updateRoleDescription =
  (iam: Iam): OperationOf<aws.UpdateRoleDescriptionCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const description = requireDescription(input.Description) ?? '';
    const permit = await authorizeOn(iam, call, 'iam:UpdateRoleDescription', 'role', name);
    return { Role: await shownRole(iam, await iam.identity.roles.update(permit, { description })) };
  };

export const deleteRole =
  (iam: Iam): OperationOf<aws.DeleteRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await iam.identity.roles.remove(await authorizeOn(iam, call, 'iam:DeleteRole', 'role', name));
    return {};
  };

export const updateAssumeRolePolicy =
  (iam: Iam): OperationOf<aws.UpdateAssumeRolePolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:UpdateAssumeRolePolicy', 'role', name);
    await iam.identity.roles.setTrustPolicy(permit, input.PolicyDocument ?? '');
    return {};
  };

export const tagRole =
  (iam: Iam): OperationOf<aws.TagRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const tags = tagsOf(input.Tags);
    const permit = await authorizeOn(iam, call, 'iam:TagRole', 'role', name, tagContext(tags));
    await iam.identity.roles.setTags(permit, (before) => withTags(before, tags));
    return {};
  };

export const untagRole =
  (iam: Iam): OperationOf<aws.UntagRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const keys = input.TagKeys ?? [];
    const permit = await authorizeOn(iam, call, 'iam:UntagRole', 'role', name, { 'aws:TagKeys': keys });
    await iam.identity.roles.setTags(permit, (before) => withoutTags(before, keys));
    return {};
  };

export const listRoleTags =
  (iam: Iam): OperationOf<aws.ListRoleTagsCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:ListRoleTags', 'role', name);
    const { tags } = await existingRole(iam, call, name);
    const { items, ...rest } = page(shownTags(tags), (tag) => tag.Key, input);
    return { Tags: items, ...rest };
  };

export const putRolePermissionsBoundary =
  (iam: Iam): OperationOf<aws.PutRolePermissionsBoundaryCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:PutRolePermissionsBoundary', 'role', name, {
      'iam:PermissionsBoundary': input.PermissionsBoundary,
    });
    await iam.identity.roles.setBoundary(permit, input.PermissionsBoundary as Arn);
    return {};
  };

export const deleteRolePermissionsBoundary =
  (iam: Iam): OperationOf<aws.DeleteRolePermissionsBoundaryCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:DeleteRolePermissionsBoundary', 'role', name);
    await iam.identity.roles.setBoundary(permit, undefined);
    return {};
  };
