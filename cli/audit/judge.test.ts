/** Judging: keys and those who may use them, approval, baselines and comparisons, as pure functions of facts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isApproved } from './approved-keys.ts';
import { applyBaseline, isDay, renewedBaseline } from './baseline.ts';
import { awsCommand } from './check.ts';
import { CHECKS } from './check-table.ts';
import { compare } from './compare.ts';
import { Gate } from './gate.ts';
import { judge } from './judge.ts';
import { accountsNamed, mayUse, openTo } from './key-audience.ts';
import type { Estate, KeyFacts, Organization, PlaceFacts } from './model.ts';
import { exitCodeOf } from './run.ts';
import { sampleReport } from './test-report.ts';

const OWNER = '111122223333';
const OTHER = '444455556666';
const REGION = 'eu-central-1';
const ARN = `arn:aws:kms:${REGION}:${OWNER}:key/1234abcd-12ab-34cd-56ef-1234567890ab`;
const organization: Organization = {
  id: 'o-example1234',
  arn: `arn:aws:organizations::${OWNER}:organization/o-example1234`,
  managementAccount: OWNER,
  members: new Map([
    [OWNER, { name: 'own', path: 'o-example1234/r-ab12/' }],
    [OTHER, { name: 'other', path: 'o-example1234/r-ab12/ou-ab12-images123/' }],
  ]),
};

const key = (more: Partial<KeyFacts> = {}): KeyFacts => ({
  ...{ arn: ARN, id: ARN.slice(-36), account: OWNER, region: REGION, state: 'Enabled', manager: 'CUSTOMER' },
  ...{ symmetric: true, origin: 'AWS_KMS', aliases: ['alias/golden'], grants: [], rotation: true },
  policy: policyOf(),
  ...more,
});
const OWN = { Effect: 'Allow', Principal: { AWS: `arn:aws:iam::${OWNER}:root` }, Action: 'kms:*', Resource: '*' };
const policyOf = (...more: object[]) => JSON.stringify({ Version: '2012-10-17', Statement: [OWN, ...more] });
const allow = (Principal: unknown, Condition?: object) => ({
  ...{ Effect: 'Allow', Principal, Action: ['kms:ReEncrypt*', 'kms:Decrypt'], Resource: '*' },
  ...(Condition ? { Condition } : {}),
});
const root = (account: string) => ({ AWS: `arn:aws:iam::${account}:root` });

describe('whether an account may use a key', () => {
  const cases: readonly (readonly [name: string, facts: Partial<KeyFacts>, 'yes' | 'no' | 'unknown'])[] = [
    ['nothing names it', {}, 'no'],
    ['its root is named (P-5)', { policy: policyOf(allow(root(OTHER))) }, 'yes'],
    ['one role of it is named', { policy: policyOf(allow({ AWS: `arn:aws:iam::${OTHER}:role/ci/build` })) }, 'yes'],
    ['a role of another is named', { policy: policyOf(allow({ AWS: 'arn:aws:iam::777788889999:role/build' })) }, 'no'],
    [
      'its organization is named (SH-17)',
      { policy: policyOf(allow('*', { StringEquals: { 'aws:PrincipalOrgID': organization.id } })) },
      'yes',
    ],
    [
      'its unit is named (SH-17)',
      {
        policy: policyOf(
          allow('*', {
            'ForAnyValue:StringLike': { 'aws:PrincipalOrgPaths': ['o-example1234/*/ou-ab12-images123/*'] },
          }),
        ),
      },
      'yes',
    ],
    [
      'another organization is named',
      { policy: policyOf(allow('*', { StringEquals: { 'aws:PrincipalOrgID': 'o-else' } })) },
      'no',
    ],
    [
      'through EC2 of the region only (P-3)',
      { policy: policyOf(allow(root(OTHER), { StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } })) },
      'yes',
    ],
    [
      'through EBS, which never matches (K-11)',
      { policy: policyOf(allow(root(OTHER), { StringEquals: { 'kms:ViaService': `ebs.${REGION}.amazonaws.com` } })) },
      'no',
    ],
    [
      'from an address, which EBS never has (K-12)',
      { policy: policyOf(allow(root(OTHER), { IpAddress: { 'aws:SourceIp': '10.0.0.0/8' } })) },
      'no',
    ],
    [
      'by a tag of the principal, which nobody here knows',
      { policy: policyOf(allow(root(OTHER), { StringEquals: { 'aws:PrincipalTag/team': 'images' } })) },
      'unknown',
    ],
    [
      'it is denied',
      {
        policy: policyOf(allow(root(OTHER)), {
          ...allow('*', { StringEquals: { 'kms:CallerAccount': OTHER } }),
          Effect: 'Deny',
        }),
      },
      'no',
    ],
    [
      'a grant names its role',
      { grants: [{ id: 'g', grantee: `arn:aws:iam::${OTHER}:role/asg`, operations: ['ReEncryptFrom'] }] },
      'yes',
    ],
    [
      'a grant is for something else',
      { grants: [{ id: 'g', grantee: `arn:aws:iam::${OTHER}:role/asg`, operations: ['Encrypt'] }] },
      'no',
    ],
    [
      'a grant is for another snapshot',
      {
        grants: [
          {
            id: 'g',
            grantee: `arn:aws:iam::${OTHER}:role/asg`,
            operations: ['ReEncryptFrom'],
            encryptionContextSubset: { 'aws:ebs:id': 'snap-2' },
          },
        ],
      },
      'no',
    ],
    [
      'a grant holds only where a service acts for a resource',
      {
        grants: [
          {
            id: 'g',
            grantee: `arn:aws:iam::${OTHER}:role/asg`,
            operations: ['ReEncryptFrom'],
            sourceArn: `arn:aws:ec2:eu-central-1:${OTHER}:volume/*`,
          },
        ],
      },
      'no',
    ],
    ['the policy was not seen', { policy: undefined } as unknown as Partial<KeyFacts>, 'unknown'],
    ['it is the AWS managed key (D-8)', { manager: 'AWS' }, 'no'],
  ];
  for (const [name, facts, expected] of cases) {
    it(`${expected}: ${name}`, () => {
      assert.equal(mayUse(key(facts), { account: OTHER, organization, snapshot: 'snap-1' }), expected);
    });
  }

  it('names the accounts of a policy and of grants, the owner aside', () => {
    const facts = key({
      policy: policyOf(allow(root(OTHER)), allow({ AWS: '777788889999' }), {
        ...allow(root('123412341234')),
        Effect: 'Deny',
      }),
      grants: [{ id: 'g', grantee: 'arn:aws:iam::222233334444:role/asg', operations: ['Decrypt'] }],
    });
    assert.deepEqual(accountsNamed(facts), [OTHER, '777788889999', '222233334444']);
  });
});

describe('whether a key is open to everybody', () => {
  const cases: readonly (readonly [name: string, statement: object, open: boolean])[] = [
    ['everybody', allow('*'), true],
    ['everybody, the other spelling', allow({ AWS: '*' }), true],
    ['everybody through EC2', allow('*', { StringEquals: { 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } }), true],
    ['any account', allow('*', { StringLike: { 'kms:CallerAccount': '*' } }), true],
    ['all but one', { ...allow('*'), Principal: undefined, NotPrincipal: root(OTHER) }, true],
    ['one account', allow('*', { StringEquals: { 'kms:CallerAccount': OWNER } }), false],
    ['the organization', allow('*', { StringEquals: { 'aws:PrincipalOrgID': organization.id } }), false],
    ['a named account', allow(root(OTHER)), false],
    [
      'the AWS managed pattern (D-9)',
      allow(
        { AWS: '*' },
        { StringEquals: { 'kms:CallerAccount': OWNER, 'kms:ViaService': `ec2.${REGION}.amazonaws.com` } },
      ),
      false,
    ],
  ];
  for (const [name, statement, open] of cases) {
    it(`${open ? 'open' : 'closed'}: ${name}`, () => {
      assert.equal(openTo(key({ policy: policyOf(statement) })) !== undefined, open);
    });
  }
});

describe('approved keys', () => {
  const tagged = key({ tags: { Purpose: 'golden' } });
  for (const [approved, facts, expected] of [
    [[ARN], key(), true],
    [[ARN.slice(-36)], key(), true],
    [['alias/golden'], key(), true],
    [[`arn:aws:kms:${REGION}:${OWNER}:alias/golden`], key(), true],
    [[`arn:aws:kms:${REGION}:${OTHER}:alias/golden`], key(), false],
    [['alias/other'], key(), false],
    [['tag:Purpose=golden'], tagged, true],
    [['tag:Purpose=other'], tagged, false],
    [['tag:Purpose=golden'], key(), 'unknown'],
    [['alias/golden', 'tag:Purpose=x'], key(), true],
    [[ARN], undefined, true],
    [['alias/golden'], undefined, false],
  ] as const) {
    it(`${approved.join(' or ')}: ${expected}`, () => assert.equal(isApproved(facts, ARN, approved), expected));
  }
});

const place = (more: Partial<PlaceFacts> = {}): PlaceFacts => ({
  ...{ account: OWNER, region: REGION, encryptionByDefault: false, defaultKey: 'alias/aws/ebs' },
  ...{ images: [], foreignImages: [], snapshots: [], volumes: [], instances: [], templates: [], keys: [] },
  ...more,
});
const estate = (facts: Partial<PlaceFacts>, more: Partial<Estate> = {}): Estate => ({
  places: [place(facts)],
  ...{ notSeen: [], organization, now: new Date('2026-11-23T00:00:00Z') },
  policy: { approvedKeys: [], trustedAccounts: [], unusedAfterDays: 90 },
  ...more,
});
const idsOf = (judged: ReturnType<typeof judge>) => judged.findings.map(({ check }) => check);

describe('what a launch template will make', () => {
  const image = (encrypted: boolean, owner = OWNER) => ({
    ...{ id: 'ami-1', owner, state: 'available', public: false, shares: [] },
    devices: [{ device: '/dev/xvda', snapshotId: 'snap-1', encrypted }],
  });
  const template = (devices: object[] = [], more: object = { image: 'ami-1' }) => [
    { ...{ id: 'lt-1', name: 'web', version: 1, isDefault: true, isLatest: true }, devices, ...more } as never,
  ];
  const root = (more: object) => ({ device: '/dev/xvda', volume: true, ...more });
  const cases: readonly (readonly [name: string, facts: Partial<PlaceFacts>, 'failed' | 'passed' | 'not-seen'])[] = [
    ['a plain image', { images: [image(false)], templates: template() }, 'failed'],
    [
      'a plain image, encrypted by default',
      { images: [image(false)], templates: template(), encryptionByDefault: true },
      'passed',
    ],
    ['an encrypted image', { images: [image(true)], templates: template() }, 'passed'],
    [
      'a plain image that it encrypts (RI-3)',
      { images: [image(false)], templates: template([root({ encrypted: true })]) },
      'passed',
    ],
    [
      'a plain image whose device it drops (RI-2)',
      { images: [image(false)], templates: template([root({ volume: false })]) },
      'passed',
    ],
    [
      'a further empty volume',
      { images: [image(true)], templates: template([root({ device: '/dev/sdf' })]) },
      'failed',
    ],
    ['a shared plain image', { foreignImages: [image(false, OTHER)], templates: template() }, 'failed'],
    ['a shared encrypted image (SH-15)', { foreignImages: [image(true, OTHER)], templates: template() }, 'passed'],
    ['an image that nobody saw', { templates: template() }, 'not-seen'],
    ['no image at all', { templates: template([], {}) }, 'passed'],
    ['no image, and a plain volume', { templates: template([root({})], {}) }, 'failed'],
  ];
  for (const [name, facts, status] of cases) {
    it(`${status}: ${name}`, () => {
      const { coverage } = judge(estate(facts));
      assert.equal(coverage.find(({ check }) => check === 'ING-LT-001')?.status, status);
    });
  }
});

describe('judging', () => {
  it('says the same of the same facts, whatever else is there', () => {
    const one = judge(estate({ snapshots: [{ id: 'snap-1', encrypted: false, shares: [] }] }));
    const two = judge(
      estate({
        snapshots: [
          { id: 'snap-2', encrypted: false, shares: [] },
          { id: 'snap-1', encrypted: false, shares: [] },
        ],
      }),
    );
    const prints = two.findings.map(({ fingerprint }) => fingerprint);
    assert.ok(one.findings.every(({ fingerprint }) => prints.includes(fingerprint)));
  });

  it('never passes a check whose facts were not seen, and asks no other way', () => {
    const parts = new Set(CHECKS.flatMap(({ needs }) => needs));
    for (const part of parts) {
      const notSeen = [{ account: OWNER, region: REGION, part, call: 'x:Y', reason: 'denied' }];
      const { encryptionByDefault: _, ...blind } = place();
      const { coverage } = judge(estate({}, { notSeen, places: [blind] }));
      for (const { check, status } of coverage) {
        const needs = CHECKS.find(({ id }) => id === check)!.needs;
        if (needs.includes(part)) assert.notEqual(status, 'passed', `${check} passed without ${part}`);
      }
    }
  });

  it('treats a hidden public snapshot as the lesser evil (SH-32)', () => {
    const snapshots = [{ id: 'snap-1', encrypted: true, shares: [{ kind: 'everyone', value: 'all' }] as const }];
    for (const [state, severity] of [
      ['block-all-sharing', 'medium'],
      ['block-new-sharing', 'critical'],
      ['unblocked', 'critical'],
    ] as const) {
      const { findings } = judge(estate({ snapshots, snapshotBlockPublicAccess: state }));
      assert.equal(findings.find(({ check }) => check === 'ING-SHR-002')?.severity, severity);
    }
  });

  it('knows a share of a unit by who stands in it (SH-17)', () => {
    const sealed = { id: 'snap-1', encrypted: true, key: ARN, shares: [] };
    const shared = (value: string) => ({
      ...{ id: 'ami-1', owner: OWNER, state: 'available', public: false },
      devices: [{ device: '/dev/xvda', snapshotId: 'snap-1', encrypted: true }],
      shares: [{ kind: 'organizational-unit', value } as const],
    });
    const unit = (id: string) => `arn:aws:organizations::${OWNER}:ou/o-example1234/${id}`;
    const found = (id: string) =>
      idsOf(judge(estate({ images: [shared(unit(id))], snapshots: [sealed], keys: [key()] })));
    assert.ok(found('ou-ab12-images123').includes('ING-SHR-007'));
    assert.ok(!found('ou-ab12-elsewhere').includes('ING-SHR-007'));
    assert.ok(!found('ou-ab12-images123').includes('ING-SHR-005'));
  });
});

describe('an account that an image is shared with', () => {
  const images = [
    {
      ...{ id: 'ami-1', owner: OWNER, state: 'available', public: false, devices: [] },
      shares: [{ kind: 'account', value: '777788889999' } as const],
    },
  ];
  const said = (more: Partial<Estate>) =>
    judge(estate({ images }, more)).findings.find(({ check }) => check === 'ING-SHR-005')?.detail ?? '';

  it('is called no member only where the members could be seen', () => {
    assert.match(said({ organization }), /neither a member nor trusted/);
    assert.match(said({ organization: 'none' }), /neither a member nor trusted/);
    const notSeen = [{ account: OWNER, region: REGION, part: 'organization' as const, call: 'x:Y', reason: 'denied' }];
    assert.match(said({ organization: undefined, notSeen }), /could not be seen/);
  });
});

describe('the mend of a key that consumers cannot use', () => {
  const THIRD = '777788889999';
  const sealed = { id: 'snap-1', encrypted: true, key: ARN, shares: [] };
  const shared = (id: string, ...accounts: string[]) => ({
    ...{ id, owner: OWNER, state: 'available', public: false },
    devices: [{ device: '/dev/xvda', snapshotId: 'snap-1', encrypted: true }],
    shares: accounts.map((value) => ({ kind: 'account', value }) as const),
  });
  const mendsOf = (facts: Partial<KeyFacts>, images: PlaceFacts['images'], trustedAccounts: string[] = []) => {
    const policy = { approvedKeys: [], trustedAccounts, unusedAfterDays: 90 };
    const { findings } = judge(estate({ images, snapshots: [sealed], keys: [key(facts)] }, { policy }));
    return findings.filter(({ check }) => check === 'ING-SHR-007').map(({ mend }) => mend);
  };

  it('is one policy for all images under the key, so that no mend undoes another', () => {
    const [one, other] = mendsOf({}, [shared('ami-1', OTHER), shared('ami-2', THIRD)], [THIRD]);
    assert.deepEqual(one, other);
    for (const account of [OTHER, THIRD]) assert.ok(one![0]!.includes(`arn:aws:iam::${account}:root`));
  });

  it('lets no stranger in, and unshares instead', () => {
    const [mend] = mendsOf({}, [shared('ami-1', OTHER, THIRD)]);
    assert.ok(mend![0]!.includes(OTHER) && !mend![0]!.includes(THIRD));
    assert.match(mend![1]!, new RegExp(`^aws ec2 modify-image-attribute .+"Remove":\\[{"UserId":"${THIRD}"}\\]`));
  });

  it('keeps what the policy says, and takes a name that is free', () => {
    const policy = policyOf({ ...allow(root('222233334444')), Sid: 'UseOfSharedImages' });
    const [mend] = mendsOf({ policy }, [shared('ami-1', OTHER)]);
    assert.ok(mend![0]!.includes('222233334444') && mend![0]!.includes('"UseOfSharedImages2"'));
  });

  it('only shows the policy where no statement helps', () => {
    const deny = { ...allow('*', { StringEquals: { 'kms:CallerAccount': OTHER } }), Effect: 'Deny' };
    const [mend] = mendsOf({ policy: policyOf(deny) }, [shared('ami-1', OTHER)]);
    assert.equal(mend!.length, 1);
    assert.match(mend![0]!, /^aws kms get-key-policy /);
  });
});

describe('a baseline', () => {
  const { findings } = sampleReport();
  const open = findings.map(({ accepted: _, ...finding }) => finding);
  const entry = (expires: string, fingerprint = open[0]!.fingerprint) => ({
    ...{ fingerprint, check: 'ING-AMI-001', resource: 'arn', reason: 'known', expires },
  });
  const now = new Date('2026-11-23T23:59:00Z');

  it('holds to the end of its last day', () => {
    assert.deepEqual(applyBaseline(open, [entry('2026-11-23')], now).findings[0]?.accepted, {
      reason: 'known',
      expires: '2026-11-23',
    });
    const late = applyBaseline(open, [entry('2026-11-22')], now);
    assert.equal(late.findings[0]?.accepted, undefined);
    assert.deepEqual(late.expired, [open[0]!.fingerprint]);
  });

  it('tells of entries that match nothing', () => {
    assert.deepEqual(applyBaseline(open, [entry('2099-01-01', 'f'.repeat(32))], now).unused, ['f'.repeat(32)]);
  });

  it('is renewed with what stands and what is new, and without what is gone', () => {
    const entries = [entry('2099-01-01'), entry('2099-01-01', 'f'.repeat(32))];
    const text = renewedBaseline(applyBaseline(open, entries, now), entries, {
      reason: 'later',
      expires: '2030-01-01',
    });
    assert.equal(text.match(/fingerprint:/g)?.length, open.length);
    assert.equal(text.match(/reason: known/g)?.length, 1);
    assert.ok(!text.includes('f'.repeat(32)));
  });

  it('knows a day of the calendar', () => {
    for (const day of ['2026-11-23', '2028-02-29']) assert.ok(isDay(day));
    for (const day of ['2026-02-29', '2026-13-01', '2026-1-1', 'tomorrow', '2026-11-23T00:00']) assert.ok(!isDay(day));
  });
});

describe('comparing', () => {
  it('keeps what the second could not judge', () => {
    const before = sampleReport();
    const after = {
      ...before,
      findings: [],
      coverage: before.coverage.map((one) => ({ ...one, status: 'not-seen' as const })),
    };
    assert.equal(compare(before, after).gone.length, 0);
    assert.equal(compare(before, after).unchanged.length, before.findings.length);
    const judged = { ...after, coverage: before.coverage.map((one) => ({ ...one, status: 'passed' as const })) };
    assert.equal(compare(before, judged).gone.length, before.findings.length);
    assert.equal(compare(judged, before).new.length, before.findings.length);
  });
});

describe('a gate', () => {
  it('ends by severity, acceptance and what was seen', () => {
    const { findings, notSeen } = sampleReport();
    const critical = findings.filter(({ severity }) => severity === 'critical');
    const low = findings.filter(({ severity }) => severity === 'low');
    const accepted = critical.map((one) => ({ ...one, accepted: { reason: 'x', expires: '2099-01-01' } }));
    for (const [facts, least, allow, code] of [
      [{ findings: critical, notSeen: [] }, 'high', false, 3],
      [{ findings: low, notSeen: [] }, 'high', false, 0],
      [{ findings: low, notSeen: [] }, 'low', false, 3],
      [{ findings: accepted, notSeen: [] }, 'low', false, 0],
      [{ findings: [], notSeen }, 'low', false, 4],
      [{ findings: [], notSeen }, 'low', true, 0],
      [{ findings: critical, notSeen }, 'high', true, 3],
    ] as const) {
      assert.equal(exitCodeOf(facts, least, allow), code);
    }
  });

  it('lets so many pass and no more, and the next after a failure', async () => {
    const gate = new Gate(2);
    let [inside, most] = [0, 0];
    const work = (fails: boolean) => async () => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((done) => setImmediate(done));
      inside -= 1;
      if (fails) throw new Error('no');
    };
    const all = Array.from({ length: 12 }, (_, at) => gate.pass(work(at % 3 === 0)));
    const settled = await Promise.allSettled(all);
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, 4);
    assert.equal(most, 2);
  });
});

it('a command is quoted for a shell where it must be', () => {
  const policy = `{"it's": "<x>"}`;
  assert.equal(
    awsCommand('ec2', 'x', '--id', 'ami-1', '--policy', policy),
    `aws ec2 x --id ami-1 --policy '{"it'\\''s": "<x>"}'`,
  );
});
