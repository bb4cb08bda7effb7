/** Roles: create, read, update, delete, trust policy, tags, boundary. */
import type * as aws from '@aws-sdk/client-iam';
import type { Role } from '../../identity/entities.ts';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorize,
  authorizeOn,
  encodeDocument,
  type Iam,
  requireName,
  shownTags,
  tagContext,
  validation,
} from './iam.ts';
import {
  boundaryOf,
  boundaryOperations,
  deletion,
  existing,
  listed,
  newEntity,
  tagOperations,
} from './named-entities.ts';

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
    const { arn, tags } = newEntity(call, 'role', input);
    const maxSessionSeconds = requireDuration(input.MaxSessionDuration) ?? 3600;
    const description = requireDescription(input.Description) ?? '';
    const context = { ...tagContext(tags), 'iam:PermissionsBoundary': input.PermissionsBoundary };
    const permit = await authorize(iam, call, 'iam:CreateRole', { arn }, context);
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
    const role = await existing(iam, call, 'role', name);
    return { Role: { ...(await shownRole(iam, role)), RoleLastUsed: await lastUseOf(iam, role) } };
  };

export const listRoles =
  (iam: Iam): OperationOf<aws.ListRolesCommand> =>
  async (call, input) => {
    const list = () => iam.identity.roles.list(call.caller.accountId, input.PathPrefix);
    const { items, ...rest } = await listed(iam, call, 'role', list, input);
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

export const deleteRole: (iam: Iam) => OperationOf<aws.DeleteRoleCommand> = deletion('role', (iam, permit) =>
  iam.identity.roles.remove(permit),
);

export const updateAssumeRolePolicy =
  (iam: Iam): OperationOf<aws.UpdateAssumeRolePolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:UpdateAssumeRolePolicy', 'role', name);
    await iam.identity.roles.setTrustPolicy(permit, input.PolicyDocument ?? '');
    return {};
  };

const tags = tagOperations('role', (iam, ...change) => iam.identity.roles.setTags(...change));
export const tagRole: (iam: Iam) => OperationOf<aws.TagRoleCommand> = tags.tag;
export const untagRole: (iam: Iam) => OperationOf<aws.UntagRoleCommand> = tags.untag;
export const listRoleTags: (iam: Iam) => OperationOf<aws.ListRoleTagsCommand> = tags.list;

const boundary = boundaryOperations('role', (iam, ...change) => iam.identity.roles.setBoundary(...change));
export const putRolePermissionsBoundary: (iam: Iam) => OperationOf<aws.PutRolePermissionsBoundaryCommand> =
  boundary.put;
export const deleteRolePermissionsBoundary: (iam: Iam) => OperationOf<aws.DeleteRolePermissionsBoundaryCommand> =
  boundary.remove;
