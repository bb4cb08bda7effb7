/** Attach, Detach and List of managed policies on users, groups and roles. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { OwnerType } from '../../identity/policies.ts';
import { type Arn, parseArn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOn, type Iam, lookUp, noSuchEntity, type PageInput, page, requireName, validation } from './iam.ts';

export function requirePolicyArn(arn: string | undefined): Arn {
  const parts = arn === undefined ? undefined : parseArn(arn);
  if (parts?.service !== 'iam' || !parts.resource.startsWith('policy/')) {
    throw validation(`Invalid ARN:  Could not be parsed!`);
  }
  return arn as Arn;
}

async function attachedTo(
  iam: Iam,
  call: Call,
  type: OwnerType,
  name: string,
  input: PageInput & { PathPrefix?: string | undefined },
) {
  const found = await lookUp(iam, call.caller.accountId, type, name);
  if (!found) throw noSuchEntity(`The ${type} with name ${name} cannot be found.`);
  const attached = await iam.identity.policies.attachedTo(found.id);
  const prefix = input.PathPrefix ?? '/';
  const wanted = attached.filter(({ arn }) => arn.slice(arn.indexOf('/')).startsWith(prefix));
  const { items, ...rest } = page(wanted, (one) => `${one.name} ${one.arn}`, input);
  return { AttachedPolicies: items.map((one) => ({ PolicyName: one.name, PolicyArn: one.arn })), ...rest };
}

export const attachUserPolicy =
  (iam: Iam): OperationOf<aws.AttachUserPolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:AttachUserPolicy', 'user', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.attach(permit, arn);
    return {};
  };

export const attachGroupPolicy =
  (iam: Iam): OperationOf<aws.AttachGroupPolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:AttachGroupPolicy', 'group', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.attach(permit, arn);
    return {};
  };

export const attachRolePolicy =
  (iam: Iam): OperationOf<aws.AttachRolePolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:AttachRolePolicy', 'role', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.attach(permit, arn);
    return {};
  };

export const detachUserPolicy =
  (iam: Iam): OperationOf<aws.DetachUserPolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:DetachUserPolicy', 'user', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.detach(permit, arn);
    return {};
  };

export const detachGroupPolicy =
  (iam: Iam): OperationOf<aws.DetachGroupPolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:DetachGroupPolicy', 'group', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.detach(permit, arn);
    return {};
  };

export const detachRolePolicy =
  (iam: Iam): OperationOf<aws.DetachRolePolicyCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const arn = requirePolicyArn(input.PolicyArn);
    const permit = await authorizeOn(iam, call, 'iam:DetachRolePolicy', 'role', name, { 'iam:PolicyARN': arn });
    await iam.identity.policies.detach(permit, arn);
    return {};
  };

export const listAttachedUserPolicies =
  (iam: Iam): OperationOf<aws.ListAttachedUserPoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.UserName, 'user');
    await authorizeOn(iam, call, 'iam:ListAttachedUserPolicies', 'user', name);
    return attachedTo(iam, call, 'user', name, input);
  };

export const listAttachedGroupPolicies =
  (iam: Iam): OperationOf<aws.ListAttachedGroupPoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.GroupName, 'group');
    await authorizeOn(iam, call, 'iam:ListAttachedGroupPolicies', 'group', name);
    return attachedTo(iam, call, 'group', name, input);
  };

export const listAttachedRolePolicies =
  (iam: Iam): OperationOf<aws.ListAttachedRolePoliciesCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    await authorizeOn(iam, call, 'iam:ListAttachedRolePolicies', 'role', name);
    return attachedTo(iam, call, 'role', name, input);
  };
