/**
 * Condition keys of one call: the ones every call has (authorization-and-wire §5), those of the resource, and those
 * that KMS and EC2 derive from them (6.11, 7.2). What the operation gives explicitly comes first.
 */

import type { ContextLookup } from '../../policy/conditions.ts';
import type { ConditionValue, ConditionValues, ResourceRef } from '../authz/authorizer.ts';
import type { Call } from '../authz/caller.ts';

interface Standing {
  readonly organizationId?: string;
  readonly organizationPath?: string;
}

/** aws:ResourceAccount is absent for these: they may touch foreign resources (5.4). */
const WITHOUT_RESOURCE_ACCOUNT = new Set(['ec2:copyimage', 'ec2:copysnapshot', 'ec2:createvolume']);
const OF_GRANTS = new Set(['kms:creategrant', 'kms:listgrants', 'kms:revokegrant']);

export function contextOf(
  call: Call,
  action: string,
  resource: ResourceRef,
  given: ConditionValues,
  standing: { readonly caller: Standing; readonly owner: Standing },
): ContextLookup {
  const lowerAction = action.toLowerCase();
  const service = lowerAction.slice(0, lowerAction.indexOf(':'));
  let explicit: Map<string, ConditionValue> | undefined;

  return (key) => {
    explicit ??= lowerCased(given);
    const value = explicit.get(key);
    if (value !== undefined) return value;
    if (key.startsWith('aws:')) return globalKey(key);
    if (key.startsWith('kms:') && service === 'kms') return kmsKey(key);
    if (key.startsWith('ec2:') && service === 'ec2') return ec2Key(key);
    return undefined;
  };

  function globalKey(key: string): ConditionValue | undefined {
    const { caller } = call;
    const isService = caller.type === 'Service';
    switch (key) {
      case 'aws:principalarn':
        return isService ? undefined : caller.principalArn;
      case 'aws:principalaccount':
        return isService ? undefined : caller.accountId;
      case 'aws:principalorgid':
        return isService ? undefined : standing.caller.organizationId;
      case 'aws:principalorgpaths':
        return isService || standing.caller.organizationPath === undefined
          ? undefined
          : [standing.caller.organizationPath];
      case 'aws:principaltype':
        return isService ? undefined : caller.type;
      case 'aws:principalisawsservice':
        return isService;
      case 'aws:userid':
        return isService ? undefined : caller.userId;
      case 'aws:username':
        return caller.userName;
      case 'aws:requestedregion':
        // IAM and Organizations are global: their Region is us-east-1 (5.1).
        return service === 'iam' || service === 'organizations' ? 'us-east-1' : call.region;
      case 'aws:sourceip':
        return call.viaService === undefined ? call.sourceIp : undefined;
      case 'aws:securetransport':
        return call.secureTransport;
      case 'aws:currenttime':
        return call.now;
      case 'aws:epochtime':
        return Math.floor(call.now.getTime() / 1000);
      case 'aws:useragent':
        return call.userAgent;
      case 'aws:viaawsservice':
        return call.viaService !== undefined;
      case 'aws:tokenissuetime':
        return caller.session?.issuedAt;
      case 'aws:multifactorauthpresent':
        return caller.session ? false : undefined;
      case 'aws:sourceaccount':
        // Only a service principal acts for somebody else (5.5).
        return caller.service === undefined ? undefined : caller.accountId;
      case 'aws:sourcearn':
        return caller.service === undefined ? undefined : call.sourceArn;
      case 'aws:sourceidentity':
        return caller.session?.sourceIdentity;
      case 'aws:resourceaccount':
        return hasResourceAccount() ? (resource.accountId ?? caller.accountId) : undefined;
      case 'aws:resourceorgid':
        return hasResourceAccount() ? standing.owner.organizationId : undefined;
      case 'aws:resourceorgpaths':
        return hasResourceAccount() && standing.owner.organizationPath !== undefined
          ? [standing.owner.organizationPath]
          : undefined;
    }
    if (key.startsWith('aws:principaltag/')) return tag(caller.tags, key.slice('aws:principaltag/'.length));
    if (key.startsWith('aws:resourcetag/')) return tag(resource.tags, key.slice('aws:resourcetag/'.length));
    return undefined;
  }

  function hasResourceAccount(): boolean {
    return resource.arn !== '*' && service !== 'ebs' && !WITHOUT_RESOURCE_ACCOUNT.has(lowerAction);
  }

  function kmsKey(key: string): ConditionValue | undefined {
    if (key === 'kms:calleraccount') return call.caller.accountId;
    if (key === 'kms:viaservice') return call.viaService;
    if (key === 'kms:grantisforawsresource') {
      return OF_GRANTS.has(lowerAction) ? call.viaService !== undefined : undefined;
    }
    const context = resource.encryptionContext;
    if (!context) return undefined;
    if (key === 'kms:encryptioncontextkeys') return Object.keys(context);
    if (key.startsWith('kms:encryptioncontext:')) return tag(context, key.slice('kms:encryptioncontext:'.length));
    return undefined;
  }

  function ec2Key(key: string): ConditionValue | undefined {
    if (key === 'ec2:region') return call.region;
    if (key.startsWith('ec2:resourcetag/')) return tag(resource.tags, key.slice('ec2:resourcetag/'.length));
    return undefined;
  }
}

/** Names of the condition keys a call can have, in their usual spelling, most telling first. */
export function* conditionKeysOf(call: Call, resource: ResourceRef, given: ConditionValues): Generator<string> {
  yield* Object.keys(given);
  yield* SHOWN_KEYS;
  for (const name of Object.keys(resource.encryptionContext ?? {})) yield `kms:EncryptionContext:${name}`;
  for (const name of Object.keys(resource.tags ?? {})) yield `aws:ResourceTag/${name}`;
  for (const name of Object.keys(call.caller.tags)) yield `aws:PrincipalTag/${name}`;
}

const SHOWN_KEYS = [
  'kms:ViaService',
  'kms:CallerAccount',
  'kms:GrantIsForAWSResource',
  'ec2:Region',
  'aws:PrincipalArn',
  'aws:PrincipalAccount',
  'aws:PrincipalType',
  'aws:PrincipalOrgID',
  'aws:PrincipalOrgPaths',
  'aws:PrincipalIsAWSService',
  'aws:userid',
  'aws:username',
  'aws:RequestedRegion',
  'aws:SourceIp',
  'aws:SecureTransport',
  'aws:CurrentTime',
  'aws:EpochTime',
  'aws:UserAgent',
  'aws:ViaAWSService',
  'aws:TokenIssueTime',
  'aws:MultiFactorAuthPresent',
  'aws:SourceAccount',
  'aws:SourceArn',
  'aws:SourceIdentity',
  'aws:ResourceAccount',
  'aws:ResourceOrgID',
  'aws:ResourceOrgPaths',
] as const;

function lowerCased(values: ConditionValues): Map<string, ConditionValue> {
  const map = new Map<string, ConditionValue>();
  for (const [key, value] of Object.entries(values)) if (value !== undefined) map.set(key.toLowerCase(), value);
  return map;
}

/** The value under a name that is compared ignoring case, as names of condition keys are (1.10). */
function tag(tags: Readonly<Record<string, string>> | undefined, lowerName: string): string | undefined {
  if (!tags) return undefined;
  if (Object.hasOwn(tags, lowerName)) return tags[lowerName];
  for (const [name, value] of Object.entries(tags)) if (name.toLowerCase() === lowerName) return value;
  return undefined;
}
