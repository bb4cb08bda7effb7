/**
 * How an instance gets its role: EC2 assumes it, by the role's trust policy, in a session named after the instance.
 * Sessions are kept until half an hour before they expire, and only as long as they fit profile and role.
 */
import { type Authorizer, Denied } from '../authz/authorizer.ts';
import { serviceCaller } from '../authz/caller.ts';
import { ec2Arn, type InstanceId, newUuid, type Region } from '../ids.ts';
import { type InstanceProfile, parseEntityArn, type Role } from './entities.ts';
import type { InstanceProfiles } from './instance-profiles.ts';
import type { Roles } from './roles.ts';
import type { Sessions, TemporaryCredentials } from './sessions.ts';

/** EC2's sessions last six hours, whatever the role says about those that callers make. */
const SESSION_SECONDS = 6 * 3600;
const RENEW_BEFORE_MS = 30 * 60_000;
/** Instances whose sessions are kept; beyond that all are made anew. */
const KEPT_MAX = 10_000;

export interface InstanceRole {
  readonly profile: Pick<InstanceProfile, 'arn' | 'id'>;
  /** Absent where the profile holds none. */
  readonly roleName?: string;
}

export interface InstanceRoles {
  /** The profile by ARN, as long as it is the one with this id. */
  roleOf(profile: { readonly arn: string; readonly id: string }): Promise<InstanceRole | undefined>;
  /** `undefined` where there is no role, or the role does not let EC2 assume it. */
  credentialsOf(
    profile: { readonly arn: string; readonly id: string },
    instance: { readonly id: InstanceId; readonly region: Region },
  ): Promise<(TemporaryCredentials & { readonly issuedAt: Date }) | undefined>;
}

export interface InstanceRolesDeps {
  readonly instanceProfiles: InstanceProfiles;
  readonly roles: Roles;
  readonly sessions: Sessions;
  readonly authorizer: Authorizer;
  readonly clock: () => Date;
}

export function createInstanceRoles(deps: InstanceRolesDeps): InstanceRoles {
  const kept = new Map<InstanceId, TemporaryCredentials & { readonly roleId: string; readonly issuedAt: Date }>();

  async function lookUp(profile: { readonly arn: string; readonly id: string }) {
    const name = parseEntityArn(profile.arn);
    const found = name && (await deps.instanceProfiles.lookUp(name.accountId, name.name));
    if (found?.id !== profile.id) return undefined;
    const role = found.roleId === undefined ? undefined : await deps.roles.byId(found.roleId);
    return { profile: found, role };
  }

  async function assume(role: Role, instance: { id: InstanceId; region: Region }): Promise<TemporaryCredentials> {
    const call = {
      caller: serviceCaller(role.accountId, 'ec2.amazonaws.com'),
      region: instance.region,
      requestId: newUuid(),
      now: deps.clock(),
      userAgent: 'ec2.amazonaws.com',
      secureTransport: true,
      sourceArn: ec2Arn(instance.region, role.accountId, 'instance', instance.id),
    };
    const resource = { arn: role.arn, accountId: role.accountId, kind: 'role', policy: role.trustPolicy } as const;
    const permit = await deps.authorizer.authorize(call, 'sts:AssumeRole', resource, {
      'sts:RoleSessionName': instance.id,
    });
    const details = { name: instance.id, policies: [], policyArns: [], tags: {}, transitiveTagKeys: [] };
    return deps.sessions.assumeRole(permit, role, details, SESSION_SECONDS);
  }

  return {
    async roleOf(profile) {
      const found = await lookUp(profile);
      return found && { profile: found.profile, ...(found.role ? { roleName: found.role.name } : {}) };
    },
    async credentialsOf(profile, instance) {
      const role = (await lookUp(profile))?.role;
      if (!role) return undefined;
      const now = deps.clock();
      const known = kept.get(instance.id);
      if (known?.roleId === role.id && known.expiresAt.getTime() - now.getTime() > RENEW_BEFORE_MS) return known;
      try {
        const made = { ...(await assume(role, instance)), roleId: role.id, issuedAt: now };
        if (kept.size >= KEPT_MAX) kept.clear();
        kept.set(instance.id, made);
        return made;
      } catch (error) {
        if (error instanceof Denied) return undefined;
        throw error;
      }
    },
  };
}
