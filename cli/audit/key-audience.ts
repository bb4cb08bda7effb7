/**
 * Who outside may use a key, as its policy and grants alone decide: whether an account could launch from what is sealed
 * under it. Identity policies and control policies of that account are its own affair and are not looked at, so that
 * "may" means: nothing on the side of the key stands in the way.
 */
import { decide } from '../../policy/decide.ts';
import type { ConditionValue } from '../../policy/decision.ts';
import { compilePolicy } from '../../policy/document.ts';
import { matchPolicy, type NamedPolicy } from '../../policy/evaluate.ts';
import type { PrincipalView } from '../../policy/principals.ts';
import { partitionOf } from './arns.ts';
import type { KeyFacts, Organization } from './model.ts';

/** `unknown`: it hangs on something that an audit cannot know, such as tags of a principal, or the policy was not seen. */
export type MayUse = 'yes' | 'no' | 'unknown';

/** What EBS asks of the key of a snapshot that another account launches from (table 3.2). */
export const SOURCE_ACTION = 'kms:ReEncryptFrom';

const EVERYTHING: NamedPolicy = {
  name: 'every identity policy that the account could write',
  policy: compilePolicy('{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'),
};

interface Asker {
  readonly account: string;
  readonly organization: Organization | 'none' | undefined;
  /** Snapshot whose data key is asked for. */
  readonly snapshot?: string;
}

export function mayUse(key: KeyFacts, asker: Asker): MayUse {
  const { account } = asker;
  if (key.manager === 'AWS') return key.account === account ? 'yes' : 'no';
  if (key.policy === undefined) return 'unknown';
  const policy = readPolicy(key);
  if (!policy) return 'unknown';
  let unknown = key.grants === undefined;
  for (const principal of candidates(key, account)) {
    const context = new Context(key, principal, asker);
    const { allowed } = decide({
      principal,
      action: SOURCE_ACTION,
      resource: key.arn,
      context: (name) => context.value(name),
      policies: { resource: policy, identity: [EVERYTHING] },
      resourceAccount: key.account,
      kind: 'kms-key',
      grants: (key.grants ?? []).map(({ id, grantee, ...grant }) => ({
        ...grant,
        grantId: id,
        granteePrincipal: grantee,
      })),
      encryptionContext: asker.snapshot === undefined ? {} : { 'aws:ebs:id': asker.snapshot },
    });
    if (allowed) return 'yes';
    unknown ||= context.askedUnknown;
  }
  return unknown ? 'unknown' : 'no';
}

function readPolicy({ policy }: KeyFacts): NamedPolicy | undefined {
  if (policy === undefined) return undefined;
  try {
    return { name: 'key policy', policy: compilePolicy(policy) };
  } catch {
    return undefined;
  }
}

const PRINCIPAL_ARN = /arn:[\w-]+:iam::(\d{12}):(user|role)\/[\w+=,.@/-]+/g;

/** The root of the account, a role of no special name, those that services launch with, and those named anywhere. */
function candidates(key: KeyFacts, account: string): PrincipalView[] {
  const partition = partitionOf(key.region);
  const root = `arn:${partition}:iam::${account}:root`;
  const named = [key.policy ?? '', ...(key.grants ?? []).map(({ grantee }) => grantee)]
    .join('\n')
    .matchAll(PRINCIPAL_ARN);
  const roles = ['role/any', 'role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling'];
  const arns = new Set([
    ...roles.map((role) => `arn:${partition}:iam::${account}:${role}`),
    ...[...named].flatMap(([arn, owner]) => (owner === account ? [arn] : [])),
  ]);
  return [
    { accountId: account, type: 'Account', arn: root, principalArn: root, uniqueId: account },
    ...[...arns].map((arn) => principalView(account, arn)),
  ];
}

function principalView(accountId: string, principalArn: string): PrincipalView {
  const name = principalArn.slice(principalArn.lastIndexOf('/') + 1);
  if (principalArn.includes(':user/')) {
    return { accountId, type: 'User', arn: principalArn, principalArn, uniqueId: 'AIDAAUDITAUDITAUDIT2' };
  }
  const partition = principalArn.split(':')[1];
  const arn = `arn:${partition}:sts::${accountId}:assumed-role/${name}/session`;
  return { accountId, type: 'AssumedRole', arn, principalArn, uniqueId: 'AROAAUDITAUDITAUDIT2' };
}

/** Values of condition keys as EC2's call in the name of the principal has them (K-11, P-3). */
class Context {
  /** Whether a condition asked for what an audit cannot know. */
  askedUnknown = false;
  readonly #values: ReadonlyMap<string, ConditionValue | undefined>;

  constructor(key: KeyFacts, principal: PrincipalView, { account, organization, snapshot }: Asker) {
    const values: Record<string, ConditionValue | undefined> = {
      'kms:calleraccount': account,
      'kms:viaservice': `ec2.${key.region}.amazonaws.com`,
      'kms:grantisforawsresource': true,
      'kms:encryptioncontextkeys': ['aws:ebs:id'],
      'kms:resourcealiases': key.aliases,
      'kms:requestalias': undefined,
      'aws:principalaccount': account,
      'aws:principalarn': principal.principalArn,
      'aws:principaltype': principal.type,
      'aws:principalisawsservice': false,
      'aws:resourceaccount': key.account,
      'aws:requestedregion': key.region,
      // EBS calls from inside AWS: an address or an endpoint of the user is never there (K-12).
      'aws:sourceip': undefined,
      'aws:sourcevpc': undefined,
      'aws:sourcevpce': undefined,
      'aws:sourceaccount': undefined,
      'aws:sourcearn': undefined,
      ...(snapshot === undefined ? {} : { 'kms:encryptioncontext:aws:ebs:id': snapshot }),
    };
    if (organization === 'none') {
      values['aws:principalorgid'] = undefined;
      values['aws:principalorgpaths'] = undefined;
    } else if (organization) {
      const member = organization.members.get(account);
      values['aws:principalorgid'] = member && organization.id;
      values['aws:principalorgpaths'] = member && [member.path];
    }
    this.#values = new Map(Object.entries(values));
  }

  value(name: string): ConditionValue | undefined {
    if (!this.#values.has(name)) this.askedUnknown = true;
    return this.#values.get(name);
  }
}

/** Accounts that the key's policy or a grant names, its owner aside. */
export function accountsNamed(key: KeyFacts): string[] {
  const text = [statementsThatAllow(key.policy), ...(key.grants ?? []).map(({ grantee }) => grantee)].join('\n');
  const named = [...text.matchAll(/(?:arn:[\w-]+:(?:iam|sts)::|")(\d{12})(?=[:"])/g)].map(([, account]) => account!);
  return [...new Set(named)].filter((account) => account !== key.account);
}

function statementsThatAllow(policy: string | undefined): string {
  if (policy === undefined) return '';
  const { Statement } = JSON.parse(policy) as { readonly Statement?: unknown };
  const allows = [Statement].flat().filter((one) => (one as { Effect?: string })?.Effect === 'Allow');
  return JSON.stringify(allows.map((one) => (one as { Principal?: unknown }).Principal));
}

const STRANGER = '999999999999';
const OPEN_ACTIONS = [
  'kms:Decrypt',
  'kms:ReEncryptFrom',
  'kms:CreateGrant',
  'kms:GenerateDataKey',
  'kms:Encrypt',
  'kms:PutKeyPolicy',
  'kms:ScheduleKeyDeletion',
];

/** Actions that the key policy lets a stranger from no known account do, with the statements that say so. */
export function openTo(key: KeyFacts): { readonly actions: string[]; readonly statements: string[] } | undefined {
  const policy = readPolicy(key);
  if (!policy) return undefined;
  const principal = principalView(STRANGER, `arn:${partitionOf(key.region)}:iam::${STRANGER}:role/stranger`);
  const actions: string[] = [];
  const statements = new Set<string>();
  for (const action of OPEN_ACTIONS) {
    for (const viaEc2 of [false, true]) {
      const context = (name: string): ConditionValue | undefined => {
        if (name === 'kms:calleraccount' || name === 'aws:principalaccount') return STRANGER;
        if (name === 'aws:principalarn') return principal.principalArn;
        if (name === 'kms:viaservice' && viaEc2) return `ec2.${key.region}.amazonaws.com`;
        if (name === 'kms:grantisforawsresource') return viaEc2;
        return undefined;
      };
      const matched = matchPolicy(policy, { principal, action, resource: key.arn, context });
      if (matched.some(({ effect }) => effect === 'Deny')) continue;
      const allows = matched.filter((one) => one.effect === 'Allow' && one.principal === 'everyone');
      if (allows.length > 0 && !actions.includes(action)) actions.push(action);
      for (const { sid, statement } of allows) statements.add(sid ?? `statement ${statement.index + 1}`);
    }
  }
  return actions.length > 0 ? { actions, statements: [...statements] } : undefined;
}
