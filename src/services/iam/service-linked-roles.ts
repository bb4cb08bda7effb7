/** CreateServiceLinkedRole, DeleteServiceLinkedRole and its status (15.8). */
import type * as aws from '@aws-sdk/client-iam';
import { ApiError, Refusal } from '../../errors.ts';
import { entityArn } from '../../identity/entities.ts';
import type { OperationOf } from '../operation.ts';
import { authorize, authorizeOn, type Iam, noSuchEntity, requireName } from './iam.ts';
import { existingRole, shownRole } from './roles.ts';

interface LinkedService {
  /** After `AWSServiceRoleFor`. */
  readonly name: string;
  readonly suffixes?: boolean;
}

const SERVICES: Readonly<Record<string, LinkedService>> = {
  'autoscaling.amazonaws.com': { name: 'AutoScaling', suffixes: true },
  'autoscaling-plans.amazonaws.com': { name: 'AutoScalingPlans_EC2AutoScaling' },
  'dlm.amazonaws.com': { name: 'DLM' },
  'ec2.amazonaws.com': { name: 'EC2' },
  'ec2fleet.amazonaws.com': { name: 'EC2Fleet' },
  'ec2scheduled.amazonaws.com': { name: 'EC2ScheduledInstances' },
  'eks.amazonaws.com': { name: 'AmazonEKS' },
  'eks-nodegroup.amazonaws.com': { name: 'AmazonEKSNodegroup' },
  'elasticloadbalancing.amazonaws.com': { name: 'ElasticLoadBalancing' },
  'imagebuilder.amazonaws.com': { name: 'ImageBuilder' },
  'kms.amazonaws.com': { name: 'KeyManagementService' },
  'mrk.kms.amazonaws.com': { name: 'KeyManagementServiceMultiRegionKeys' },
  'organizations.amazonaws.com': { name: 'Organizations' },
  'spot.amazonaws.com': { name: 'EC2Spot' },
  'spotfleet.amazonaws.com': { name: 'EC2SpotFleet' },
  'ssm.amazonaws.com': { name: 'AmazonSSM' },
};

export const createServiceLinkedRole =
  (iam: Iam): OperationOf<aws.CreateServiceLinkedRoleCommand> =>
  async (call, input) => {
    const service = input.AWSServiceName ?? '';
    const linked = Object.hasOwn(SERVICES, service) ? SERVICES[service] : undefined;
    const suffix = input.CustomSuffix;
    const name = `AWSServiceRoleFor${linked?.name ?? service}${suffix ? `_${suffix}` : ''}`;
    const arn = entityArn(call.caller.accountId, 'role', `/aws-service-role/${service}/`, name);
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

/** Nothing in Ingot holds on to a service-linked role, so it is deleted before the answer. */
export const deleteServiceLinkedRole =
  (iam: Iam): OperationOf<aws.DeleteServiceLinkedRoleCommand> =>
  async (call, input) => {
    const name = requireName(input.RoleName, 'role');
    const permit = await authorizeOn(iam, call, 'iam:DeleteServiceLinkedRole', 'role', name);
    const role = await existingRole(iam, call, name);
    if (role.linkedService === undefined)
      throw noSuchEntity(`The role with name ${name} is not a service-linked role.`);
    await iam.identity.roles.remove(permit);
    return { DeletionTaskId: `task${role.path}${role.name}/${role.id}` };
  };

export const getServiceLinkedRoleDeletionStatus =
  (iam: Iam): OperationOf<aws.GetServiceLinkedRoleDeletionStatusCommand> =>
  async (call, input) => {
    const match = /^task\/aws-service-role\/[^/]+\/([\w+=,.@-]+)\/(AROA[A-Z0-9]+)$/.exec(input.DeletionTaskId ?? '');
    if (!match) throw noSuchEntity(`The deletion task ${input.DeletionTaskId} cannot be found.`);
    const [, name, id] = match as unknown as [string, string, string];
    await authorizeOn(iam, call, 'iam:GetServiceLinkedRoleDeletionStatus', 'role', name);
    return { Status: (await iam.identity.roles.byId(id)) ? 'NOT_STARTED' : 'SUCCEEDED' };
  };
