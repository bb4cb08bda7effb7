/** Service and resource control policies and what they are attached to. */
import type * as aws from '@aws-sdk/client-organizations';
import type { ControlPolicy, ControlPolicyType } from '../../identity/control-policies.ts';
import type { Arn } from '../../ids.ts';
import type { OperationOf } from '../operation.ts';
import {
  authorizeManagement,
  invalidInput,
  type OrganizationsDeps,
  organizationsError,
  page,
  shownPolicySummary,
  tagContext,
  tagsOf,
} from './organizations.ts';

function requireType(type: string | undefined): ControlPolicyType {
  if (type === 'SERVICE_CONTROL_POLICY' || type === 'RESOURCE_CONTROL_POLICY') return type;
  throw organizationsError('PolicyTypeNotAvailableForOrganizationException', `Ingot has no policies of type ${type}.`);
}

const DOCUMENT_CHARACTERS_MAX = 5120;

function requireDocument(document: string): string {
  if (document.length > DOCUMENT_CHARACTERS_MAX) {
    throw organizationsError(
      'ConstraintViolationException',
      'You have exceeded the allowed size of a policy document.',
      {
        Reason: 'POLICY_CONTENT_LIMIT_EXCEEDED',
      },
    );
  }
  return document;
}

function shownPolicy(policy: ControlPolicy): aws.Policy {
  return { PolicySummary: shownPolicySummary(policy), Content: policy.document };
}

async function find(deps: OrganizationsDeps, id: string | undefined): Promise<ControlPolicy | undefined> {
  return deps.identity.organizations.controlPolicy(id ?? '');
}

const notFound = () =>
  organizationsError('PolicyNotFoundException', "We can't find a policy with the PolicyId that you specified.");

export const createPolicy =
  (deps: OrganizationsDeps): OperationOf<aws.CreatePolicyCommand> =>
  async (call, input) => {
    const type = requireType(input.Type);
    const name = input.Name ?? '';
    if (name.length < 1 || name.length > 128) throw invalidInput('You provided an invalid policy name.');
    const tags = tagsOf(input.Tags);
    const permit = await authorizeManagement(deps, call, 'organizations:CreatePolicy', '*', {
      'organizations:PolicyType': type,
      ...tagContext(tags),
    });
    const document = requireDocument(input.Content ?? '');
    const wanted = { type, name, description: input.Description ?? '', document, tags };
    return { Policy: shownPolicy(await deps.identity.organizations.createControlPolicy(permit, wanted)) };
  };

export const describePolicy =
  (deps: OrganizationsDeps): OperationOf<aws.DescribePolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    await authorizeManagement(deps, call, 'organizations:DescribePolicy', policy?.arn ?? '*');
    if (!policy) throw notFound();
    return { Policy: shownPolicy(policy) };
  };

export const updatePolicy =
  (deps: OrganizationsDeps): OperationOf<aws.UpdatePolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    const permit = await authorizeManagement(deps, call, 'organizations:UpdatePolicy', policy?.arn ?? '*');
    const change = {
      ...(input.Name === undefined ? {} : { name: input.Name }),
      ...(input.Description === undefined ? {} : { description: input.Description }),
      ...(input.Content === undefined ? {} : { document: requireDocument(input.Content) }),
    };
    const id = input.PolicyId ?? '';
    return { Policy: shownPolicy(await deps.identity.organizations.updateControlPolicy(permit, id, change)) };
  };

export const deletePolicy =
  (deps: OrganizationsDeps): OperationOf<aws.DeletePolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    const permit = await authorizeManagement(deps, call, 'organizations:DeletePolicy', policy?.arn ?? '*');
    await deps.identity.organizations.deleteControlPolicy(permit, input.PolicyId ?? '');
    return {};
  };

export const listPolicies =
  (deps: OrganizationsDeps): OperationOf<aws.ListPoliciesCommand> =>
  async (call, input) => {
    const type = requireType(input.Filter);
    await authorizeManagement(deps, call, 'organizations:ListPolicies', '*', { 'organizations:PolicyType': type });
    const { items, ...rest } = page(await deps.identity.organizations.listControlPolicies(type), input);
    return { Policies: items.map(shownPolicySummary), ...rest };
  };

export const attachPolicy =
  (deps: OrganizationsDeps): OperationOf<aws.AttachPolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    const permit = await authorizeManagement(deps, call, 'organizations:AttachPolicy', policy?.arn ?? '*');
    await deps.identity.organizations.attachControlPolicy(permit, input.PolicyId ?? '', input.TargetId ?? '');
    return {};
  };

export const detachPolicy =
  (deps: OrganizationsDeps): OperationOf<aws.DetachPolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    const permit = await authorizeManagement(deps, call, 'organizations:DetachPolicy', policy?.arn ?? '*');
    await deps.identity.organizations.detachControlPolicy(permit, input.PolicyId ?? '', input.TargetId ?? '');
    return {};
  };

interface Place {
  readonly id: string;
  readonly arn: Arn;
  readonly name: string;
  readonly type: 'ROOT' | 'ORGANIZATIONAL_UNIT' | 'ACCOUNT';
}

/** A root, unit or account that policies can be attached to. */
async function place(deps: OrganizationsDeps, id: string): Promise<Place | undefined> {
  const { organizations } = deps.identity;
  const organization = await organizations.get();
  if (id === organization.rootId) {
    const arn = `arn:aws:organizations::${organization.managementAccount}:root/${organization.id}/${id}` as Arn;
    return { id, arn, name: 'Root', type: 'ROOT' };
  }
  const account = await organizations.member(id);
  if (account) return { id, arn: account.arn, name: account.name, type: 'ACCOUNT' };
  const unit = (await organizations.units()).find((one) => one.id === id);
  return unit && { id, arn: unit.arn, name: unit.name, type: 'ORGANIZATIONAL_UNIT' };
}

export const listTargetsForPolicy =
  (deps: OrganizationsDeps): OperationOf<aws.ListTargetsForPolicyCommand> =>
  async (call, input) => {
    const policy = await find(deps, input.PolicyId);
    await authorizeManagement(deps, call, 'organizations:ListTargetsForPolicy', policy?.arn ?? '*');
    if (!policy) throw notFound();
    const { items, ...rest } = page(await deps.identity.organizations.targetsOf(policy.id), input);
    const places = await Promise.all(items.map((id) => place(deps, id)));
    const targets = places
      .filter((one) => one !== undefined)
      .map(({ id, arn, name, type }) => ({ TargetId: id, Arn: arn, Name: name, Type: type }));
    return { Targets: targets, ...rest };
  };

export const listPoliciesForTarget =
  (deps: OrganizationsDeps): OperationOf<aws.ListPoliciesForTargetCommand> =>
  async (call, input) => {
    const type = requireType(input.Filter);
    const target = await place(deps, input.TargetId ?? '');
    await authorizeManagement(deps, call, 'organizations:ListPoliciesForTarget', target?.arn ?? '*');
    if (!target) {
      throw organizationsError(
        'TargetNotFoundException',
        "We can't find a root, OU, account, or policy with the TargetId that you specified.",
      );
    }
    const attached = await deps.identity.organizations.controlPoliciesOn(target.id);
    const { items, ...rest } = page(
      attached.filter((policy) => policy.type === type),
      input,
    );
    return { Policies: items.map(shownPolicySummary), ...rest };
  };
