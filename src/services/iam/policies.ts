/** Managed policies and their versions. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { entityArn } from '../../identity/entities.ts';
import type { IdentityPolicy, PolicyVersion } from '../../identity/policies.ts';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { requirePolicyArn } from './attached-policies.ts';
import {
  authorize,
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

export async function shownPolicy(iam: Iam, call: Call, policy: IdentityPolicy, details = true): Promise<aws.Policy> {
  const owners = await iam.identity.policies.ownersOf(call.caller.accountId, policy.arn);
  const bounded = await iam.identity.policies.boundedBy(call.caller.accountId, policy.arn);
  return {
    PolicyName: policy.name,
    PolicyId: policy.id,
    Arn: policy.arn,
    Path: policy.path,
    DefaultVersionId: policy.defaultVersion,
    AttachmentCount: owners.length,
    PermissionsBoundaryUsageCount: bounded.length,
    IsAttachable: true,
    CreateDate: policy.createdAt,
    UpdateDate: policy.updatedAt,
    ...(details && policy.description !== '' ? { Description: policy.description } : {}),
    ...(details ? { Tags: shownTags(policy.tags) } : {}),
  };
}

export function shownVersion(version: PolicyVersion, withDocument: boolean): aws.PolicyVersion {
  return {
    ...(withDocument ? { Document: encodeDocument(version.document) } : {}),
    VersionId: version.version,
    IsDefaultVersion: version.isDefault,
    CreateDate: version.createdAt,
  };
}

/** The policy, after authorizing on it: AWS's own are everybody's, another account's are nobody's. */
async function reach<Action extends `iam:${string}`>(
  iam: Iam,
  call: Call,
  action: Action,
  given: string | undefined,
  context = {},
): Promise<{ permit: Permit<Action>; policy: IdentityPolicy }> {
  const arn = requirePolicyArn(given);
  const found = await iam.identity.policies.get(arn);
  const permit = await authorize(iam, call, action, { arn, ...(found ? { tags: found.tags } : {}) }, context);
  const visible = found?.awsManaged || arn.startsWith(`arn:aws:iam::${call.caller.accountId}:`);
  if (!found || !visible) throw noSuchEntity(`Policy ${arn} was not found.`);
  return { permit, policy: found };
}

/** As {@link reach}, for a change: AWS's own policies cannot be changed by anyone. */
async function reachOwn<Action extends `iam:${string}`>(
  iam: Iam,
  call: Call,
  action: Action,
  given: string | undefined,
  context = {},
): Promise<{ permit: Permit<Action>; policy: IdentityPolicy }> {
  const reached = await reach(iam, call, action, given, context);
  if (reached.policy.awsManaged) throw validation('Cannot perform the operation on an AWS managed policy.');
  return reached;
}

function requireVersion(version: string | undefined): string {
  if (!/^v[1-9][0-9]*(?:\.[A-Za-z0-9-]*)?$/.test(version ?? '')) {
    throw validation(
      `1 validation error detected: Value '${version}' at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?`,
    );
  }
  return version!;
}

export const createPolicy =
  (iam: Iam): OperationOf<aws.CreatePolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.PolicyName, 'policy');
    const arn = entityArn(call.caller.accountId, 'policy', requirePath(input.Path), name);
    const tags = tagsOf(input.Tags);
    const permit = await authorize(iam, call, 'iam:CreatePolicy', { arn }, tagContext(tags));
    const policy = await iam.identity.policies.create(permit, {
      document: input.PolicyDocument ?? '',
      description: input.Description ?? '',
      tags,
    });
    return { Policy: await shownPolicy(iam, call, policy) };
  };

export const getPolicy =
  (iam: Iam): OperationOf<aws.GetPolicyCommand> =>
  async (call, input) => {
    const { policy } = await reach(iam, call, 'iam:GetPolicy', input.PolicyArn);
    return { Policy: await shownPolicy(iam, call, policy) };
  };

function usageOf(input: { readonly PolicyUsageFilter?: string | undefined }): string | undefined {
  const usage = input.PolicyUsageFilter;
  if (usage === undefined || usage === 'PermissionsPolicy' || usage === 'PermissionsBoundary') return usage;
  throw validation(
    `1 validation error detected: Value '${usage}' at 'policyUsageFilter' failed to satisfy constraint: Member must satisfy enum value set: [PermissionsBoundary, PermissionsPolicy]`,
  );
}

export const listPolicies =
  (iam: Iam): OperationOf<aws.ListPoliciesCommand> =>
  async (call, input) => {
    const { accountId } = call.caller;
    await authorize(iam, call, 'iam:ListPolicies', { arn: entityArn(accountId, 'policy', '/', '*') });
    const all = await iam.identity.policies.list(accountId, input.Scope ?? 'All', input.PathPrefix);
    const shown = await Promise.all(all.map((policy) => shownPolicy(iam, call, policy, false)));
    const usage = usageOf(input);
    const isUsed = (policy: aws.Policy) =>
      usage === 'PermissionsBoundary' ? policy.PermissionsBoundaryUsageCount! > 0 : policy.AttachmentCount! > 0;
    // A usage that is asked for leaves out what is not used so; OnlyAttached without one means attached.
    const wanted = input.OnlyAttached || usage !== undefined ? shown.filter(isUsed) : shown;
    const { items, ...rest } = page(wanted, (policy) => policy.Arn!, input);
    return { Policies: items, ...rest };
  };

export const deletePolicy =
  (iam: Iam): OperationOf<aws.DeletePolicyCommand> =>
  async (call, input) => {
    const { permit } = await reachOwn(iam, call, 'iam:DeletePolicy', input.PolicyArn);
    await iam.identity.policies.remove(permit);
    return {};
  };

export const createPolicyVersion =
  (iam: Iam): OperationOf<aws.CreatePolicyVersionCommand> =>
  async (call, input) => {
    const { permit } = await reachOwn(iam, call, 'iam:CreatePolicyVersion', input.PolicyArn);
    const version = await iam.identity.policies.createVersion(
      permit,
      input.PolicyDocument ?? '',
      input.SetAsDefault ?? false,
    );
    return { PolicyVersion: shownVersion(version, false) };
  };

export const getPolicyVersion =
  (iam: Iam): OperationOf<aws.GetPolicyVersionCommand> =>
  async (call, input) => {
    const id = requireVersion(input.VersionId);
    const { policy } = await reach(iam, call, 'iam:GetPolicyVersion', input.PolicyArn);
    const version = (await versionsOf(iam, policy.arn)).find((one) => one.version === id);
    if (!version) throw noSuchEntity(`Policy ${policy.arn} version ${id} does not exist or is not attachable.`);
    return { PolicyVersion: shownVersion(version, true) };
  };

async function versionsOf(iam: Iam, arn: Arn): Promise<PolicyVersion[]> {
  return (await iam.identity.policies.versions(arn)) ?? [];
}

export const listPolicyVersions =
  (iam: Iam): OperationOf<aws.ListPolicyVersionsCommand> =>
  async (call, input) => {
    const { policy } = await reach(iam, call, 'iam:ListPolicyVersions', input.PolicyArn);
    const versions = await versionsOf(iam, policy.arn);
    const order = (version: PolicyVersion) => String(1e9 - Number(version.version.slice(1)));
    const { items, ...rest } = page(versions, order, input);
    return { Versions: items.map((version) => shownVersion(version, false)), ...rest };
  };

export const deletePolicyVersion =
  (iam: Iam): OperationOf<aws.DeletePolicyVersionCommand> =>
  async (call, input) => {
    const id = requireVersion(input.VersionId);
    const { permit } = await reachOwn(iam, call, 'iam:DeletePolicyVersion', input.PolicyArn);
    await iam.identity.policies.deleteVersion(permit, id);
    return {};
  };

export const setDefaultPolicyVersion =
  (iam: Iam): OperationOf<aws.SetDefaultPolicyVersionCommand> =>
  async (call, input) => {
    const id = requireVersion(input.VersionId);
    const { permit } = await reachOwn(iam, call, 'iam:SetDefaultPolicyVersion', input.PolicyArn);
    await iam.identity.policies.setDefaultVersion(permit, id);
    return {};
  };

export const listEntitiesForPolicy =
  (iam: Iam): OperationOf<aws.ListEntitiesForPolicyCommand> =>
  async (call, input) => {
    const { policy } = await reach(iam, call, 'iam:ListEntitiesForPolicy', input.PolicyArn);
    const { accountId } = call.caller;
    const usage = usageOf(input);
    const owners = [
      ...(usage === 'PermissionsBoundary' ? [] : await iam.identity.policies.ownersOf(accountId, policy.arn)),
      ...(usage === 'PermissionsPolicy' ? [] : await iam.identity.policies.boundedBy(accountId, policy.arn)),
    ].filter((one, at, all) => all.findIndex(({ entity }) => entity.id === one.entity.id) === at);
    const filter = input.EntityFilter?.toLowerCase();
    const wanted = owners
      .filter(({ type }) => filter === undefined || filter === type)
      .filter(({ entity }) => entity.path.startsWith(input.PathPrefix ?? '/'));
    const { items, ...rest } = page(wanted, ({ type, entity }) => `${type} ${entity.name.toLowerCase()}`, input);
    const of = (type: string) => items.filter((one) => one.type === type).map(({ entity }) => entity);
    return {
      PolicyUsers: of('user').map(({ name, id }) => ({ UserName: name, UserId: id })),
      PolicyGroups: of('group').map(({ name, id }) => ({ GroupName: name, GroupId: id })),
      PolicyRoles: of('role').map(({ name, id }) => ({ RoleName: name, RoleId: id })),
      ...rest,
    };
  };

export const tagPolicy =
  (iam: Iam): OperationOf<aws.TagPolicyCommand> =>
  async (call, input) => {
    const tags = tagsOf(input.Tags);
    const { permit } = await reachOwn(iam, call, 'iam:TagPolicy', input.PolicyArn, tagContext(tags));
    await iam.identity.policies.setTags(permit, (before) => withTags(before, tags));
    return {};
  };

export const untagPolicy =
  (iam: Iam): OperationOf<aws.UntagPolicyCommand> =>
  async (call, input) => {
    const keys = input.TagKeys ?? [];
    const { permit } = await reachOwn(iam, call, 'iam:UntagPolicy', input.PolicyArn, { 'aws:TagKeys': keys });
    await iam.identity.policies.setTags(permit, (before) => withoutTags(before, keys));
    return {};
  };

export const listPolicyTags =
  (iam: Iam): OperationOf<aws.ListPolicyTagsCommand> =>
  async (call, input) => {
    const { policy } = await reach(iam, call, 'iam:ListPolicyTags', input.PolicyArn);
    const { items, ...rest } = page(shownTags(policy.tags), (tag) => tag.Key, input);
    return { Tags: items, ...rest };
  };
