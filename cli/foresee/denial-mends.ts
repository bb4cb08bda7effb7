/** From what denies a principal the use of a key to the mends that allow it. */
import { ebsPrincipal } from './ebs-call.ts';
import { describeStatement, type Hindrance } from './hindrances.ts';
import { identityPolicies, managedPolicy, type PlacedPolicy } from './identity-policies.ts';
import { keyPolicy } from './key.ts';
import type { KeyVerdict } from './key-access.ts';
import { grantMend, keyPolicyMend } from './key-mends.ts';
import { type Mend, mendOf } from './mend.ts';
import { standingOf } from './organization.ts';
import { addToPolicyMend, identityPolicyMend, narrowMend } from './policy-mends.ts';
import { lookUpPrincipal, type Principal } from './principal.ts';
import { ebsUseStatements, type Statement, sidOf } from './statements.ts';
import type { Views } from './views.ts';

type Denied = Extract<KeyVerdict, { readonly verdict: 'denied' }>;

export interface DeniedUse {
  /** The first action that fails. */
  readonly denied: Denied;
  readonly side: 'source' | 'target';
  readonly keyAccount: string;
}

/** What to change, the first thing first. Several where both the owner and the user of a key have to do something. */
export async function mendsOfDenial(views: Views, { denied, side, keyAccount }: DeniedUse): Promise<Mend[]> {
  const { principal, keyArn, layer } = denied;
  if (denied.explicit) return narrowing(views, denied, keyAccount);
  const name = sidOf(principal.name);
  const inKeyPolicy = (statements: readonly Statement[], title: string) =>
    keyPolicyOf(views, keyArn).then((policy) => keyPolicyMend(keyArn, statements, policy, title));
  const use = { side, regions: [views.region], name };
  switch (layer) {
    case 'resource': {
      if (principal.kind === 'service-linked-role' && principal.account !== keyAccount) {
        return foreignServiceRole(views, denied, keyAccount);
      }
      const statements = ebsUseStatements({ ...use, principals: [principal.arn] });
      return [await inKeyPolicy(statements, `Let ${principal.arn} use ${keyArn} through EBS, in its key policy`)];
    }
    case 'identity': {
      // Nobody attaches policies to a service-linked role: the key policy has to name it (P-14).
      if (principal.kind === 'service-linked-role') {
        if (principal.account !== keyAccount) return foreignServiceRole(views, denied, keyAccount);
        const statements = ebsUseStatements({ ...use, principals: [principal.arn] });
        return [await inKeyPolicy(statements, `Let ${principal.arn} use ${keyArn} through EBS, in its key policy`)];
      }
      const statements = ebsUseStatements({ ...use, resource: keyArn });
      return [await identityMend(views, principal, keyArn, statements)];
    }
    case 'boundary': {
      const statements = ebsUseStatements({ ...use, resource: keyArn });
      return boundaryMend(views, principal, keyArn, statements);
    }
    case 'session':
      return [byHand(denied, 'Make the session without the session policy, or with one that allows it')];
    default:
      return [byHand(denied, `Allow ${denied.action} on ${keyArn} in the service control policies over the account`)];
  }
}

async function keyPolicyOf(views: Views, keyArn: string): Promise<string | undefined> {
  const seen = await keyPolicy(views, keyArn);
  return seen.seen ? seen.value.document : undefined;
}

/** P-13: the owner lets the account use the key and make grants on it; somebody of the account grants the role. */
async function foreignServiceRole(views: Views, { principal, keyArn }: Denied, keyAccount: string): Promise<Mend[]> {
  const grant = grantMend(keyArn, principal.arn, principal.account);
  const policy = await keyPolicyOf(views, keyArn);
  if (policy?.includes(principal.account)) return [grant];
  const root = `arn:${keyArn.split(':')[1]}:iam::${principal.account}:root`;
  const statements = ebsUseStatements({
    side: 'target',
    regions: [views.region],
    name: `Account${principal.account}`,
    principals: [root],
    ownGrants: true,
  });
  const title = `Let account ${principal.account} use ${keyArn} and grant it to its service-linked roles`;
  const inPolicy = keyPolicyMend(keyArn, statements, policy, title);
  if (policy !== undefined) return [inPolicy, grant];
  // Whether the owner has done its part cannot be seen from here.
  const note = `If it is refused, account ${keyAccount} has to let account ${principal.account} do it: ${inPolicy.title}.`;
  return [{ ...grant, note }, inPolicy];
}

async function identityMend(
  views: Views,
  principal: Principal,
  keyArn: string,
  statements: readonly Statement[],
): Promise<Mend> {
  const policyName = `EbsUseOf${sidOf(keyArn.split('/').at(-1) ?? '')}`;
  const known = await lookUpPrincipal(views, principal);
  const own = known.seen && known.value !== 'missing' ? await identityPolicies(views, known.value) : undefined;
  const before = own?.seen
    ? own.value.identity.find(({ name, place }) => name === policyName && 'owner' in place)
    : undefined;
  const title = `Let ${principal.arn} use ${keyArn} through EBS, in a policy of its own`;
  return identityPolicyMend(principal, policyName, statements, before?.document, title);
}

async function boundaryMend(
  views: Views,
  principal: Principal,
  keyArn: string,
  statements: readonly Statement[],
): Promise<Mend[]> {
  const known = await lookUpPrincipal(views, principal);
  const arn = known.seen && known.value !== 'missing' ? known.value.boundaryArn : undefined;
  const boundary = arn ? await managedPolicy(views, principal.account, arn) : undefined;
  if (!boundary?.seen) return [];
  const title = `Let the permissions boundary of ${principal.arn} include the use of ${keyArn} through EBS`;
  return [addToPolicyMend(boundary.value, principal.account, statements, title)];
}

/** Denies are narrowed, never removed: what they are for still holds for everything else. */
async function narrowing(views: Views, denied: Denied, keyAccount: string): Promise<Mend[]> {
  const mends: Mend[] = [];
  for (const hindrance of denied.hindrances) {
    const kept = await whereKept(views, denied, hindrance, keyAccount);
    const { conditions, so } = exception(hindrance, denied.principal, views.region);
    const title = `Narrow ${describeStatement(hindrance)}: ${so}`;
    if (kept) mends.push(narrowMend(kept.policy, kept.account, hindrance.index, conditions, title));
  }
  return mends.length > 0 ? mends : [byHand(denied, `Remove or narrow the statement that denies ${denied.action}`)];
}

interface Exception {
  readonly conditions: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly so: string;
}

function exception({ unmeetable, place, condition }: Hindrance, { arn }: Principal, region: string): Exception {
  if (unmeetable && condition !== 'kms:viaservice') {
    return {
      conditions: { Bool: { 'aws:ViaAWSService': 'false' } },
      so: 'it is about addresses, which calls that AWS makes for somebody do not have',
    };
  }
  if (place.kind === 'user' || place.kind === 'role' || condition === 'kms:viaservice') {
    return {
      conditions: { StringNotEquals: { 'kms:ViaService': ebsPrincipal(region) } },
      so: `except for calls that EBS makes in ${region}`,
    };
  }
  return { conditions: { ArnNotEquals: { 'aws:PrincipalArn': arn } }, so: `except for ${arn}` };
}

interface Kept {
  readonly policy: PlacedPolicy;
  /** Whose credentials change it. */
  readonly account: string;
}

async function whereKept(
  views: Views,
  { keyArn, principal }: Denied,
  { place, policy: name }: Hindrance,
  keyAccount: string,
): Promise<Kept | undefined> {
  if (place.kind === 'key') {
    const seen = await keyPolicy(views, keyArn);
    return seen.seen ? { policy: seen.value, account: keyAccount } : undefined;
  }
  if (place.kind === 'control') {
    for (const account of [principal.account, keyAccount]) {
      const { managementAccount, serviceControl, resourceControl } = await standingOf(views, account);
      const policy = [serviceControl, resourceControl]
        .flatMap((seen) => (seen.seen ? seen.value.flat() : []))
        .find((one) => one.place.kind === 'control' && one.place.policyId === place.policyId);
      if (policy && managementAccount) return { policy, account: managementAccount };
    }
    return undefined;
  }
  const known = await lookUpPrincipal(views, principal);
  const own = known.seen && known.value !== 'missing' ? await identityPolicies(views, known.value) : undefined;
  if (!own?.seen) return undefined;
  const all = [...own.value.identity, ...(own.value.boundary ? [own.value.boundary] : [])];
  const policy = all.find((one) => one.name === name && JSON.stringify(one.place) === JSON.stringify(place));
  return policy && { policy, account: principal.account };
}

function byHand({ principal, action, keyArn, explicit }: Denied, title: string): Mend {
  return mendOf({
    kind: 'by-hand',
    title,
    account: principal.account,
    ...(explicit ? {} : { json: { Effect: 'Allow', Action: action, Resource: keyArn } }),
    calls: [],
    note: 'No call of the API can do this from here.',
  });
}
