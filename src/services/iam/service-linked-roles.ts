/** CreateServiceLinkedRole, DeleteServiceLinkedRole and its status (15.8). */
import type * as aws from '@aws-sdk/client-iam';
import { ApiError, Refusal } from '../../errors.ts';
import { linkedRoleName, linkedService } from '../../identity/linked-roles.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, noSuchEntity, requireName } from './iam.ts';
import { existing } from './named-entities.ts';
import { shownRole } from './roles.ts';

export const createServiceLinkedRole =
  (iam: Iam): OperationOf<aws.CreateServiceLinkedRoleCommand> =>
  async (call, input) => {
    const service = input.AWSServiceName ?? '';
    const linked = linkedService(service);
    const suffix = input.CustomSuffix;
    const { name, arn } = linkedRoleName(call.caller.accountId, service, suffix);
    const permit = await authorize(
      iam,
      call,
      'iam:CreateServiceLinkedRole',
      { arn },
      { 'iam:AWSServiceName': service },
    );
    if (!linked) throw new ApiError('InvalidInput', `The service principal ${service} is not known to Ingot.`);
    if (suffix && !linked.suffixes) throw new ApiError('InvalidInput', `Custom suffix is not allowed for ${service}`);
    requireName(name, 'role');
    try {
      const role = await iam.identity.roles.createLinked(permit, service, input.Description ?? '');
      return { Role: await shownRole(iam, role) };
    } catch (cause) {
      if (!(cause instanceof Refusal) || cause.reason !== 'entity-exists') throw cause;
      const message = `Service role name ${name} has been taken in this account, please try a different suffix.`;
      throw new ApiError('InvalidInput', message, { cause });
    }
  };

/** Deleted before the answer, unless its service still uses it: then the task is one that has failed. */
export const deleteServiceLinkedRole =
  (iam: Iam): OperationOf<aws.DeleteServiceLinkedRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:DeleteServiceLinkedRole', 'role', name);
    const role = await existing(iam, call, 'role', name);
    if (role.linkedService === undefined)
      throw noSuchEntity(`The role with name ${name} is not a service-linked role.`);
    if ((await iam.usesOfLinkedRole(role.arn)).length === 0) await iam.identity.roles.remove(permit);
    return { DeletionTaskId: `task${role.path}${role.name}/${role.id}` };
  };

export const getServiceLinkedRoleDeletionStatus =
  (iam: Iam): OperationOf<aws.GetServiceLinkedRoleDeletionStatusCommand> =>
  async (call, input) => {
    const match = /^task\/aws-service-role\/[^/]+\/([\w+=,.@-]+)\/(AROA[A-Z0-9]+)$/.exec(input.DeletionTaskId ?? '');
    if (!match) throw noSuchEntity(`The deletion task ${input.DeletionTaskId} cannot be found.`);
    const [, name, id] = match as unknown as [string, string, string];
    await authorizeOn(iam, call, 'iam:GetServiceLinkedRoleDeletionStatus', 'role', name);
    const role = await iam.identity.roles.byId(id);
    if (!role) return { Status: 'SUCCEEDED' };
    const uses = await iam.usesOfLinkedRole(role.arn);
    if (uses.length === 0) return { Status: 'NOT_STARTED' };
    return {
      Status: 'FAILED',
      Reason: {
        Reason: 'The role is in use and cannot be deleted before the resources that use it.',
        RoleUsageList: uses.map(({ region, resources }) => ({ Region: region, Resources: [...resources] })),
      },
    };
  };
