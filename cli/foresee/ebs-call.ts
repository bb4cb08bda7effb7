/**
 * The condition values of a KMS call that EBS makes in the name of a caller (K-11, K-12, P-2 to P-4): what a policy may
 * ask about it, what such a call never has, and what nobody can know beforehand.
 */
import type { ConditionValue } from '../../policy/decision.ts';
import type { FoundKey } from './key.ts';
import type { EbsKeyAction } from './needs.ts';
import type { KnownPrincipal } from './principal.ts';

export interface EbsCall {
  readonly action: EbsKeyAction;
  readonly region: string;
  readonly known: KnownPrincipal;
  readonly keyArn: string;
  readonly keyAccount: string;
  /** Absent where the key could not be described. */
  readonly key?: FoundKey;
  readonly ebsId?: string;
  readonly sameKey?: boolean;
  readonly callerOrganization?: { readonly id?: string; readonly path?: string };
  readonly ownerOrganization?: { readonly id?: string; readonly path?: string };
  readonly aliases?: readonly string[];
  readonly keyTags?: Readonly<Record<string, string>>;
}

/**
 * Never there: the call comes from AWS, not from the caller's address (K-12), and it is in the name of the caller, not
 * of a service that acts for a resource (authorization-and-wire 5.5).
 */
const NEVER = [
  'aws:sourceip',
  'aws:sourcevpc',
  'aws:sourcevpce',
  'aws:vpcsourceip',
  'aws:sourceaccount',
  'aws:sourcearn',
  'kms:requestalias',
];

/** Condition keys that a call of EBS cannot meet whatever the caller does. */
export function cannotBeMet(key: string): boolean {
  return NEVER.includes(key);
}

export function ebsPrincipal(region: string): string {
  return `ec2.${region}.amazonaws.com`;
}

/** Values by lower-case name; `undefined` is known to be absent. */
export function ebsConditions(call: EbsCall): Map<string, ConditionValue | undefined> {
  const { action, region, known, keyAccount, key } = call;
  const { principal } = known;
  const values = new Map<string, ConditionValue | undefined>(NEVER.map((name) => [name, undefined]));
  const set = (name: string, value: ConditionValue | undefined) => values.set(name, value);
  set('aws:principalarn', principal.arn);
  set('aws:principalaccount', principal.account);
  set('aws:principaltype', { user: 'User', root: 'Account' }[principal.kind as string] ?? 'AssumedRole');
  set('aws:principalisawsservice', false);
  set('aws:viaawsservice', true);
  set('aws:securetransport', true);
  set('aws:requestedregion', region);
  set('aws:resourceaccount', keyAccount);
  set('aws:currenttime', new Date());
  set('aws:epochtime', Math.floor(Date.now() / 1000));
  if (principal.kind === 'user') {
    set('aws:username', principal.name);
    set('aws:userid', known.uniqueId);
  } else {
    set('aws:username', undefined);
    if (principal.sessionArn) set('aws:userid', `${known.uniqueId}:${principal.sessionArn.split('/').at(-1)}`);
    if (principal.kind === 'root') set('aws:userid', principal.account);
  }
  for (const [name, value] of Object.entries(known.tags)) set(`aws:principaltag/${name.toLowerCase()}`, value);
  organization(set, 'principal', call.callerOrganization);
  organization(set, 'resource', call.ownerOrganization);
  for (const [name, value] of Object.entries(call.keyTags ?? {})) set(`aws:resourcetag/${name.toLowerCase()}`, value);
  set('kms:viaservice', ebsPrincipal(region));
  set('kms:calleraccount', principal.account);
  set('kms:grantisforawsresource', action === 'kms:CreateGrant' ? true : undefined);
  if (call.aliases) set('kms:resourcealiases', call.aliases);
  if (key) keyConditions(set, key);
  const hasContext = action !== 'kms:DescribeKey';
  set('kms:encryptioncontextkeys', hasContext ? ['aws:ebs:id'] : undefined);
  if (!hasContext || call.ebsId !== undefined)
    set('kms:encryptioncontext:aws:ebs:id', hasContext ? call.ebsId : undefined);
  const cryptographic = hasContext && action !== 'kms:CreateGrant';
  set('kms:encryptionalgorithm', cryptographic ? 'SYMMETRIC_DEFAULT' : undefined);
  const reEncrypts = action === 'kms:ReEncryptFrom' || action === 'kms:ReEncryptTo';
  if (!reEncrypts || call.sameKey !== undefined) set('kms:reencryptonsamekey', reEncrypts ? call.sameKey : undefined);
  if (action === 'kms:CreateGrant') {
    // Of its two grants one is for the instance, whose principal is not known before (K-8).
    set('kms:grantoperations', ['Decrypt']);
    set('kms:grantconstrainttype', 'EncryptionContextSubset');
    set('kms:retiringprincipal', ebsPrincipal(region));
  } else set('kms:granteeprincipal', undefined);
  return values;
}

type Setter = (name: string, value: ConditionValue | undefined) => void;

function organization(set: Setter, whose: 'principal' | 'resource', standing: EbsCall['callerOrganization']): void {
  if (!standing) return;
  set(`aws:${whose}orgid`, standing.id);
  if (standing.path !== undefined || standing.id === undefined) {
    set(`aws:${whose}orgpaths`, standing.path === undefined ? undefined : [standing.path]);
  }
}

function keyConditions(set: Setter, { metadata }: FoundKey): void {
  set('kms:keyspec', metadata.KeySpec);
  set('kms:customermasterkeyspec', metadata.KeySpec);
  set('kms:keyusage', metadata.KeyUsage);
  set('kms:customermasterkeyusage', metadata.KeyUsage);
  set('kms:keyorigin', metadata.Origin);
  set('kms:multiregion', metadata.MultiRegion ?? false);
  set('kms:multiregionkeytype', metadata.MultiRegionConfiguration?.MultiRegionKeyType);
}

/** Keys of KMS that a call of EBS may have; where none is set, it is not known. All others such calls never have. */
const OF_A_CALL = new Set([
  'kms:encryptioncontext:aws:ebs:id',
  'kms:reencryptonsamekey',
  'kms:granteeprincipal',
  'kms:resourcealiases',
  'kms:keyspec',
  'kms:customermasterkeyspec',
  'kms:keyusage',
  'kms:customermasterkeyusage',
  'kms:keyorigin',
  'kms:multiregion',
  'kms:multiregionkeytype',
]);

/** Condition keys whose value nobody can know before the call is made. */
export function uncertainIn(
  values: ReadonlyMap<string, ConditionValue | undefined>,
  tagsKnown: boolean,
): (key: string) => boolean {
  return (key) => {
    if (values.has(key)) return false;
    // Tags are listed whole with the principal, so that one that is not there is known to be absent.
    if (key.startsWith('aws:principaltag/') && tagsKnown) return false;
    return !key.startsWith('kms:') || OF_A_CALL.has(key);
  };
}
