/** Remedies are enough, the least, and tell nothing of another account (authorization-and-wire 8.7). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type DecisionRequest, decide, type PoliciesInForce } from './decide.ts';
import type { ConditionValue } from './decision.ts';
import { readPolicy } from './document.ts';
import type { NamedPolicy } from './evaluate.ts';
import { type Explanation, explain } from './explain.ts';
import type { PrincipalView } from './principals.ts';

const OWN = '111122223333';
const OTHER = '444455556666';
const ann: PrincipalView = {
  accountId: OWN,
  type: 'User',
  arn: `arn:aws:iam::${OWN}:user/ann`,
  principalArn: `arn:aws:iam::${OWN}:user/ann`,
  uniqueId: 'AIDAANNANNANNANN',
};
const keyOf = (account: string) => `arn:aws:kms:eu-central-1:${account}:key/k`;

function named(name: string, ...statements: object[]): NamedPolicy {
  return { name, policy: readPolicy(JSON.stringify({ Version: '2012-10-17', Statement: statements })) };
}

function request(
  policies: Partial<PoliciesInForce>,
  more: Partial<DecisionRequest> = {},
  values: Readonly<Record<string, ConditionValue>> = {},
): DecisionRequest {
  return {
    principal: ann,
    action: 'kms:Decrypt',
    resource: keyOf(OWN),
    resourceAccount: OWN,
    kind: 'kms-key',
    context: (key) => values[key],
    policies: { identity: [], ...policies },
    ...more,
  };
}

const all = { Effect: 'Allow', Action: '*', Resource: '*' };
const root = { Sid: 'Root', Effect: 'Allow', Principal: { AWS: OWN }, Action: 'kms:*', Resource: '*' };
const steps = ({ remedies }: Explanation) => remedies.map(({ kind, layer, policy }) => `${kind} ${layer} ${policy}`);

describe('an explanation', () => {
  const rows: readonly [string, DecisionRequest, string[]][] = [
    [
      'identity policies are silent',
      request({ resource: named('key policy', root) }),
      [`add identity an identity-based policy of ${ann.arn}`],
    ],
    [
      'a key policy names neither the caller nor the account',
      request({ resource: named('key policy'), identity: [named('all', all)] }),
      [`add resource key policy of ${keyOf(OWN)}`],
    ],
    [
      'a boundary, a session policy and one level of service control are silent',
      request({
        resource: named('key policy', root),
        identity: [named('all', all)],
        boundary: named('limit'),
        session: [named('session policy')],
        serviceControl: [[named('full', all)], [named('empty')]],
      }),
      [
        'add service-control a service control policy attached to ou-1',
        'add boundary limit',
        'add session the session policy given when the session was made',
      ],
    ],
    [
      'denied twice, and then not allowed',
      request({
        resource: named('key policy', root, { ...root, Sid: 'No', Effect: 'Deny' }),
        identity: [named('no', { ...all, Sid: 'Never', Effect: 'Deny' })],
      }),
      ['remove resource key policy', 'remove identity no', `add identity an identity-based policy of ${ann.arn}`],
    ],
    [
      'another account’s key (S9)',
      request({ resource: named('key policy') }, { resource: keyOf(OTHER), resourceAccount: OTHER }),
      [`add resource key policy of ${keyOf(OTHER)}`, `add identity an identity-based policy of ${ann.arn}`],
    ],
  ];
  for (const [name, denied, expected] of rows) {
    it(`${name}: ${expected.length} to do`, () => {
      const explanation = explain(denied, { keys: [], serviceControlTargets: ['r-1', 'ou-1'] });
      assert.deepEqual(steps(explanation), expected);
      assert.equal(explanation.sufficient, true);
    });
  }

  it('suggests what a service forwards only by that service', () => {
    const values = { 'kms:viaservice': 'ec2.eu-central-1.amazonaws.com' };
    const denied = request({ resource: named('key policy', root) }, { action: 'kms:CreateGrant' }, values);
    const [remedy] = explain(denied, { keys: [] }).remedies;
    assert.deepEqual(remedy?.kind === 'add' && remedy.statement, {
      Effect: 'Allow',
      Action: 'kms:CreateGrant',
      Resource: keyOf(OWN),
      Condition: {
        StringEquals: { 'kms:ViaService': 'ec2.eu-central-1.amazonaws.com' },
        Bool: { 'kms:GrantIsForAWSResource': 'true' },
      },
    });
  });

  it('says what came close, and on which value it failed', () => {
    const condition = { StringEquals: { 'aws:RequestedRegion': ['eu-west-1'] } };
    const own = named('own', { ...all, Sid: 'West', Condition: condition }, { ...all, Resource: keyOf(OTHER) });
    const denied = request(
      { resource: named('key policy', root), identity: [own] },
      {},
      { 'aws:requestedregion': 'x' },
    );
    assert.deepEqual(
      explain(denied, { keys: [] }).near.map(({ sid, index, failed }) => ({ sid, index, failed })),
      [
        {
          sid: 'West',
          index: 0,
          failed: {
            element: 'Condition',
            operator: 'StringEquals',
            key: 'aws:requestedregion',
            wanted: ['eu-west-1'],
            given: ['x'],
          },
        },
        { sid: undefined, index: 1, failed: { element: 'Resource' } },
      ],
    );
  });

  it('knows when no policy can help: administration of another account’s key, a service’s own principal', () => {
    const foreign = { resource: keyOf(OTHER), resourceAccount: OTHER, action: 'kms:DisableKey' };
    const administration = explain(request({ resource: named('key policy'), identity: [named('all', all)] }, foreign), {
      keys: [],
    });
    assert.equal(administration.sufficient, false);
    const service: PrincipalView = { ...ann, type: 'Service' };
    const own = explain(request({ resource: named('key policy', root) }, { principal: service }), { keys: [] });
    assert.deepEqual([own.sufficient, own.remedies], [false, []]);
  });

  it('tells nothing of another account: neither statements of its key policy nor facts about its key', () => {
    const secret = { Sid: 'Secret', Effect: 'Deny', Principal: '*', Action: 'kms:*', Resource: '*' };
    const conditional = {
      ...secret,
      Effect: 'Allow',
      Sid: 'Almost',
      Condition: { Bool: { 'kms:MultiRegion': 'true' } },
    };
    const values = { 'kms:keyspec': 'RSA_2048', 'aws:resourcetag/owner': 'x', 'kms:multiregion': false };
    const denied = request(
      { resource: named('key policy', secret, conditional), identity: [named('all', all)] },
      { resource: keyOf(OTHER), resourceAccount: OTHER },
      { ...values, 'aws:sourceip': '192.0.2.1' },
    );
    const told = explain(denied, { keys: ['kms:KeySpec', 'aws:ResourceTag/owner', 'aws:SourceIp'] });
    assert.doesNotMatch(JSON.stringify(told), /Secret|Almost|RSA_2048|owner|MultiRegion/i);
    assert.deepEqual(told.conditions, [{ key: 'aws:SourceIp', values: ['192.0.2.1'] }]);
  });

  it('gives remedies that the evaluator itself accepts, for any mix of policies', () => {
    const statement = fc.record({
      Effect: fc.constantFrom('Allow', 'Allow', 'Deny'),
      Action: fc.constantFrom('*', 'kms:*', 'kms:Decrypt', 'kms:Encrypt'),
      Resource: fc.constantFrom('*', keyOf(OWN), keyOf(OTHER)),
    });
    const policy = fc.array(statement, { maxLength: 3 }).map((statements) => named('generated', ...statements));
    const principal = fc.constantFrom('*', OWN, ann.arn, `arn:aws:iam::${OWN}:user/bob`);
    const keyPolicy = fc
      .array(fc.tuple(statement, principal), { maxLength: 3 })
      .map((pairs) => named('key policy', ...pairs.map(([one, AWS]) => ({ ...one, Principal: { AWS } }))));
    const levels = fc.array(fc.array(policy, { maxLength: 2 }), { maxLength: 2 });
    const policies = fc.record(
      {
        identity: fc.array(policy, { maxLength: 2 }),
        resource: keyPolicy,
        boundary: policy,
        session: fc.array(policy, { maxLength: 2 }),
        serviceControl: levels,
      },
      { requiredKeys: ['identity', 'resource'] },
    );
    let denials = 0;
    fc.assert(
      fc.property(policies, fc.constantFrom(OWN, OTHER), (given, account) => {
        const denied = request(given, { resourceAccount: account, resource: keyOf(account) });
        if (decide(denied).allowed) return;
        denials += 1;
        const { sufficient, remedies } = explain(denied, { keys: [] });
        assert.equal(sufficient, true);
        assert.equal(new Set(remedies.map((one) => JSON.stringify(one))).size, remedies.length);
        assert.ok(remedies.length > 0);
      }),
      { numRuns: 2000 },
    );
    assert.ok(denials > 500, `only ${denials} denials`);
  });
});
