/** Instance profiles of instances: at launch, given and taken later. Handing out a role needs iam:PassRole (7.11). */
import type {
  AssociateIamInstanceProfileCommand,
  DescribeIamInstanceProfileAssociationsCommand,
  DisassociateIamInstanceProfileCommand,
  IamInstanceProfileAssociation,
  IamInstanceProfileAssociationState,
  IamInstanceProfileSpecification,
  ReplaceIamInstanceProfileAssociationCommand,
} from '@aws-sdk/client-ec2';
import type { ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import { type InstanceProfile, parseEntityArn, type Role } from '../../identity/entities.ts';
import { ec2Arn, isEc2Id } from '../../ids.ts';
import type { GivenProfile, InstanceRecord } from '../../instances/instances.ts';
import type { OperationOf } from '../operation.ts';
import { authorizeAny, authorizeOne } from './common.ts';
import { ec2Error, invalidParameterCombination, invalidParameterValue, missingParameter } from './errors.ts';
import { compileFilters } from './filters.ts';
import { type InstanceDeps, useInstance } from './instance-shapes.ts';
import { page } from './paging.ts';

export interface NamedProfile {
  readonly profile: InstanceProfile;
  readonly role: Role;
}

/** The caller's own profile, by name or by ARN, with the role that it holds. */
export async function requireProfile(
  deps: Pick<InstanceDeps, 'profiles'>,
  call: Call,
  { Arn: arn, Name: name }: IamInstanceProfileSpecification,
): Promise<NamedProfile> {
  if (arn && name) {
    throw invalidParameterCombination(
      "The parameter 'iamInstanceProfile.name' may not be used in combination with 'iamInstanceProfile.arn'",
    );
  }
  const { accountId } = call.caller;
  const entity = arn ? parseEntityArn(arn) : undefined;
  const own = entity?.type === 'instance-profile' && entity.accountId === accountId ? entity.name : undefined;
  const wanted = name || own;
  const profile = wanted ? await deps.profiles.instanceProfiles.lookUp(accountId, wanted) : undefined;
  if (!profile || (arn && profile.arn !== arn)) {
    const which = arn
      ? 'arn is invalid. Invalid IAM Instance Profile ARN'
      : 'name is invalid. Invalid IAM Instance Profile name';
    throw invalidParameterValue(`Value (${arn || name || ''}) for parameter iamInstanceProfile.${which}`);
  }
  const role = profile.roleId === undefined ? undefined : await deps.profiles.roles.byId(profile.roleId);
  if (!role) throw invalidParameterValue(`IAM Instance Profile "${profile.arn}" has no associated IAM Roles`);
  return { profile, role };
}

export async function authorizePassRole(deps: InstanceDeps, call: Call, role: Role): Promise<void> {
  const resource = { arn: role.arn, tags: role.tags };
  await authorizeOne(deps.authorizer, call, 'iam:PassRole', resource, { 'iam:PassedToService': 'ec2.amazonaws.com' });
}

function shown(
  record: InstanceRecord,
  { arn, id, associationId, since }: GivenProfile,
  State: IamInstanceProfileAssociationState,
): IamInstanceProfileAssociation {
  return {
    AssociationId: associationId,
    InstanceId: record.id,
    IamInstanceProfile: { Arn: arn, Id: id },
    State,
    Timestamp: new Date(since),
  };
}

export const associateIamInstanceProfile =
  (deps: InstanceDeps): OperationOf<AssociateIamInstanceProfileCommand> =>
  async (call, input) => {
    const context = newProfile(input.IamInstanceProfile);
    const action = 'ec2:AssociateIamInstanceProfile';
    const { record, permit } = await useInstance(deps, call, action, input.InstanceId, context);
    const { profile, role } = await requireProfile(deps, call, input.IamInstanceProfile ?? {});
    await authorizePassRole(deps, call, role);
    const changed = await deps.db.write((tx) => deps.instances.giveProfile(tx, permit, profile));
    return { IamInstanceProfileAssociation: shown(record, changed.profile!, 'associating') };
  };

function newProfile(named: IamInstanceProfileSpecification | undefined): ConditionValues {
  return { 'ec2:NewInstanceProfile': named?.Arn };
}

function associationNotFound(id: string) {
  return ec2Error('InvalidAssociationID.NotFound', `An invalid association-id of '${id}' was given`);
}

/** The caller's instance that has the association; where there is none, whoever may act on all is told so. */
async function useAssociation<
  Action extends 'ec2:DisassociateIamInstanceProfile' | 'ec2:ReplaceIamInstanceProfileAssociation',
>(deps: InstanceDeps, call: Call, action: Action, id: string | undefined, context: ConditionValues = {}) {
  if (!id) throw missingParameter('AssociationId');
  if (!isEc2Id(id.replace('iip-assoc-', 'assoc-'), 'assoc')) {
    throw ec2Error('InvalidAssociationID.Malformed', `Invalid id: "${id}"`);
  }
  const own = await deps.instances.list(call.caller.accountId, call.region);
  const record = own.find((each) => each.profile?.associationId === id);
  if (!record) {
    const resource = { arn: ec2Arn(call.region, call.caller.accountId, 'instance', '*') };
    await authorizeOne(deps.authorizer, call, action, resource, context);
    throw associationNotFound(id);
  }
  const { permit } = await useInstance(deps, call, action, record.id, {
    'ec2:InstanceProfile': record.profile?.arn,
    ...context,
  });
  return { id, permit };
}

export const disassociateIamInstanceProfile =
  (deps: InstanceDeps): OperationOf<DisassociateIamInstanceProfileCommand> =>
  async (call, input) => {
    const action = 'ec2:DisassociateIamInstanceProfile';
    const { id, permit } = await useAssociation(deps, call, action, input.AssociationId);
    const before = await deps.db.write((tx) => deps.instances.takeProfile(tx, permit, id));
    return { IamInstanceProfileAssociation: shown(before, before.profile!, 'disassociating') };
  };

export const replaceIamInstanceProfileAssociation =
  (deps: InstanceDeps): OperationOf<ReplaceIamInstanceProfileAssociationCommand> =>
  async (call, input) => {
    const action = 'ec2:ReplaceIamInstanceProfileAssociation';
    const context = newProfile(input.IamInstanceProfile);
    const { id, permit } = await useAssociation(deps, call, action, input.AssociationId, context);
    const { profile, role } = await requireProfile(deps, call, input.IamInstanceProfile ?? {});
    await authorizePassRole(deps, call, role);
    const changed = await deps.db.write((tx) => deps.instances.giveProfile(tx, permit, profile, id));
    return { IamInstanceProfileAssociation: shown(changed, changed.profile!, 'associating') };
  };

export const describeIamInstanceProfileAssociations =
  (deps: InstanceDeps): OperationOf<DescribeIamInstanceProfileAssociationsCommand> =>
  async (call, input) => {
    await authorizeAny(deps.authorizer, call, 'ec2:DescribeIamInstanceProfileAssociations');
    const own = await deps.instances.list(call.caller.accountId, call.region);
    const there = own.flatMap((record) =>
      record.profile && record.state !== 'terminated' ? [{ record, profile: record.profile }] : [],
    );
    const ids = input.AssociationIds ?? [];
    const missing = ids.find((id) => !there.some(({ profile }) => profile.associationId === id));
    if (missing !== undefined) throw associationNotFound(missing);
    const asked = there.filter(({ profile }) => ids.length === 0 || ids.includes(profile.associationId));
    const matches = compileFilters<(typeof there)[number]>(input.Filters, {
      'instance-id': ({ record }) => record.id,
      state: () => 'associated',
    });
    const { items, NextToken } = page(asked.filter(matches), input, {
      operation: 'DescribeIamInstanceProfileAssociations',
      key: ({ profile }) => profile.associationId,
      ids: { parameter: 'associationIds', given: input.AssociationIds },
    });
    return {
      IamInstanceProfileAssociations: items.map(({ record, profile }) => shown(record, profile, 'associated')),
      ...(NextToken === undefined ? {} : { NextToken }),
    };
  };
