/** The keys of a case: is each there, in this region, enabled and symmetric, and may the principal use it? */
import { mendsOfDenial } from '../foresee/denial-mends.ts';
import type { DeviceRequest, EffectiveDevice } from '../foresee/devices.ts';
import { describeStatement } from '../foresee/hindrances.ts';
import { resetDefaultKeyMend } from '../foresee/image-mends.ts';
import { type FoundKey, findKey, isEbsManagedAlias, type KeyProblem, keyProblem } from '../foresee/key.ts';
import { type KeyVerdict, keyAccess, whyUnknown } from '../foresee/key-access.ts';
import { cancelDeletionMend, enableKeyMend } from '../foresee/key-mends.ts';
import type { Mend } from '../foresee/mend.ts';
import type { KeyNeed, Task } from '../foresee/needs.ts';
import type { Views } from '../foresee/views.ts';
import { type Case, type DeniedVerdict, SYMPTOMS } from './diagnosis.ts';
import { lastRefusal } from './trail.ts';

type Key = FoundKey | { readonly arn: string; readonly account: string };

/** A need, and the device whose outcome it comes from. */
interface DeviceNeed extends KeyNeed {
  readonly device?: EffectiveDevice;
}

/** Checks keys one by one; what is needed of one key is judged and told together. */
export async function checkKeys(
  found: Case,
  needs: readonly DeviceNeed[],
  sourceRegion = found.views.region,
): Promise<void> {
  const byKey = Map.groupBy(needs, ({ key, side }) => `${key} ${sourceRegion === found.views.region || side}`);
  for (const group of byKey.values()) {
    const views = group[0]?.side === 'source' ? found.views.inRegion(sourceRegion) : found.views;
    await checkKey({ ...found, views }, merged(group));
  }
}

/** Devices ask the same of one key; source and target ask with different encryption contexts. */
function merged(needs: readonly DeviceNeed[]): [DeviceNeed, ...DeviceNeed[]] {
  const bySide = Map.groupBy(needs, ({ side, ebsId }) => `${side} ${ebsId}`);
  const [first, ...more] = [...bySide.values()].map((some) => {
    const actions = [...new Set(some.flatMap((need) => need.actions))];
    return { ...(some[0] as DeviceNeed), actions };
  });
  return [first as DeviceNeed, ...more];
}

/** Keys by their ARNs, as EBS will take them: an alias of the snapshot's own key is the same key. */
export async function withKeyArns(
  { views, principal }: Case,
  requests: readonly DeviceRequest[],
): Promise<DeviceRequest[]> {
  return Promise.all(
    requests.map(async (request) => {
      if (request.kmsKeyId === undefined) return request;
      const looked = await findKey(views, request.kmsKeyId, principal.account);
      return looked.seen && looked.value !== 'missing' ? { ...request, kmsKeyId: looked.value.arn } : request;
    }),
  );
}

async function checkKey(found: Case, asked: readonly [DeviceNeed, ...DeviceNeed[]]): Promise<void> {
  const needs = asked.map((one) =>
    one.key === undefined && found.keyInTrail ? { ...one, key: found.keyInTrail } : one,
  );
  const need = needs.find(({ side }) => side === 'target') ?? (needs[0] as DeviceNeed);
  const { ledger, views, principal } = found;
  if (need.key === undefined) {
    ledger.notSeen(
      `the key that ${need.deviceName} is sealed under could not be seen: only its owner is shown it (--owner-profile)`,
    );
    return;
  }
  const looked = await findKey(views, need.key, principal.account);
  if (!looked.seen) {
    if (!/^arn:[^:]+:kms:[^:]+:\d{12}:key\//.test(need.key)) {
      ledger.notSeen(looked);
      return;
    }
    if (need.key.split(':')[3] !== views.region) return unusable(found, need, 'other-region', need.key);
    ledger.notSeen(looked);
    return access(found, needs, { arn: need.key, account: need.key.split(':')[4] ?? '' });
  }
  const problem =
    looked.value === 'missing' && isEbsManagedAlias(need.key) ? undefined : keyProblem(looked.value, views.region);
  if (problem)
    return unusable(found, need, problem, looked.value === 'missing' ? need.key : looked.value.arn, looked.value);
  if (looked.value === 'missing' || looked.value.awsManaged) {
    // Its policy lets everybody in its account use it through EC2 (D-9); nobody can change that.
    ledger.ok(`${need.deviceName}: the AWS managed key of EBS is everybody's in the account`);
    if (looked.value === 'missing' || looked.value.account === principal.account) return;
  } else ledger.ok(`${looked.value.arn} is enabled, symmetric and in ${views.region}`);
  return access(found, needs, looked.value);
}

const PROBLEMS: Readonly<Record<KeyProblem, string>> = {
  missing: 'does not exist here',
  'other-region': 'is in another region',
  disabled: 'is disabled',
  'pending-deletion': 'is pending deletion',
  'pending-import': 'has no key material: it is pending import',
  unavailable: 'is unavailable',
  'not-symmetric': 'is not a symmetric encryption key, which is all that EBS takes',
};

/** Row of the table for a key that nobody can use. */
const UNUSABLE: Readonly<Record<Task, string>> = {
  launch: 'F19',
  start: 'F19',
  'create-volume': 'F06',
  attach: 'F07',
  'copy-image': 'F14',
  'copy-snapshot': 'F15',
};

function unusable(
  { ledger, task, views, principal }: Case,
  need: DeviceNeed,
  problem: KeyProblem,
  key: string,
  looked?: FoundKey | 'missing',
): void {
  if (task === 'share') return;
  const byDefault = isDefault(need);
  const mends: Mend[] = [];
  if (problem === 'disabled') mends.push(enableKeyMend(key));
  if (problem === 'pending-deletion') mends.push(cancelDeletionMend(key));
  const reset = byDefault ? [resetDefaultKeyMend({ region: views.region, account: principal.account })] : [];
  const until = looked && looked !== 'missing' ? looked.metadata.DeletionDate : undefined;
  ledger.fault({
    fault: UNUSABLE[task],
    title: `${need.deviceName}: the key ${key} ${PROBLEMS[problem]}`,
    symptom: SYMPTOMS[task],
    key,
    details: [
      ...(until
        ? [`It is deleted for good on ${until.toISOString().slice(0, 10)}: then nothing can open what it sealed.`]
        : []),
      ...(problem === 'other-region'
        ? [`A key for what is made in ${views.region} has to be in ${views.region}: give one of its keys.`]
        : []),
      ...(byDefault ? ['It is the default key of EBS in this region: everything without a key of its own fails.'] : []),
    ],
    mends: mends.length > 0 ? mends : reset,
    alternatives: mends.length > 0 ? reset : [],
  });
}

function isDefault({ device, side }: DeviceNeed): boolean {
  return side === 'target' && device?.outcome === 'encrypted' && device.choice === 'default-key';
}

async function access(found: Case, needs: readonly DeviceNeed[], key: Key): Promise<void> {
  const { ledger, views, principal } = found;
  const verdicts: KeyVerdict[] = [];
  for (const { actions, ebsId, device } of needs) {
    const question = {
      principal,
      key,
      actions,
      ...(ebsId === undefined ? {} : { ebsId }),
      ...(device?.outcome === 'encrypted' ? { sameKey: device.sameKey } : {}),
    };
    verdicts.push(...(await keyAccess(views, question)));
  }
  const denied = verdicts.filter((one): one is DeniedVerdict => one.verdict === 'denied');
  const names = (some: readonly { readonly action: string }[]) => some.map(({ action }) => action).join(', ');
  for (const one of verdicts) {
    if (one.verdict !== 'unknown') continue;
    const before = await refusedBefore(views, one);
    if (before) denied.push(before);
    for (const text of whyUnknown(one)) ledger.notSeen(text);
  }
  const soFar = verdicts.filter(
    (one) =>
      one.verdict === 'unknown' && one.otherwise === 'allowed' && !denied.some(({ action }) => action === one.action),
  );
  if (soFar.length > 0) ledger.ok(`as far as could be seen, ${principal.arn} may ${names(soFar)} on ${key.arn}`);
  const allowed = verdicts.filter(({ verdict }) => verdict === 'allowed');
  if (allowed.length > 0) ledger.ok(`${principal.arn} may ${names(allowed)} on ${key.arn}`);
  const need = needs.find(({ side }) => side === 'target') ?? needs[0];
  if (need && denied.length > 0) await refused(found, need, denied, key);
}

type Unknown = Extract<KeyVerdict, { readonly verdict: 'unknown' }>;

/** Layers by their names in AWS's denials, and the permissions without which each is unseen. */
const LAYERS: readonly { readonly text: string; readonly layer: DeniedVerdict['layer']; readonly wants: RegExp }[] = [
  { text: 'resource-based policy', layer: 'resource', wants: /^kms:GetKeyPolicy$/ },
  { text: 'identity-based policy', layer: 'identity', wants: /^iam:/ },
  { text: 'permissions boundary', layer: 'boundary', wants: /^iam:/ },
  { text: 'service control policy', layer: 'service-control', wants: /^organizations:/ },
  { text: 'resource control policy', layer: 'resource-control', wants: /^organizations:/ },
];

/** What the service answered then stands for what cannot be seen now; what can be seen now stands for itself. */
async function refusedBefore(views: Views, unknown: Unknown): Promise<DeniedVerdict | undefined> {
  const { action, keyArn, principal, unseen } = unknown;
  const before = await lastRefusal(views, principal, keyArn, action);
  const because = /(?:because no|with an explicit deny).*$/.exec(before?.errorMessage ?? '')?.[0];
  const named = LAYERS.find(({ text }) => because?.includes(text));
  if (!before || !because || !named || !unseen.some(({ wants }) => named.wants.test(wants))) return undefined;
  return {
    ...{ action, keyArn, principal, verdict: 'denied', layer: named.layer, hindrances: [], stale: [] },
    explicit: because.startsWith('with'),
    because: `${because} (as KMS answered at ${before.time.toISOString()}, by the trail)`,
  };
}

async function refused(
  { ledger, task, principal, views }: Case,
  need: DeviceNeed,
  denied: readonly DeniedVerdict[],
  key: Key,
): Promise<void> {
  const [first] = denied;
  if (!first || task === 'share') return;
  const unmeetable = first.hindrances.find(({ unmeetable: never }) => never);
  const fault = faultOf(task, first, need, key.account);
  const fixed = 'awsManaged' in key && key.awsManaged && first.layer === 'resource';
  const mends = fixed ? [] : await mendsOfDenial(views, { denied: first, side: need.side, keyAccount: key.account });
  const reset = fault === 'F04' ? [resetDefaultKeyMend({ region: views.region, account: principal.account })] : [];
  ledger.fault({
    fault,
    title: `${principal.arn} may not ${denied.map(({ action }) => action).join(', ')} on ${first.keyArn}, ${first.because}`,
    symptom:
      first.action === 'kms:DescribeKey'
        ? `CopySnapshot answers AuthFailure: Not authorized to use key ${first.keyArn}.`
        : SYMPTOMS[task],
    key: first.keyArn,
    principal: principal.arn,
    actions: denied.map(({ action }) => action),
    ...(unmeetable?.condition ? { condition: unmeetable.condition } : {}),
    details: [
      ...(fixed
        ? [
            'Nobody can change the policy of an AWS managed key: its owner has to copy under a customer managed key first.',
          ]
        : []),
      ...(isDefault(need) ? [`It is the default key of EBS in ${views.region}.`] : []),
      ...first.hindrances.map((one) => `${capital(describeStatement(one))}: ${one.why}.`),
      ...first.stale.map(
        (id) =>
          `${id} in the key policy or a grant is a principal that was deleted: one of the same name made anew inherits nothing.`,
      ),
    ],
    mends,
    alternatives: reset,
  });
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Which row of the table a denial is. */
function faultOf(task: Task, denied: DeniedVerdict, need: DeviceNeed, keyAccount: string): string {
  const { principal, layer } = denied;
  const complete = ['service-control', 'resource-control', 'boundary', 'session'].includes(layer);
  if (
    complete ||
    denied.explicit ||
    denied.stale.length > 0 ||
    denied.hindrances.some(({ unmeetable }) => unmeetable)
  ) {
    return 'F20';
  }
  if (principal.kind === 'service-linked-role') return principal.account === keyAccount ? 'F01' : 'F02';
  if (task === 'start') return 'F05';
  if (task === 'launch') return isDefault(need) ? 'F04' : 'F03';
  return UNUSABLE[task];
}
