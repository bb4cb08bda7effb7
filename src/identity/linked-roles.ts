/**
 * Service-linked roles (authorization-and-wire 15.8): what they are called, what their service may do with them, and
 * their services as callers. A service that launches for an account does it in such a role, so that the keys' policies
 * and grants decide about that role (ec2-encryption P-12 to P-15).
 */
import type { Authorizer } from '../authz/authorizer.ts';
import type { Call, Caller } from '../authz/caller.ts';
import { Refusal } from '../errors.ts';
import type { AccountId, Arn } from '../ids.ts';
import { entityArn, parseEntityArn, type Role } from './entities.ts';
import { LINKED_ROLE_POLICIES } from './managed-policies.ts';
import type { Roles } from './roles.ts';

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

/** The service by its principal, for example `autoscaling.amazonaws.com`. */
export function linkedService(principal: string): LinkedService | undefined {
  return Object.hasOwn(SERVICES, principal) ? SERVICES[principal] : undefined;
}

/** Name and ARN that the role has or would have; for a service that is not known too, so that it can be authorized. */
export function linkedRoleName(account: AccountId, principal: string, suffix?: string): { name: string; arn: Arn } {
  const name = `AWSServiceRoleFor${linkedService(principal)?.name ?? principal}${suffix ? `_${suffix}` : ''}`;
  return { name, arn: entityArn(account, 'role', `/aws-service-role/${principal}/`, name) };
}

/** The AWS managed policy that a service's role has from the start, where Ingot has that service. */
export function linkedRolePolicy(principal: string): Arn | undefined {
  return LINKED_ROLE_POLICIES[principal];
}

/** How long a session of a service in its role lasts; made anew for each thing it does. */
const SESSION_MS = 3600_000;

/** The service in its role, as authorization and the trail see it. */
export function linkedCaller(role: Role, sessionName: string, at: Date): Caller {
  return {
    accountId: role.accountId,
    type: 'AssumedRole',
    arn: `arn:aws:sts::${role.accountId}:assumed-role/${role.name}/${sessionName}` as Arn,
    principalArn: role.arn,
    userId: `${role.id}:${sessionName}`,
    uniqueId: role.id,
    tags: role.tags,
    session: {
      name: sessionName,
      kind: 'assume-role',
      issuedAt: at,
      expiresAt: new Date(at.getTime() + SESSION_MS),
      policies: [],
    },
  };
}

/**
 * The service's own role in the caller's account, made in the caller's name where it is not there yet. Throws `Denied`
 * where the caller may not make it.
 */
export async function ensureLinkedRole(
  { roles, authorizer }: { readonly roles: Roles; readonly authorizer: Authorizer },
  call: Call,
  principal: string,
  description: string,
): Promise<Role> {
  const { arn } = linkedRoleName(call.caller.accountId, principal);
  const found = await findLinkedRole(roles, principal, arn);
  if (found) return found;
  const via: Call = { ...call, viaService: principal, invokedBy: principal };
  const context = { 'iam:AWSServiceName': principal };
  const permit = await authorizer.authorize(via, 'iam:CreateServiceLinkedRole', { arn }, context);
  try {
    return await roles.createLinked(permit, principal, description);
  } catch (error) {
    const meanwhile = await findLinkedRole(roles, principal, arn);
    if (meanwhile && error instanceof Refusal && error.reason === 'entity-exists') return meanwhile;
    throw error;
  }
}

/** The service's role by its ARN; `undefined` if there is none or it is another service's. */
export async function findLinkedRole(roles: Roles, principal: string, arn: string): Promise<Role | undefined> {
  const name = parseEntityArn(arn);
  const role = name?.type === 'role' ? await roles.lookUp(name.accountId, name.name) : undefined;
  return role?.arn === arn && role.linkedService === principal ? role : undefined;
}
