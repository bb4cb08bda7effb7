/** Attach, Detach and List of managed policies on users, groups and roles. */
import type * as aws from '@aws-sdk/client-iam';
import type { Call } from '../../authz/caller.ts';
import type { OwnerType } from '../../identity/policies.ts';
import { type Arn, parseArn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeOn, type Iam, type PageInput, page, validation } from './iam.ts';
import { existing, type Naming, nameIn, TITLES, type Title } from './named-entities.ts';

export function requirePolicyArn(arn: string | undefined): Arn {
  const parts = arn === undefined ? undefined : parseArn(arn);
  if (parts?.service !== 'iam' || !parts.resource.startsWith('policy/')) {
    throw validation(`Invalid ARN:  Could not be parsed!`);
  }
  return arn as Arn;
}

function attachmentsOf<Type extends OwnerType>(type: Type) {
  const title: Title<Type> = TITLES[type];
  type Attaching = Naming<Type> & { readonly PolicyArn: string | undefined };
  return {
    attach: (iam: Iam) => async (call: Call, input: Attaching) => {
      const name = nameIn(type, input);
      const arn = requirePolicyArn(input.PolicyArn);
      const context = { 'iam:PolicyARN': arn };
      const permit = await authorizeOn(iam, call, `iam:Attach${title}Policy`, type, name, context);
      await iam.identity.policies.attach(permit, arn);
      return {};
    },
    detach: (iam: Iam) => async (call: Call, input: Attaching) => {
      const name = nameIn(type, input);
      const arn = requirePolicyArn(input.PolicyArn);
      const context = { 'iam:PolicyARN': arn };
      const permit = await authorizeOn(iam, call, `iam:Detach${title}Policy`, type, name, context);
      await iam.identity.policies.detach(permit, arn);
      return {};
    },
    list:
      (iam: Iam) =>
      async (call: Call, input: Naming<Type> & PageInput & { readonly PathPrefix?: string | undefined }) => {
        const name = nameIn(type, input);
        await authorizeOn(iam, call, `iam:ListAttached${title}Policies`, type, name);
        const attached = await iam.identity.policies.attachedTo((await existing(iam, call, type, name)).id);
        const prefix = input.PathPrefix ?? '/';
        const wanted = attached.filter(({ arn }) => arn.slice(arn.indexOf('/')).startsWith(prefix));
        const { items, ...rest } = page(wanted, (one) => `${one.name} ${one.arn}`, input);
        return { AttachedPolicies: items.map((one) => ({ PolicyName: one.name, PolicyArn: one.arn })), ...rest };
      },
  };
}

const ofUser = attachmentsOf('user');
export const attachUserPolicy: (iam: Iam) => OperationOf<aws.AttachUserPolicyCommand> = ofUser.attach;
export const detachUserPolicy: (iam: Iam) => OperationOf<aws.DetachUserPolicyCommand> = ofUser.detach;
export const listAttachedUserPolicies: (iam: Iam) => OperationOf<aws.ListAttachedUserPoliciesCommand> = ofUser.list;

const ofGroup = attachmentsOf('group');
export const attachGroupPolicy: (iam: Iam) => OperationOf<aws.AttachGroupPolicyCommand> = ofGroup.attach;
export const detachGroupPolicy: (iam: Iam) => OperationOf<aws.DetachGroupPolicyCommand> = ofGroup.detach;
export const listAttachedGroupPolicies: (iam: Iam) => OperationOf<aws.ListAttachedGroupPoliciesCommand> = ofGroup.list;

const ofRole = attachmentsOf('role');
export const attachRolePolicy: (iam: Iam) => OperationOf<aws.AttachRolePolicyCommand> = ofRole.attach;
export const detachRolePolicy: (iam: Iam) => OperationOf<aws.DetachRolePolicyCommand> = ofRole.detach;
export const listAttachedRolePolicies: (iam: Iam) => OperationOf<aws.ListAttachedRolePoliciesCommand> = ofRole.list;
