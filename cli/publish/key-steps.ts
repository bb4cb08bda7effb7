/** Whether a key can be opened to consumers, and the steps that do it. */
import type { ContextLookup } from '../../policy/conditions.ts';
import { decide } from '../../policy/decide.ts';
import type { ConditionValue } from '../../policy/decision.ts';
import { compilePolicy } from '../../policy/document.ts';
import { identityPolicies } from '../foresee/identity-policies.ts';
import { keyAccess } from '../foresee/key-access.ts';
import { lookUpPrincipal, readPrincipal, viewOf } from '../foresee/principal.ts';
import { isDenial, type Views } from '../foresee/views.ts';
import { type Merged, mergePolicy, POLICY_BYTES_MAX, type Wanted, wantedStatements } from './key-policy.ts';
import type { Reader } from './published.ts';
import type { Refusals } from './refusal.ts';
import { keyPolicyStep, readKeyPolicy } from './share-steps.ts';
import type { Site } from './sites.ts';
import type { Step } from './step.ts';

export interface KeyOpening {
  readonly site: Site;
  readonly views: Views;
  readonly keyArn: string;
  /** Who reads from the first step on, and who still reads when all is done. */
  readonly during: Omit<Wanted, 'readers'> & { readonly readers: readonly Reader[] };
  readonly after: readonly Reader[];
  readonly refusals: Refusals;
  readonly signal: AbortSignal;
}

/** The steps `key` and `close`, where the policy does not say so already. */
export async function keySteps(opening: KeyOpening): Promise<Step[]> {
  const { site, views, keyArn, during, after, refusals, signal } = opening;
  let policy: string;
  try {
    policy = await readKeyPolicy(site, keyArn, signal);
  } catch (error) {
    if (!isDenial(error)) throw error;
    if (during.readers.length === 0) return [];
    const message = `The policy of ${keyArn} may not be read, and consumers need statements in it.`;
    refusals.add(
      'key-policy-fixed',
      site.region,
      message,
      `allow kms:GetKeyPolicy and kms:PutKeyPolicy to ${views.arn}`,
    );
    return [];
  }
  const opened = mergePolicy(policy, during.name, wantedStatements(during));
  const wantedAfter = { ...during, readers: after };
  const closed = mergePolicy(opened?.policy ?? policy, during.name, wantedStatements(wantedAfter));
  if (!opened && !closed) return [];
  if (opened && opened.policy.length > POLICY_BYTES_MAX) {
    const message = `The policy of ${keyArn} would have ${opened.policy.length} bytes; KMS takes ${POLICY_BYTES_MAX}.`;
    refusals.add('key-policy-full', site.region, message, 'share with units or the organization in place of accounts');
    return [];
  }
  if (!(await mayPut(views, keyArn, policy))) {
    const denied = opened ? await deniedReaders(views, keyArn, during.readers) : [];
    if (denied.length > 0) {
      const message =
        `The policy of ${keyArn} does not let ${denied.join(', ')} read what is under it, ` +
        `and ${views.arn} may not change it (kms:PutKeyPolicy).`;
      const mend = `allow kms:PutKeyPolicy to ${views.arn}, or put these statements: ${statementsIn(opened)}`;
      refusals.add('key-policy-fixed', site.region, message, mend);
    }
    return [];
  }
  return [
    ...(opened ? [keyPolicyStep(site, keyArn, during, opened, 'key')] : []),
    ...(closed ? [keyPolicyStep(site, keyArn, wantedAfter, closed, 'close')] : []),
  ];
}

function statementsIn(merged: Merged | undefined): string {
  if (!merged) return '[]';
  const { Statement } = JSON.parse(merged.policy) as { Statement: { Sid?: string }[] };
  const names = [...merged.added, ...merged.changed];
  return JSON.stringify(Statement.filter(({ Sid }) => Sid !== undefined && names.includes(Sid)));
}

/** Whether the publisher may write the policy; where its own policies cannot be read, that is left to the attempt. */
async function mayPut(views: Views, keyArn: string, keyPolicy: string): Promise<boolean> {
  const looked = await lookUpPrincipal(views, readPrincipal(views.arn, views.account));
  if (!looked.seen || looked.value === 'missing') return true;
  const known = looked.value;
  const identity = await identityPolicies(views, known);
  if (!identity.seen) return true;
  const principal = viewOf(known.principal, known.uniqueId);
  const values = new Map<string, ConditionValue>([
    ['aws:principalarn', principal.principalArn],
    ['aws:principalaccount', principal.accountId],
    ['aws:requestedregion', views.region],
    ['kms:calleraccount', principal.accountId],
    ['kms:bypasspolicylockoutsafetycheck', false],
  ]);
  const context: ContextLookup = (key) => values.get(key);
  const named = ({ name, document }: { name: string; document: string }) => ({ name, policy: compilePolicy(document) });
  const { boundary } = identity.value;
  return decide({
    principal,
    action: 'kms:PutKeyPolicy',
    resource: keyArn,
    resourceAccount: views.account,
    kind: 'kms-key',
    context,
    policies: {
      identity: identity.value.identity.map(named),
      ...(boundary ? { boundary: named(boundary) } : {}),
      resource: named({ name: 'key policy', document: keyPolicy }),
    },
  }).allowed;
}

/** Readers that the policy as it stands surely denies; of units and organizations nothing is known. */
async function deniedReaders(views: Views, keyArn: string, readers: readonly Reader[]): Promise<string[]> {
  const denied: string[] = [];
  for (const reader of readers) {
    const account = /^account:(\d{12})$/.exec(reader)?.[1];
    if (account === undefined) {
      denied.push(reader);
      continue;
    }
    const verdicts = await keyAccess(views, {
      principal: readPrincipal(account, account, views.partition),
      key: { arn: keyArn, account: views.account },
      actions: ['kms:ReEncryptFrom', 'kms:CreateGrant'],
    });
    if (verdicts.some(({ verdict }) => verdict === 'denied')) denied.push(account);
  }
  return denied;
}
