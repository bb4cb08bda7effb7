/** AssumeRole (authorization-and-wire 14.2 to 14.6). */
import type { AssumeRoleCommand } from '@aws-sdk/client-sts';
import type { ConditionValue, ConditionValues } from '../../authz/authorizer.ts';
import type { Call } from '../../authz/caller.ts';
import type { Permit } from '../../authz/permit.ts';
import { ApiError } from '../../errors.ts';
import { parseEntityArn, type Role, type Tagging } from '../../identity/entities.ts';
import type { SessionDetails } from '../../identity/sessions.ts';
import type { Arn } from '../../ids.ts';
import type { InputOf, OperationOf } from '../operation.ts';
import { accessDenied, constraint, refuseTokenSize, requireSeconds, type Sts, validation } from './sts.ts';

type Input = InputOf<AssumeRoleCommand>;

const CHAINED_SECONDS_MAX = 3600;
/** Plaintext of a session policy and ARNs; what AWS packs into a token has about this bound. */
const SESSION_POLICY_CHARACTERS_MAX = 2048;

export const assumeRole =
  (sts: Sts): OperationOf<AssumeRoleCommand> =>
  async (call, input) => {
    const arn = requireRoleArn(input.RoleArn);
    const name = requireSessionName(input.RoleSessionName);
    const requested = requireSeconds(input.DurationSeconds ?? 3600, 900, 43_200);
    const policy = requirePolicy(input);
    refuseMfa(input);
    refuseTokenSize(input);
    const inherited = await inheritedFrom(sts, call);
    const { tags, transitiveTagKeys } = sessionTags(input, inherited);
    const sourceIdentity = requireSourceIdentity(input.SourceIdentity, inherited);

    // The root user cannot assume roles (14.4).
    if (call.caller.type === 'Account') throw accessDenied('Roles may not be assumed by root accounts.');
    const { role, permit } = await authorized(sts, call, arn, {
      'sts:RoleSessionName': name,
      'sts:ExternalId': input.ExternalId,
      'sts:SourceIdentity': sourceIdentity,
      ...tagConditions(input),
    });
    if (requested > role.maxSessionSeconds) {
      throw validation('The requested DurationSeconds exceeds the MaxSessionDuration set for this role.');
    }
    if (call.caller.type === 'AssumedRole' && requested > CHAINED_SECONDS_MAX) {
      throw validation(
        'The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.',
      );
    }
    const policyArns = await requirePolicyArns(sts, role, input);
    const details = {
      name,
      policies: policy === undefined ? [] : [policy],
      policyArns,
      tags,
      transitiveTagKeys,
      ...(sourceIdentity === undefined ? {} : { sourceIdentity }),
    };
    const made = await sts.identity.sessions.assumeRole(permit, role, details, requested);
    return {
      Credentials: {
        AccessKeyId: made.accessKeyId,
        SecretAccessKey: made.secretAccessKey,
        SessionToken: made.sessionToken,
        Expiration: made.expiresAt,
      },
      AssumedRoleUser: {
        AssumedRoleId: `${role.id}:${name}`,
        Arn: `arn:aws:sts::${role.accountId}:assumed-role/${role.name}/${name}`,
      },
      ...packedSize(policy, input),
      ...(sourceIdentity === undefined ? {} : { SourceIdentity: sourceIdentity }),
    };
  };

/** A role that does not exist, or whose account is closed, is denied in the same words (8.9). */
async function authorized(
  sts: Sts,
  call: Call,
  arn: Arn,
  conditions: ConditionValues,
): Promise<{ role: Role; permit: Permit<'sts:AssumeRole'> }> {
  const entity = parseEntityArn(arn)!;
  const found = await sts.identity.roles.lookUp(entity.accountId, entity.name);
  // Names are unique ignoring case, but an ARN names one role exactly.
  const closed = await sts.identity.organizations.isClosed(entity.accountId);
  const role = found?.arn === arn && !closed ? found : undefined;
  const resource = {
    arn,
    accountId: entity.accountId,
    kind: 'role',
    policy: role?.trustPolicy ?? NOBODY,
    tags: role?.tags ?? {},
  } as const;
  const permit = await sts.authorizer.authorize(call, 'sts:AssumeRole', resource, conditions);
  if (!role) throw new Error(`${arn} does not exist and was authorized`);
  if (conditions['aws:TagKeys'] !== undefined)
    await sts.authorizer.authorize(call, 'sts:TagSession', resource, conditions);
  if (conditions['sts:SourceIdentity'] !== undefined) {
    await sts.authorizer.authorize(call, 'sts:SetSourceIdentity', resource, conditions);
  }
  return { role, permit };
}

const NOBODY = JSON.stringify({ Version: '2012-10-17', Statement: [] });

function requireRoleArn(arn: string | undefined): Arn {
  if (arn === undefined || arn.length < 20 || arn.length > 2048) {
    throw constraint('roleArn', arn ?? '', 'have length greater than or equal to 20');
  }
  const entity = parseEntityArn(arn);
  if (entity?.type !== 'role' || !/^\d{12}$/.test(entity.accountId)) throw validation(`${arn} is invalid`);
  return arn as Arn;
}

function requireSessionName(name: string | undefined): string {
  if (name === undefined || !/^[\w+=,.@-]*$/.test(name)) {
    throw constraint('roleSessionName', name ?? '', 'satisfy regular expression pattern: [\\w+=,.@-]*');
  }
  if (name.length < 2) throw constraint('roleSessionName', name, 'have length greater than or equal to 2');
  if (name.length > 64) throw constraint('roleSessionName', name, 'have length less than or equal to 64');
  return name;
}

function requirePolicy(input: Input): string | undefined {
  const size =
    (input.Policy ?? '').length + (input.PolicyArns ?? []).reduce((sum, { arn }) => sum + (arn ?? '').length, 0);
  if (size > SESSION_POLICY_CHARACTERS_MAX) {
    const percent = Math.ceil((100 * size) / SESSION_POLICY_CHARACTERS_MAX);
    throw new ApiError('PackedPolicyTooLarge', `Serialized token too large for session: ${percent}% of the limit`);
  }
  return input.Policy;
}

function refuseMfa(input: Input): void {
  if (input.SerialNumber !== undefined || input.TokenCode !== undefined) {
    throw accessDenied('MultiFactorAuthentication failed: no MFA device is registered, and Ingot has none.');
  }
  if ((input.ProvidedContexts ?? []).length > 0) throw validation('ProvidedContexts is not supported by Ingot.');
}

async function requirePolicyArns(sts: Sts, role: Role, input: Input): Promise<string[]> {
  const arns = (input.PolicyArns ?? []).map(({ arn }) => arn ?? '');
  if (arns.length > 10) throw constraint('policyArns', arns.length, 'have length less than or equal to 10');
  for (const arn of arns) {
    const policy = await sts.identity.policies.get(arn);
    const own = policy?.awsManaged || arn.startsWith(`arn:aws:iam::${role.accountId}:`);
    if (!policy || !own) throw new ApiError('MalformedPolicyDocument', `Policy ${arn} does not exist.`);
  }
  return arns;
}

/** What a chained session takes over from the session that makes it. */
async function inheritedFrom(sts: Sts, call: Call): Promise<SessionDetails | undefined> {
  const { caller } = call;
  if (caller.session?.kind !== 'assume-role' || caller.accessKeyId === undefined) return undefined;
  return sts.identity.sessions.details(caller.accessKeyId);
}

function requireSourceIdentity(given: string | undefined, inherited: SessionDetails | undefined): string | undefined {
  const before = inherited?.sourceIdentity;
  if (given !== undefined && !/^[\w+=,.@-]{2,64}$/.test(given)) {
    throw constraint('sourceIdentity', given, 'satisfy regular expression pattern: [\\w+=,.@-]*');
  }
  if (before !== undefined && given !== undefined && given !== before) {
    throw accessDenied('The source identity of a session cannot be changed.');
  }
  return given ?? before;
}

function sessionTags(
  input: Input,
  inherited: SessionDetails | undefined,
): { tags: Tagging; transitiveTagKeys: string[] } {
  const own = new Map<string, string>();
  const seen = new Set<string>();
  for (const { Key, Value } of input.Tags ?? []) {
    const key = Key ?? '';
    if (!/^[\p{L}\p{Z}\p{N}_.:/=+\-@]{1,128}$/u.test(key) || (Value ?? '').length > 256 || /^aws:/i.test(key)) {
      throw invalidParameter(`The session tag '${key}' is invalid.`);
    }
    if (seen.has(key.toLowerCase())) {
      throw invalidParameter('Duplicate tag keys found. Please note that Tag keys are case insensitive.');
    }
    seen.add(key.toLowerCase());
    own.set(key, Value ?? '');
  }
  if (own.size > 50) throw invalidParameter('A session has at most 50 tags.');
  const transitive = input.TransitiveTagKeys ?? [];
  for (const key of transitive) {
    if (!seen.has(key.toLowerCase()))
      throw invalidParameter(`The transitive tag key ${key} is not among the session tags.`);
  }
  const kept = Object.entries(inherited?.tags ?? {}).filter(([key]) =>
    inherited!.transitiveTagKeys.some((one) => one.toLowerCase() === key.toLowerCase()),
  );
  for (const [key] of kept) {
    if (seen.has(key.toLowerCase())) {
      throw invalidParameter(
        `One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the calling session: ${key}`,
      );
    }
  }
  return {
    tags: { ...Object.fromEntries(kept), ...Object.fromEntries(own) },
    transitiveTagKeys: [...(inherited?.transitiveTagKeys ?? []), ...transitive],
  };
}

function invalidParameter(message: string): ApiError {
  return new ApiError('InvalidParameterValue', message);
}

function tagConditions(input: Input): ConditionValues {
  const tags = input.Tags ?? [];
  if (tags.length === 0) return {};
  const values: Record<string, ConditionValue> = { 'aws:TagKeys': tags.map(({ Key }) => Key ?? '') };
  for (const { Key, Value } of tags) values[`aws:RequestTag/${Key}`] = Value ?? '';
  if ((input.TransitiveTagKeys ?? []).length > 0) values['sts:TransitiveTagKeys'] = input.TransitiveTagKeys!;
  return values;
}

/** Percent of the bound, present only with a session policy or tags (14.3). */
function packedSize(policy: string | undefined, input: Input): { PackedPolicySize?: number } {
  const tags = (input.Tags ?? []).reduce((sum, { Key, Value }) => sum + (Key ?? '').length + (Value ?? '').length, 0);
  const arns = (input.PolicyArns ?? []).reduce((sum, { arn }) => sum + (arn ?? '').length, 0);
  const size = (policy ?? '').length + arns + tags;
  return size === 0 ? {} : { PackedPolicySize: Math.min(100, Math.ceil((100 * size) / SESSION_POLICY_CHARACTERS_MAX)) };
}
